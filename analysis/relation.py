"""Does size explain latency? Medians of a latency by a token count, and a line through them with its spread.

The line is Theil and Sen's (the median of the slopes between all pairs of points; P. K. Sen, 1968) through the medians
of bins of equally many requests. Neither a few very slow requests nor a long tail of sizes moves it much, as both
would move least squares. It is a relation where the 99 % interval of its slope excludes 0: a report
looks at several lines at once.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from analysis.percentiles import QUANTILES, min_samples
from analysis.record_schema import Floats
from analysis.timeseries import OrderedWindows

#: Bins by size, at most; each has the requests that a p10 and a p90 need, or where they are few those of a median.
MAX_BINS = 12
_FOR_A_BAND = min_samples(QUANTILES["p90"])
_FOR_A_MEDIAN = min_samples(QUANTILES["p50"])
#: With fewer medians no order of them is rarer than 1 in 100: no line could be told from chance.
_FEWEST_BINS = 6
_CONFIDENCE = 0.99


@dataclass(frozen=True, slots=True)
class Line:
    """`intercept_ms + slope_ms * tokens`; slopes are ms a token, `slope_low` and `slope_high` its 99 % interval.

    Eight of ten requests have a latency between `spread_low` and `spread_high` times that of the line.
    """

    slope_ms: float
    intercept_ms: float
    slope_low: float
    slope_high: float
    spread_low: float
    spread_high: float

    @property
    def is_relation(self) -> bool:
        """Whether more tokens take longer (or shorter), rather than chance having drawn the line."""
        return self.slope_low > 0.0 or self.slope_high < 0.0

    def at(self, tokens: Floats) -> Floats:
        """The line's latencies, ms."""
        return self.intercept_ms + self.slope_ms * tokens


def by_size(tokens: Floats, latency_ms: Floats) -> pd.DataFrame:
    """Latency by number of tokens, in bins of about equally many requests.

    One row per bin: `tokens` (median), `n`, `p10`, `p50`, `p90` (ms); NaN where n is too few for the percentile.
    Values that are NaN in either array are left out; a size that many requests have is a bin of its own.
    """
    known = ~(np.isnan(tokens) | np.isnan(latency_ms))
    sizes, values = tokens[known], latency_ms[known]
    number, bins = _bins(sizes)
    ordered, middle = OrderedWindows.of(values, number, bins), OrderedWindows.of(sizes, number, bins)
    percentiles = {name: ordered.quantile(q) for name, q in (("p10", 0.10), ("p50", 0.50), ("p90", 0.90))}
    return pd.DataFrame({"tokens": middle.quantile(0.5), "n": ordered.counts, **percentiles})


def _bins(sizes: Floats) -> tuple[NDArray[np.int64], int]:
    """The number of each value's bin, and how many there are; equal sizes are never divided."""
    wanted = max(len(sizes) // _FOR_A_BAND, min(_FEWEST_BINS, len(sizes) // _FOR_A_MEDIAN), 1)
    codes, _ = pd.factorize(sizes, sort=True)
    counts = np.bincount(codes) if len(codes) else np.zeros(0)
    middle_rank = np.cumsum(counts) - counts / 2.0
    bins = np.floor(min(wanted, MAX_BINS) * middle_rank / max(len(sizes), 1)).astype(np.int64)
    numbers, present = np.unique(bins, return_inverse=True)
    return present[codes].astype(np.int64), len(numbers)


def fit(bins: pd.DataFrame, tokens: Floats, latency_ms: Floats) -> Line | None:
    """The line through the medians of `by_size`, with the spread of all requests about it.

    None where fewer than six bins have a median, or where the line is not above 0 for all sizes there are.
    """
    known = bins.dropna(subset=["tokens", "p50"])
    if len(known) < _FEWEST_BINS:
        return None
    slope, intercept, low, high = stats.theilslopes(known["p50"], known["tokens"], _CONFIDENCE)
    usable = ~(np.isnan(tokens) | np.isnan(latency_ms))
    expected = intercept + slope * tokens[usable]
    if expected.min() <= 0.0:
        return None
    spread = np.quantile(latency_ms[usable] / expected, [0.1, 0.9])
    return Line(*(float(part) for part in (slope, intercept, low, high, *spread)))
