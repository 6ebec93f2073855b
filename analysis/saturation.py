"""How a service takes more load: where latency bends, where the promise breaks, whether throughput keeps up.

Knee: Kneedle (Satopaa, Albrecht, Irwin and Raghavan, Finding a "Kneedle" in a Haystack, ICDCS workshops 2011) on the
points as they are, without smoothing: load and latency are scaled to 0..1, and the knee is where the curve lies
furthest below the straight line between its ends. The paper's sensitivity, a constant, is replaced by the intervals of
the percentiles: the ends must differ by more than chance, and so must the knee and the line. Scaled noise has knees
everywhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

import numpy as np

from analysis.comparability import CELL_TRAITS
from analysis.evidence import CellEvidence
from analysis.metrics import Metrics
from analysis.records import flags
from analysis.verdict import MIN_SAMPLES_SHARE
from bedrock.outcome import Outcome

#: Share of messages to be answered within the SLA (the product's promise); below it a load is broken.
SLA_TARGET = 0.99

#: Throughput per unit of load may fall to this share of its best before scaling counts as degraded.
LINEAR_SHARE = 0.9

#: Throughput below this share of its own maximum at a lower load is going backwards.
RETROGRADE_SHARE = 0.95

_LOADS = ("users", "rate_rps")


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """One cell of a series; `load` in users or arrivals a second, None where there are too few samples."""

    cell: str
    load: float
    offered_rps: float | None
    throughput_rps: float | None
    goodput_rps: float | None
    throttle_rate: float | None
    sla_compliance: float | None
    messages: int
    ttft_p95_ms: float | None
    e2e_p50_ms: float | None
    e2e_p95_ms: float | None
    e2e_p95_ci95: tuple[float, float] | None

    @property
    def is_broken(self) -> bool | None:
        """Whether it misses the SLA; None where too few messages can tell."""
        if self.sla_compliance is None or self.messages < MIN_SAMPLES_SHARE:
            return None
        return self.sla_compliance < SLA_TARGET


def saturation_section(cells: Sequence[CellEvidence]) -> list[dict[str, Any]]:
    """The `saturation` list of summary.json: one entry for all cells that differ in their load alone."""
    return [_series(traits, kind, points) for traits, kind, points in _all_series(cells)]


def _all_series(cells: Sequence[CellEvidence]) -> Iterator[tuple[dict[str, Any], str, list[LoadPoint]]]:
    keyed = sorted((pair for cell in cells if (pair := _keyed(cell))), key=lambda pair: (pair[0], pair[1].load))
    for key, group in groupby(keyed, key=lambda pair: pair[0]):
        points = [point for _, point in group]
        if len({point.load for point in points}) >= 2:
            first = next(cell for cell in cells if cell.name == points[0].cell)
            traits = {name: first.info.raw.get(raw) for raw, name in CELL_TRAITS.items() if raw not in _LOADS}
            yield traits, key[0], points


def _keyed(cell: CellEvidence) -> tuple[tuple[str, ...], LoadPoint] | None:
    """The cell as a point, and what it shares with the others of its series; None where it measured nothing."""
    kind = "rate_rps" if cell.info.rate_rps is not None else "users"
    load = cell.info.rate_rps if cell.info.rate_rps is not None else cell.info.users
    if load is None or cell.is_unfinished or not cell.metrics.messages:
        return None
    shared = tuple(str(cell.info.raw.get(raw)) for raw in CELL_TRAITS if raw not in _LOADS)
    return (kind, *shared), _point(cell, load)


def _point(cell: CellEvidence, load: float) -> LoadPoint:
    metrics: Metrics = cell.metrics
    answered = flags(cell.records["measured"]) & flags(cell.records["outcome"] == Outcome.OK)
    e2e, ttft = (metrics.distributions[name].estimates for name in ("e2e_ms", "ttft_ms"))
    return LoadPoint(
        cell=cell.name,
        load=load,
        offered_rps=metrics.offered_rps,
        throughput_rps=float(answered.sum()) / metrics.duration_s if metrics.duration_s else None,
        goodput_rps=metrics.goodput_rps,
        throttle_rate=metrics.throttle_rate,
        sla_compliance=metrics.sla_compliance,
        messages=metrics.messages,
        ttft_p95_ms=ttft["p95"].value,
        e2e_p50_ms=e2e["p50"].value,
        e2e_p95_ms=e2e["p95"].value,
        e2e_p95_ci95=e2e["p95"].interval,
    )


def _series(traits: Mapping[str, Any], kind: str, points: Sequence[LoadPoint]) -> dict[str, Any]:
    knee, why_not = find_knee(points)
    return {
        "series": dict(traits),
        "load": kind,
        "points": [asdict(point) for point in points],
        "knee": {"load": knee, "metric": "e2e_ms p95", "method": "kneedle", "reason": why_not},
        "breaking_point": breaking_point(points),
        "scaling": scaling(points),
    }


def find_knee(points: Sequence[LoadPoint]) -> tuple[float | None, str | None]:
    """The load at which the p95 of the whole response bends upwards, or why there is none."""
    known = [point for point in points if point.e2e_p95_ms is not None and point.e2e_p95_ci95 is not None]
    loads, latencies = _medians([(point.load, point.e2e_p95_ms or 0.0) for point in known])
    if len(loads) < 3:
        return None, f"{len(loads)} loads with enough samples for a p95; 3 needed"
    lowest, highest = known[0].e2e_p95_ci95, known[-1].e2e_p95_ci95
    if lowest is None or highest is None or highest[0] <= lowest[1]:
        return None, "the p95 at the highest load is no more than chance above that at the lowest"
    position = kneedle(loads, latencies)
    if position is None or not _is_below_chord(known, float(loads[position])):
        return None, "the p95 rises evenly with the load, as far as these samples tell"
    return float(loads[position]), None


def _medians(pairs: Sequence[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Values by load, ascending; of repetitions of a load the median one."""
    loads = sorted({load for load, _ in pairs})
    return np.array(loads), np.array([np.median([y for x, y in pairs if x == load]) for load in loads])


