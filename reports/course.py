"""The course of the latencies: how many requests of which latency were due when, and percentiles over them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.percentiles import QUANTILES, min_samples
from analysis.record_schema import Floats, flags, floats
from analysis.timeseries import OrderedWindows
from reports.grids import Grid, count_in, log_edges
from reports.material import Material
from reports.messages import FLOOR_MS
from reports.timeline import Timeline

METRICS = ("ttft_ms", "e2e_ms")
#: The upper line, the first of these that any window has enough requests for.
_UPPER = ("p99", "p95")


@dataclass(frozen=True, slots=True)
class Course:
    """Requests over time: `grids` by metric, over s since the first arrival and ms; without one where no value is.

    `lines` has a row per window of a cell: `metric`, `cell`, `at_s` (its middle), `n`, `p50` and `upper` (NaN where the
    window has too few requests, as has a row after each cell); `upper` is the percentile of that name. `n` counts all
    requests, `width_s` is the width of the bins, `window_s` that of the windows.
    """

    grids: dict[str, Grid]
    lines: pd.DataFrame
    upper: str
    n: int
    width_s: float
    window_s: float


def course(material: Material, time: Timeline) -> Course:
    """All answered requests of a run by intended start, in the windows of the overview."""
    answered = flags(material.records["ok"]) & material.records["intended_at"].notna().to_numpy()
    at = floats(material.records["intended_at"])
    at_s = at[answered] - (np.nanmin(at) if answered.any() else 0.0)
    values = {name: np.maximum(floats(material.records[name])[answered], FLOOR_MS) for name in METRICS}
    cells, names = pd.factorize(material.records["cell"][answered])
    windows = _windows(cells, [str(name) for name in names], at_s, time.percentile_width_s)
    upper = next((name for name in _UPPER if _has(name, windows)), "p95")
    return Course(
        grids={name: _grid(at_s, found, time) for name, found in values.items() if not np.isnan(found).all()},
        lines=pd.concat([_lines(name, found, windows, upper) for name, found in values.items()], ignore_index=True),
        upper=upper,
        n=int(answered.sum()),
        width_s=time.width_s,
        window_s=time.percentile_width_s,
    )


def _grid(at_s: Floats, values: Floats, time: Timeline) -> Grid:
    known = ~np.isnan(values)
    columns = int(time.span_s // time.width_s) + 1
    x_edges = np.arange(columns + 1, dtype=np.float64) * time.width_s
    return count_in(at_s[known], values[known], x_edges, log_edges(values[known]))


@dataclass(frozen=True, slots=True)
class _Windows:
    """The number of each request's window, and where the windows of all cells lie; one after each cell is empty."""

    number: np.ndarray
    middle_s: Floats
    cell: list[str]


def _windows(cells: np.ndarray, names: Sequence[str], at_s: Floats, width_s: float) -> _Windows:
    count = len(names)
    starts = np.full(count, np.inf)
    np.minimum.at(starts, cells, at_s)
    within = ((at_s - starts[cells]) // width_s).astype(np.int64)
    longest = np.zeros(count, dtype=np.int64)
    np.maximum.at(longest, cells, within)
    first = np.concatenate([[0], np.cumsum(longest + 2)]).astype(np.int64)
    middles = [starts[cell] + (np.arange(longest[cell] + 2) + 0.5) * width_s for cell in range(count)]
    owners = [name for name, length in zip(names, longest, strict=True) for _ in range(length + 2)]
    return _Windows(first[cells] + within, np.concatenate([*middles, np.zeros(0)]), owners)


def _has(name: str, windows: _Windows) -> bool:
    counts = np.bincount(windows.number) if len(windows.number) else np.zeros(1)
    return bool(counts.max() >= min_samples(QUANTILES[name]))


def _lines(metric: str, values: Floats, windows: _Windows, upper: str) -> pd.DataFrame:
    ordered = OrderedWindows.of(values, windows.number, len(windows.middle_s))
    columns = {"p50": ordered.quantile(QUANTILES["p50"]), "upper": ordered.quantile(QUANTILES[upper])}
    place = {"metric": metric, "cell": windows.cell, "at_s": windows.middle_s}
    return pd.DataFrame({**place, "n": ordered.counts, **columns})
