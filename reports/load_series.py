"""Cells that differ in their load alone, as the load chart draws them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reports.frames import cells_frame
from reports.material import Material

_OF_POINTS = ("load", "throughput_rps")


@dataclass(frozen=True, slots=True)
class LoadSeries:
    """One family of cells over their load (`unit`: arrivals a second, or users), and where it gives way.

    `points` has a row per cell in order of load: `load`, `throughput_rps` (answered) and the columns of
    `frames.cells_frame`. `knee`, `last_good` and `first_bad` are loads, None where there is none, with the reason.
    """

    label: str
    unit: str
    points: pd.DataFrame
    knee: float | None
    no_knee: str | None
    last_good: float | None
    first_bad: float | None
    no_break: str | None

    def at(self, load: float) -> str:
        """A load in words: `12/s`, `30 users`."""
        return f"{load:g}/s" if self.unit == "rate_rps" else "1 user" if load == 1 else f"{load:g} users"


def load_series(material: Material) -> list[LoadSeries]:
    """Every family of the summary's saturation section, in the order of the cells."""
    entries = material.summary.get("saturation") or []
    if not entries:
        return []
    numbers = {cell.name: cell.number for cell in material.cells}
    figures = cells_frame(material).set_index("number", drop=False)
    found = [_series(material, entry, figures, numbers) for entry in entries]
    return sorted(found, key=lambda series: int(series.points["number"].min()))


def _series(
    material: Material, entry: Mapping[str, Any], figures: pd.DataFrame, numbers: Mapping[str, int]
) -> LoadSeries:
    points: Sequence[Mapping[str, Any]] = entry["points"]
    rows = figures.loc[[numbers[str(point["cell"])] for point in points]].reset_index(drop=True)
    given = pd.DataFrame([{name: point[name] for name in _OF_POINTS} for point in points]).astype(float)
    first = next(cell for cell in material.cells if cell.name == points[0]["cell"])
    telling = [name for name in material.dimensions if name not in ("load", "round", "name")]
    knee, broken = entry["knee"], entry["breaking_point"]
    return LoadSeries(
        label=first.label(telling) if telling else "",
        unit=str(entry["load"]),
        points=pd.concat([given, rows.drop(columns="load")], axis=1).sort_values("load", kind="stable"),
        knee=knee["load"],
        no_knee=knee["reason"],
        last_good=broken["last_good_load"],
        first_bad=broken["load"],
        no_break=broken["reason"],
    )
