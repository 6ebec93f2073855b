"""What must hold of a suite that was interrupted and resumed until it was complete: pure reading of its directory."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenarios.run_directory import CellDirectory, RunDirectory

#: What the line of a console begins with that is the command that wrote it.
_COMMAND = "$ "


@dataclass(frozen=True, slots=True)
class Complete:
    """A complete suite: its cells, the calls that the emulator completed in them, and what is wrong, if anything is."""

    cells: int
    calls: int
    problems: tuple[str, ...]


def check_suite(directory: RunDirectory) -> Complete:
    """Every cell finished in one piece, every call of the emulator's truth log in the records and the other way."""
    truth = rows(directory.truth_log)
    problems: list[str] = []
    calls = 0
    entries = directory.read_run()["cells"]
    for entry in entries:
        name = entry["cell"]
        if entry["status"] != "finished":
            problems.append(f"{name} is {entry['status']}: {entry['reason']}")
            continue
        found = _Cell(directory.cell(name), truth)
        calls += len(found.completed)
        problems += [f"{name} {problem}" for problem in found.problems()]
    summary = json.loads(directory.summary_json.read_text(encoding="utf-8"))
    seen = int(summary["total"]["metrics"]["requests"])
    if seen < calls:
        problems.append(f"the summary has {seen} requests of {calls}")
    return Complete(len(entries), calls, tuple(problems))


def rows(file: Path) -> list[dict[str, Any]]:
    """The JSON objects of a file of lines; a torn one is none."""
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


class _Cell:
    """One finished cell and its part of the truth, told by time and model: cells at once have different models."""

    def __init__(self, cell: CellDirectory, truth: list[dict[str, Any]]) -> None:
        self._cell = cell
        self._load: Mapping[str, Any] = json.loads(cell.load_json.read_text(encoding="utf-8"))
        begin, end = self._load["started_at"], self._load["ended_at"] or float("inf")
        self._records = [(path.name, row) for path in cell.all_requests() for row in rows(path)]
        models = {row["model_id"] for _, row in self._records}
        self.completed = {
            row["request_id"]
            for row in truth
            if row["outcome"] == "ok" and begin <= row["received_at"] <= end and row["model_id"] in models
        }

    def problems(self) -> Iterator[str]:
        """Sentences without their subject, which is the cell."""
        if self._load["ended_at"] is None:
            yield "never closed its books"
        recorded = {row["request_id"] for _, row in self._records if row["outcome"] == "ok"}
        if missing := self.completed - recorded:
            yield f"lacks the records of {len(missing)} completed calls"
        if strange := recorded - self.completed:
            yield f"has the records of {len(strange)} calls that were not made in its time"
        if not recorded:
            yield "has no completed call"
        yield from self._seams()

    def _seams(self) -> Iterator[str]:
        """What a cell that was put together of two halves would show."""
        for file in {name for name, _ in self._records}:
            numbers = sorted(row["seq"] for name, row in self._records if name == file)
            if numbers != list(range(len(numbers))):
                yield f"has gaps or repetitions in the numbers of {file}"
        console = (self._cell.path / "console.log").read_text(encoding="utf-8", errors="replace")
        starts = sum(line.startswith(_COMMAND) for line in console.splitlines())
        if starts != 1:
            yield f"was started {starts} times"
        early = sum(
            (row["intended_at"] or self._load["started_at"]) < self._load["started_at"] for _, row in self._records
        )
        if early:
            yield f"has {early} records from before its start"
