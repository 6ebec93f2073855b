"""Converse and ConverseStream: their request, checked; their answer as one body or as event frames.

JSON keys are in alphabetical order and every event carries padding, as the service sends it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bedrock.catalog import Model
from emulator import errors
from emulator.answer import Ending, ServedAs, Usage, WholeReply
from emulator.body_checks import (
    check_share,
    mapping,
    objects,
    shown,
    starts_with_user,
    strings,
    whole_number,
    within_model,
)
from emulator.dialect import Frames
from emulator.frames import Padding, event_frame, text_delta_frame
from emulator.http import HeaderFields
from emulator.model_request import Asked, ModelRequest
from emulator.prompt_text import PromptText
from emulator.reasoning import budget_of_fields, signature

_ROLES = ("user", "assistant", "system")


class ConverseDialect:
    """The one body that all models understand."""

    def __init__(self, padding: Padding) -> None:
        self._padding = padding

    def requested_tier(self, asked: Asked) -> str | None:
        """`serviceTier.type`."""
        return _named(asked.body.get("serviceTier"), "type")

    def requested_latency(self, asked: Asked) -> str | None:
        """`performanceConfig.latency`."""
        return _named(asked.body.get("performanceConfig"), "latency")

    def read(self, asked: Asked) -> ModelRequest:
        """The request of a body."""
        body, model = asked.body, asked.model
        if body.get("toolConfig") is not None:
            raise errors.validation("This emulator answers with text only: toolConfig is not supported.")
        config = mapping(body.get("inferenceConfig"), "inferenceConfig")
        for name in ("temperature", "topP"):  # they change what a real model says, but nothing here
            check_share(config.get(name), f"inferenceConfig.{name}")
        text = PromptText()
        last_user_text = _read_conversation(body, text)
        return ModelRequest(
            prompt=last_user_text,
            input_tokens=text.input_tokens,
            max_tokens=_max_tokens(config, model),
            stop_sequences=strings(config.get("stopSequences"), "inferenceConfig/stopSequences"),
            reasoning_budget=budget_of_fields(
                mapping(body.get("additionalModelRequestFields"), "additionalModelRequestFields"), model
            ),
            cache_prefixes=text.cache_prefixes,
            system=text.system,
        )

    def whole(self, reply: WholeReply) -> tuple[HeaderFields, dict[str, Any]]:
        """The answer of Converse."""
        content: list[dict[str, Any]] = [{"text": reply.text}] if reply.text else []
        if reply.reasoning:
            thought = {"text": reply.reasoning, "signature": signature(reply.served.request_id)}
            content.insert(0, {"reasoningContent": {"reasoningText": thought}})
        body = {
            "metrics": {"latencyMs": reply.ending.latency_ms},
            "output": {"message": {"content": content, "role": "assistant"}},
            "stopReason": reply.ending.stop_reason.value,
            "usage": usage_document(reply.ending.usage),
            **_echoes(reply.served),
        }
        return (), body

    def stream_fields(self, served: ServedAs) -> HeaderFields:
        """ConverseStream adds none."""
        return ()

    def writer(self, request: ModelRequest, served: ServedAs, usage: Usage, *, thinks: bool) -> "ConverseWriter":
        """The frames of one answer."""
        return ConverseWriter(self._padding, served)


class ConverseWriter:
    """The event frames of ConverseStream: a block of reasoning, if there is any, and a block of text."""

    __slots__ = ("_block", "_is_thinking", "_padding", "_served")

    def __init__(self, padding: Padding, served: ServedAs) -> None:
        self._padding = padding
        self._served = served
        self._block = 0
        self._is_thinking = False

    def opening(self) -> Frames:
        """`messageStart`; blocks of text have no event of their own at their start."""
        return (self._event("messageStart", {"role": "assistant"}),)

    def reasoning(self, text: str, output_tokens: int) -> Frames:
        """A reasoning delta."""
        self._is_thinking = True
        return (self._delta({"reasoningContent": {"text": text}}),)

    def text(self, text: str, output_tokens: int) -> Frames:
        """A text delta; the first one after reasoning closes that block."""
        if self._is_thinking:
            return (*self._end_of_thought(), text_delta_frame(self._block, text))
        return (text_delta_frame(self._block, text),)

    def closing(self, ending: Ending) -> Frames:
        """End of the block, end of the message, and `metadata` with usage and latency."""
        metadata = {
            "metrics": {"latencyMs": ending.latency_ms},
            "usage": usage_document(ending.usage),
            **_echoes(self._served),
        }
        return (
            self._event("contentBlockStop", {"contentBlockIndex": self._block}),
            self._event("messageStop", {"stopReason": ending.stop_reason.value}),
            self._event("metadata", metadata),
        )

    def _end_of_thought(self) -> Frames:
        self._is_thinking = False
        frames = (
            self._delta({"reasoningContent": {"signature": signature(self._served.request_id)}}),
            self._event("contentBlockStop", {"contentBlockIndex": self._block}),
        )
        self._block += 1
        return frames

    def _delta(self, delta: Mapping[str, Any]) -> bytes:
        return self._event("contentBlockDelta", {"contentBlockIndex": self._block, "delta": delta})

    def _event(self, event_type: str, document: Mapping[str, Any]) -> bytes:
        return event_frame(event_type, document, self._padding)


def usage_document(usage: Usage) -> dict[str, int]:
    """Token counts as Converse writes them; those of the cache only where it played a part."""
    document = {
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.total_tokens,
    }
    if usage.cache_read_tokens is not None:
        document["cacheReadInputTokens"] = usage.cache_read_tokens
    if usage.cache_write_tokens is not None:
        document["cacheWriteInputTokens"] = usage.cache_write_tokens
    return document


def _echoes(served: ServedAs) -> dict[str, Any]:
    echoes: dict[str, Any] = {}
    if served.echoed_latency is not None:
        echoes["performanceConfig"] = {"latency": served.echoed_latency}
    if served.echoed_tier is not None:
        echoes["serviceTier"] = {"type": served.echoed_tier}
    return echoes


def _named(value: Any, key: str) -> str | None:
    """`value[key]` as text, whatever was sent there; None where nothing was."""
    if value is None:
        return None
    named = value.get(key) if isinstance(value, dict) else value
    return None if named is None else str(named)


def _max_tokens(config: Mapping[str, Any], model: Model) -> int:
    """`inferenceConfig.maxTokens`; the model's maximum where the request leaves it out, as Bedrock reserves it."""
    if config.get("maxTokens") is None:
        return model.max_output_tokens
    value = whole_number(config["maxTokens"], "inferenceConfig/maxTokens")
    if value < 1:
        raise errors.constraint(
            f"Value '{shown(value)}' at 'inferenceConfig.maxTokens'",
            "Member must have value greater than or equal to 1",
        )
    return within_model(value, model)


