"""What a results directory says beside its records: `run.json`, each cell's `load.json`, the generator's health.

Everything is optional but `run.json` itself: runs are killed, and a missing figure must stay missing.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from analysis.jsonl import read_jsonl
from scenarios.promise import DAILY_MESSAGES, MONTHLY_COST_LIMIT_USD, SLA_S
from scenarios.run_directory import RunDirectory

HEALTH_SCHEMA = pa.schema(
    [("process", pa.string()), *((name, pa.float64()) for name in ("at", "hub_lag_ms", "cpu_pct", "in_flight"))]
)


@dataclass(frozen=True, slots=True)
class CellInfo:
    """One cell as `run.json` lists it; `raw` is its entry."""

    name: str
    status: str
    raw: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reason(self) -> str | None:
        """Why it was skipped or failed."""
        return _text(self.raw.get("reason"))

    @property
    def is_open_loop(self) -> bool:
        """Whether arrivals followed a schedule."""
        return self.raw.get("load_model") == "open"

    @property
    def rate_rps(self) -> float | None:
        """Arrivals a second asked for; None in closed loop."""
        return number(self.raw.get("rate_rps"))

    @property
    def planned_s(self) -> float | None:
        """Seconds it was to be measured for; None where no end was set."""
        return number(self.raw.get("duration_s"))

    @property
    def users(self) -> float | None:
        """Concurrent users; None in open loop."""
        return number(self.raw.get("users"))

    @property
    def round_number(self) -> int:
        """Which repetition of the suite it belongs to, from 1."""
        given = self.raw.get("round_number")
        return given if isinstance(given, int) and not isinstance(given, bool) and given > 0 else 1

    def matches(self, key: str, value: str) -> bool:
        """Whether the entry's `key` reads as `value` (numbers are compared as numbers: 5, 5.0, 5/s)."""
        own = self.raw.get(key)
        if isinstance(own, int | float):
            return number(value.removesuffix("/s")) == float(own)
        return str(own if own is not None else "none") == value


@dataclass(frozen=True, slots=True)
class RunInfo:
    """`run.json` with the defaults of the contract where a key is missing or unusable."""

    raw: Mapping[str, Any]
    cells: tuple[CellInfo, ...]

    @property
    def sla_s(self) -> float:
        """Seconds within which a message is to be answered."""
        return _positive(self.raw.get("sla_s"), SLA_S)

    @property
    def include_failures(self) -> bool:
        """Whether latency statistics also cover attempts that did not end ok."""
        return self.raw.get("include_failures") is True

    @property
    def fails_on_objectives(self) -> bool:
        """Whether a missed objective makes the exit code 1."""
        return self.raw.get("fail_on") not in ("never", "regression")

    @property
    def fails_on_regression(self) -> bool:
        """Whether a regression against the baseline makes the exit code 1."""
        return self.raw.get("fail_on") in ("regression", "both")

    @property
    def baseline(self) -> str | None:
        """The results directory that this run is compared with."""
        return _text(self.raw.get("baseline"))

    @property
    def missing_baseline(self) -> tuple[str, ...]:
        """A sentence where nothing but the comparison was to decide, and there is nothing to compare with."""
        needed = self.fails_on_regression and not self.fails_on_objectives and self.baseline is None
        return ("There is no baseline to compare with",) if needed else ()

    @property
    def regression_threshold(self) -> float | None:
        """Relative change of a latency that counts as one; None for the default."""
        found = number(self.raw.get("regression_threshold"))
        return found if found is not None and found >= 0.0 else None

    @property
    def daily_messages(self) -> float:
        """Messages a day that costs are projected to."""
        return _positive(self.raw.get("daily_messages"), DAILY_MESSAGES)

    @property
    def monthly_cost_limit_usd(self) -> float:
        """Projected monthly cost above which a finding is made."""
        return _positive(self.raw.get("monthly_cost_limit_usd"), MONTHLY_COST_LIMIT_USD)

    @property
    def objectives(self) -> tuple[str, ...]:
        """Objectives as texts."""
        given = self.raw.get("objectives")
        return tuple(str(entry) for entry in given) if isinstance(given, list) else ()

    @property
    def stopped_by(self) -> str | None:
        """None, `interrupt`, or the limit that stopped the run."""
        return _text(self.raw.get("stopped_by"))

    @property
    def run_id(self) -> str | None:
        """What its records are to carry."""
        return _text(self.raw.get("run_id"))

    @property
    def started_at(self) -> float | None:
        """Start of the run in Unix seconds."""
        return instant(self.raw.get("started_at"))

    @property
    def default_load_model(self) -> str:
        """The load model of cells that do not say theirs."""
        return _text(self.raw.get("load_model")) or "closed"


