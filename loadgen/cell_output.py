"""Where one process's lines of one cell go: into the results directory, or to the process that leads the test."""

import json
from typing import Protocol

from loadgen.line_files import LineFile, LineSink
from scenarios.run_directory import CellDirectory

#: Kinds of files that every process of a cell has, by the first part of their names.
REQUESTS = "requests"
RESPONSES = "responses"
HEALTH = "health"


class CellOutput(Protocol):
    """Opens the files of one process of a cell."""

    def open(self, kind: str) -> LineSink:
        """The sink for one kind of lines."""


def open_file(cell: CellDirectory, kind: str, process: str) -> LineFile:
    """A process's file of one kind. ValueError for a kind or a name that is none: both may come from a message."""
    if kind not in (REQUESTS, RESPONSES, HEALTH) or not process.replace("-", "").isalnum():
        raise ValueError(f"no file of a cell: {kind}-{process}")
    paths = {REQUESTS: cell.requests, RESPONSES: cell.responses, HEALTH: cell.health}
    return LineFile(paths[kind](process), is_private=kind == RESPONSES)


class DirectoryOutput:
    """The results directory itself."""

    def __init__(self, cell: CellDirectory, process: str) -> None:
        self._cell = cell
        self._process = process

    def open(self, kind: str) -> LineSink:
        """The file of this kind, opened or created."""
        return open_file(self._cell, kind, self._process)


def is_shared(cell: CellDirectory, load_id: str) -> bool:
    """Whether this process sees the directory that the leading process writes: its `load.json` bears the load's id."""
    try:
        return bool(json.loads(cell.load_json.read_text(encoding="utf-8"))["load_id"] == load_id)
    except (OSError, ValueError, KeyError, TypeError):
        return False
