"""How much two samples differ, and how sure that is: quantiles, shares, ranks, and many comparisons at once.

Quantile: a bootstrap that draws the resample's order statistics instead of the resample. The k-th smallest of n values
drawn with replacement is the sample's value at rank ceil(n U), U the k-th smallest of n uniform numbers, which is
Beta(k, n - k + 1) (David and Nagaraja, Order Statistics, 3rd ed., 2.1; Efron and Tibshirani, An Introduction to the
Bootstrap, 1993). A million values therefore cost no more than a thousand, and the result is that of the bootstrap.

Requests that follow each other are often alike: a slow minute is slow for all. `design_effect` measures by how much
that widens the interval, from batches in order of time (batch means; Law, Simulation Modeling and Analysis, 9.5.3).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from analysis.percentiles import CONFIDENCE, Interval, min_samples

#: Draws of each bootstrap: the ends of a 95 % interval then vary by about 2 % of its length.
RESAMPLES = 4_000

#: Batches that a sample is cut into to see whether neighbours are alike, and the fewest values in one of them.
_BATCHES = 30
_BATCH_SIZE = 20

_Z = float(stats.norm.ppf(0.5 + CONFIDENCE / 2.0))


@dataclass(frozen=True, slots=True)
class Sample:
    """Values of one metric, none missing: ascending, and in order of time."""

    ascending: np.ndarray
    in_time: np.ndarray

    @property
    def n(self) -> int:
        """Number of values."""
        return len(self.ascending)

    def quantile(self, q: float) -> float:
        """Linear interpolation between the neighbouring order statistics (Hyndman and Fan's type 7)."""
        position = (self.n - 1) * q
        below = math.floor(position)
        low, high = (float(self.ascending[rank]) for rank in (below, min(below + 1, self.n - 1)))
        return low + (high - low) * (position - below)


def sample_of(in_time: Sequence[float] | np.ndarray) -> Sample:
    """A sample of values in order of time; NaN means missing and is left out."""
    values = np.asarray(in_time, dtype=np.float64)
    present = values[~np.isnan(values)]
    return Sample(np.sort(present), present)


@dataclass(frozen=True, slots=True)
class QuantileDifference:
    """A quantile of two samples: `delta` in the metric's unit, `change` relative to the old one (0.1 is 10 % more).

    Intervals are 95 %, uncorrected for other comparisons; `p_value` is two-sided. All None where there are too few
    values, and then `reason` says how many are needed.
    """

    new: float | None
    old: float | None
    delta: float | None = None
    delta_interval: Interval | None = None
    change: float | None = None
    change_interval: Interval | None = None
    p_value: float | None = None
    reason: str | None = None


def compare_quantile(new: Sample, old: Sample, q: float, seed: int = 1) -> QuantileDifference:
    """The q-quantile of both samples and how far apart they are; the same input gives the same interval."""
    needed = min_samples(q)
    if min(new.n, old.n) < needed:
        known_new, known_old = (sample.quantile(q) if sample.n >= needed else None for sample in (new, old))
        why = f"{new.n} against {old.n} samples; {needed} needed on each side"
        return QuantileDifference(known_new, known_old, reason=why)
    after, before = new.quantile(q), old.quantile(q)
    if min(after, before) <= 0.0:
        return QuantileDifference(after, before, reason="a value of 0 has no relative change")
    rng = np.random.default_rng(seed)
    drawn, drawn_old = _resampled(new, q, rng), _resampled(old, q, rng)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.log(drawn) - np.log(drawn_old)
    observed = math.log(after / before)
    low, high = _middle(ratios)
    return QuantileDifference(
        new=after,
        old=before,
        delta=after - before,
        delta_interval=_middle(drawn - drawn_old),
        change=after / before - 1.0,
        change_interval=(math.expm1(low), math.expm1(high)),
        p_value=_normal_p(observed, float(np.std(ratios))),
    )


def _resampled(sample: Sample, q: float, rng: np.random.Generator) -> np.ndarray:
    """Quantiles of bootstrap resamples; of as many values as the sample is worth where neighbours are alike."""
    n = sample.n
    position = (n - 1) * q
    below = math.floor(position)
    effect = design_effect(sample.in_time > sample.quantile(q))
    lower = rng.beta((below + 1) / effect, (n - below) / effect, RESAMPLES)
    low: np.ndarray = sample.ascending[_ranks(lower, n)]
    if below + 1 >= n:
        return low
    # The next order statistic: the smallest of the n - k - 1 uniform numbers above this one.
    upper = lower + (1.0 - lower) * rng.beta(1.0, n - below - 1, RESAMPLES)
    high = sample.ascending[_ranks(upper, n)]
    return np.asarray(low + (high - low) * (position - below))


def _ranks(uniform: np.ndarray, n: int) -> np.ndarray:
    return np.minimum((uniform * n).astype(np.int64), n - 1)


def _middle(values: np.ndarray) -> Interval:
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(values, (tail, 1.0 - tail))
    return float(low), float(high)


def _normal_p(observed: float, deviation: float) -> float:
    if deviation <= 0.0 or not math.isfinite(deviation):
        return 1.0 if observed == 0.0 or not math.isfinite(deviation) else 0.0
    return float(2.0 * stats.norm.sf(abs(observed) / deviation))


def design_effect(hits: np.ndarray) -> float:
    """Variance of a share of hits in order of time / that of independent ones; never below 1.

    1 too where there are too few values to cut into batches.
    """
    batches = min(_BATCHES, len(hits) // _BATCH_SIZE)
    share = float(np.mean(hits)) if len(hits) else 0.0
    if batches < 5 or share in (0.0, 1.0):
        return 1.0
    size = len(hits) // batches
    shares = hits[: batches * size].reshape(batches, size).mean(axis=1)
    return max(1.0, float(np.var(shares, ddof=1)) * size / (share * (1.0 - share)))


@dataclass(frozen=True, slots=True)
class RankDifference:
    """Mann-Whitney: `p_new_larger` is how often a random new value exceeds a random old one (ties count half)."""

    u: float
    p_new_larger: float
    p_value: float


def mann_whitney(new: Sample, old: Sample) -> RankDifference | None:
    """Two-sided, normal approximation with correction for ties and continuity, as scipy.stats.mannwhitneyu.

    Reads U off the sorted values, which a sample has anyway; scipy ranks all of them anew. None for an empty sample.
    """
    n, m = new.n, old.n
    if not n or not m:
        return None
    below = np.searchsorted(old.ascending, new.ascending, "left").sum(dtype=np.float64)
    not_above = np.searchsorted(old.ascending, new.ascending, "right").sum(dtype=np.float64)
    u = float(below + not_above) / 2.0
    total = n + m
    merged = np.sort(np.concatenate([new.ascending, old.ascending]), kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], merged[1:] != merged[:-1], [True]]))
    ties = np.diff(starts).astype(np.float64)
    spread = n * m / 12.0 * (total + 1.0 - float((ties**3 - ties).sum()) / (total * (total - 1.0)))
    distance = max(0.0, abs(u - n * m / 2.0) - 0.5)
    p_value = float(2.0 * stats.norm.sf(distance / math.sqrt(spread))) if spread > 0.0 else 1.0
    return RankDifference(u, u / (n * m), min(1.0, p_value))