@dataclass(frozen=True, slots=True)
class Phase:
    """A named stretch of a cell's load, Unix seconds; `ended_at` None if it never ended."""

    name: str
    started_at: float
    ended_at: float | None


@dataclass(frozen=True, slots=True)
class LoadInfo:
    """What a cell's `load.json` says; all None or empty where there is none."""

    phases: tuple[Phase, ...] = ()
    ended_at: float | None = None
    arrivals_offered: float | None = None
    processes_lost: float | None = None
    #: How many records each process says that it wrote.
    records_written: Mapping[str, float] = field(default_factory=dict)


def read_run_info(directory: Path) -> RunInfo:
    """Contents of `run.json`; RunDirectoryError if the directory is no results directory.

    Cells that only exist as folders (a run started by hand) follow the listed ones, with status `unlisted`.
    """
    raw = RunDirectory(directory).read_run()
    listed = [
        CellInfo(str(entry["cell"]), _text(entry.get("status")) or "unlisted", entry)
        for entry in raw["cells"]
        if isinstance(entry, dict) and entry.get("cell") is not None
    ]
    names = {cell.name for cell in listed}
    folders = sorted(path.name for path in directory.glob("cells/*") if path.is_dir())
    extra = [CellInfo(name, "unlisted", {"cell": name}) for name in folders if name not in names]
    return RunInfo(raw, (*listed, *extra))


def read_load_info(directory: Path, cell: str) -> LoadInfo:
    """Contents of a cell's `load.json`; an empty LoadInfo where it is missing or broken."""
    try:
        raw = json.loads(RunDirectory(directory).cell(cell).load_json.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return LoadInfo()
    if not isinstance(raw, dict):
        return LoadInfo()
    phases = raw.get("phases")
    return LoadInfo(
        phases=_phases(phases) if isinstance(phases, list) else (),
        ended_at=instant(raw.get("ended_at")),
        arrivals_offered=number(raw.get("arrivals_offered")),
        processes_lost=number(raw.get("processes_lost")),
        records_written=_written(raw.get("members")),
    )


def _written(members: Any) -> dict[str, float]:
    found = [member for member in members if isinstance(member, dict)] if isinstance(members, list) else []
    counts = {str(member.get("process")): number(member.get("records")) for member in found}
    return {process: count for process, count in counts.items() if count is not None}


def _phases(entries: list[Any]) -> tuple[Phase, ...]:
    found = []
    for entry in entries:
        start = instant(entry.get("started_at")) if isinstance(entry, dict) else None
        if start is not None:
            found.append(Phase(str(entry.get("name")), start, instant(entry.get("ended_at"))))
    return tuple(found)


def read_health(directory: Path, cell: str) -> pd.DataFrame:
    """Health lines of all processes of a cell: one row per process and second, by time; what cannot be read left out.

    Columns: process, at (Unix s), hub_lag_ms (the worst of that second), cpu_pct (of one core), in_flight (calls).
    """
    files = RunDirectory(directory).cell(cell).all_health()
    tables = [HEALTH_SCHEMA.empty_table()]
    for path in files:
        with suppress(OSError):  # then its process has no figures, and the checks say so
            tables.append(read_jsonl(path, HEALTH_SCHEMA).table)
    frame: pd.DataFrame = pa.concat_tables(tables).to_pandas()
    return frame.sort_values("at", kind="stable", ignore_index=True)


def instant(value: Any) -> float | None:
    """Unix seconds of a number or an ISO 8601 text (UTC where it names no zone); None if it is neither."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return number(value)


def number(value: Any) -> float | None:
    """A finite number (or the text of one) as float, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        parsed = float(value)
    except (ValueError, OverflowError):
        return None
    return parsed if abs(parsed) < float("inf") else None


def _positive(value: Any, default: float) -> float:
    parsed = number(value)
    return parsed if parsed is not None and parsed > 0 else default


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
