"""The emulator as a child process, for test fixtures and for suites that bring their own endpoint."""

import http.client
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from email.message import Message
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import yaml

from emulator.truth import FORGOTTEN_HEADER

PROJECT_ROOT = Path(__file__).resolve().parent.parent

_READY_PREFIX = "listening on "
_READY_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 10.0
_CALL_TIMEOUT_S = 30.0
_SHOWN_LOG_LINES = 20


class EmulatorError(RuntimeError):
    """The emulator did not start, or did not answer; the message holds the end of its log."""


class EmulatorProcess:
    """`python -m emulator` on a free loopback port, from `start` (or `with`) to `stop`.

    `config` is the content of a configuration file; `truth_log` is appended to; `log` receives the emulator's
    stderr (a temporary file otherwise). The child runs in its own session, so that Ctrl-C on the terminal leaves it
    alone while its parent winds up, and stops by itself when its parent dies.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        seed: int | None = None,
        truth_log: Path | None = None,
        log: Path | None = None,
    ) -> None:
        self._config = config
        self._seed = seed
        self._truth_log = truth_log
        self._log_path = log
        self._process: subprocess.Popen[bytes] | None = None
        self._url: str | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    @property
    def url(self) -> str:
        """The endpoint, `http://127.0.0.1:PORT`."""
        if self._url is None:
            raise EmulatorError("the emulator has not been started")
        return self._url

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> Self:
        """Start the child and wait until it listens; EmulatorError if it does not come up."""
        self._scratch = tempfile.TemporaryDirectory(prefix="bedrock-emulator-")
        try:
            with self._log_file().open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603 - our own module with our own options
                    self._command(),
                    cwd=PROJECT_ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    start_new_session=True,
                )
            self._url = self._await_ready(self._process)
        except BaseException:
            self.stop()
            raise
        return self

    @property
    def is_running(self) -> bool:
        """Whether the child lives."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End the child, its truth log complete; does nothing if it is not running."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout):
                _close(pipe)
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def truth(self, since: int = 0) -> list[dict[str, Any]]:
        """The truth log's entries with a `seq` above `since`, in the order in which their requests ended.

        EmulatorError if some of them are no longer in the emulator's memory: then read the truth log's file.
        """
        text, headers = self._ask("GET", f"/_emulator/truth?since={since}")
        forgotten = int(headers.get(FORGOTTEN_HEADER) or 0)
        if forgotten:
            raise EmulatorError(f"{forgotten} entries are no longer in memory; use the truth log's file")
        return [json.loads(line) for line in text.splitlines()]

    def stats(self) -> dict[str, Any]:
        """Counts per model and tier, and in total."""
        return self.request("GET", "/_emulator/stats")

    def reset(self) -> None:
        """Empty counts, quotas and the truth log's memory, and begin the random numbers again."""
        self.request("POST", "/_emulator/reset")

    def request(self, method: str, path: str) -> dict[str, Any]:
        """The JSON answer of one of the emulator's own endpoints; EmulatorError if there is none."""
        document: dict[str, Any] = json.loads(self._ask(method, path)[0])
        return document

    def _ask(self, method: str, path: str) -> tuple[str, Message]:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=_CALL_TIMEOUT_S)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            text = response.read().decode("utf-8")
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise EmulatorError(f"the emulator did not answer {method} {path}: {error!r}{self._log_end()}") from error
        finally:
            connection.close()
        if response.status != 200:
            raise EmulatorError(f"{method} {path} was answered with {response.status}: {text[:200]}")
        return text, response.headers

    def _command(self) -> list[str]:
        command = [sys.executable, "-m", "emulator", "--port", "0", "--stop-with-stdin"]
        if self._config is not None:
            path = self._scratch_directory() / "emulator.yaml"
            path.write_text(yaml.safe_dump(dict(self._config), allow_unicode=True), encoding="utf-8")
            command += ["--config", str(path)]
        if self._seed is not None:
            command += ["--seed", str(self._seed)]
        if self._truth_log is not None:
            command += ["--truth-log", str(self._truth_log.absolute())]
        return command

    def _await_ready(self, process: subprocess.Popen[bytes]) -> str:
        """The URL of the ready line."""
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        deadline = time.monotonic() + _READY_TIMEOUT_S
        received = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not received.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise EmulatorError(f"the emulator was not ready after {_READY_TIMEOUT_S:g} s{self._log_end()}")
                part = os.read(process.stdout.fileno(), 4096)
                if not part:
                    raise EmulatorError(f"the emulator did not start{self._log_end()}")
                received += part
        return received.decode().strip().removeprefix(_READY_PREFIX)

    def _scratch_directory(self) -> Path:
        assert self._scratch is not None  # noqa: S101 - made by start
        return Path(self._scratch.name)

    def _log_file(self) -> Path:
        return self._log_path or self._scratch_directory() / "emulator.log"

    def _log_end(self) -> str:
        try:
            lines = self._log_file().read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return "".join(f"\n  {line}" for line in lines[-_SHOWN_LOG_LINES:])


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        pipe.close()
