"""What the benchmarks' command lines have in common: exit codes, options, and an end that leaves nothing running.

Exit code 0 when it has measured, whatever came out; 2 when it was interrupted, 3 when something broke, 4 when it cannot
run as asked.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from benchmarks.load_processes import BenchmarkError
from emulator.process import EmulatorError
from scenarios.units import UnitError, parse_duration_s

EXIT_MEASURED = 0
EXIT_INTERRUPTED = 2
EXIT_BROKEN = 3
EXIT_USAGE = 4


class UsageError(ValueError):
    """It cannot run as asked; the message is one sentence."""


class Parser(argparse.ArgumentParser):
    """argparse ends with code 2, which means interrupted here."""

    def error(self, message: str) -> NoReturn:
        """One sentence, and where to read on."""
        raise UsageError(f"{message} (see {self.prog} --help)")


def run(measure: Callable[[], None]) -> int:
    """Measure; the exit code, with a sentence on stderr where it is not 0."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)  # a shell starts background jobs with SIGINT ignored
    try:
        measure()
    except UsageError as error:
        return _complain(error, EXIT_USAGE)
    except (BenchmarkError, EmulatorError) as error:
        return _complain(error, EXIT_BROKEN)
    except KeyboardInterrupt:
        return _complain("interrupted; nothing is left running", EXIT_INTERRUPTED)
    return EXIT_MEASURED


def tell(what: str) -> None:
    """A line of progress."""
    print(f"benchmark: {what} ...", file=sys.stderr, flush=True)


def count(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def counts(text: str) -> list[int]:
    """Whole numbers above 0 with commas between."""
    return [count(part) for part in text.split(",")]


def duration_s(text: str) -> float:
    """Seconds of `20s` or `1m30s`; a bare number is seconds."""
    try:
        seconds = parse_duration_s(text, bare_unit="s")
    except UnitError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if seconds <= 0.0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time at all")
    return seconds


def check_writable(path: Path) -> None:
    """Find out before the measurement, not after it; what is in the file stays until there is something new."""
    try:
        path.open("a", encoding="utf-8").close()
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


@contextmanager
def work_directory(kept: Path | None) -> Iterator[Path]:
    """Where the processes write: an empty directory of the user's, or a temporary one."""
    if kept is None:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
            yield Path(directory)
        return
    try:
        kept.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write to {kept}: {error.strerror}") from error
    if any(kept.iterdir()):
        raise UsageError(f"{kept} is not empty; give a directory for this benchmark alone")
    yield kept


def _interrupt(number: int, frame: object) -> NoReturn:  # noqa: ARG001 - a signal handler's signature
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)  # the processes are being ended; a second Ctrl-C must not leave some
    raise KeyboardInterrupt


def _complain(problem: object, code: int) -> int:
    print(f"benchmark: {problem}", file=sys.stderr)
    return code
