"""Asks questions over a transport in a child process, and takes its answers as they come."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from bedrock.endpoint import Endpoint
from bedrock.invocation import InvocationRecord
from orchestrator.doctor_plan import Question
from orchestrator.locust_command import PROJECT, child_environment
from orchestrator.processes import last_lines

#: Longest silence of a connection.
READ_TIMEOUT_S = 60.0

#: Longest time for one answer, also of a server that sends a byte now and then.
ANSWER_LIMIT_S = 120.0


class ProbeError(RuntimeError):
    """The asking process broke: a bug, with the end of what it said."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What one transport saw: a record for each question from the first on, or why it cannot be used here.

    Fewer records than questions: the first of those that are missing took longer than `ANSWER_LIMIT_S`
    (`is_cut_off`), or there was no connection, and no more were sent.
    """

    transport: str
    records: tuple[InvocationRecord, ...] = ()
    refused: str | None = None
    is_cut_off: bool = False

    def of(self, number: int) -> InvocationRecord | None:
        """The record of a question, None where it was not sent or not answered."""
        return self.records[number] if number < len(self.records) else None


def ask_all(
    transport: str,
    endpoint: Endpoint,
    asked: Sequence[Question],
    on_answer: Callable[[InvocationRecord], None],
    *,
    limit_s: float = ANSWER_LIMIT_S,
) -> Answers:
    """Ask all questions over one transport; ProbeError where its process breaks."""
    task = {
        "transport": transport,
        "region": endpoint.region,
        "url": endpoint.url,
        "read_timeout_s": READ_TIMEOUT_S,
        "questions": [asdict(question) for question in asked],
    }
    records: list[InvocationRecord] = []
    refused: str | None = None
    with tempfile.TemporaryDirectory(prefix="doctor-") as scratch:
        log = Path(scratch) / "stderr"
        with _asking_process(log, endpoint) as process, _Watchdog(process, limit_s) as watchdog:
            for document in _conversation(process, task):
                watchdog.restart()
                refused = document.get("refused")
                if refused is None:
                    records.append(InvocationRecord.from_dict(document["record"]))
                    on_answer(records[-1])
        if process.returncode != 0 and not watchdog.has_barked:
            raise ProbeError(f"the {transport} check ended with code {process.returncode}: {last_lines([log], 1)}")
    return Answers(transport, tuple(records), refused, watchdog.has_barked)


@contextmanager
def _asking_process(log: Path, endpoint: Endpoint) -> Iterator[subprocess.Popen[str]]:
    """The child, with the environment that a load test's processes get; it does not outlive this context."""
    with (
        log.open("w", encoding="utf-8") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "orchestrator.doctor_probe"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            encoding="utf-8",
            cwd=PROJECT,
            env=child_environment(os.environ, endpoint),
            start_new_session=True,  # Ctrl-C is for us to pass on
        ) as process,
    ):
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def _conversation(process: subprocess.Popen[str], task: dict[str, Any]) -> Iterator[dict[str, Any]]:
    stdin, stdout = _pipe(process.stdin), _pipe(process.stdout)
    try:
        stdin.write(json.dumps(task))
        stdin.close()
    except BrokenPipeError:  # it broke at once; its exit code and its log say how
        return
    for line in stdout:
        yield json.loads(line)


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None  # noqa: S101 - asked for
    return stream


class _Watchdog:
    """Kills a process that has said nothing for too long."""

    def __init__(self, process: subprocess.Popen[str], limit_s: float) -> None:
        self.has_barked = False
        self._process = process
        self._limit_s = limit_s
        self._timer: threading.Timer | None = None

    def __enter__(self) -> "_Watchdog":
        self.restart()
        return self

    def __exit__(self, *_: object) -> None:
        self._cancel()

    def restart(self) -> None:
        """The process has said something."""
        self._cancel()
        self._timer = threading.Timer(self._limit_s, self._bark)
        self._timer.daemon = True
        self._timer.start()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _bark(self) -> None:
        self.has_barked = True
        self._process.kill()
