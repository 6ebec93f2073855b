"""What the parts of an answer mean for its record, for every API and family of models, whichever transport reads them.

A reader is fed the events of one stream in order, each with the time of its arrival. The last event of a complete
stream carries the usage: `metadata` of ConverseStream, the chunk with `amazon-bedrock-invocationMetrics` of
InvokeModelWithResponseStream. A stream that ends without it is truncated.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from bedrock.invocation import InvocationRecord, fill_gaps
from bedrock.transcript import Transcript

#: What reading a well-framed but odd answer may raise: JSON that is none, or that has another shape.
UNREADABLE: tuple[type[Exception], ...] = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
UNREADABLE_EVENT = "an event that is none of the operation"

METRICS = "amazon-bedrock-invocationMetrics"
#: InvokeModel names the tier it served in a response header.
TIER_HEADER = "x-amzn-bedrock-service-tier"


class StreamReader(Protocol):
    """Reads the events of one stream into its record."""

    @property
    def is_complete(self) -> bool:
        """Whether all closing events have come."""

    def event(self, name: str, document: Mapping[str, Any], at: float) -> None:
        """An event as decoded JSON; `at` is when it arrived."""

    def raw_event(self, name: str, payload: bytes, at: float) -> None:
        """An event as bytes: decoded only as far as the record needs."""

    def finish(self) -> None:
        """No more events come: sum up the gaps between those with content."""


class _Reader:
    """What the readers share: time stamps of content, and the transcript, where one is wanted."""

    def __init__(self, record: InvocationRecord, transcript: Transcript | None) -> None:
        self._record = record
        self._transcript = transcript
        self._content_times: list[float] = []
        record.events = 0

    def _arrived(self, at: float) -> None:
        record = self._record
        record.events = (record.events or 0) + 1
        if record.first_event_at is None:
            record.first_event_at = at

    def _content(self, at: float, *, is_answer: bool) -> None:
        """Stamp a content event: answer text, or reasoning, which is a first token but not a first answer."""
        record = self._record
        self._content_times.append(at)
        record.last_token_at = at
        if record.first_token_at is None:
            record.first_token_at = at
        if is_answer and record.first_answer_at is None:
            record.first_answer_at = at

    def _said(self, text: str, reasoning: str, at: float) -> None:
        """Text of an answer, or of thought; either may be empty."""
        if text or reasoning:
            self._content(at, is_answer=bool(text))
            if self._transcript is not None:
                self._transcript.add_text(text)
                self._transcript.add_reasoning(reasoning)

    def finish(self) -> None:
        """Sum up the gaps between content events."""
        fill_gaps(self._record, self._content_times)


_CONVERSE_EVENTS = frozenset(
    ("messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata")
)


class ConverseStreamReader(_Reader):
    """Events of ConverseStream."""

    def __init__(self, record: InvocationRecord, transcript: Transcript | None = None) -> None:
        super().__init__(record, transcript)
        self._has_stop = self._has_metadata = False

    @property
    def is_complete(self) -> bool:
        """Whether `messageStop` and `metadata` have come."""
        return self._has_stop and self._has_metadata

    def event(self, name: str, document: Mapping[str, Any], at: float) -> None:
        """An event as decoded JSON."""
        _check_event(document)
        self._arrived(at)
        if name == "contentBlockDelta":
            delta = document["delta"]
            self._said(delta.get("text") or "", (delta.get("reasoningContent") or {}).get("text") or "", at)
        elif name == "messageStop":
            self._has_stop = True
            self._record.stop_reason = document["stopReason"]
        elif name == "metadata":
            self._has_metadata = True
            fill_converse_usage(self._record, document)

    def raw_event(self, name: str, payload: bytes, at: float) -> None:
        """An event as bytes. Once the answer has begun, a delta with text is recognised without decoding it."""
        if name == "contentBlockDelta" and self._record.first_answer_at is not None and self._transcript is None:
            text_at = payload.find(b'"text":"')
            if text_at >= 0:
                self._arrived(at)
                if payload[text_at + 8] != 0x22:  # not the empty string
                    self._content(at, is_answer=True)
                return
        if name in _CONVERSE_EVENTS:
            self.event(name, json.loads(payload), at)
        else:  # of a later version of the service; the SDK passes over it, too
            self._arrived(at)


def _check_event(document: Any) -> None:
    """ValueError for what is no event: all have a member; the SDK makes an empty one of JSON that it cannot read."""
    if not isinstance(document, dict) or not document:
        raise ValueError("an event is a JSON object that is not empty")


def fill_converse_usage(record: InvocationRecord, answer: Mapping[str, Any]) -> None:
    """Tokens, server latency and served tier: of Converse's body, or of the stream's `metadata`."""
    usage = answer.get("usage") or {}
    record.input_tokens = usage.get("inputTokens")
    record.output_tokens = usage.get("outputTokens")
    record.cache_read_tokens = usage.get("cacheReadInputTokens")
    record.cache_write_tokens = usage.get("cacheWriteInputTokens")
    record.server_latency_ms = (answer.get("metrics") or {}).get("latencyMs")
    record.served_tier = (answer.get("serviceTier") or {}).get("type")


#: Where text begins in a family's chunks. Inside of a text such bytes cannot be: its quotes are escaped.
_TEXT_MARKS = {
    "anthropic": b'"text":"',
    "nova": b'"text":"',
    "llama": b'"generation":"',
    "mistral": b'"text":"',
    "titan": b'"outputText":"',
}
#: What chunks have that say more than text.
_END_MARKS = (METRICS.encode(), b'"stop_reason":"', b'"stopReason":"', b'"completionReason":"')


class ChunkStreamReader(_Reader):
    """Events of InvokeModelWithResponseStream: `chunk`s of the model's own JSON, in base64."""

    def __init__(self, record: InvocationRecord, family: str, transcript: Transcript | None = None) -> None:
        super().__init__(record, transcript)
        self._family = family
        self._has_metrics = False

    @property
    def is_complete(self) -> bool:
        """Whether the chunk with the invocation's metrics has come."""
        return self._has_metrics

    def event(self, name: str, document: Mapping[str, Any], at: float) -> None:
        """An event as decoded JSON; `bytes` is base64 text, or bytes where an SDK has decoded it."""
        _check_event(document)
        self._arrived(at)
        if name != "chunk":
            return
        data = document["bytes"]
        chunk = json.loads(data if isinstance(data, bytes) else base64.b64decode(data))
        text, reasoning, stop_reason = read_chunk(self._family, chunk)
        self._said(text, reasoning, at)
        if stop_reason is not None:
            self._record.stop_reason = stop_reason
        metrics = chunk.get(METRICS)
        if metrics is not None:
            self._has_metrics = True
            fill_metrics(self._record, metrics)

    def raw_event(self, name: str, payload: bytes, at: float) -> None:
        """An event as bytes. Once the answer has begun, a chunk of nothing but text is not decoded."""
        if name != "chunk":
            self._arrived(at)
        elif self._record.first_answer_at is None or self._transcript is not None or not self._is_text(payload, at):
            self.event(name, json.loads(payload), at)

    def _is_text(self, payload: bytes, at: float) -> bool:
        """Whether this is a chunk with text and nothing else of interest; it has been counted then."""
        bytes_at = payload.find(b'"bytes":"') + 9
        if bytes_at < 9:
            return False
        chunk = base64.b64decode(payload[bytes_at : payload.find(b'"', bytes_at)])
        mark = _TEXT_MARKS.get(self._family)
        text_at = -1 if mark is None else chunk.find(mark)
        if mark is None or text_at < 0 or any(end in chunk for end in _END_MARKS):
            return False
        self._arrived(at)
        if chunk[text_at + len(mark)] != 0x22:  # not the empty string
            self._content(at, is_answer=True)
        return True


