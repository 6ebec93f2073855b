"""Nova's bodies as InvokeModel takes and gives them.

A request is Converse's under other names and is read as one. A streamed answer has a content block, begun and ended,
for every piece of text. How Nova 2 streams its reasoning here is an assumption: as ConverseStream does.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from emulator.answer import Ending, ServedAs, Usage, WholeReply
from emulator.body_checks import mapping
from emulator.converse import ConverseDialect
from emulator.dialect import Frames
from emulator.families.native import METRICS, NativeDialect, cache_counts, metrics, raw_chunk, whole_fields
from emulator.families.native_checks import check_keys, members, one_of, optional_text, token_limit
from emulator.frames import Padding, chunk_frame, encode_text
from emulator.http import HeaderFields
from emulator.model_request import Asked, ModelRequest

SCHEMA_VERSION = "messages-v1"

_OPTIONAL = ("schemaVersion", "system", "inferenceConfig", "toolConfig", "reasoningConfig")
_CONFIG_READ = ("max_new_tokens", "maxTokens", "stopSequences", "reasoningConfig")
#: They change what a real model says, but nothing here. Older examples write them in snake case.
_CONFIG_IGNORED = ("temperature", "topP", "topK", "top_p", "top_k")
_BLOCKS = (
    "text", "cachePoint", "reasoningContent", "image", "video", "audio", "document", "toolUse", "toolResult",
)  # fmt: skip
_ROLES = ("user", "assistant")


class NovaDialect(NativeDialect):
    """Requests and answers of the schema `messages-v1`."""

    def __init__(self, padding: Padding) -> None:
        super().__init__(padding)
        self._converse = ConverseDialect(padding)

    def read(self, asked: Asked) -> ModelRequest:
        """The request of a body."""
        body = asked.body
        check_keys(body, ("messages",), _OPTIONAL)
        if body.get("schemaVersion") is not None:
            one_of(body["schemaVersion"], (SCHEMA_VERSION,), "schemaVersion")
        for index, message in enumerate(members(body["messages"], "messages")):
            _check_message(message, f"messages/{index}")
        if body.get("system") is not None:
            _check_blocks(body["system"], "system")
        return self._converse.read(replace(asked, body=_as_converse(asked)))

    def whole(self, reply: WholeReply) -> tuple[HeaderFields, dict[str, Any]]:
        """The answer of InvokeModel."""
        content: list[dict[str, Any]] = [{"text": reply.text}] if reply.text else []
        if reply.reasoning:
            content.insert(0, {"reasoningContent": {"reasoningText": {"text": reply.reasoning}}})
        usage = reply.ending.usage
        body = {
            "output": {"message": {"content": content, "role": "assistant"}},
            "stopReason": reply.ending.stop_reason.value,
            "usage": {**_usage(usage, reply.served), "totalTokens": usage.total_tokens},
        }
        return whole_fields(reply), body

    def writer(self, request: ModelRequest, served: ServedAs, usage: Usage, *, thinks: bool) -> "NovaWriter":
        """The frames of one answer."""
        return NovaWriter(self._padding, served)


class NovaWriter:
    """The chunks of one streamed answer: every piece is a content block of its own."""

    __slots__ = ("_block", "_padding", "_served")

    def __init__(self, padding: Padding, served: ServedAs) -> None:
        self._padding = padding
        self._served = served
        self._block = 0

    def opening(self) -> Frames:
        """`messageStart`."""
        return (raw_chunk('{"messageStart":{"role":"assistant"}}', self._padding),)

    def reasoning(self, text: str, output_tokens: int) -> Frames:
        """A piece of thought, and the end of its block."""
        return self._piece(f'{{"reasoningContent":{{"text":{encode_text(text)}}}}}')

    def text(self, text: str, output_tokens: int) -> Frames:
        """A piece of text, and the end of its block."""
        return self._piece(f'{{"text":{encode_text(text)}}}')

    def closing(self, ending: Ending) -> Frames:
        """`messageStop`, and `metadata` with the numbers."""
        reason = f'{{"messageStop":{{"stopReason":"{ending.stop_reason.value}"}}}}'
        metadata = {"usage": _usage(ending.usage, self._served), "metrics": {}, "trace": {}}
        last = {"metadata": metadata, METRICS: metrics(ending, self._served.model)}
        return raw_chunk(reason, self._padding), chunk_frame(last, self._padding)

    def _piece(self, delta: str) -> Frames:
        block = self._block
        self._block += 1
        return (
            raw_chunk(f'{{"contentBlockDelta":{{"delta":{delta},"contentBlockIndex":{block}}}}}', self._padding),
            raw_chunk(f'{{"contentBlockStop":{{"contentBlockIndex":{block}}}}}', self._padding),
        )


def _usage(usage: Usage, served: ServedAs) -> dict[str, int]:
    """Token counts in Nova's own words, which differ from Converse's."""
    document = {"inputTokens": usage.input_tokens, "outputTokens": usage.output_tokens}
    cached = cache_counts(usage, served.model)
    if cached is not None:
        document["cacheReadInputTokenCount"], document["cacheWriteInputTokenCount"] = cached
    return document


def _check_message(message: Mapping[str, Any], where: str) -> None:
    check_keys(message, ("role", "content"), (), f"#/{where}")
    one_of(message["role"], _ROLES, f"{where}/role")
    _check_blocks(message["content"], f"{where}/content")


def _check_blocks(value: Any, where: str) -> None:
    for index, block in enumerate(members(value, where)):
        check_keys(block, (), _BLOCKS, f"#/{where}/{index}")
        point = mapping(block.get("cachePoint"), f"{where}/{index}/cachePoint")
        optional_text(point.get("ttl"), f"{where}/{index}/cachePoint/ttl")


def _as_converse(asked: Asked) -> dict[str, Any]:
    """The same request as Converse would take it."""
    body = asked.body
    config = mapping(body.get("inferenceConfig"), "inferenceConfig")
    check_keys(config, (), (*_CONFIG_READ, *_CONFIG_IGNORED), "#/inferenceConfig")
    name = "max_new_tokens" if config.get("max_new_tokens") is not None else "maxTokens"
    most = asked.model.max_output_tokens
    return {
        "messages": body["messages"],
        "system": body.get("system"),
        "toolConfig": body.get("toolConfig"),
        "inferenceConfig": {
            "maxTokens": token_limit(config.get(name), f"inferenceConfig/{name}", asked.model, most),
            "stopSequences": config.get("stopSequences"),
        },
        "additionalModelRequestFields": _reasoning(body, config),
    }


def _reasoning(body: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The reasoning setting: AWS's documentation has it at the top level and in `inferenceConfig`."""
    given = body.get("reasoningConfig")
    setting = mapping(config.get("reasoningConfig") if given is None else given, "reasoningConfig")
    optional_text(setting.get("maxReasoningEffort"), "reasoningConfig/maxReasoningEffort")
    return {"reasoningConfig": setting}
