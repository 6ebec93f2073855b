"""Shares with exact intervals, and how many more trials would tell one from a limit.

Interval: Clopper and Pearson's (The use of confidence or fiducial limits, Biometrika 26, 1934), 2.5 % in each tail: the
binomial interval that those of the percentiles are, too. The trials are taken as independent.
"""

from scipy import stats

from analysis.percentiles import CONFIDENCE, Interval

_TAIL = (1.0 - CONFIDENCE) / 2.0


def share_interval(share: float, n: float) -> Interval:
    """The 95 % interval of a share of hits among `n` trials; the hits (share x n) need not be a whole number."""
    hits = share * n
    low = float(stats.beta.ppf(_TAIL, hits, n - hits + 1.0)) if hits > 0.0 else 0.0
    high = float(stats.beta.ppf(1.0 - _TAIL, hits + 1.0, n - hits)) if hits < n else 1.0
    return low, high


def more_trials(share: float, limit: float, n: int, most: int) -> int | None:
    """How many more trials leave the limit outside the interval, if their share of hits is that of the `n` seen.

    At least 1; None where more than `most` would be needed, or no number is enough: the share is the limit, or the
    limit is 0 or 1 and was not missed.
    """
    if not _excludes(share, most, limit):
        return None
    low, high = n, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _excludes(share, middle, limit) else (middle, high)
    return max(1, high - n)


def _excludes(share: float, n: int, limit: float) -> bool:
    low, high = share_interval(share, n)
    return not low <= limit <= high