def kneedle(x: np.ndarray, y: np.ndarray) -> int | None:
    """Position of the knee of a convex, rising curve (x ascending); None where it never lies below its chord."""
    if len(x) < 3 or y.max() <= y.min():
        return None
    below = (x - x[0]) / (x[-1] - x[0]) - (y - y.min()) / (y.max() - y.min())
    position = int(np.argmax(below[1:-1])) + 1
    return position if below[position] > 0.0 else None


def _is_below_chord(points: Sequence[LoadPoint], knee: float) -> bool:
    """Whether the whole interval of the knee's p95 lies below the straight line from the lowest to the highest load."""
    first, last = points[0], points[-1]
    low, high = first.e2e_p95_ms or 0.0, last.e2e_p95_ms or 0.0
    chord = low + (high - low) * (knee - first.load) / (last.load - first.load)
    ends = [point.e2e_p95_ci95[1] for point in points if point.load == knee and point.e2e_p95_ci95 is not None]
    return float(np.median(ends)) < chord


def breaking_point(points: Sequence[LoadPoint]) -> dict[str, Any]:
    """The lowest load that misses the SLA and the highest below it that kept it."""
    broken = [point for point in points if point.is_broken]
    first = min(broken, key=lambda point: point.load, default=None)
    kept = [point.load for point in points if point.is_broken is False and (first is None or point.load < first.load)]
    reason = None
    if first is None:
        judged = any(point.is_broken is False for point in points)
        reason = "every load kept the SLA: the breaking point is higher" if judged else "too few messages to tell"
    elif not kept:
        reason = "the lowest load missed it already: the breaking point is lower"
    return {
        "load": None if first is None else first.load,
        "cell": None if first is None else first.cell,
        "sla_compliance": None if first is None else first.sla_compliance,
        "throttle_rate": None if first is None else first.throttle_rate,
        "last_good_load": max(kept, default=None),
        "limit": SLA_TARGET,
        "reason": reason,
    }


def scaling(points: Sequence[LoadPoint]) -> dict[str, Any]:
    """`linear`, `degraded` (throughput rises less than the load) or `retrograde` (it falls), and from which load on.

    Answered requests a second per user, or per arrival a second, against the best of the lower loads.
    """
    known = [(point.load, point.throughput_rps) for point in points if point.throughput_rps is not None]
    loads, throughputs = _medians([(load, value) for load, value in known if load > 0.0])
    if len(loads) < 2 or throughputs.max() <= 0.0:
        return {"kind": None, "from_load": None, "efficiency": None, "reason": "nothing was answered at two loads"}
    per_load = throughputs / loads
    efficiency = per_load / np.maximum.accumulate(per_load)
    backwards = np.flatnonzero(throughputs < RETROGRADE_SHARE * np.maximum.accumulate(throughputs))
    short = np.flatnonzero(efficiency < LINEAR_SHARE)
    kind, first = ("retrograde", backwards) if len(backwards) else ("degraded", short)
    if not len(first):
        kind = "linear"
    return {
        "kind": kind,
        "from_load": float(loads[first[0]]) if len(first) else None,
        "efficiency": float(efficiency[-1]),
        "reason": None,
    }
