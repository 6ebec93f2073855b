"""The emulator as a child process, for test fixtures and for suites that bring their own endpoint."""

import http.client
import json
import os
import selectors
import site
import ssl
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
#: Characters of an answer that an error repeats: all that is wrong with some fault rules, as a rule.
_SHOWN_ANSWER = 2_000


class EmulatorError(RuntimeError):
    """The emulator did not start, or did not answer; the message holds the end of its log."""


class EmulatorProcess:
    """`python -m emulator` on a free loopback port, from `start` (or `with`) to `stop`.

    `config` is the content of a configuration file; `truth_log` is appended to; `log` receives the emulator's
    stderr (a temporary file otherwise); with `tls` it speaks HTTPS with a certificate of its own. The child runs in its
    own session, so that Ctrl-C on the terminal leaves it alone while its parent winds up, and stops by itself when its
    parent dies.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        seed: int | None = None,
        truth_log: Path | None = None,
        log: Path | None = None,
        *,
        tls: bool = False,
    ) -> None:
        self._config = config
        self._seed = seed
        self._truth_log = truth_log
        self._log_path = log
        self._is_tls = tls
        self._process: subprocess.Popen[bytes] | None = None
        self._url: str | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    @property
    def url(self) -> str:
        """The endpoint, `http://127.0.0.1:PORT`; https with `tls`."""
        if self._url is None:
            raise EmulatorError("the emulator has not been started")
        return self._url

    @property
    def ca_bundle(self) -> Path | None:
        """The file that clients have to trust (`verify=` of boto3) as long as it runs; None without `tls`."""
        if not self._is_tls:
            return None
        if self._scratch is None:
            raise EmulatorError("the emulator is not running")
        return self._tls_directory() / "ca.pem"

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
                    env=_environment(),
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

    def add_faults(self, *rules: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Add fault rules (docs/emulator-faults.md); returns them as understood, with their ids.

        EmulatorError with all that is wrong with them, and then none is added.
        """
        text, _ = self._ask("POST", "/_emulator/faults", json.dumps(list(rules)).encode())
        added: list[dict[str, Any]] = json.loads(text)["faults"]
        return added

    def remove_faults(self) -> None:
        """Remove all fault rules, those of the configuration, too."""
        self._ask("DELETE", "/_emulator/faults")

    def request(self, method: str, path: str) -> dict[str, Any]:
        """The JSON answer of one of the emulator's own endpoints; EmulatorError if there is none."""
        document: dict[str, Any] = json.loads(self._ask(method, path)[0])
        return document

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[str, Message]:
        connection = self._connection()
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            text = response.read().decode("utf-8")
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise EmulatorError(f"the emulator did not answer {method} {path}: {error!r}{self._log_end()}") from error
        finally:
            connection.close()
        if response.status != 200:
            raise EmulatorError(f"{method} {path} was answered with {response.status}: {text[:_SHOWN_ANSWER]}")
        return text, response.headers

    def _connection(self) -> http.client.HTTPConnection:
        address = self.url.partition("://")[2]
        if not self._is_tls:
            return http.client.HTTPConnection(address, timeout=_CALL_TIMEOUT_S)
        trust = ssl.create_default_context(cafile=self.ca_bundle)
        return http.client.HTTPSConnection(address, timeout=_CALL_TIMEOUT_S, context=trust)

    def _command(self) -> list[str]:
        # -P: a folder named `emulator` where the caller happens to be is not ours.
        command = [sys.executable, "-P", "-m", "emulator", "--port", "0", "--stop-with-stdin"]
        if self._config is not None:
            path = self._scratch_directory() / "emulator.yaml"
            path.write_text(yaml.safe_dump(dict(self._config), allow_unicode=True), encoding="utf-8")
            command += ["--config", str(path)]
        if self._seed is not None:
            command += ["--seed", str(self._seed)]
        if self._is_tls:
            command += ["--tls-dir", str(self._tls_directory())]
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

    def _tls_directory(self) -> Path:
        return self._scratch_directory() / "tls"

    def _log_file(self) -> Path:
        return self._log_path or self._scratch_directory() / "emulator.log"

    def _log_end(self) -> str:
        try:
            lines = self._log_file().read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return "".join(f"\n  {line}" for line in lines[-_SHOWN_LOG_LINES:])


def _environment() -> dict[str, str]:
    """This process's, with which the child finds these packages, too: in a checkout they are not installed."""
    if PROJECT_ROOT in map(Path, [*site.getsitepackages(), site.getusersitepackages()]):
        return dict(os.environ)
    places = [str(PROJECT_ROOT), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, places))}


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        pipe.close()
