"""The load generator as its parent sees it: a command that writes a results directory."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.load_processes import BenchmarkError
from emulator.process import PROJECT_ROOT
from loadgen.options import OPTIONS
from scenarios.run_directory import CellDirectory

_START_TIMEOUT_S = 60.0
#: Locust's drain timeout, and what else it may take to end.
_END_TIMEOUT_S = 60.0
_LOOK_S = 0.02
_SHOWN_LOG_LINES = 5
#: Settings of the user's that would lead the calls elsewhere.
_AWAY = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def environment(ca_bundle: Path | None = None) -> dict[str, str]:
    """This process's, without what would change Locust's options or lead the calls elsewhere."""
    options = {option.env_var for option in OPTIONS}
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in options and name.upper() not in _AWAY and not name.startswith(("LOCUST_", "AWS_"))
    }
    kept |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return kept if ca_bundle is None else kept | {"AWS_CA_BUNDLE": str(ca_bundle)}


class GeneratorProcess:
    """A command that leaves its records in `directory/results`; it and what it forks do not outlive the `with`.

    It runs in `cwd`. BenchmarkError, with the end of its log, where it does not do what it is there for.
    """

    def __init__(
        self, command: Sequence[str], environ: Mapping[str, str], directory: Path, cwd: Path = PROJECT_ROOT
    ) -> None:
        self._results = directory / "results"
        self._log = directory / "generator.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own modules with our own options
                command,
                cwd=cwd,
                env=environ,
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

    def await_schedule(self, of_phase: str = "steady") -> tuple[float, float]:
        """When the arrivals of a phase begin and end, in Unix seconds of its clock, as soon as it has decided."""
        give_up_at = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < give_up_at:
            for cell in self._cells():
                for phase in json.loads(cell.load_json.read_text(encoding="utf-8"))["phases"]:
                    if phase["name"] == of_phase:
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
            with suppress(ProcessLookupError):  # it has just ended
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
