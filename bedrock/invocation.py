"""What is asked of Bedrock (`Invocation`) and what became of it (`InvocationRecord`)."""

import bisect
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from bedrock.outcome import Outcome

#: Version of the record lines; raised when a field changes its meaning. Kept in each cell's `load.json`.
RECORD_SCHEMA_VERSION = 1


class Exchange(NamedTuple):
    """An earlier turn of a conversation: what the user said and what the model answered, neither of them blank."""

    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call to make.

    `model_id` is the id as sent (profile prefix included). `service_tier` None leaves the tier out of the
    request, which Bedrock treats as `default` and does not echo. `cache_system` puts a cache point behind the
    system prompt. `family` says whose bodies InvokeModel is to use where the catalogue does not know the id.
    `history` are the earlier turns of the conversation, oldest first; `prompt` is the turn that is to be answered.
    """

    api: str
    model_id: str
    prompt: str
    max_tokens: int
    service_tier: str | None = None
    system: str | None = None
    latency: str | None = None
    stop_sequences: tuple[str, ...] = ()
    cache_system: bool = False
    request_metadata: Mapping[str, str] | None = None
    family: str | None = None
    history: tuple[Exchange, ...] = ()


@dataclass(slots=True)
class InvocationRecord:
    """One attempt, as written to `requests-<process>.jsonl`.

    Times are Unix seconds on the process's anchored clock (`bedrock.clock`); None means that it did not
    happen or could not be known. Filled in as the call proceeds, so that a call cut off keeps what it saw.
    """

    run_id: str
    cell: str
    process: str
    seq: int
    message_id: str
    attempt: int = 1
    phase: str | None = None
    query_type: str | None = None
    complexity: str | None = None
    language: str | None = None
    prompt_size: str | None = None
    prompt_id: str | None = None
    api: str | None = None
    transport: str | None = None
    region: str | None = None
    model_id: str | None = None
    requested_tier: str | None = None
    served_tier: str | None = None
    max_tokens: int | None = None
    intended_at: float | None = None
    started_at: float | None = None
    first_event_at: float | None = None
    first_token_at: float | None = None
    first_answer_at: float | None = None
    last_token_at: float | None = None
    ended_at: float | None = None
    outcome: Outcome | None = None
    error_code: str | None = None
    error_message: str | None = None
    http_status: int | None = None
    stop_reason: str | None = None
    request_id: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    events: int | None = None
    gap_p50_ms: float | None = None
    gap_p95_ms: float | None = None
    gap_max_ms: float | None = None
    server_latency_ms: float | None = None
    connect_ms: float | None = None
    pool_wait_ms: float | None = None
    bytes_received: int | None = None
    #: Beyond the contract: when the first byte of the answer came, the TLS part of `connect_ms`, and which share of the
    #: content events came in the first 5 % of their time (about 0.05 of an even stream, 1 of one that was held back).
    first_byte_at: float | None = None
    tls_ms: float | None = None
    burst_share: float | None = None
    #: How long the kernel had the bytes that brought the first token (or the last of a whole answer) before they were
    #: read: the receiving part of this process's own error. Plain HTTP on Linux only.
    receive_lag_ms: float | None = None
    #: Of a conversation (docs/sessions.md): its name, unique in the cell, and the number of this message in it, from 1.
    session_id: str | None = None
    turn: int | None = None

    def to_json(self) -> str:
        """One line of JSON, without the newline."""
        return _encode({name: getattr(self, name) for name in FIELD_NAMES})

    @classmethod
    def from_json(cls, line: str) -> "InvocationRecord":
        """The record of one line; ValueError if it is not a JSON object with the fields of a record."""
        return cls.from_dict(json.loads(line))

    @classmethod
    def from_dict(cls, raw: Any) -> "InvocationRecord":
        """The record of a decoded line; unknown keys are ignored so that newer files can be read."""
        if not isinstance(raw, dict):
            raise ValueError("a record is a JSON object")
        known = {name: raw[name] for name in FIELD_NAMES if name in raw}
        try:
            record = cls(**known)
        except TypeError as error:
            raise ValueError(f"not a record: {error}") from error
        if record.outcome is not None:
            record.outcome = Outcome(record.outcome)
        return record

    @property
    def e2e_ms(self) -> float | None:
        """End of the answer minus the intended start, in ms; None where either did not happen."""
        return elapsed_ms(self.intended_at, self.ended_at)

    @property
    def ttft_ms(self) -> float | None:
        """First token (text or reasoning) minus the intended start, in ms."""
        return elapsed_ms(self.intended_at, self.first_token_at)


#: Fields that are instants.
INSTANTS = (
    "intended_at",
    "started_at",
    "first_byte_at",
    "first_event_at",
    "first_token_at",
    "first_answer_at",
    "last_token_at",
    "ended_at",
)
FIELD_NAMES = tuple(field.name for field in fields(InvocationRecord))
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def elapsed_ms(start_s: float | None, end_s: float | None) -> float | None:
    """Milliseconds from start to end, None where either is unknown."""
    return None if start_s is None or end_s is None else (end_s - start_s) * 1000.0


def linear_quantile(ordered: Sequence[float], q: float) -> float | None:
    """The q-quantile of an ascending sequence by linear interpolation (numpy's default); None if empty."""
    if not ordered:
        return None
    position = (len(ordered) - 1) * q
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


#: The part of the time of an answer's content in which its burst is counted.
BURST_WINDOW = 0.05


def fill_gaps(record: InvocationRecord, content_times_s: Sequence[float]) -> None:
    """Set the record's gap statistics (ms) and its burst share from the ascending arrival times of content events."""
    if len(content_times_s) > 1:
        first_s, last_s = content_times_s[0], content_times_s[-1]
        early = bisect.bisect_right(content_times_s, first_s + BURST_WINDOW * (last_s - first_s))
        record.burst_share = early / len(content_times_s)
    gaps = sorted((later - earlier) * 1000.0 for earlier, later in itertools.pairwise(content_times_s))
    if gaps:
        record.gap_p50_ms = linear_quantile(gaps, 0.50)
        record.gap_p95_ms = linear_quantile(gaps, 0.95)
        record.gap_max_ms = gaps[-1]
