"""A run divided into cells and groups: when each was measured, and its metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.groups import Grouping, grouping_of, measure_groups
from analysis.inputs import RunInfo, read_load_info
from analysis.metrics import Metrics, arrays_of, measure
from analysis.phases import Windows, measured_seconds, window_of
from analysis.rounds import rounds_of, together

#: Group of the summary -> column of the records.
GROUPS = {
    "query_type": "query_type",
    "model": "model",
    "service_tier": "service_tier",
    "prompt_size": "prompt_size",
    "language": "language",
    "phase": "phase",
    "region": "region",
    "api": "api",
}


@dataclass(frozen=True, slots=True)
class Parts:
    """The run divided: when each cell was measured, and the metrics of each cell and group, and of all of it."""

    windows: Windows
    cells: Mapping[str, Metrics]
    groups: Mapping[str, Mapping[str, Metrics]]
    total: Metrics
    #: Of each cell with several rounds, all those together that may be.
    rounds: Mapping[str, Metrics]
    #: Of no records at all.
    nothing: Metrics


def find_windows(directory: Path, records: pd.DataFrame, run: RunInfo) -> Windows:
    """The phases of each cell, from its `load.json` or, where that was never finished, its records."""
    return {
        cell.name: window_of(read_load_info(directory, cell.name), records.iloc[rows_of(records, cell.name)])
        for cell in run.cells
    }


def measure_parts(records: pd.DataFrame, run: RunInfo, windows: Windows) -> Parts:
    """The metrics of judged records (`judge_messages`), ordered by cell as they were loaded."""
    columns = {"cell": "cell", **GROUPS}
    groupings = {name: grouping_of(records[column]) for name, column in columns.items()}
    groupings["total"] = Grouping(np.zeros(len(records), dtype=np.int8), ("all",))
    cells = groupings["cell"]
    rounds = _by_rounds(cells, run)
    if rounds.keys:
        groupings["rounds"] = rounds

    def duration_s(grouping: str, key: str) -> float | None:
        group = groupings[grouping]
        inside = np.unique(cells.codes[group.codes == group.keys.index(key)])
        names = [cells.keys[code] for code in inside]
        return measured_seconds(windows, names, key if grouping == "phase" else None)

    found = measure_groups(arrays_of(records, run.include_failures), groupings, duration_s)
    nothing = measure(records.iloc[:0], None, run.include_failures)
    groups = {name: found[name] for name in GROUPS}
    return Parts(windows, found["cell"], groups, found["total"].get("all", nothing), found.get("rounds", {}), nothing)


def _by_rounds(cells: Grouping, run: RunInfo) -> Grouping:
    """The records of cells with several rounds; all others are in no group."""
    repeated = {name: pooled for name, rounds in rounds_of(run.cells).items() if len(pooled := together(rounds)) > 1}
    place = {cell.name: number for number, pooled in enumerate(repeated.values()) for cell in pooled}
    numbers = np.array([*(place.get(key, -1) for key in cells.keys), -1], dtype=np.int32)
    return Grouping(numbers[cells.codes], tuple(repeated))


def rows_of(records: pd.DataFrame, cell: str) -> slice:
    """Where the records of a cell are: they are ordered by cell, so no copy of them is needed."""
    names = records["cell"].cat
    code = names.categories.get_indexer(pd.Index([cell]))[0]
    first, last = np.searchsorted(names.codes, [code, code + 1])
    return slice(int(first), int(last))
