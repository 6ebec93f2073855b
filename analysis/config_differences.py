"""What is not the same in the configuration of two runs, or two cells, and what follows from it."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from analysis.comparability import Difference, cell_differences, run_differences
from analysis.comparison import CellComparison, Comparison
from analysis.inputs import RunInfo

#: Settings that say where results go and how they are judged: they decide no figure.
_NOT_OF_THE_TEST = frozenset({"results_dir", "baseline", "fail_on", "regression_threshold"})


class Role(StrEnum):
    """What a difference means for the comparison."""

    PREVENTS = "prevents comparing"
    MEANT = "meant to differ"
    NOTED = "may explain a change"


@dataclass(frozen=True, slots=True)
class ConfigDifference:
    """One difference; `cells` are those of this run that have it, empty where it is one of the runs."""

    difference: Difference
    role: Role
    cells: tuple[str, ...] = ()


def config_differences(
    found: Comparison, this: RunInfo, baseline: RunInfo, across: Collection[str] = ()
) -> list[ConfigDifference]:
    """All of them: what prevents comparing, what was meant to differ (`across`), and settings that decide neither.

    A setting, commit or version that one of the runs does not name says nothing.
    """
    of_runs = run_differences(this, baseline)
    by_difference: dict[Difference, tuple[str, ...]] = dict.fromkeys(of_runs, ())
    meant = {*across}
    for cell in found.cells:
        meant |= {difference.what for difference in cell.compared}
        for difference in _of_cell(cell, this, baseline):
            if difference not in of_runs:
                by_difference[difference] = (*by_difference.get(difference, ()), cell.cell)
    judged = [
        ConfigDifference(difference, Role.MEANT if difference.what in meant else Role.PREVENTS, cells)
        for difference, cells in by_difference.items()
    ]
    known = {difference.what for difference in by_difference}
    noted = [entry for entry in _noted(this.raw, baseline.raw) if entry.what not in known]
    judged += [ConfigDifference(difference, Role.NOTED) for difference in noted]
    return sorted(judged, key=lambda entry: list(Role).index(entry.role))


def _of_cell(cell: CellComparison, this: RunInfo, baseline: RunInfo) -> list[Difference]:
    """What `run.json` says of both cells, and what only their records tell (the length of the prompts)."""
    mine, theirs = ({entry.name: entry for entry in run.cells} for run in (this, baseline))
    told = cell_differences(mine[cell.cell], theirs[cell.baseline_cell])
    return list(dict.fromkeys([*told, *cell.differs]))


def _noted(this: Mapping[str, Any], baseline: Mapping[str, Any]) -> Iterator[Difference]:
    mine, theirs = _noted_values(this), _noted_values(baseline)
    for name, value in mine.items():
        if name in theirs and theirs[name] != value:
            yield Difference(name, value, theirs[name])


def _noted_values(run: Mapping[str, Any]) -> dict[str, str]:
    """Commit, versions and settings by name."""
    versions, sources = run.get("versions"), run.get("sources")
    found = {"commit": str(run["git_commit"])} if run.get("git_commit") else {}
    if isinstance(versions, dict):
        found |= {f"version of {name}": str(value) for name, value in versions.items()}
    for row in sources if isinstance(sources, list) else []:
        if isinstance(row, dict) and {"name", "value"} <= row.keys() and row["name"] not in _NOT_OF_THE_TEST:
            found[str(row["name"])] = str(row["value"])
    return found
