"""The load generator as its parent sees it: one process that writes a results directory."""

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.load_processes import BenchmarkError
from emulator.process import PROJECT_ROOT
from scenarios.run_directory import CellDirectory

_START_TIMEOUT_S = 60.0
#: Locust's drain timeout, and what else it may take to end.
_END_TIMEOUT_S = 60.0
_LOOK_S = 0.02
_SHOWN_LOG_LINES = 5


class GeneratorProcess:
    """A command that leaves its records in `directory/results`; it does not outlive the `with`.

    BenchmarkError, with the end of its log, where it does not do what it is there for.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], directory: Path) -> None:
        self._results = directory / "results"
        self._log = directory / "generator.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own modules with our own options
                command,
                cwd=PROJECT_ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches it through this process alone, which winds up in order
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def records(self) -> list[Path]:
        """Its record files."""
        return [path for cell in self._cells() for path in cell.all_requests()]

    def await_schedule(self) -> tuple[float, float]:
        """When its arrivals begin and end, in Unix seconds of its clock, as soon as it has decided."""
        give_up_at = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < give_up_at:
            for cell in self._cells():
                for phase in json.loads(cell.load_json.read_text(encoding="utf-8"))["phases"]:
                    if phase["name"] == "steady":
                        return phase["started_at"], phase["ended_at"]
            self.check_running()
            time.sleep(_LOOK_S)
        raise self._error(f"was not ready after {_START_TIMEOUT_S:g} s")

    def check_running(self) -> None:
        """BenchmarkError if it has ended."""
        if self._process.poll() is not None:
            raise self._error(f"ended before its time, with code {self._process.returncode}")

    def await_end(self) -> None:
        """Wait until it has ended well."""
        try:
            code = self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise self._error("did not end") from error
        if code != 0:
            raise self._error(f"ended with code {code}")

    def _cells(self) -> list[CellDirectory]:
        return [CellDirectory(path.parent) for path in sorted(self._results.glob("cells/*/load.json"))]

    def _error(self, what: str) -> BenchmarkError:
        last = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_SHOWN_LOG_LINES:]
        lines = "".join(f"\n  {line}" for line in last)
        return BenchmarkError(f"the load generator {what}{lines}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
