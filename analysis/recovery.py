"""How long a service took to be itself again after a spike.

From the end of the spike on, the answers are put into windows by their intended start. The service has recovered with
the first window whose p95 is at most 10 % above that of the baseline before the spike; what counts is where this
window begins. Windows are as narrow as leaves the usual one its 72 answers, so `window_s` is also the resolution.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from analysis.inputs import Phase
from analysis.percentiles import describe, min_samples
from analysis.phases import CellWindow
from analysis.record_schema import Floats, flags, floats
from analysis.timeseries import OrderedWindows

#: Back to the baseline: its p95 and this much.
TOLERANCE = 0.10

METRICS = ("ttft_ms", "e2e_ms")

#: Widths to choose from, s; and the fewest windows that show a course.
_WIDTHS_S = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_FEWEST_WINDOWS = 3

_LOUD = ("spike", "burst")
_BEFORE = ("baseline", "steady")
_AFTER = ("recovery", "steady", "baseline")
_KNOWN = frozenset({*_LOUD, *_BEFORE, *_AFTER})


@dataclass(frozen=True, slots=True)
class Recovery:
    """One metric of one cell after its spike; `recovery_s` is None with a `reason` where it is not known or never was.

    Percentiles are p95s in ms; the worst is that of the windows after the spike. Instants are Unix seconds.
    """

    metric: str
    spike_started_at: float
    spike_ended_at: float | None
    baseline_p95_ms: float | None
    spike_p95_ms: float | None
    worst_after_p95_ms: float | None
    window_s: float | None
    recovery_s: float | None
    reason: str | None

    def as_dict(self) -> dict[str, Any]:
        """The entry of a cell's `recovery` in summary.json."""
        return asdict(self)


def recoveries(records: pd.DataFrame, window: CellWindow) -> list[Recovery] | None:
    """How each metric recovered from the first spike of a cell; None for a cell that had none.

    `records` are the judged ones of the cell. Answers alone have a latency: a service that throttles everything has no
    p95, and so has not recovered.
    """
    phases = _by_kind(window.phases)
    spikes = [phase for phase in phases if phase.name in _LOUD]
    if not spikes:
        return None
    answered = records[flags(records["ok"]) & flags(records["ends_message"])]
    return [_recover(answered, phases, spikes[0], metric) for metric in METRICS]


def _by_kind(phases: Sequence[Phase]) -> list[Phase]:
    """The phases under the names that their pattern gave them: `rush-spike` of a stage `rush` is a spike.

    Several phases of a stage carry its name before their own; a name alone may end as it likes.
    """
    parts = [phase.name.rpartition("-") for phase in phases]
    stages = Counter(stage for stage, _, kind in parts if kind in _KNOWN)
    return [
        replace(phase, name=kind) if kind in _KNOWN and (not stage or stages[stage] > 1) else phase
        for phase, (stage, _, kind) in zip(phases, parts, strict=True)
    ]


def _recover(answered: pd.DataFrame, phases: Sequence[Phase], spike: Phase, metric: str) -> Recovery:
    values, at = floats(answered[metric]), floats(answered["intended_at"])
    before = [phase for phase in phases if phase.name in _BEFORE and phase.started_at < spike.started_at]
    baseline = _p95(values, at, before)
    during = _p95(values, at, [spike])

    def found(reason: str | None, **figures: float | None) -> Recovery:
        given = {"worst_after_p95_ms": None, "window_s": None, "recovery_s": None, **figures}
        return Recovery(metric, spike.started_at, spike.ended_at, baseline, during, reason=reason, **given)

    end = _end_of_calm(phases, spike)
    if not before:
        return found("no baseline came before it")
    if baseline is None:
        return found(f"fewer than {min_samples(0.95)} answers in the baseline")
    if spike.ended_at is None or end is None or end <= spike.ended_at:
        return found("nothing was measured after it")
    inside = (at >= spike.ended_at) & (at < end)
    width_s, p95 = _windows(values[inside], at[inside] - spike.ended_at, end - spike.ended_at)
    if np.isnan(p95).all():
        return found("too few answers after it for a p95 in any window", window_s=width_s)
    figures = {"worst_after_p95_ms": float(np.nanmax(p95)), "window_s": width_s}
    back = np.flatnonzero(p95 <= baseline * (1.0 + TOLERANCE))
    if not len(back):
        return found(f"not within {end - spike.ended_at:.0f} s, the end of the test", **figures)
    return found(None, **figures, recovery_s=float(back[0] * width_s))


def _p95(values: Floats, at: Floats, phases: list[Phase]) -> float | None:
    inside = np.zeros(len(at), dtype=bool)
    for phase in phases:
        if phase.ended_at is not None:
            inside |= (at >= phase.started_at) & (at < phase.ended_at)
    return describe(values[inside], {"p95": 0.95}).estimates["p95"].value


def _end_of_calm(phases: Sequence[Phase], spike: Phase) -> float | None:
    """The end of the calm phases that follow the spike; None if none does."""
    end = spike.ended_at
    for phase in phases:
        if phase.started_at >= spike.started_at and phase is not spike and phase.ended_at is not None:
            if phase.name not in _AFTER:
                break
            end = phase.ended_at
    return end


def _windows(values: Floats, since_s: Floats, span_s: float) -> tuple[float, Floats]:
    """The p95 of each window after the spike, in windows of the narrowest width that usually suffices."""
    widths = [width for width in _WIDTHS_S if width * _FEWEST_WINDOWS <= span_s] or [span_s / _FEWEST_WINDOWS]
    for width in widths:
        windows = max(1, int(span_s // width))  # a last window cut short has fewer answers, and no say
        number = np.where(since_s < windows * width, since_s // width, -1).astype(np.int64)
        ordered = OrderedWindows.of(values, number, windows)
        if np.median(ordered.counts) >= min_samples(0.95):
            break
    return width, ordered.quantile(0.95)
