"""Counts of values in two-dimensional bins: what a chart of more requests than dots is coloured by."""

import math
from dataclasses import dataclass

import numpy as np

from analysis.record_schema import Floats

_FEWEST_ROWS, _MOST_ROWS = 12, 48
_PER_DECADE = (80, 40, 20, 10, 5, 2, 1)


@dataclass(frozen=True, slots=True)
class Grid:
    """`counts[row, column]` of values between `y_edges` and `x_edges`."""

    counts: Floats
    x_edges: Floats
    y_edges: Floats


def log_edges(values: Floats) -> Floats:
    """Edges of bins of equal ratio that hold all (positive) values; the more values, the finer, 48 at most.

    A decade has a whole number of them: bins of any data lie at the same places, so that charts compare.
    """
    most = min(max(math.isqrt(len(values)), _FEWEST_ROWS), _MOST_ROWS)
    low, high = math.log10(float(values.min())), math.log10(float(values.max()))
    for per_decade in _PER_DECADE:
        first, last = math.floor(low * per_decade), math.floor(high * per_decade) + 1
        if last - first <= most:
            break
    return np.power(10.0, np.arange(first, last + 1) / per_decade)


def whole_edges(values: Floats, most: int) -> Floats:
    """Edges of at most `most` bins of about equal ratio around whole numbers from 1 up, none of them empty."""
    low, high = max(float(values.min()), 1.0), max(float(values.max()), 1.0)
    starts = np.unique(np.round(np.geomspace(low, high + 1.0, most + 1)))
    return (starts if len(starts) > 1 else np.array([low, low + 1.0])) - 0.5


def ratio_of(edges: Floats) -> float:
    """How much higher each bin of equal ratio ends than it begins: 0.12 for 12 %."""
    return float(edges[1] / edges[0] - 1.0)


def count_in(x: Floats, y: Floats, x_edges: Floats, y_edges: Floats) -> Grid:
    """Count pairs of values; those outside the edges belong to the nearest bin."""
    columns, rows = len(x_edges) - 1, len(y_edges) - 1
    column = np.clip(np.searchsorted(x_edges, x, side="right") - 1, 0, columns - 1)
    row = np.clip(np.searchsorted(y_edges, y, side="right") - 1, 0, rows - 1)
    counts = np.bincount(row * columns + column, minlength=rows * columns)
    return Grid(counts.reshape(rows, columns).astype(np.float64), x_edges, y_edges)
