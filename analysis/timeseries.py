"""Records over time: counts and percentiles per window, from raw records.

A window is a half-open stretch [start, start + width) of seconds since the earliest intended start. Arrivals, their
outcomes and their latencies belong to the window of their *intended* start, `started` to that of the actual start,
`completed` to that of the end. Windows without any event are there, with zeros and no percentiles.
"""

import numpy as np
import pandas as pd

from analysis.percentiles import min_samples
from analysis.records import flags, floats
from bedrock.outcome import Outcome

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
    percentiles = _percentiles(records[records["ok"]], start, width_s, windows)
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
    columns = {}
    for name, (metric, q) in PERCENTILE_COLUMNS.items():
        values = pd.Series(floats(answered[metric]))
        grouped = values[window >= 0].groupby(window[window >= 0])
        enough = grouped.quantile(q).where(grouped.count() >= min_samples(q))
        columns[name] = enough.reindex(range(windows)).to_numpy(dtype=np.float64)
    return columns