@dataclass(frozen=True, slots=True)
class ShareDifference:
    """Shares of two sets of trials, their difference with its 95 % interval (all 0 to 1), and a two-sided p."""

    new: float | None
    old: float | None
    delta: float | None = None
    delta_interval: Interval | None = None
    p_value: float | None = None
    reason: str | None = None


def compare_share(new: np.ndarray, old: np.ndarray, needed: int) -> ShareDifference:
    """Shares of true values in order of time.

    Interval: Newcombe's hybrid of two Wilson score intervals (Statistics in Medicine 17, 1998, method 10); p by
    Fisher's exact test; both on as many trials as there are independent ones.
    """
    sizes = (len(new), len(old))
    shares = [float(np.mean(hits)) if len(hits) else None for hits in (new, old)]
    if min(sizes) < needed:
        why = f"{sizes[0]} against {sizes[1]} samples; {needed} needed on each side"
        return ShareDifference(shares[0], shares[1], reason=why)
    after, before = float(np.mean(new)), float(np.mean(old))
    trials = [len(hits) / design_effect(hits) for hits in (new, old)]
    (low_new, high_new), (low_old, high_old) = _wilson(after, trials[0]), _wilson(before, trials[1])
    delta = after - before
    interval = (
        delta - math.hypot(after - low_new, high_old - before),
        delta + math.hypot(high_new - after, before - low_old),
    )
    return ShareDifference(after, before, delta, interval, _fisher(after, trials[0], before, trials[1]))


def _wilson(share: float, n: float) -> Interval:
    centre = share + _Z**2 / (2.0 * n)
    half = _Z * math.sqrt(share * (1.0 - share) / n + _Z**2 / (4.0 * n**2))
    scale = 1.0 + _Z**2 / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def _fisher(after: float, n: float, before: float, m: float) -> float:
    rows = [[round(share * size), round(size) - round(share * size)] for share, size in ((after, n), (before, m))]
    return float(stats.fisher_exact(np.array(rows)).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected so that all of them together err in at most the level they are held against.

    Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6 (1979).
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected, highest = [1.0] * len(p_values), 0.0
    for done, index in enumerate(order):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - done)))
        corrected[index] = highest
    return corrected
