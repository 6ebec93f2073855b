"""Exact percentiles of raw values, with exact intervals, and refused where there are too few values.

Percentile: linear interpolation between the two neighbouring order statistics (numpy's default, Hyndman and Fan's
type 7). Interval: the number of values below the true p-quantile is binomial(n, p) whatever the distribution, so two
order statistics enclose it with at least 95 % probability (David and Nagaraja, Order Statistics, 3rd ed., 7.1).
Both tails get 2.5 %. No shape of the latencies is assumed; that the values are independent is.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
_TAIL = (1.0 - CONFIDENCE) / 2.0

#: The percentiles of every latency metric, by the name they have in summary.json.
QUANTILES: Mapping[str, float] = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99, "p99_9": 0.999}

Interval = tuple[float, float]


@lru_cache(maxsize=1024)
def min_samples(q: float) -> int:
    """Fewest values for which the two-sided exact interval of the q-quantile has both ends.

    The upper end exists where even the largest of n values is below the quantile with at most 2.5 % probability:
    q^n <= 0.025; the lower end likewise with 1 - q. Gives 6, 36, 72, 368 and 3,688 for p50 to p99.9.
    """
    if not 0.0 < q < 1.0:
        raise ValueError(f"a quantile lies between 0 and 1, not {q}")
    return math.ceil(math.log(_TAIL) / math.log(max(q, 1.0 - q)))


@lru_cache(maxsize=65536)
def interval_ranks(n: int, q: float) -> tuple[int, int] | None:
    """Positions (from 0, ascending) of the order statistics that enclose the q-quantile; None below `min_samples`."""
    if n < min_samples(q):
        return None
    lower = int(stats.binom.ppf(_TAIL, n, q)) - 1
    upper = int(stats.binom.ppf(1.0 - _TAIL, n, q))
    return max(lower, 0), min(upper, n - 1)


@dataclass(frozen=True, slots=True)
class Estimate:
    """One percentile with its interval; both None where there are too few values, and then a reason."""

    value: float | None
    interval: Interval | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Distribution:
    """What summary.json says of one metric: `as_dict` has the keys of the contract plus `insufficient`."""

    n: int
    mean: float | None
    maximum: float | None
    estimates: Mapping[str, Estimate] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Keys n, mean, p50 .. p99_9, max, ci95; `insufficient` says why a percentile is null."""
        return {
            "n": self.n,
            "mean": self.mean,
            **{name: estimate.value for name, estimate in self.estimates.items()},
            "max": self.maximum,
            "ci95": {name: _as_list(estimate.interval) for name, estimate in self.estimates.items()},
            "insufficient": {name: est.reason for name, est in self.estimates.items() if est.reason is not None},
        }


def _as_list(interval: Interval | None) -> list[float] | None:
    return None if interval is None else list(interval)


def describe(values: Sequence[float] | np.ndarray, quantiles: Mapping[str, float] = QUANTILES) -> Distribution:
    """The distribution of the values; NaN means missing and is left out."""
    present = _present(values)
    if not len(present):
        return Distribution(0, None, None, {name: _too_few(0, q) for name, q in quantiles.items()})
    ordered = _partly_ordered(present, tuple(quantiles.values()))
    return Distribution(
        n=len(present),
        mean=float(present.mean()),
        maximum=float(present.max()),
        estimates={name: _estimate(ordered, q) for name, q in quantiles.items()},
    )


def estimate_quantile(values: Sequence[float] | np.ndarray, q: float) -> Estimate:
    """One quantile with its interval."""
    return _estimate(_partly_ordered(_present(values), (q,)), q)


def _present(values: Sequence[float] | np.ndarray) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    missing = np.isnan(array)
    return array[~missing] if missing.any() else array


def _partly_ordered(values: np.ndarray, quantiles: Sequence[float]) -> np.ndarray:
    """The values with every position that the quantiles and their intervals read in its sorted place: O(n)."""
    needed: set[int] = set()
    for q in quantiles:
        ranks = interval_ranks(len(values), q)
        if ranks is not None:
            below = math.floor((len(values) - 1) * q)
            needed |= {*ranks, below, min(below + 1, len(values) - 1)}
    return np.partition(values, sorted(needed)) if needed else values


def _estimate(ordered: np.ndarray, q: float) -> Estimate:
    ranks = interval_ranks(len(ordered), q)
    if ranks is None:
        return _too_few(len(ordered), q)
    return Estimate(_interpolated(ordered, q), (float(ordered[ranks[0]]), float(ordered[ranks[1]])))


def _interpolated(ordered: np.ndarray, q: float) -> float:
    position = (len(ordered) - 1) * q
    below = math.floor(position)
    low, high = float(ordered[below]), float(ordered[min(below + 1, len(ordered) - 1)])
    return low + (high - low) * (position - below)


def _too_few(n: int, q: float) -> Estimate:
    return Estimate(None, None, f"{n} {'sample' if n == 1 else 'samples'}; {min_samples(q)} needed")
