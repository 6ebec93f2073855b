"""Mistral's bodies as InvokeModel takes and gives them.

There are two forms: a `prompt` with `[INST]` marks, answered with `outputs`; and `messages`, as Mistral Large takes
them, answered with `choices`. How `choices` are streamed is an assumption: as whole ones, with a piece of the content.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from emulator import errors
from emulator.answer import Ending, ServedAs, Usage, WholeReply
from emulator.body_checks import shown, starts_with_user, strings
from emulator.dialect import Frames
from emulator.families.native import METRICS, NativeDialect, metrics, raw_chunk, stop_or_length, whole_fields
from emulator.families.native_checks import check_keys, members, one_of, required_text, token_limit
from emulator.frames import Padding, chunk_frame, encode_text
from emulator.http import HeaderFields
from emulator.model_request import Asked, ModelRequest
from emulator.prompt_text import PromptText

#: What AWS documents for Mistral Large where `max_tokens` is left out.
DEFAULT_MAX_TOKENS = 8192

_OPTIONAL = ("max_tokens", "stop", "temperature", "top_p", "top_k")
_CHAT_OPTIONAL = ("max_tokens", "stop", "temperature", "top_p", "tools", "tool_choice")
_ROLES = ("system", "user", "assistant")


class Form(Enum):
    """How a request was written, and so its answer."""

    PROMPT = "outputs"
    CHAT = "choices"


class MistralDialect(NativeDialect):
    """Requests in both forms, each answered in its own."""

    def read(self, asked: Asked) -> ModelRequest:
        """The request of a body; its form goes into the options."""
        body = asked.body
        form = Form.CHAT if "messages" in body else Form.PROMPT
        prompt = PromptText()
        if form is Form.CHAT:
            check_keys(body, ("messages",), _CHAT_OPTIONAL)
            asked_for = _read_messages(body, prompt)
        else:
            check_keys(body, ("prompt",), _OPTIONAL)
            asked_for = _read_prompt(required_text(body["prompt"], "prompt"), prompt)
        return ModelRequest(
            prompt=asked_for,
            input_tokens=prompt.input_tokens,
            max_tokens=token_limit(body.get("max_tokens"), "max_tokens", asked.model, DEFAULT_MAX_TOKENS),
            stop_sequences=strings(body.get("stop"), "stop"),
            system=prompt.system,
            options=form,
        )

    def whole(self, reply: WholeReply) -> tuple[HeaderFields, dict[str, Any]]:
        """The answer of InvokeModel. It has no token counts: those are in the header."""
        body = _answer(reply.request.options, reply.reasoning + reply.text, stop_or_length(reply.ending.stop_reason))
        return whole_fields(reply), body

    def writer(self, request: ModelRequest, served: ServedAs, usage: Usage, *, thinks: bool) -> "MistralWriter":
        """The frames of one answer."""
        return MistralWriter(self._padding, served, request.options)


class MistralWriter:
    """The chunks of one streamed answer; the last has the reason and the numbers."""

    __slots__ = ("_form", "_padding", "_served")

    def __init__(self, padding: Padding, served: ServedAs, form: Form) -> None:
        self._padding = padding
        self._served = served
        self._form = form

    def opening(self) -> Frames:
        """None: the first chunk is the first piece of text."""
        return ()

    def reasoning(self, text: str, output_tokens: int) -> Frames:
        """A piece of thought: these models have no other place for it than the text."""
        return self.text(text, output_tokens)

    def text(self, text: str, output_tokens: int) -> Frames:
        """A piece of text."""
        said = encode_text(text)
        if self._form is Form.PROMPT:
            return (raw_chunk(f'{{"outputs":[{{"text":{said},"stop_reason":null}}]}}', self._padding),)
        message = f'{{"role":"assistant","content":{said}}}'
        inner = f'{{"choices":[{{"index":0,"message":{message},"stop_reason":null}}]}}'
        return (raw_chunk(inner, self._padding),)

    def closing(self, ending: Ending) -> Frames:
        """No more text; why, and the numbers."""
        last = _answer(self._form, "", stop_or_length(ending.stop_reason))
        return (chunk_frame({**last, METRICS: metrics(ending, self._served.model)}, self._padding),)


def _answer(form: Form, said: str, stop_reason: str) -> dict[str, Any]:
    if form is Form.PROMPT:
        return {"outputs": [{"text": said, "stop_reason": stop_reason}]}
    message = {"role": "assistant", "content": said}
    return {"choices": [{"index": 0, "message": message, "stop_reason": stop_reason}]}


def _read_prompt(raw: str, prompt: PromptText) -> str:
    """Read `<s>[INST] question [/INST] answer</s> [INST] ...`; the last question, or all where there are no marks."""
    plain = raw.replace("<s>", "").replace("</s>", "")
    before, *turns = plain.split("[INST]")
    if not turns:
        return _add("user", plain, prompt)
    _add("system", before, prompt)
    last_question = ""
    for turn in turns:
        question, _, answer = turn.partition("[/INST]")
        last_question = _add("user", question, prompt)
        _add("assistant", answer, prompt)
    return last_question


def _add(role: str, written: str, prompt: PromptText) -> str:
    said = written.strip()
    if said:
        prompt.add(role, said)
    return said


def _read_messages(body: Mapping[str, Any], prompt: PromptText) -> str:
    """Read a conversation; the text of its last user message."""
    for key in ("tools", "tool_choice"):
        if body.get(key):
            raise errors.validation(f"This emulator answers with text only: {key} is not supported.")
    last_user_text = ""
    roles = []
    for index, message in enumerate(members(body["messages"], "messages")):
        where = f"messages/{index}"
        check_keys(message, ("role", "content"), (), f"#/{where}")
        role = one_of(message["role"], _ROLES, f"{where}/role")
        said = _content(message["content"], f"{where}/content")
        prompt.add(role, said)
        roles.append(role)
        if role == "user":
            last_user_text = said
    starts_with_user(roles)
    return last_user_text


def _content(value: Any, where: str) -> str:
    """The text of a message: as it is, or in blocks."""
    if not isinstance(value, list):
        return required_text(value, where)
    said = []
    for index, block in enumerate(members(value, where)):
        if block.get("type") != "text":
            at = f"{where}/{index}".replace("/", ".")
            kind = shown(block.get("type"))
            raise errors.validation(f"This emulator reads text only: the block at {at} is of type {kind}.")
        said.append(required_text(block.get("text"), f"{where}/{index}/text"))
    return "\n".join(said)
