"""Shortcuts from records to what the analysis makes of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.inputs import RunInfo, read_run_info
from analysis.summary import Analysis, analyse
from tests.support.run_builder import STARTED_AT, CellSpec, write_run

Records = Sequence[Mapping[str, Any]]


def load_of(seconds: float, started_at: float = STARTED_AT, **overrides: Any) -> dict[str, Any]:
    """A finished `load.json` with one measured phase, `steady`."""
    content = {
        "started_at": started_at,
        "ended_at": started_at + seconds,
        "phases": [{"name": "steady", "started_at": started_at, "ended_at": started_at + seconds}],
        "arrivals_offered": None,
        "processes_lost": 0,
    }
    return {**content, **overrides}


def analyse_cell(directory: Path, records: Records, seconds: float = 10.0, **run: Any) -> Analysis:
    """The analysis of one open-loop cell `a` of the given records, measured for `seconds`."""
    entry = CellSpec("a", rate_rps=len(records) / seconds or 1.0).entry() | {"duration_s": seconds}
    write_run(directory, {"a": records}, cells=[entry], loads={"a": load_of(seconds)}, **run)
    return analyse(directory)


def metrics_of(directory: Path, records: Records, seconds: float = 10.0, **run: Any) -> dict[str, Any]:
    """The `metrics` of that cell."""
    metrics: dict[str, Any] = analyse_cell(directory, records, seconds, **run).summary["cells"][0]["metrics"]
    return metrics


def run_info(directory: Path, **run: Any) -> RunInfo:
    """`run.json` of a run without cells, as the analysis sees it."""
    write_run(directory, {}, cells=run.pop("cells", []), **run)
    return read_run_info(directory)
