"""What is said in answer to a request, and how it ends; written out by a dialect."""

from dataclasses import dataclass
from enum import StrEnum

from bedrock.catalog import Model
from emulator.model_request import ModelRequest


class StopReason(StrEnum):
    """Why an answer ends, in Converse's words; other APIs have their own for the same."""

    END_TURN = "end_turn"
    MAX_TOKENS = "max_tokens"
    STOP_SEQUENCE = "stop_sequence"


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of an answer.

    `input_tokens` leaves out what came from or went to the prompt cache; those are None where caching played no part.
    """

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None

    @property
    def total_tokens(self) -> int:
        """All of them."""
        return self.input_tokens + self.output_tokens + (self.cache_read_tokens or 0) + (self.cache_write_tokens or 0)


@dataclass(frozen=True, slots=True)
class ServedAs:
    """How a request is served: settings that the service repeats if, and only if, they were sent.

    `tier` and `latency` are those it is really served with, which can differ from those asked for.
    """

    model: Model
    model_id: str
    request_id: str
    requested_tier: str | None
    tier: str
    requested_latency: str | None
    latency: str

    @property
    def echoed_tier(self) -> str | None:
        """The tier to show in the answer."""
        return None if self.requested_tier is None else self.tier

    @property
    def echoed_latency(self) -> str | None:
        """The latency setting to show in the answer."""
        return None if self.requested_latency is None else self.latency


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of an answer. `stop_sequence` is the one that ended it; times are milliseconds since the request."""

    stop_reason: StopReason
    stop_sequence: str | None
    usage: Usage
    latency_ms: int
    first_byte_ms: int


@dataclass(frozen=True, slots=True)
class WholeReply:
    """A whole answer, for a dialect to write as one body."""

    request: ModelRequest
    served: ServedAs
    reasoning: str
    text: str
    ending: Ending
