"""The load generator's own condition over time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.record_schema import Floats, floats
from analysis.timeseries import OrderedWindows
from reports.material import Material
from reports.timeline import Timeline

#: The validity check that judges each figure.
CHECKS = {"send_lag_ms": "send_lag_p99_ms", "hub_lag_ms": "hub_lag_p99_ms", "cpu_pct": "generator_cpu_p90_pct"}

#: Health lines come a little more than a second apart: narrower windows would show gaps where there are none.
LEAST_WIDTH_S = 2.0


@dataclass(frozen=True, slots=True)
class GeneratorHealth:
    """One row per window of `width_s` seconds since the first intended start, indexed by its middle.

    Columns, NaN where nothing is known: `send_lag_p50_ms`, `send_lag_p95_ms` (72 calls at least), `send_lag_max_ms` of
    the open loop; `hub_lag_ms` and `cpu_pct` (of one core), each the highest second of any process; `in_flight`, the
    mean of the calls counted each second, all processes together; `in_flight_recorded`, the same from the records.
    `limits` has where a check of CHECKS warns and where it fails, None where it never does; `little_share` is what the
    check of Little's law observed.
    """

    windows: pd.DataFrame
    width_s: float
    limits: Mapping[str, tuple[float, float | None]]
    little_share: float | None


def generator_health(material: Material, time: Timeline) -> GeneratorHealth:
    """The condition of a run's generator; no rows where no health file was read and no arrival was scheduled."""
    records, health, width_s = material.records, material.health, max(time.width_s, LEAST_WIDTH_S)
    checks = {check["name"]: check for check in (material.summary.get("validity") or {}).get("checks") or []}
    limits = {
        name: (float(check["limit"]), check.get("fail_limit"))
        for name, check_name in CHECKS.items()
        if (check := checks.get(check_name)) is not None
    }
    little = (checks.get("littles_law") or {}).get("observed")
    if records["intended_at"].isna().all():
        return GeneratorHealth(pd.DataFrame(), width_s, limits, little)
    zero, count = float(records["intended_at"].min()), -(-len(time.windows) * int(time.width_s) // int(width_s))
    index = pd.Index(np.arange(count) * width_s + width_s / 2.0, name="at_s")
    columns = {**_send_lags(material, zero, width_s, count), **_samples(health, zero, width_s, count)}
    columns["in_flight_recorded"] = _recorded(records, zero, width_s, count)
    frame = pd.DataFrame(columns, index=index)
    shown = frame.drop(columns="in_flight_recorded")
    return GeneratorHealth(frame if shown.notna().any(axis=None) else frame.iloc[:0], width_s, limits, little)


def _send_lags(material: Material, zero: float, width_s: float, count: int) -> dict[str, Floats]:
    scheduled = {cell.name for cell in material.cells if cell.is_open}
    own = material.records[material.records["cell"].isin(scheduled) & material.records["sent"]]
    window = np.floor((floats(own["intended_at"]) - zero) / width_s)
    ordered = OrderedWindows.of(floats(own["send_lag_ms"]), np.nan_to_num(window, nan=-1.0).astype(np.int64), count)
    most = np.full(count, np.nan)
    some = ordered.counts > 0
    most[some] = ordered.values[ordered.starts[some] + ordered.counts[some] - 1]
    return {
        "send_lag_p50_ms": ordered.quantile(0.50),
        "send_lag_p95_ms": ordered.quantile(0.95),
        "send_lag_max_ms": most,
    }


def _samples(health: pd.DataFrame, zero: float, width_s: float, count: int) -> dict[str, Floats]:
    """The highest lag and CPU of any process; calls in flight as the sum of each process's mean."""
    window = np.floor((health["at"].astype(float) - zero) / width_s)
    inside = health.assign(window=window)[(window >= 0) & (window < count)]
    found: dict[str, Any] = {}
    for name in ("hub_lag_ms", "cpu_pct"):
        found[name] = inside[name].astype(float).groupby(inside["window"]).max()
    means = inside["in_flight"].astype(float).groupby([inside["window"], inside["cell"], inside["process"]]).mean()
    found["in_flight"] = means.groupby("window").sum(min_count=1)
    return {name: floats(series.reindex(range(count))) for name, series in found.items()}


def _recorded(records: pd.DataFrame, zero: float, width_s: float, count: int) -> Floats:
    """Mean calls in flight of each window: the time that calls were open in it / its width.

    The open time up to an instant is the sum of its distances from all earlier starts, less those from all ends.
    """
    called = records[records["started_at"].notna() & records["ended_at"].notna()]
    edges = np.arange(count + 1) * width_s

    def distances(instants: "pd.Series[float]") -> Floats:
        at = np.sort(floats(instants) - zero)
        before = np.searchsorted(at, edges)
        sums = np.concatenate([[0.0], np.cumsum(at)])
        return np.asarray(edges * before - sums[before], dtype=np.float64)

    return np.asarray(np.diff(distances(called["started_at"]) - distances(called["ended_at"])) / width_s)