def read_chunk(family: str, chunk: Mapping[str, Any]) -> tuple[str, str, str | None]:
    """Answer text, reasoning text and stop reason of a chunk; empty where it has none."""
    match family:
        case "anthropic":
            delta = chunk.get("delta") or {}
            return delta.get("text") or "", delta.get("thinking") or "", delta.get("stop_reason")
        case "nova":
            delta = (chunk.get("contentBlockDelta") or {}).get("delta") or {}
            reasoning = _nova_reasoning(delta)
            return delta.get("text") or "", reasoning, (chunk.get("messageStop") or {}).get("stopReason")
        case "llama":
            return chunk.get("generation") or "", "", chunk.get("stop_reason")
        case "mistral":
            output = (chunk.get("outputs") or chunk.get("choices") or [{}])[0]
            text = output.get("text") or (output.get("message") or {}).get("content") or ""
            return text, "", output.get("stop_reason")
        case "titan":
            return chunk.get("outputText") or "", "", chunk.get("completionReason")
    return "", "", None


def _nova_reasoning(delta: Mapping[str, Any]) -> str:
    content = delta.get("reasoningContent") or {}
    return content.get("text") or (content.get("reasoningText") or {}).get("text") or ""


def fill_metrics(record: InvocationRecord, metrics: Mapping[str, Any]) -> None:
    """Tokens and server latency of a stream's invocation metrics."""
    record.input_tokens = metrics.get("inputTokenCount")
    record.output_tokens = metrics.get("outputTokenCount")
    record.cache_read_tokens = metrics.get("cacheReadInputTokenCount")
    record.cache_write_tokens = metrics.get("cacheWriteInputTokenCount")
    record.server_latency_ms = metrics.get("invocationLatency")


