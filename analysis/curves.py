"""Distributions as curves to draw: cumulative share (ECDF) and percentile spectrum, thinned within a stated bound.

A run has more values than a picture has dots. Of the sorted values only some are kept: the next one to be kept is the
last within the bound of the one before, or the following value where that is farther away. Whatever quantile is read
from the line between two kept points then lies between two values that are no farther apart than the bound, or between
two that are neighbours in the full sample, where the line is exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.record_schema import Floats

#: No quantile read from a curve is farther from the exact one than this share of it, ...
MAX_RELATIVE_ERROR = 0.005
#: ... or than this, in the values' unit, where values are near 0.
MAX_ABSOLUTE_ERROR = 0.005

#: The spectrum ends where fewer values than this lie beyond: its last stretch would be drawn by single requests.
MIN_VALUES_BEYOND = 10


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of a distribution, ascending; `share` (0 to 1) is the quantile that `value` is, of `n` values."""

    n: int
    share: Floats
    value: Floats

    def at(self, q: float) -> float:
        """The q-quantile as the curve shows it; it must lie on the curve."""
        return float(np.interp(q, self.share, self.value))


def ecdf(
    values: Floats, bound: float = MAX_RELATIVE_ERROR, quantiles: Sequence[float] = (), through: Sequence[float] = ()
) -> Curve:
    """The cumulative distribution of the values, NaN left out: share k / (n - 1) for the k-th value from 0.

    The shares are those of linear interpolation between order statistics (Hyndman and Fan's type 7), as everywhere in
    the analysis: the curve at 0.95 is the p95. It is exact at the given `quantiles` and where it goes `through` the
    given values, elsewhere within `bound`, a share of the value.
    """
    ordered = np.sort(values[~np.isnan(values)])
    kept = np.union1d(_thinned(ordered, bound), _neighbours(ordered, quantiles, through))
    return Curve(len(ordered), kept / max(len(ordered) - 1, 1), ordered[kept])


def spectrum(
    values: Floats, bound: float = MAX_RELATIVE_ERROR, quantiles: Sequence[float] = (), through: Sequence[float] = ()
) -> Curve:
    """The same from the median up to the last quantile that 10 values lie beyond; empty where that is not above it.

    To be drawn with 1 / (1 - share) on a logarithmic axis: every decade is another nine.
    """
    whole = ecdf(values, bound, (*quantiles, 0.5), through)
    last = 1.0 - MIN_VALUES_BEYOND / whole.n if whole.n else 0.0
    if last <= 0.5:
        return Curve(whole.n, np.zeros(0), np.zeros(0))
    inner = (whole.share > 0.5) & (whole.share < last)
    share = np.concatenate([[0.5], whole.share[inner], [last]])
    return Curve(whole.n, share, np.interp(share, whole.share, whole.value))


def _neighbours(ordered: Floats, quantiles: Sequence[float], through: Sequence[float]) -> NDArray[np.int64]:
    """Positions of the values on either side of the given quantiles and values."""
    last = len(ordered) - 1
    if last < 0:
        return np.zeros(0, dtype=np.int64)
    below = [*np.floor(np.asarray(quantiles) * last), *(np.searchsorted(ordered, through, side="right") - 1)]
    positions = np.asarray(below, dtype=np.int64)
    found: NDArray[np.int64] = np.clip(np.concatenate([positions, positions + 1]), 0, last)
    return found


def _thinned(ordered: Floats, bound: float) -> np.ndarray:
    """Positions of the values to keep, first and last among them."""
    if not len(ordered):
        return np.zeros(0, dtype=np.int64)
    kept = [0]
    while kept[-1] < len(ordered) - 1:
        here = ordered[kept[-1]]
        reach = here + max(abs(here) * bound, MAX_ABSOLUTE_ERROR)
        last = int(np.searchsorted(ordered, reach, side="right")) - 1
        kept.append(max(last, kept[-1] + 1))
    return np.array(kept, dtype=np.int64)
