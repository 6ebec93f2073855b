"""The results directory: names of its files, and its identity file `run.json`.

Every stage reads what the one before wrote here, so each can be run again alone.
"""

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RUN_SCHEMA_VERSION = 1
LOAD_SCHEMA_VERSION = 1


class RunDirectoryError(ValueError):
    """The directory is not a results directory, or one that must not be overwritten."""


@dataclass(frozen=True, slots=True)
class CellDirectory:
    """Files of one cell."""

    path: Path

    def requests(self, process: str) -> Path:
        """The records that one process appends."""
        return self.path / f"requests-{process}.jsonl"

    def responses(self, process: str) -> Path:
        """Prompts and answers that one process kept, only where that was asked for."""
        return self.path / f"responses-{process}.jsonl"

    def health(self, process: str) -> Path:
        """The generator's own condition, a line a second."""
        return self.path / f"health-{process}.jsonl"

    @property
    def load_json(self) -> Path:
        """What the load generator did: phases with their instants, arrivals offered, the end."""
        return self.path / "load.json"

    @property
    def stages_yaml(self) -> Path:
        """The stages of a load that has several, as `read_stages` of `scenarios.stages` reads them."""
        return self.path / "stages.yaml"

    @property
    def log(self) -> Path:
        """Locust's log of this cell."""
        return self.path / "locust.log"

    def all_requests(self) -> list[Path]:
        """Every record file of the cell, sorted by name."""
        return sorted(self.path.glob("requests-*.jsonl"))

    def all_health(self) -> list[Path]:
        """Every health file of the cell, sorted by name."""
        return sorted(self.path.glob("health-*.jsonl"))


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Files of one run."""

    path: Path

    @property
    def run_json(self) -> Path:
        """Identity of the run."""
        return self.path / "run.json"

    @property
    def effective_yaml(self) -> Path:
        """The merged configuration."""
        return self.path / "effective.yaml"

    @property
    def prices_yaml(self) -> Path:
        """The price file of the run, where it was given one."""
        return self.path / "prices.yaml"

    @property
    def usage(self) -> Path:
        """What a run with limits has used up so far; only while it sends load (`scenarios.usage_book`)."""
        return self.path / ".usage"

    @property
    def summary_json(self) -> Path:
        """All numbers."""
        return self.path / "summary.json"

    @property
    def report_html(self) -> Path:
        """The page."""
        return self.path / "report.html"

    @property
    def comparison_html(self) -> Path:
        """The page of the last `compare`, which belongs to no run of its own."""
        return self.path / "comparison.html"

    @property
    def summary_md(self) -> Path:
        """The summary for a pull request."""
        return self.path / "summary.md"

    @property
    def junit_xml(self) -> Path:
        """One test case per objective and validity check."""
        return self.path / "junit.xml"

    @property
    def token_data(self) -> Path:
        """Tokens of every request, a line each."""
        return self.path / "token_data.jsonl"

    @property
    def requests_parquet(self) -> Path:
        """All records, columnar."""
        return self.path / "requests.parquet"

    @property
    def charts(self) -> Path:
        """Folder of the charts."""
        return self.path / "charts"

    @property
    def emulator(self) -> Path:
        """Folder of the emulator's configuration, log and truth, where this run started one."""
        return self.path / "emulator"

    @property
    def set_aside(self) -> Path:
        """Folder of the files of cells that were run again."""
        return self.path / "set_aside"

    @property
    def truth_log(self) -> Path:
        """What the emulator says it did, a line per request."""
        return self.emulator / "truth.jsonl"

    def cell(self, name: str) -> CellDirectory:
        """Files of the cell `name`."""
        return CellDirectory(self.path / "cells" / name)

    def read_run(self) -> dict[str, Any]:
        """Contents of `run.json`; RunDirectoryError if this is no results directory."""
        try:
            run = json.loads(self.run_json.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunDirectoryError(f"{self.path} is not a results directory: it has no run.json") from None
        except (OSError, ValueError) as error:
            raise RunDirectoryError(f"Cannot read {self.run_json}: {error}") from error
        if not isinstance(run, dict) or not isinstance(run.get("cells"), list):
            raise RunDirectoryError(f"{self.run_json} does not describe a run")
        version = run.get("schema_version")
        if isinstance(version, int) and version > RUN_SCHEMA_VERSION:
            raise RunDirectoryError(
                f"{self.run_json} was written by a newer version of this program: its schema_version is {version}, "
                f"and this one reads {RUN_SCHEMA_VERSION}"
            )
        return run

    def write_run(self, run: Mapping[str, Any]) -> None:
        """Replace `run.json` in one step, so that no reader ever sees half of it."""
        write_json(self.run_json, run)


def write_json(path: Path, content: Any) -> None:
    """Write JSON beside `path`, then rename over it: readers see the old file or the new one, never half."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically, creating the folder where it is missing."""
    write_parts(path, [text])


def write_parts(path: Path, parts: Iterable[str]) -> None:
    """`write_text` of a text that is made while it is written, part after part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.writelines(parts)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def create_unused(path: Path) -> Path:
    """The path, or the path with a number behind it; created, so that no other run takes it."""
    number, candidate = 1, path
    while True:
        try:
            candidate.mkdir(parents=True)
        except FileExistsError:
            number += 1
            candidate = path.with_name(f"{path.name}-{number}")
        else:
            return candidate
