"""Records over time: counts and percentiles per window, from raw records.

A window is a half-open stretch [start, start + width) of seconds since the earliest intended start. Arrivals, their
outcomes and their latencies belong to the window of their *intended* start, `started` to that of the actual start,
`completed` to that of the end. Windows without any event are there, with zeros and no percentiles.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.percentiles import min_samples
from analysis.record_schema import Floats, flags, floats
from bedrock.outcome import Outcome

_SMALL_NUMBERS = 2**16

PERCENTILE_COLUMNS = {
    "ttft_p50_ms": ("ttft_ms", 0.50),
    "ttft_p95_ms": ("ttft_ms", 0.95),
    "e2e_p50_ms": ("e2e_ms", 0.50),
    "e2e_p95_ms": ("e2e_ms", 0.95),
}


def per_window(records: pd.DataFrame, width_s: float, origin: float | None = None) -> pd.DataFrame:
    """One row per window, indexed by its start (s since `origin`, Unix s; None = the earliest intended start).

    Columns: offered, started, completed, ok, throttled, errors, dropped (counts); ttft_p50_ms, ttft_p95_ms,
    e2e_p50_ms, e2e_p95_ms of the ok requests, NaN where they are fewer than the percentile needs (6, 72);
    n, the number of ok requests. Records are derived ones (`Analysis.records`), of one cell or of several.
    """
    if width_s <= 0:
        raise ValueError(f"a window has a positive width, not {width_s} s")
    start = _origin(records, origin)
    if start is None:
        return _empty()
    windows = _window_count(records, start, width_s)
    intended = _window_of(records["intended_at"], start, width_s)
    counts = {
        "offered": _count(intended, flags(records["attempt"] == 1), windows),
        "started": _count_events(records["started_at"], start, width_s, windows),
        "completed": _count_events(records["ended_at"], start, width_s, windows),
        "ok": _count(intended, flags(records["ok"]), windows),
        "throttled": _count(intended, _is(records, Outcome.THROTTLED), windows),
        "errors": _count(intended, flags(records["error"]), windows),
        "dropped": _count(intended, _is(records, Outcome.DROPPED), windows),
    }
    answered = records.loc[
        records["ok"], ["intended_at", *dict.fromkeys(name for name, _ in PERCENTILE_COLUMNS.values())]
    ]
    percentiles = _percentiles(answered, start, width_s, windows)
    index = pd.Index(np.arange(windows) * width_s, name="window_s")
    return pd.DataFrame({**counts, **percentiles, "n": counts["ok"]}, index=index)


def _empty() -> pd.DataFrame:
    counts = ("offered", "started", "completed", "ok", "throttled", "errors", "dropped")
    columns = {name: np.zeros(0, dtype=np.int64) for name in counts}
    percentiles = {name: np.zeros(0) for name in PERCENTILE_COLUMNS}
    return pd.DataFrame(
        {**columns, **percentiles, "n": np.zeros(0, dtype=np.int64)}, index=pd.Index([], dtype=float, name="window_s")
    )


def _origin(records: pd.DataFrame, origin: float | None) -> float | None:
    if origin is not None:
        return origin
    earliest = records["intended_at"].min() if len(records) else np.nan
    return None if np.isnan(earliest) else float(earliest)


def _window_count(records: pd.DataFrame, start: float, width_s: float) -> int:
    last = np.nanmax([start, *(records[name].max() for name in ("intended_at", "started_at", "ended_at"))])
    return int((last - start) // width_s) + 1


def _window_of(instants: "pd.Series[float]", start: float, width_s: float) -> np.ndarray:
    """Window number of each instant, -1 where it did not happen or lies before the origin."""
    position = np.floor((floats(instants) - start) / width_s)
    return np.where(np.isnan(position) | (position < 0), -1, position).astype(np.int64)


def _count(window: np.ndarray, chosen: np.ndarray, windows: int) -> np.ndarray:
    return np.bincount(window[chosen & (window >= 0)], minlength=windows)


def _count_events(instants: "pd.Series[float]", start: float, width_s: float, windows: int) -> np.ndarray:
    window = _window_of(instants, start, width_s)
    return _count(window, window >= 0, windows)


def _is(records: pd.DataFrame, outcome: Outcome) -> np.ndarray:
    return flags(records["outcome"] == outcome)


def _percentiles(answered: pd.DataFrame, start: float, width_s: float, windows: int) -> dict[str, np.ndarray]:
    window = _window_of(answered["intended_at"], start, width_s)
    wanted: dict[str, list[tuple[str, float]]] = {}
    for name, (metric, q) in PERCENTILE_COLUMNS.items():
        wanted.setdefault(metric, []).append((name, q))
    found: dict[str, Floats] = {}
    for metric, columns in wanted.items():
        ordered = OrderedWindows.of(floats(answered[metric]), window, windows)
        found |= {name: ordered.quantile(q) for name, q in columns}
    return {name: found[name] for name in PERCENTILE_COLUMNS}


@dataclass(frozen=True, slots=True)
class OrderedWindows:
    """Values sorted by window and size: any percentile of all windows is one look-up."""

    values: Floats
    starts: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, values: Floats, window: NDArray[np.int64], windows: int) -> "OrderedWindows":
        """Of values and the number of each one's window; NaN values and negative windows are left out."""
        rows = np.flatnonzero((window >= 0) & ~np.isnan(values))
        rows = rows[np.argsort(values[rows])]
        numbers = window[rows]
        # numpy sorts 16-bit numbers in linear time.
        narrow = numbers.astype(np.uint16) if windows <= _SMALL_NUMBERS else numbers
        rows = rows[np.argsort(narrow, kind="stable")]
        counts = np.bincount(numbers, minlength=windows)
        return cls(values[rows], np.cumsum(counts) - counts, counts)

    def quantile(self, q: float) -> Floats:
        """The exact quantile of each window, by linear interpolation; NaN where its samples are too few."""
        enough = self.counts >= min_samples(q)
        position = (self.counts[enough] - 1) * q
        below = np.floor(position).astype(np.int64)
        above = np.minimum(below + 1, self.counts[enough] - 1)
        low, high = (self.values[self.starts[enough] + rank] for rank in (below, above))
        found = np.full(len(self.counts), np.nan)
        found[enough] = low + (high - low) * (position - below)
        return found
