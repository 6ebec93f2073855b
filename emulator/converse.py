"""Converse and ConverseStream: their request, checked; their answer as one body or as event frames.

JSON keys are in alphabetical order and every event carries `p`, padding of random length, as the service sends it.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bedrock.catalog import SERVICE_TIERS, Catalog, Model
from bedrock.eventstream import encode_frame_raw, encode_headers
from bedrock.tokens import estimate_tokens
from emulator import errors

_ROLES = ("user", "assistant", "system")
_LATENCIES = ("optimized", "standard")
_PADDING_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_SHORTEST_PADDING = 2


@dataclass(frozen=True, slots=True)
class ConverseRequest:
    """A valid request: what the timing model, the quota and the answer need of it."""

    model: Model
    model_id: str
    requested_tier: str | None
    latency: str | None
    prompt: str
    input_tokens: int
    max_tokens: int

    @property
    def tier(self) -> str:
        """The tier it is served in."""
        return self.requested_tier or "default"


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of an answer."""

    input_tokens: int
    output_tokens: int

    def to_dict(self) -> dict[str, int]:
        """As Bedrock writes it."""
        return {
            "inputTokens": self.input_tokens,
            "outputTokens": self.output_tokens,
            "totalTokens": self.input_tokens + self.output_tokens,
        }


def requested_tier(body: Mapping[str, Any]) -> str | None:
    """The tier a request names, valid or not; None where it names none."""
    tier = body.get("serviceTier")
    return str(tier.get("type")) if isinstance(tier, dict) and tier.get("type") is not None else None


def decode_body(raw: bytes) -> dict[str, Any]:
    """The request body as a mapping; ServiceError if it is none."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise errors.malformed(f"#: it is not JSON ({error})") from None
    if not isinstance(body, dict):
        raise errors.malformed("#: expected type: JSONObject")
    return body


def read_request(model_id: str, body: Mapping[str, Any], catalog: Catalog) -> ConverseRequest:
    """The request of a body, checked as far as this emulator understands it; ServiceError otherwise."""
    model = catalog.find(model_id)
    if model is None:
        raise errors.unknown_model()
    _check_tier(body, model)
    text, last_user_text = _conversation(body)
    return ConverseRequest(
        model=model,
        model_id=model_id,
        requested_tier=requested_tier(body),
        latency=_latency(body, model_id),
        prompt=last_user_text,
        input_tokens=max(1, estimate_tokens(text)),
        max_tokens=_max_tokens(body, model),
    )


def _check_tier(body: Mapping[str, Any], model: Model) -> None:
    if body.get("serviceTier") is None:
        return
    tier = requested_tier(body)
    if tier not in SERVICE_TIERS:
        raise errors.invalid_tier()
    if tier == "reserved":
        raise errors.no_reservation()
    if not model.supports_tier(tier):
        raise errors.unsupported_tier()


def _latency(body: Mapping[str, Any], model_id: str) -> str | None:
    config = body.get("performanceConfig")
    if config is None:
        return None
    latency = config.get("latency") if isinstance(config, dict) else config
    if latency not in _LATENCIES:
        raise errors.constraint(
            f"Value '{_shown(latency)}' at 'performanceConfig.latency'",
            f"Member must satisfy enum value set: [{', '.join(_LATENCIES)}]",
        )
    if latency == "optimized":
        raise errors.validation(f"Latency performance configuration is not supported for {model_id}")
    return str(latency)


def _max_tokens(body: Mapping[str, Any], model: Model) -> int:
    """`inferenceConfig.maxTokens`; the model's maximum where the request leaves it out, as Bedrock reserves it."""
    config = body.get("inferenceConfig")
    if config is not None and not isinstance(config, dict):
        raise errors.malformed("#/inferenceConfig: expected type: JSONObject")
    value = (config or {}).get("maxTokens")
    if value is None:
        return model.max_output_tokens
    if isinstance(value, bool) or not isinstance(value, int):
        raise errors.malformed(f"#/inferenceConfig/maxTokens: expected type: Integer, found: {_shown(value)}")
    if value < 1:
        raise errors.constraint(
            f"Value '{_shown(value)}' at 'inferenceConfig.maxTokens'",
            "Member must have value greater than or equal to 1",
        )
    if value > model.max_output_tokens:
        raise errors.over_max_tokens(model.max_output_tokens)
    return value


def _conversation(body: Mapping[str, Any]) -> tuple[str, str]:
    """All text the model reads, and the text of the last user message, which is what it answers."""
    if body.get("toolConfig") is not None:
        raise errors.validation("This emulator answers with text only: toolConfig is not supported.")
    messages = _blocks(body.get("messages"), "messages")
    if not messages:
        raise errors.constraint("Value null at 'messages'", "Member must not be null")
    texts = _texts(_blocks(body.get("system") or [], "system"), "system")
    last_user_text = ""
    first_role = None
    for index, message in enumerate(messages):
        role, said = _message(message, index)
        first_role = first_role or (role if role != "system" else None)
        texts += said
        if role == "user":
            last_user_text = "\n".join(said)
    if first_role != "user":
        raise errors.validation(
            "A conversation must start with a user message. "
            "Try again with a conversation that starts with a user message."
        )
    return "\n".join(texts), last_user_text


