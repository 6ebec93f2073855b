"""The numbers of a step and what follows from several: pure functions."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bedrock.invocation import InvocationRecord
from benchmarks.emulator_rig import SATURATED_PCT
from benchmarks.emulator_truth import Window
from benchmarks.generator_rig import Measured, Step
from benchmarks.generator_truth import (
    ServerCall,
    clock_bounds,
    due_in,
    events_in,
    join,
    mean_in_flight,
    receive_errors_ms,
    send_errors_ms,
)
from benchmarks.summaries import Summary, summarise

#: What `capacity` means: 99 of 100 first tokens are timed at most so wrong.
TTFT_ERROR_LIMIT_MS = 5.0


@dataclass(frozen=True, slots=True)
class Row:
    """One transport under one number of streams.

    `n` calls were due in the window and are known to both sides; all errors and the lag are theirs. `outcomes` are
    those of all calls due in the window. `records`, `truth_lines` and what is missing on either side count the whole
    step. `kernel_lag_ms` is how long the kernel had the first token's bytes before they were read, by its own stamps:
    the receiving part, told by somebody else; empty where nobody can tell. Rates and CPU shares are those of the
    window; None where the system does not tell, or nothing arrived.
    """

    transport: str
    is_reference: bool
    tls: bool
    streams: int
    rate_rps: float
    seconds: float
    n: int
    ttft_error_ms: Summary
    e2e_error_ms: Summary
    send_lag_ms: Summary
    ttft_error_with_lag_ms: Summary
    send_error_ms: Summary
    receive_error_ms: Summary
    kernel_lag_ms: Summary
    true_ttft_ms: Summary
    clock_correction_ms: float | None
    in_flight: float
    events_per_s: float
    cpu_pct: float
    cpu_us_per_event: float | None
    others_pct: float | None
    emulator_cpu_pct: float
    limited_by: Sequence[str]
    outcomes: Mapping[str, int]
    records: int
    truth_lines: int
    records_without_truth: int
    truth_without_record: int

    @property
    def is_accurate(self) -> bool:
        """Whether TTFT is right within the limit, and no call is left out of that judgement."""
        p99 = self.ttft_error_ms.p99
        return p99 is not None and p99 <= TTFT_ERROR_LIMIT_MS and sum(self.outcomes.values()) == self.n


def make_row(
    step: Step, rate_rps: float, measured: Measured, records: Sequence[InvocationRecord], truth: Sequence[ServerCall]
) -> Row:
    """The numbers of a step, from what both sides wrote."""
    window, cpu_window = measured.window, measured.cpu_window
    joined = join(records, truth)
    pairs = due_in(joined.pairs, window)
    bounds = clock_bounds(joined.pairs)
    correction_s = 0.0 if bounds is None else bounds.correction_s
    events = events_in(joined.pairs, cpu_window)
    return Row(
        transport=step.transport,
        is_reference=step.is_reference,
        tls=step.tls,
        streams=step.streams,
        rate_rps=rate_rps,
        seconds=window.seconds,
        n=len(pairs),
        ttft_error_ms=summarise([pair.ttft_error_ms for pair in pairs]),
        e2e_error_ms=summarise([pair.e2e_error_ms for pair in pairs]),
        send_lag_ms=summarise([pair.send_lag_ms for pair in pairs]),
        ttft_error_with_lag_ms=summarise([pair.ttft_error_ms + pair.send_lag_ms for pair in pairs]),
        send_error_ms=summarise(send_errors_ms(pairs, correction_s)),
        receive_error_ms=summarise(receive_errors_ms(pairs, correction_s)),
        kernel_lag_ms=summarise(_kernel_lags_ms(records, window)),
        true_ttft_ms=summarise([pair.true_ttft_s * 1000.0 for pair in pairs]),
        clock_correction_ms=None if bounds is None else correction_s * 1000.0,
        in_flight=mean_in_flight(records, window),
        events_per_s=events / cpu_window.seconds,
        cpu_pct=measured.generator_pct,
        cpu_us_per_event=measured.generator_pct * 1e4 * cpu_window.seconds / events if events else None,
        others_pct=measured.others_pct,
        emulator_cpu_pct=measured.emulator_pct,
        limited_by=_limits(measured),
        outcomes=_outcomes(records, window),
        records=len(records),
        truth_lines=len(truth),
        records_without_truth=joined.records_without_truth,
        truth_without_record=joined.truth_without_record,
    )


def _kernel_lags_ms(records: Iterable[InvocationRecord], window: Window) -> list[float]:
    return [
        record.receive_lag_ms
        for record in records
        if record.receive_lag_ms is not None and record.intended_at is not None and record.intended_at in window
    ]


def _outcomes(records: Iterable[InvocationRecord], window: Window) -> dict[str, int]:
    due = (record for record in records if record.intended_at is not None and record.intended_at in window)
    return dict(Counter(str(record.outcome) for record in due))


def _limits(measured: Measured) -> list[str]:
    """What was used up: the `generator`, its `core` with the help of others, the `emulator`; or nothing."""
    found = []
    if measured.generator_pct >= SATURATED_PCT:
        found.append("generator")
    elif measured.generator_pct + (measured.others_pct or 0.0) >= SATURATED_PCT:
        found.append("core")
    if measured.emulator_pct >= SATURATED_PCT:
        found.append("emulator")
    return found


def capacity(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Per transport, plain and encrypted, the most streams that were measured accurately; None where none were."""
    best: dict[tuple[str, bool], int | None] = {}
    for row in rows:
        key = (row.transport, row.tls)
        best.setdefault(key, None)
        if row.is_accurate:
            best[key] = max(row.streams, best[key] or 0)
    return [
        {"transport": transport, "tls": tls, "streams_within_5ms": streams}
        for (transport, tls), streams in best.items()
    ]


def tls_costs(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What HTTPS adds where the same was measured with and without it; the last of each counts."""
    plain = {(row.transport, row.streams): row for row in rows if not row.tls}
    encrypted = {(row.transport, row.streams): row for row in rows if row.tls}
    return [
        {
            "transport": transport,
            "streams": streams,
            "ttft_error_p99_ms": _added(plain[transport, streams].ttft_error_ms.p99, row.ttft_error_ms.p99),
            "cpu_us_per_event": _added(plain[transport, streams].cpu_us_per_event, row.cpu_us_per_event),
            "cpu_pct": _added(plain[transport, streams].cpu_pct, row.cpu_pct),
        }
        for (transport, streams), row in encrypted.items()
        if (transport, streams) in plain
    ]


def _added(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before
