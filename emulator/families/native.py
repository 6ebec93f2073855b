"""What InvokeModel's dialects share: settings in headers, token counts in headers or in the last chunk, chunk frames.

Names and places are those of recorded traffic. Only models that can cache prompts report cache counts, then always.
"""

from base64 import b64encode

from bedrock.catalog import Model
from bedrock.eventstream import encode_frame_raw
from emulator.answer import Ending, ServedAs, StopReason, Usage, WholeReply
from emulator.frames import Padding, event_headers
from emulator.http import HeaderFields
from emulator.model_request import Asked

TIER_HEADER = "X-Amzn-Bedrock-Service-Tier"
LATENCY_HEADER = "X-Amzn-Bedrock-PerformanceConfig-Latency"
#: Key of the numbers in the last chunk of a stream, beside the model's own.
METRICS = "amazon-bedrock-invocationMetrics"

_CHUNK = event_headers("chunk")


class NativeDialect:
    """The settings of a request, which are in headers and not in the body. It keeps nothing between requests."""

    def __init__(self, padding: Padding) -> None:
        self._padding = padding

    def requested_tier(self, asked: Asked) -> str | None:
        """The service tier of the request's header."""
        return asked.headers.get(TIER_HEADER.lower())

    def requested_latency(self, asked: Asked) -> str | None:
        """The latency setting of the request's header."""
        return asked.headers.get(LATENCY_HEADER.lower())

    def stream_fields(self, served: ServedAs) -> HeaderFields:
        """The type of the chunks' content, and the settings that were sent. A stream has no token counts here."""
        return [("X-Amzn-Bedrock-Content-Type", "application/json"), *echo_fields(served)]


def echo_fields(served: ServedAs) -> list[tuple[str, str]]:
    """Header fields that repeat the settings that were sent."""
    echoes = ((TIER_HEADER, served.echoed_tier), (LATENCY_HEADER, served.echoed_latency))
    return [(name, value) for name, value in echoes if value is not None]


def whole_fields(reply: WholeReply) -> list[tuple[str, str]]:
    """Header fields of a whole answer: what it took and how long, and the settings that were sent."""
    ending, usage = reply.ending, reply.ending.usage
    counts = [("Input-Token-Count", usage.input_tokens), ("Invocation-Latency", ending.latency_ms)]
    if reply.served.model.is_chat:
        counts.append(("Output-Token-Count", usage.output_tokens))
    cached = cache_counts(usage, reply.served.model)
    if cached is not None:
        counts += zip(("Cache-Read-Input-Token-Count", "Cache-Write-Input-Token-Count"), cached, strict=True)
    fields = [(f"X-Amzn-Bedrock-{name}", str(count)) for name, count in counts]
    return [*fields, *echo_fields(reply.served)]


def metrics(ending: Ending, model: Model) -> dict[str, int]:
    """The numbers of a streamed answer, as its last chunk has them."""
    document = {
        "inputTokenCount": ending.usage.input_tokens,
        "outputTokenCount": ending.usage.output_tokens,
        "invocationLatency": ending.latency_ms,
        "firstByteLatency": ending.first_byte_ms,
    }
    cached = cache_counts(ending.usage, model)
    if cached is not None:
        document["cacheReadInputTokenCount"], document["cacheWriteInputTokenCount"] = cached
    return document


def cache_counts(usage: Usage, model: Model) -> tuple[int, int] | None:
    """Tokens read from the prompt cache and written to it; None for a model that cannot cache."""
    if model.cache_min_tokens is None:
        return None
    return usage.cache_read_tokens or 0, usage.cache_write_tokens or 0


def stop_or_length(reason: StopReason) -> str:
    """Why an answer ended, in the words of Llama and Mistral, which do not tell a stop sequence from the end."""
    return "length" if reason is StopReason.MAX_TOKENS else "stop"


def raw_chunk(document: str, padding: Padding) -> bytes:
    """A `chunk` event of JSON that is already text: for the frequent ones, at a fraction of a document's cost."""
    inner = b64encode(document.encode("utf-8", "replace"))
    return encode_frame_raw(_CHUNK, b'{"bytes":"%b","p":"%b"}' % (inner, padding.next().encode()))
