"""Anthropic's Messages as InvokeModel takes and gives them.

Recorded streams of Bedrock have no `ping` events, unlike those of Anthropic's own API.
"""

import hashlib
import re
import string
from collections.abc import Mapping
from typing import Any

from bedrock.catalog import Model
from emulator import errors
from emulator.answer import Ending, ServedAs, Usage, WholeReply
from emulator.body_checks import mapping, shown, starts_with_user, strings
from emulator.dialect import Frames
from emulator.families.native import METRICS, NativeDialect, cache_counts, metrics, raw_chunk, whole_fields
from emulator.families.native_checks import check_keys, members, one_of, optional_text, required_text, token_limit
from emulator.frames import Padding, chunk_frame, encode_text
from emulator.http import HeaderFields
from emulator.model_request import Asked, ModelRequest
from emulator.prompt_text import PromptText
from emulator.reasoning import budget_of_fields, signature

VERSION = "bedrock-2023-05-31"

_REQUIRED = ("anthropic_version", "max_tokens", "messages")
_READ = ("system", "stop_sequences", "thinking", "tools", "tool_choice")
#: They change what a real model says, but nothing here.
_IGNORED = ("temperature", "top_p", "top_k", "metadata", "anthropic_beta", "output_config")

_ROLES = ("user", "assistant")
_THOUGHTS = ("thinking", "redacted_thinking")
#: Version and throughput at the end of a model id, which are not part of the name in an answer.
_ID_VERSION = re.compile(r"-v\d+(:\d+)?$")
_ID_CHARACTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase


class AnthropicDialect(NativeDialect):
    """Requests and answers of the Messages API."""

    def read(self, asked: Asked) -> ModelRequest:
        """The request of a body."""
        body, model = asked.body, asked.model
        check_keys(body, _REQUIRED, (*_READ, *_IGNORED))
        one_of(body["anthropic_version"], (VERSION,), "anthropic_version")
        _refuse_tools(body)
        max_tokens = token_limit(body["max_tokens"], "max_tokens", model, model.max_output_tokens)
        prompt = PromptText()
        if body.get("system"):
            _read_content(body["system"], "system", "system", prompt)
        return ModelRequest(
            prompt=_read_messages(body["messages"], prompt),
            input_tokens=prompt.input_tokens,
            max_tokens=max_tokens,
            stop_sequences=strings(body.get("stop_sequences"), "stop_sequences"),
            reasoning_budget=_thinking_budget(body, max_tokens, model),
            cache_prefixes=prompt.cache_prefixes,
            system=prompt.system,
        )

    def whole(self, reply: WholeReply) -> tuple[HeaderFields, dict[str, Any]]:
        """The answer of InvokeModel."""
        content: list[dict[str, Any]] = []
        if reply.reasoning:
            signed = signature(reply.served.request_id)
            content.append({"type": "thinking", "thinking": reply.reasoning, "signature": signed})
        if reply.text:
            content.append({"type": "text", "text": reply.text})
        ending = reply.ending
        usage = {**_input_usage(ending.usage, reply.served.model), "output_tokens": ending.usage.output_tokens}
        return whole_fields(reply), {**_message(reply.served, content), **_stop(ending), "usage": usage}

    def writer(self, request: ModelRequest, served: ServedAs, usage: Usage, *, thinks: bool) -> "AnthropicWriter":
        """The frames of one answer."""
        return AnthropicWriter(self._padding, served, usage, is_thinking=thinks)


class AnthropicWriter:
    """The chunks of one streamed answer: a block of thought, if the request allows it, and one of text.

    A block is begun before its first delta is due, so that the first delta needs no other event before it.
    """

    __slots__ = ("_block", "_is_thinking", "_padding", "_served", "_usage")

    def __init__(self, padding: Padding, served: ServedAs, usage: Usage, *, is_thinking: bool) -> None:
        self._padding = padding
        self._served = served
        self._usage = usage
        self._block = 0
        self._is_thinking = is_thinking

    def opening(self) -> Frames:
        """`message_start`, which has the counts of the input, and the start of the first block."""
        usage = {**_input_usage(self._usage, self._served.model), "output_tokens": 1}
        message = {**_message(self._served, []), "stop_reason": None, "stop_sequence": None, "usage": usage}
        return self._chunk({"type": "message_start", "message": message}), self._block_start()

    def reasoning(self, text: str, output_tokens: int) -> Frames:
        """A delta of thought."""
        return (self._delta({"type": "thinking_delta", "thinking": text}),)

    def text(self, text: str, output_tokens: int) -> Frames:
        """A delta of text; the first one after thought begins a block."""
        frames = self._block_of_text() if self._is_thinking else ()
        delta = f'{{"type":"text_delta","text":{encode_text(text)}}}'
        inner = f'{{"type":"content_block_delta","index":{self._block},"delta":{delta}}}'
        return (*frames, raw_chunk(inner, self._padding))

    def closing(self, ending: Ending) -> Frames:
        """End of the block, `message_delta` with the reason, `message_stop` with the numbers."""
        usage = {"output_tokens": ending.usage.output_tokens}
        return (
            *self._block_end(),
            self._chunk({"type": "message_delta", "delta": _stop(ending), "usage": usage}),
            self._chunk({"type": "message_stop", METRICS: metrics(ending, self._served.model)}),
        )

    def _block_of_text(self) -> Frames:
        ended = self._block_end()
        self._block += 1
        self._is_thinking = False
        return (*ended, self._block_start())

    def _block_start(self) -> bytes:
        thinking, text = {"type": "thinking", "thinking": "", "signature": ""}, {"type": "text", "text": ""}
        block = thinking if self._is_thinking else text
        return self._chunk({"type": "content_block_start", "index": self._block, "content_block": block})

    def _block_end(self) -> Frames:
        stop = self._chunk({"type": "content_block_stop", "index": self._block})
        if not self._is_thinking:
            return (stop,)
        signed = {"type": "signature_delta", "signature": signature(self._served.request_id)}
        return self._delta(signed), stop

    def _delta(self, delta: Mapping[str, Any]) -> bytes:
        return self._chunk({"type": "content_block_delta", "index": self._block, "delta": delta})

    def _chunk(self, document: Mapping[str, Any]) -> bytes:
        return chunk_frame(document, self._padding)