def _message(message: Mapping[str, Any], index: int) -> tuple[str, list[str]]:
    role = message.get("role")
    if role not in _ROLES:
        raise errors.constraint(
            f"Value '{_shown(role)}' at 'messages.{index + 1}.member.role'",
            f"Member must satisfy enum value set: [{', '.join(_ROLES)}]",
        )
    content = _blocks(message.get("content"), f"messages.{index}.content")
    if not content:
        raise errors.validation(
            f"The content field in the Message object at messages.{index} is empty. "
            "Add a ContentBlock object to the content field and try again."
        )
    return role, _texts(content, f"messages.{index}.content")


def _texts(blocks: Sequence[Mapping[str, Any]], where: str) -> list[str]:
    texts = []
    for index, block in enumerate(blocks):
        text = block.get("text")
        if isinstance(text, str) and text.strip():
            texts.append(text)
        elif isinstance(text, str):
            raise errors.validation(
                f"The text field in the ContentBlock object at {where}.{index} is blank. "
                "Add text to the text field, and try again."
            )
        elif "cachePoint" not in block:
            raise errors.validation(
                f"This emulator reads text only: the content block at {where}.{index} has no text field."
            )
    return texts


def _blocks(value: Any, where: str) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise errors.malformed(f"#/{where.replace('.', '/')}: expected type: array of JSONObject")
    return value


def _shown(value: Any) -> str:
    """What a client sent, short enough for an error message."""
    return str(value)[:100]


def response_body(
    request: ConverseRequest, text: str, stop_reason: str, usage: Usage, latency_ms: int
) -> dict[str, Any]:
    """The answer of Converse."""
    return {
        "metrics": {"latencyMs": latency_ms},
        "output": {"message": {"content": [{"text": text}], "role": "assistant"}},
        "stopReason": stop_reason,
        "usage": usage.to_dict(),
        **_echoes(request),
    }


def _echoes(request: ConverseRequest) -> dict[str, Any]:
    """Settings that the service repeats if, and only if, they were sent."""
    echoes: dict[str, Any] = {}
    if request.latency is not None:
        echoes["performanceConfig"] = {"latency": request.latency}
    if request.requested_tier is not None:
        echoes["serviceTier"] = {"type": request.requested_tier}
    return echoes


def event_headers(event_type: str) -> bytes:
    """The header block of an event, in the service's order."""
    return encode_headers({":event-type": event_type, ":content-type": "application/json", ":message-type": "event"})


_MESSAGE_START = event_headers("messageStart")
_BLOCK_DELTA = event_headers("contentBlockDelta")
_BLOCK_STOP = event_headers("contentBlockStop")
_MESSAGE_STOP = event_headers("messageStop")
_METADATA = event_headers("metadata")

_encode_text = json.JSONEncoder(ensure_ascii=False).encode


class EventFrames:
    """The event frames of ConverseStream; padding comes from the given source of random numbers."""

    def __init__(self, rng: random.Random) -> None:
        self._random = rng.random
        self._paddings = [_PADDING_ALPHABET[:length] for length in range(_SHORTEST_PADDING, len(_PADDING_ALPHABET) + 1)]

    def message_start(self) -> bytes:
        """The stream opens."""
        return encode_frame_raw(_MESSAGE_START, f'{{"p":"{self._padding()}","role":"assistant"}}'.encode())

    def text_delta(self, text: str) -> bytes:
        """A piece of the answer."""
        payload = f'{{"contentBlockIndex":0,"delta":{{"text":{_encode_text(text)}}},"p":"{self._padding()}"}}'
        return encode_frame_raw(_BLOCK_DELTA, payload.encode())

    def block_stop(self) -> bytes:
        """The text is complete."""
        return encode_frame_raw(_BLOCK_STOP, f'{{"contentBlockIndex":0,"p":"{self._padding()}"}}'.encode())

    def message_stop(self, stop_reason: str) -> bytes:
        """The answer is complete."""
        return encode_frame_raw(_MESSAGE_STOP, f'{{"p":"{self._padding()}","stopReason":"{stop_reason}"}}'.encode())

    def metadata(self, request: ConverseRequest, usage: Usage, latency_ms: int) -> bytes:
        """Usage and latency; the last event of a complete stream."""
        document = {
            "metrics": {"latencyMs": latency_ms},
            "p": self._padding(),
            "usage": usage.to_dict(),
            **_echoes(request),
        }
        payload = json.dumps(document, sort_keys=True, separators=(",", ":"))
        return encode_frame_raw(_METADATA, payload.encode())

    def _padding(self) -> str:
        return self._paddings[int(self._random() * len(self._paddings))]
