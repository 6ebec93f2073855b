"""Several rounds of a suite: the figures of each configuration over all of them, and how far the rounds are apart.

A run in one piece cannot tell how much another run would differ: its intervals know of the requests' chance alone.
Rounds are other runs. Whether they differ by more than the chance of their requests is told by the share of requests
beyond the pooled percentile, round by round (Brown and Mood's median test, for any percentile: Mood, Introduction to
the Theory of Statistics, 1950), as many requests as there are independent ones, and corrected for all that is tested.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from analysis.comparison import COMPARED_SHARES, Side, in_time, latency_values, trials_of
from analysis.difference import design_effect, holm
from analysis.evidence import CellEvidence
from analysis.metrics import Metrics
from analysis.percentiles import CONFIDENCE, QUANTILES, min_samples
from analysis.rounds import rounds_of, together

_LATENCIES = ("ttft_ms", "e2e_ms")
_STATS = ("p50", "p95")

#: The chi-square law of the test holds where so many hits and misses are expected in each round (Cochran, 1954).
_FEWEST_EXPECTED = 5.0


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure in each round, in the metric's unit; None where a round has too few samples.

    `range_pct` is the distance of the lowest and the highest in percent of the lowest; `beyond_chance` whether the
    rounds differ by more than requests of one service do, None where that cannot be told.
    """

    metric: str
    stat: str | None
    values: tuple[float | None, ...]
    minimum: float | None
    maximum: float | None
    range_pct: float | None
    p_value: float | None
    p_corrected: float | None = None
    beyond_chance: bool | None = None

    def as_dict(self) -> dict[str, Any]:
        """The entry of `spread` in summary.json."""
        names = {"minimum": "min", "maximum": "max"}
        plain = {names.get(name, name): value for name, value in asdict(self).items()}
        return plain | {"values": list(self.values)}


@dataclass(frozen=True, slots=True)
class Repeated:
    """One configuration and its rounds: those that finished put together, and how far each figure spreads."""

    cell: str
    rounds: tuple[str, ...]
    left_out: tuple[str, ...]
    metrics: Metrics
    spread: tuple[Spread, ...]

    def as_dict(self) -> dict[str, Any]:
        """The entry of `rounds` in summary.json."""
        return {
            "cell": self.cell,
            "rounds": list(self.rounds),
            "left_out": list(self.left_out),
            "metrics": self.metrics.as_dict(),
            "spread": [figure.as_dict() for figure in self.spread],
        }


def repeated_cells(side: Side, cells: Sequence[CellEvidence], metrics: Mapping[str, Metrics]) -> list[Repeated]:
    """Every configuration of which several rounds left records; `metrics` are those of its rounds together."""
    evidence = {cell.name: cell for cell in cells if len(cell.records)}
    found = []
    for name, rounds in rounds_of(side.run.cells).items():
        pooled = [evidence[cell.name] for cell in together(rounds) if cell.name in evidence]
        if len(pooled) > 1:
            names = tuple(cell.name for cell in pooled)
            left_out = tuple(cell.name for cell in rounds if cell.name not in names)
            found.append(Repeated(name, names, left_out, metrics[name], tuple(_spreads(side, pooled))))
    return _corrected(found)


def _spreads(side: Side, rounds: Sequence[CellEvidence]) -> Iterator[Spread]:
    failures = side.run.include_failures
    tables = [in_time(side, [cell.name]) for cell in rounds]
    for metric in _LATENCIES:
        samples = [latency_values(metric, table, failures) for table in tables]
        present = [values[~np.isnan(values)] for values in samples]
        for stat in _STATS:
            shown = [cell.metrics.distributions[metric].estimates[stat].value for cell in rounds]
            if any(value is not None for value in shown):
                yield _spread(metric, stat, shown, _beyond(present, QUANTILES[stat]))
    for metric in COMPARED_SHARES:
        shares = [getattr(cell.metrics, metric) for cell in rounds]
        yield _spread(metric, None, shares, [trials_of(metric, table) for table in tables])


def _beyond(samples: Sequence[np.ndarray], q: float) -> list[np.ndarray] | None:
    """Which values of each round lie above the quantile of all; None where a round has too few for its own."""
    if min(map(len, samples)) < min_samples(q):
        return None
    limit = np.quantile(np.concatenate(samples), q)
    return [values > limit for values in samples]


def _spread(metric: str, stat: str | None, shown: Sequence[float | None], hits: Sequence[np.ndarray] | None) -> Spread:
    known = [value for value in shown if value is not None]
    low, high = (min(known), max(known)) if len(known) > 1 else (None, None)  # one value has no spread
    return Spread(
        metric=metric,
        stat=stat,
        values=tuple(shown),
        minimum=low,
        maximum=high,
        range_pct=None if low is None or high is None or low <= 0.0 else (high / low - 1.0) * 100.0,
        p_value=None if hits is None else homogeneity(hits),
    )


def homogeneity(hits: Sequence[np.ndarray]) -> float | None:
    """p of the chi-square test that all rounds have the same share of hits; None where it does not hold."""
    trials = np.array([len(each) / design_effect(each) for each in hits])
    shares = np.array([float(np.mean(each)) if len(each) else np.nan for each in hits])
    if np.isnan(shares).any():
        return None
    if (shares == shares[0]).all():
        return 1.0
    table = np.array([trials * shares, trials * (1.0 - shares)])
    found = stats.chi2_contingency(table, correction=False)
    return float(found.pvalue) if found.expected_freq.min() >= _FEWEST_EXPECTED else None


def _corrected(found: Sequence[Repeated]) -> list[Repeated]:
    """The same with every p corrected for all of them together (Holm)."""
    tested = [row.p_value for each in found for row in each.spread if row.p_value is not None]
    corrected = iter(holm(tested))

    def judged(row: Spread) -> Spread:
        if row.p_value is None:
            return row
        p = next(corrected)
        return replace(row, p_corrected=p, beyond_chance=p < 1.0 - CONFIDENCE)

    return [replace(each, spread=tuple(judged(row) for row in each.spread)) for each in found]