def _message(served: ServedAs, content: list[dict[str, Any]]) -> dict[str, Any]:
    name = _ID_VERSION.sub("", served.model.id.removeprefix("anthropic."))
    return {
        "id": _message_id(served.request_id),
        "type": "message",
        "role": "assistant",
        "model": name,
        "content": content,
    }


def _message_id(request_id: str) -> str:
    """An id of the form that Bedrock gives, the same for the same request."""
    digest = hashlib.sha256(request_id.encode()).digest()
    return "msg_bdrk_01" + "".join(_ID_CHARACTERS[byte % len(_ID_CHARACTERS)] for byte in digest[:22])


def _stop(ending: Ending) -> dict[str, str | None]:
    return {"stop_reason": ending.stop_reason.value, "stop_sequence": ending.stop_sequence}


def _input_usage(usage: Usage, model: Model) -> dict[str, int]:
    cached = cache_counts(usage, model)
    if cached is None:
        return {"input_tokens": usage.input_tokens}
    read, written = cached
    return {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
    }


def _refuse_tools(body: Mapping[str, Any]) -> None:
    for key in ("tools", "tool_choice"):
        if body.get(key):
            raise errors.validation(f"This emulator answers with text only: {key} is not supported.")


def _thinking_budget(body: Mapping[str, Any], max_tokens: int, model: Model) -> int | None:
    budget = budget_of_fields({"thinking": body.get("thinking")}, model)
    is_counted = mapping(body.get("thinking"), "thinking").get("type") == "enabled"
    if budget is not None and is_counted and budget >= max_tokens:
        raise errors.validation("`max_tokens` must be greater than `thinking.budget_tokens`.")
    return budget


def _read_messages(value: Any, prompt: PromptText) -> str:
    """Read a conversation; the text of its last user message."""
    last_user_text = ""
    roles = []
    for index, message in enumerate(members(value, "messages")):
        where = f"messages/{index}"
        check_keys(message, ("role", "content"), (), f"#/{where}")
        role = one_of(message["role"], _ROLES, f"{where}/role")
        said = _read_content(message["content"], f"{where}/content", role, prompt)
        roles.append(role)
        if role == "user":
            last_user_text = "\n".join(said)
    starts_with_user(roles)
    return last_user_text


def _read_content(value: Any, where: str, role: str, prompt: PromptText) -> list[str]:
    """Read a text, or blocks of it; what it says."""
    if isinstance(value, str):
        prompt.add(role, _visible(value, where))
        return [value]
    said = [_read_block(block, f"{where}/{index}", role, prompt) for index, block in enumerate(members(value, where))]
    return [part for part in said if part is not None]


def _read_block(block: Mapping[str, Any], where: str, role: str, prompt: PromptText) -> str | None:
    """Read one block; None where it has no text that is read (earlier thoughts come back and are passed over)."""
    kind = block.get("type")
    if kind in _THOUGHTS and role == "assistant":
        return None
    if kind != "text":
        raise errors.validation(
            f"This emulator reads text only: the block at {_dotted(where)} is of type {shown(kind)}."
        )
    check_keys(block, ("type", "text"), ("cache_control", "citations"), f"#/{where}")
    said = _visible(block["text"], where)
    prompt.add(role, said)
    _read_cache_control(block.get("cache_control"), f"{where}/cache_control", prompt)
    return said


def _read_cache_control(value: Any, where: str, prompt: PromptText) -> None:
    control = mapping(value, where)
    if control:
        check_keys(control, ("type",), ("ttl",), f"#/{where}")
        one_of(control["type"], ("ephemeral",), f"{where}/type")
        prompt.cache_point(optional_text(control.get("ttl"), f"{where}/ttl"))


def _visible(value: Any, where: str) -> str:
    said = required_text(value, where)
    if not said.strip():
        raise errors.validation(f"{_dotted(where)}: text content blocks must contain non-whitespace text")
    return said


def _dotted(where: str) -> str:
    return where.replace("/", ".")
