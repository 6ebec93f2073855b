"""How long each cell was measured: the load's phases less ramp, warm-up and drain."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.inputs import LoadInfo, Phase
from analysis.records import NOT_MEASURED, floats


@dataclass(frozen=True, slots=True)
class CellWindow:
    """The phases of one cell with known lengths; `estimated` if any length had to be told from the records."""

    phases: tuple[Phase, ...]
    estimated: bool

    def seconds(self, phase: str | None = None) -> float | None:
        """Length of the measured window, or of one phase of it; None if nothing of it is known."""
        stretches = self.stretches(phase)
        return sum(end - start for start, end in stretches) if stretches else None

    def stretches(self, phase: str | None = None) -> list[tuple[float, float]]:
        """Start and end (Unix s) of each phase of the measured window, or of those of one name."""
        return [
            (each.started_at, each.ended_at)
            for each in self.phases
            if each.name not in NOT_MEASURED
            and phase in (None, each.name)
            and each.ended_at is not None
            and each.ended_at >= each.started_at
        ]

    def covers(self, at: np.ndarray) -> np.ndarray:
        """Which instants (Unix s) lie in the measured window."""
        inside = np.zeros(len(at), dtype=bool)
        for phase in self.phases:
            if phase.ended_at is not None and phase.name not in NOT_MEASURED:
                inside |= (at >= phase.started_at) & (at <= phase.ended_at)
        return inside


#: Windows of a run by cell.
Windows = Mapping[str, CellWindow]


def window_of(load: LoadInfo, records: pd.DataFrame) -> CellWindow:
    """The phases of a cell from its `load.json`; told from its records where that is missing or was never closed.

    The load generator writes the planned phases at the start and the true ones at the end. One that was killed
    leaves the plan, which is then cut at the last thing a record knows of.
    """
    if load.phases and load.ended_at is not None:
        return CellWindow(load.phases, estimated=False)
    last_seen = _last_instants(records)
    if not load.phases:
        first = records["intended_at"].groupby(_names(records)).min()
        phases = [Phase(str(name), float(start), last_seen[str(name)]) for name, start in first.dropna().items()]
        return CellWindow(tuple(sorted(phases, key=lambda phase: phase.started_at)), estimated=True)
    end = max(last_seen.values(), default=None)
    return CellWindow(tuple(_cut(phase, end) for phase in load.phases), estimated=True)


def _cut(phase: Phase, end: float | None) -> Phase:
    """The phase as far as it got; without an end if it never began."""
    if end is None or end < phase.started_at:
        return Phase(phase.name, phase.started_at, None)
    return Phase(phase.name, phase.started_at, end if phase.ended_at is None else min(phase.ended_at, end))


def _last_instants(records: pd.DataFrame) -> dict[str, float]:
    """The last thing known to have happened to a request of each phase, Unix s."""
    if records.empty:
        return {}
    last = np.fmax(floats(records["intended_at"]), floats(records["ended_at"]))
    by_phase = pd.Series(last, index=records.index).groupby(_names(records)).max().dropna()
    return {str(name): float(at) for name, at in by_phase.items()}


def _names(records: pd.DataFrame) -> "pd.Series[str]":
    return records["phase"].astype("str").fillna("unknown")


def measured_seconds(windows: Windows, cells: Iterable[str], phase: str | None = None) -> float | None:
    """Time in which any of the cells was measured; None if nothing is known.

    Cells that ran one after the other add up; time that several of them share is counted once.
    """
    chosen = [windows[cell] for cell in cells if cell in windows]
    if len(chosen) == 1:
        return chosen[0].seconds(phase)
    stretches = sorted(stretch for window in chosen for stretch in window.stretches(phase))
    if not stretches:
        return None
    total, covered_until = 0.0, float("-inf")
    for start, end in stretches:
        total += max(0.0, end - max(start, covered_until))
        covered_until = max(covered_until, end)
    return total