def _read_conversation(body: Mapping[str, Any], text: PromptText) -> str:
    """Collect all the model reads; the text of the last user message is what it answers."""
    messages = objects(body.get("messages"), "messages")
    if not messages:
        raise errors.constraint("Value null at 'messages'", "Member must not be null")
    _read_blocks(objects(body.get("system"), "system"), "system", "system", text)
    last_user_text = ""
    roles = []
    for index, message in enumerate(messages):
        role, said = _read_message(message, index, text)
        roles.append(role)
        if role == "user":
            last_user_text = "\n".join(said)
    starts_with_user(roles)
    return last_user_text


def _read_message(message: Mapping[str, Any], index: int, text: PromptText) -> tuple[str, list[str]]:
    role = message.get("role")
    if role not in _ROLES:
        raise errors.constraint(
            f"Value '{shown(role)}' at 'messages.{index + 1}.member.role'",
            f"Member must satisfy enum value set: [{', '.join(_ROLES)}]",
        )
    content = objects(message.get("content"), f"messages.{index}.content")
    if not content:
        raise errors.validation(
            f"The content field in the Message object at messages.{index} is empty. "
            "Add a ContentBlock object to the content field and try again."
        )
    return role, _read_blocks(content, f"messages.{index}.content", role, text)


def _read_blocks(blocks: Sequence[Mapping[str, Any]], where: str, role: str, text: PromptText) -> list[str]:
    said = []
    for index, block in enumerate(blocks):
        block_text = block.get("text")
        if isinstance(block_text, str) and block_text.strip():
            said.append(block_text)
            text.add(role, block_text)
        elif isinstance(block_text, str):
            raise errors.validation(
                f"The text field in the ContentBlock object at {where}.{index} is blank. "
                "Add text to the text field, and try again."
            )
        elif "cachePoint" in block:
            text.cache_point(mapping(block["cachePoint"], f"{where}/{index}/cachePoint").get("ttl"))
        elif "reasoningContent" not in block:  # earlier thoughts come back in a conversation and are not read again
            raise errors.validation(
                f"This emulator reads text only: the content block at {where}.{index} has no text field."
            )
    return said
