"""The numbers of the load benchmark from what both sides wrote: pure functions."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bedrock.invocation import InvocationRecord, elapsed_ms
from bedrock.outcome import Outcome
from benchmarks.emulator_truth import Window
from benchmarks.generator_truth import ServerCall, join
from benchmarks.load_trace import TraceRow
from benchmarks.summaries import Summary, summarise
from loadgen.new_records import index_of
from scenarios.arrivals import Arrival

#: What is asked for; a run that misses one says so.
SEND_LAG_P99_LIMIT_MS = 5.0
RATE_DEVIATION_LIMIT_PCT = 0.5
IDLE_SLOTS_LIMIT_MB = 100.0
#: Unix seconds in a float resolve 0.24 us.
_CLOCK_STEP_MS = 1e-3


@dataclass(frozen=True, slots=True)
class Ledger:
    """Records held against the truth log."""

    records: int
    truth_lines: int
    records_without_truth: int
    truth_without_record: int

    @property
    def is_even(self) -> bool:
        """Whether each request has exactly one record, and each record of an answer its request."""
        return not (self.records_without_truth or self.truth_without_record) and self.records == self.truth_lines


def balance(records: Iterable[InvocationRecord], truth: Sequence[ServerCall]) -> Ledger:
    """The ledger of a run; an arrival that was never sent is no request."""
    sent = [record for record in records if record.started_at is not None]
    joined = join(sent, truth)
    return Ledger(len(sent), len(truth), joined.records_without_truth, joined.truth_without_record)


@dataclass(frozen=True, slots=True)
class FrozenRow:
    """One load model while the service froze. Latencies are those of whole answers.

    `sent_while_frozen` counts the calls that began in that time, `calls` all; `rate_rps` is that of all.
    """

    load: str
    users: int
    calls: int
    rate_rps: float
    sent_while_frozen: int
    from_intended_ms: Summary
    service_ms: Summary
    outcomes: Mapping[str, int]


def frozen_row(load: str, users: int, records: Sequence[InvocationRecord], window: Window, frozen: Window) -> FrozenRow:
    """The numbers of the calls that were due in the window."""
    due = [record for record in records if record.intended_at is not None and record.intended_at in window]
    return FrozenRow(
        load=load,
        users=users,
        calls=len(due),
        rate_rps=len(due) / window.seconds,
        sent_while_frozen=sum(record.started_at is not None and record.started_at in frozen for record in due),
        from_intended_ms=_summary(due, lambda record: record.e2e_ms),
        service_ms=_summary(due, lambda record: elapsed_ms(record.started_at, record.ended_at)),
        outcomes=_outcomes(due),
    )


@dataclass(frozen=True, slots=True)
class RateRow:
    """A rate held by several processes.

    `offered` arrivals are those of the schedule, computed apart from the run; `achieved_rps` counts the calls that
    began between its start and its end. `bystander_late_ms` is what the machine is late by itself (`load_bystander`).
    """

    processes: str
    seconds: float
    offered: int
    offered_rps: float
    achieved_rps: float
    deviation_pct: float
    send_lag_ms: Summary
    bystander_late_ms: Summary
    dropped: int
    outcomes: Mapping[str, int]
    by_process: Mapping[str, int]
    ledger: Ledger
    targets: Mapping[str, bool]


def rate_row(
    processes: str, schedule: Sequence[Arrival], records: Sequence[InvocationRecord], truth: Sequence[ServerCall],
    window: Window, *, late_ms: Sequence[float],
) -> RateRow:  # fmt: skip
    """The numbers of a run whose schedule began and ended with the window."""
    began = sum(record.started_at is not None and record.started_at in window for record in records)
    deviation_pct = 100.0 * (began / len(schedule) - 1.0)
    lag, outcomes, ledger = send_lag(records), _outcomes(records), balance(records, truth)
    return RateRow(
        processes=processes,
        seconds=window.seconds,
        offered=len(schedule),
        offered_rps=len(schedule) / window.seconds,
        achieved_rps=began / window.seconds,
        deviation_pct=deviation_pct,
        send_lag_ms=lag,
        bystander_late_ms=summarise(late_ms),
        dropped=outcomes.get(Outcome.DROPPED, 0),
        outcomes=outcomes,
        by_process=dict(sorted(Counter(record.process for record in records).items())),
        ledger=ledger,
        targets={
            f"achieved within {RATE_DEVIATION_LIMIT_PCT:g} % of offered": abs(deviation_pct)
            <= RATE_DEVIATION_LIMIT_PCT,
            _LAG_TARGET: _is_within(lag),
            "nothing dropped": Outcome.DROPPED not in outcomes,
            "every arrival recorded once": _numbers(records) == [arrival.index for arrival in schedule],
            "records = truth log": ledger.is_even,
        },
    )


@dataclass(frozen=True, slots=True)
class ReplayRow:
    """A trace and its replay.

    `due_error_ms` is how far intended times are from the trace's at most; `gap_error_ms` how much the time between two
    sends differs from the trace's. `types` has the counts of the trace.
    """

    arrivals: int
    seconds: float
    types: Mapping[str, int]
    wrong_types: int
    due_error_ms: float | None
    gap_error_ms: Summary
    send_lag_ms: Summary
    bystander_late_ms: Summary
    outcomes: Mapping[str, int]
    ledger: Ledger
    targets: Mapping[str, bool]


def replay_row(
    trace: Sequence[TraceRow], records: Sequence[InvocationRecord], truth: Sequence[ServerCall], start_at: float,
    *, late_ms: Sequence[float],
) -> ReplayRow:  # fmt: skip
    """A trace of times (seconds from its first message) and query types, held against its replay from `start_at` on."""
    by_index = {index_of(record.message_id): record for record in records}
    told = [(at_s, name, by_index.get(index)) for index, (at_s, name) in enumerate(trace)]
    due_errors = [
        abs(record.intended_at - start_at - at_s) * 1000.0
        for at_s, _, record in told
        if record is not None and record.intended_at is not None
    ]
    due_error_ms = max(due_errors, default=None)
    types, lag, ledger = Counter(name for _, name in trace), send_lag(records), balance(records, truth)
    return ReplayRow(
        arrivals=len(trace),
        seconds=trace[-1][0],
        types=dict(types),
        wrong_types=sum(record is None or record.query_type != name for _, name, record in told),
        due_error_ms=due_error_ms,
        gap_error_ms=summarise(_gap_errors_ms(told)),
        send_lag_ms=lag,
        bystander_late_ms=summarise(late_ms),
        outcomes=_outcomes(records),
        ledger=ledger,
        targets={
            "times due are the trace's": due_error_ms is not None
            and due_error_ms <= _CLOCK_STEP_MS
            and len(due_errors) == len(trace),
            _LAG_TARGET: _is_within(lag),
            "counts by type are the trace's": Counter(record.query_type for record in records) == types,
            "records = truth log": ledger.is_even,
        },
    )


def _gap_errors_ms(told: Sequence[tuple[float, str, InvocationRecord | None]]) -> list[float]:
    sent = [
        (at_s, record.started_at) for at_s, _, record in told if record is not None and record.started_at is not None
    ]
    return [abs((began - before) - (at_s - last_s)) * 1000.0 for (last_s, before), (at_s, began) in pairwise(sent)]


@dataclass(frozen=True, slots=True)
class SlotsRow:
    """Resident memory of a Locust process with many idle slots beside one with a single one, in MB (10^6 bytes)."""

    slots: int
    one_slot_mb: float
    all_slots_mb: float
    added_mb: float
    kb_per_slot: float
    targets: Mapping[str, bool]


def slots_row(slots: int, one_slot_mb: float, all_slots_mb: float) -> SlotsRow:
    """What so many slots cost."""
    added_mb = all_slots_mb - one_slot_mb
    target = f"idle slots below {IDLE_SLOTS_LIMIT_MB:g} MB"
    return SlotsRow(
        slots, one_slot_mb, all_slots_mb, added_mb, 1000.0 * added_mb / slots, {target: added_mb < IDLE_SLOTS_LIMIT_MB}
    )


def send_lag(records: Iterable[InvocationRecord]) -> Summary:
    """How late calls began, in milliseconds."""
    return _summary(records, lambda record: elapsed_ms(record.intended_at, record.started_at))


_LAG_TARGET = f"send lag p99 at most {SEND_LAG_P99_LIMIT_MS:g} ms"


def _is_within(lag: Summary) -> bool:
    return lag.p99 is not None and lag.p99 <= SEND_LAG_P99_LIMIT_MS


def _summary(records: Iterable[InvocationRecord], value: Callable[[InvocationRecord], float | None]) -> Summary:
    return summarise([found for record in records if (found := value(record)) is not None])


def _outcomes(records: Iterable[InvocationRecord]) -> dict[str, int]:
    return dict(Counter(str(record.outcome) for record in records))


def _numbers(records: Iterable[InvocationRecord]) -> list[int]:
    return sorted(-1 if (index := index_of(record.message_id)) is None else index for record in records)
