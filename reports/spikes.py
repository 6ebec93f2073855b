"""Spikes and what came after them, as the recovery chart draws them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.record_schema import floats
from reports.frames import MIN_SAMPLES
from reports.material import Material

#: Width of a window where the analysis chose none, as a share of the time after the spike.
_FALLBACK_SHARE = 1 / 8


@dataclass(frozen=True, slots=True)
class Spike:
    """One metric of one cell with a spike; times are seconds since its end.

    `windows` has a row per window in order of time: `at_s` (its middle), `p95` in ms of the requests due in it,
    `n`, `firm` (72 at least). No window reaches over the begin or the end of the spike.
    """

    cell: str
    metric: str
    started_s: float
    baseline_ms: float | None
    recovery_s: float | None
    reason: str | None
    worst_after_ms: float | None
    width_s: float
    windows: pd.DataFrame


def spikes(material: Material) -> list[Spike]:
    """Every metric of every cell that had a spike which ended, in the order of the run."""
    names = {cell.name: material.label(cell) for cell in material.cells}
    return [
        spike
        for cell in material.summary.get("cells") or []
        for entry in cell.get("recovery") or []
        if (spike := _spike(material, str(cell["cell"]), names, entry)) is not None
    ]


def _spike(material: Material, cell: str, names: Mapping[str, str], entry: Mapping[str, Any]) -> Spike | None:
    end, start = entry["spike_ended_at"], entry["spike_started_at"]
    records = material.records
    own = records[(records["cell"] == cell) & records["ok"] & records["ends_message"] & records["measured"]]
    if end is None or own.empty:
        return None
    at, values = floats(own["intended_at"]) - end, floats(own[entry["metric"]])
    width_s = entry["window_s"] or max(1.0, float(np.nanmax(at)) * _FALLBACK_SHARE)
    return Spike(
        cell=names.get(cell, cell),
        metric=str(entry["metric"]),
        started_s=start - end,
        baseline_ms=entry["baseline_p95_ms"],
        recovery_s=entry["recovery_s"],
        reason=entry["reason"],
        worst_after_ms=entry["worst_after_p95_ms"],
        width_s=width_s,
        windows=pd.concat(_parts(at, values, start - end, width_s), ignore_index=True),
    )


def _parts(at: np.ndarray, values: np.ndarray, start: float, width_s: float) -> Iterator[pd.DataFrame]:
    """Windows before, during and after the spike; those before are laid from its begin backwards."""
    for inside, origin, low, high in (
        (at < start, start, -np.inf, start),
        ((at >= start) & (at < 0.0), start, start, 0.0),
        (at >= 0.0, 0.0, 0.0, np.inf),
    ):
        number = np.floor((at[inside] - origin) / width_s)
        rows = pd.Series(values[inside]).dropna().groupby(number[~np.isnan(values[inside])])
        table = rows.agg(n="size").assign(p95=rows.quantile(0.95))
        begins = table.index.to_numpy(dtype=np.float64) * width_s + origin
        middle = (np.maximum(begins, low) + np.minimum(begins + width_s, high)) / 2.0
        yield table.assign(at_s=middle, firm=table["n"] >= MIN_SAMPLES["p95"]).reset_index(drop=True)
