"""Numbers that stand for many: pure functions, without a library, so that load processes start quickly."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Summary:
    """Of `n` values; None where there is none. No interval: n is in the tens of thousands, or said beside it."""

    n: int
    p50: float | None
    p99: float | None
    max: float | None


def summarise(values: Sequence[float]) -> Summary:
    """Median, 99th percentile and maximum of values in any order."""
    if not values:
        return Summary(0, None, None, None)
    ordered = sorted(values)
    return Summary(len(ordered), quantile(ordered, 0.5), quantile(ordered, 0.99), ordered[-1])


def quantile(ordered: Sequence[float], q: float) -> float:
    """The `q` quantile (0 to 1) of ascending values, with linear interpolation between ranks."""
    position = q * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    share = position - below
    return ordered[below] * (1.0 - share) + ordered[above] * share


def slope(points: Sequence[tuple[float, float]]) -> float | None:
    """Least squares: how much y grows per x. None for fewer than two different x."""
    if not points:
        return None
    mean_x = math.fsum(x for x, _ in points) / len(points)
    mean_y = math.fsum(y for _, y in points) / len(points)
    spread = math.fsum((x - mean_x) ** 2 for x, _ in points)
    if spread == 0.0:
        return None
    return math.fsum((x - mean_x) * (y - mean_y) for x, y in points) / spread
