"""What the load generator recorded, held against what the emulator did: pure functions over both.

Records are stamped by the generator's clock, the truth log by the emulator's. Each is the machine's monotonic clock
plus a constant of its process (`bedrock.clock`). The two errors are differences of durations, each of one clock, so
that no constant is in them. Only their division into the ways there and back compares the clocks.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from bedrock.invocation import InvocationRecord
from bedrock.outcome import Outcome
from benchmarks.emulator_truth import Window


@dataclass(frozen=True, slots=True)
class ServerCall:
    """A line of the truth log: Unix seconds of the emulator's clock; None where a thing did not happen.

    `first_token_at` is taken just before its bytes are handed to the socket, `ended_at` just after the last ones were.
    """

    request_id: str
    outcome: str | None
    received_at: float
    first_token_at: float | None
    ended_at: float
    events: int | None


@dataclass(frozen=True, slots=True)
class Pair:
    """One answer that both sides saw to its end, in seconds; those of the generator's clock first."""

    intended_at: float
    started_at: float
    seen_first_at: float
    seen_end_at: float
    received_at: float
    sent_first_at: float
    sent_end_at: float
    events: int

    @property
    def true_ttft_s(self) -> float:
        """The emulator's own time to the first token."""
        return self.sent_first_at - self.received_at

    @property
    def ttft_error_ms(self) -> float:
        """What the generator measured beyond it."""
        return ((self.seen_first_at - self.started_at) - self.true_ttft_s) * 1000.0

    @property
    def e2e_error_ms(self) -> float:
        """The same for the whole answer."""
        return ((self.seen_end_at - self.started_at) - (self.sent_end_at - self.received_at)) * 1000.0

    @property
    def send_lag_ms(self) -> float:
        """How late the call began."""
        return (self.started_at - self.intended_at) * 1000.0


@dataclass(frozen=True, slots=True)
class Joined:
    """Answers by request id, and how many have no counterpart on the other side."""

    pairs: Sequence[Pair]
    records_without_truth: int
    truth_without_record: int


@dataclass(frozen=True, slots=True)
class ClockBounds:
    """The emulator's clock minus the generator's lies between these, in seconds: nothing arrives before it is sent."""

    lowest_s: float
    highest_s: float

    @property
    def correction_s(self) -> float:
        """The least that both bounds allow. Both clocks mean Unix time, so it is 0 unless one was set in between."""
        if self.lowest_s > self.highest_s:  # they drifted
            return (self.lowest_s + self.highest_s) / 2.0
        return min(max(0.0, self.lowest_s), self.highest_s)


def read_records(paths: Iterable[Path]) -> list[InvocationRecord]:
    """All records of a run."""
    return [
        InvocationRecord.from_json(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()
    ]


def read_truth(path: Path) -> list[ServerCall]:
    """All lines of a truth log."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [ServerCall(**{part.name: line[part.name] for part in fields(ServerCall)}) for line in lines]


def join(records: Sequence[InvocationRecord], truth: Iterable[ServerCall]) -> Joined:
    """Records of answers and lines of the truth log by request id.

    A record that ended otherwise than `ok` is no answer: it makes no pair, and its line is not missed.
    """
    lines: Mapping[str, ServerCall] = {line.request_id: line for line in truth}
    answers = [record for record in records if record.outcome is Outcome.OK]
    pairs = [pair for record in answers if (pair := _pair(record, lines.get(record.request_id or ""))) is not None]
    known = {record.request_id for record in records}
    return Joined(
        pairs,
        records_without_truth=len(answers) - len(pairs),
        truth_without_record=sum(request_id not in known for request_id in lines),
    )


def _pair(record: InvocationRecord, line: ServerCall | None) -> Pair | None:
    """Both sides of one answer; None where one of them does not have it whole."""
    if line is None or line.outcome != Outcome.OK or line.first_token_at is None or line.events is None:
        return None
    stamps = (record.intended_at, record.started_at, record.first_token_at, record.ended_at)
    intended_at, started_at, seen_first_at, seen_end_at = stamps
    if intended_at is None or started_at is None or seen_first_at is None or seen_end_at is None:
        return None
    return Pair(
        intended_at=intended_at,
        started_at=started_at,
        seen_first_at=seen_first_at,
        seen_end_at=seen_end_at,
        received_at=line.received_at,
        sent_first_at=line.first_token_at,
        sent_end_at=line.ended_at,
        events=line.events,
    )


def due_in(pairs: Iterable[Pair], window: Window) -> list[Pair]:
    """Those whose call was due in the window (of the generator's clock), late or not."""
    return [pair for pair in pairs if pair.intended_at in window]


def clock_bounds(pairs: Sequence[Pair]) -> ClockBounds | None:
    """What causality says of the clocks; None without answers."""
    if not pairs:
        return None
    return ClockBounds(
        lowest_s=max(pair.sent_first_at - pair.seen_first_at for pair in pairs),
        highest_s=min(pair.received_at - pair.started_at for pair in pairs),
    )


def send_errors_ms(pairs: Iterable[Pair], correction_s: float) -> list[float]:
    """From the start of each call until the emulator had read its request."""
    return [(pair.received_at - correction_s - pair.started_at) * 1000.0 for pair in pairs]


def receive_errors_ms(pairs: Iterable[Pair], correction_s: float) -> list[float]:
    """From the first token's way into the emulator's socket until the generator stamped it."""
    return [(pair.seen_first_at - pair.sent_first_at + correction_s) * 1000.0 for pair in pairs]


def events_in(pairs: Iterable[Pair], window: Window) -> float:
    """Events that arrived in the window. Answers are even, so an answer's events are spread over its time."""
    return sum(pair.events * _share_in(pair.seen_first_at, pair.seen_end_at, window) for pair in pairs)


def mean_in_flight(records: Iterable[InvocationRecord], window: Window) -> float:
    """Calls open at a time, on average over the window."""
    open_s = sum(
        _overlap_s(record.started_at, record.ended_at, window)
        for record in records
        if record.started_at is not None and record.ended_at is not None
    )
    return open_s / window.seconds


def _share_in(begin: float, end: float, window: Window) -> float:
    if end <= begin:
        return float(begin in window)
    return _overlap_s(begin, end, window) / (end - begin)


def _overlap_s(begin: float, end: float, window: Window) -> float:
    return max(0.0, min(end, window.end) - max(begin, window.begin))