_TOKEN_HEADERS = {
    "input_tokens": "x-amzn-bedrock-input-token-count",
    "output_tokens": "x-amzn-bedrock-output-token-count",
    "cache_read_tokens": "x-amzn-bedrock-cache-read-input-token-count",
    "cache_write_tokens": "x-amzn-bedrock-cache-write-input-token-count",
    "server_latency_ms": "x-amzn-bedrock-invocation-latency",
}


def fill_invoke_headers(record: InvocationRecord, headers: Mapping[str, str]) -> None:
    """Tokens, server latency and served tier of InvokeModel's response headers (names in lower case)."""
    for field, name in _TOKEN_HEADERS.items():
        value = headers.get(name)
        if value is not None and value.isdecimal():
            setattr(record, field, int(value))
    record.served_tier = headers.get(TIER_HEADER)


@dataclass(frozen=True, slots=True)
class WholeText:
    """What an answer in one piece says. None in `stop_reason`: it is not an answer of the operation."""

    text: str
    reasoning: str
    stop_reason: str | None


def read_converse_body(body: Mapping[str, Any]) -> WholeText:
    """Text, thought and stop reason of Converse's body."""
    blocks = ((body.get("output") or {}).get("message") or {}).get("content") or ()
    thoughts = (((block.get("reasoningContent") or {}).get("reasoningText") or {}).get("text") for block in blocks)
    return WholeText(
        text="".join(block.get("text") or "" for block in blocks),
        reasoning="".join(thought or "" for thought in thoughts),
        stop_reason=body.get("stopReason") if body.get("output") else None,
    )


def read_invoke_body(family: str, body: Mapping[str, Any]) -> WholeText:
    """Text, thought and stop reason of InvokeModel's body, in the family's own words."""
    match family:
        case "anthropic":
            blocks = body.get("content") or ()
            return WholeText(
                text="".join(block.get("text") or "" for block in blocks),
                reasoning="".join(block.get("thinking") or "" for block in blocks),
                stop_reason=body.get("stop_reason"),
            )
        case "nova":
            return read_converse_body(body)
        case "titan":
            result = (body.get("results") or [{}])[0]
            return WholeText(result.get("outputText") or "", "", result.get("completionReason"))
    text, reasoning, stop_reason = read_chunk(family, body)
    return WholeText(text, reasoning, stop_reason)
