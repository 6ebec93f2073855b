"""Where results go: a directory of one's own, never on top of other results unless asked to."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Container
from pathlib import Path
from typing import IO

from orchestrator.identity import time_stamp
from scenarios.run_directory import RunDirectory, RunDirectoryError, create_unused

DEFAULT_PARENT = Path("test_results")
LATEST = "latest"

#: Locked for as long as a run goes on, so that no other one takes its directory, with `--force` or without.
LOCK = ".lock"
#: Locked as long as the run or a Locust of it lives: that of a killed run still writes while it ends.
WRITERS_LOCK = ".writers.lock"
#: The locks that this process holds; the system frees them when it ends, however that happens.
_held: list[IO[bytes]] = []
#: Those of them that its children hold, too.
_shared: list[IO[bytes]] = []

#: How long the Locust of a killed run may still take to end (`loadgen.interrupts.ORPHAN_LIMIT_S`, and a little).
ORPHANS_S = 75.0
_LOCK_INTERVAL_S = 0.1

#: What a run writes, and `--force` therefore may delete.
_FOLDERS = ("cells", "charts", "emulator", "set_aside")
#: What is made of the records, and can be made again.
_DERIVED = (
    "summary.json", "summary.md", "report.html", "comparison.html", "junit.xml", "requests.parquet",
    "token_data.jsonl", "consolidated_results_*.csv",
)  # fmt: skip
#: Locust's own files of a cell are `test_<cell>` and one of these.
_OF_LOCUST = ("_stats.csv", "_stats_history.csv", "_failures.csv", "_exceptions.csv", "_report.html")
_FILES = (
    "run.json", "effective.yaml", "prices.yaml", "internal_error.log", ".usage", *_DERIVED,
    *(f"test_*{ending}" for ending in _OF_LOCUST),
)  # fmt: skip


def check_usable(given: Path, *, force: bool) -> None:
    """RunDirectoryError if the directory of `--results-dir` cannot take the results of a new run."""
    try:
        _check_usable(given, force=force)
    except OSError as error:  # a name too long, a file where a folder should be, a link that leads nowhere
        raise RunDirectoryError(f"{given} cannot be a results directory: {error.strerror or error}") from error


def _check_usable(given: Path, *, force: bool) -> None:
    if given.exists() and not given.is_dir():
        raise RunDirectoryError(f"{given} is not a directory")
    if (given / "run.json").exists() and not force:
        raise RunDirectoryError(
            f"{given} already holds results: choose another directory, or replace them with --force"
        )
    foreign = [] if _is_of_a_run(given) else _own_names(given)
    if foreign:
        raise RunDirectoryError(
            f"{given} is not a results directory, but has {foreign[0].name}, which a run would overwrite: "
            "choose another directory"
        )
    parent = next(folder for folder in (given, *given.absolute().parents) if folder.exists() or folder.is_symlink())
    if not parent.is_dir():
        raise RunDirectoryError(f"{given} cannot be written: {parent} is not a directory")
    if not os.access(parent, os.W_OK):
        raise RunDirectoryError(f"{given} cannot be written: no permission in {parent}")


def open_directory(given: Path | None, scenario: str, started_at: float, *, force: bool) -> RunDirectory:
    """The directory of a new run, created, locked and without older results; `given` is used exactly as it is.

    RunDirectoryError where it cannot be created, where another run is using it, or where it holds results and `force`
    is not given: whatever was checked before, nothing is deleted unasked.
    """
    if given is None:
        path = _default_directory(scenario, started_at)
        _lock(path)
        return RunDirectory(path)
    try:
        given.mkdir(parents=True, exist_ok=True)
        _lock(given)
        if force:
            _clear(given)
        RunDirectory(given).run_json.open("x").close()
    except FileExistsError:
        raise RunDirectoryError(
            f"{given} already holds results: choose another directory, or replace them with --force"
        ) from None
    except OSError as error:
        raise RunDirectoryError(f"{given} cannot be written: {error.strerror or error}") from error
    return RunDirectory(given)


def reopen_directory(path: Path) -> RunDirectory:
    """The directory of an earlier run, locked; RunDirectoryError where a run is going on in it."""
    try:
        _lock(path)
    except OSError as error:
        raise RunDirectoryError(f"{path} cannot be written: {error.strerror or error}") from error
    return RunDirectory(path)


def set_aside(directory: RunDirectory, kept: Container[str]) -> list[str]:
    """Move the files of all cells but the `kept` ones to `set_aside/`, and delete what was made of the records.

    A cell that is run again begins with nothing: none is ever put together of two halves. What it had measured was paid
    for and stays to be looked at. Returns the names of the cells that were moved.
    """
    for pattern in _DERIVED:
        for path in directory.path.glob(pattern):
            path.unlink()
    shutil.rmtree(directory.charts, ignore_errors=True)
    folders = sorted(path for path in directory.path.glob("cells/*") if path.is_dir() and path.name not in kept)
    for folder in folders:
        place = create_unused(directory.set_aside / folder.name)
        for file in (directory.path / f"test_{folder.name}{ending}" for ending in _OF_LOCUST):
            if file.exists():
                file.rename(place / file.name)
        folder.rename(place / "cell")
    return [folder.name for folder in folders]


def inherited_locks() -> tuple[int, ...]:
    """Descriptors for children that write into the directories of this process: they hold their locks with it."""
    return tuple(lock.fileno() for lock in _shared)


def wait_for_writers(path: Path, tell: Callable[[str], None]) -> None:
    """Wait until the Locust of a run that was killed in this directory has ended; `tell` is told where that takes time.

    For before a run, which would only count the Ctrl-C of somebody who does not want to wait. RunDirectoryError where a
    run is going on there.
    """
    writers = path / WRITERS_LOCK
    if not os.access(writers, os.W_OK):  # there is none, or who takes the directory has the words for it
        return
    _locked(path / LOCK, _in_use(path)).close()
    if _is_free(writers):
        return
    tell(f"Waiting for the Locust of the run that was killed in {path}: it lets its calls end")
    give_up_at = time.monotonic() + ORPHANS_S
    while not _is_free(writers) and time.monotonic() < give_up_at:
        time.sleep(_LOCK_INTERVAL_S)


def _lock(path: Path) -> None:
    """Hold the directory for this process; RunDirectoryError where another run, or what is left of one, holds it."""
    _held.append(_locked(path / LOCK, _in_use(path)))
    _shared.append(_locked(path / WRITERS_LOCK, f"{path} is still written by the Locust of a run that was killed"))


def _in_use(path: Path) -> str:
    return f"{path} is in use by a run that is still going on"


def _locked(path: Path, why_not: str) -> IO[bytes]:
    lock = path.open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise RunDirectoryError(why_not) from None
    return lock


def _is_free(path: Path) -> bool:
    try:
        _locked(path, "").close()
    except RunDirectoryError:
        return False
    return True


def _default_directory(scenario: str, started_at: float) -> Path:
    try:
        path = create_unused(DEFAULT_PARENT / f"{time_stamp(started_at)}-{scenario}")
        _point_latest_at(path)
    except OSError as error:
        raise RunDirectoryError(
            f"no directory for the results can be made in {DEFAULT_PARENT}: {error.strerror or error}; "
            "choose one with --results-dir"
        ) from error
    return path


def _point_latest_at(path: Path) -> None:
    """Let `latest` beside the directory point to it, in one step; what is no link, as in a copy, is left alone."""
    link, temporary = path.parent / LATEST, path.parent / f".{LATEST}.{os.getpid()}"
    if link.exists() and not link.is_symlink():
        return
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(path.name, target_is_directory=True)
    temporary.replace(link)


def _is_of_a_run(directory: Path) -> bool:
    """Whether a run wrote this directory: only then may anything in it be deleted.

    An empty `run.json` is that of a run which was killed before it wrote anything else.
    """
    run_json = RunDirectory(directory).run_json
    try:
        if run_json.stat().st_size == 0:
            return True
    except OSError:
        return False
    try:
        return bool(RunDirectory(directory).read_run().get("run_id"))
    except RunDirectoryError:
        return False


def _own_names(directory: Path) -> list[Path]:
    """What stands in the directory under a name that a run writes."""
    folders = [directory / name for name in _FOLDERS if (directory / name).exists()]
    return folders + sorted(path for pattern in _FILES for path in directory.glob(pattern))


def _clear(directory: Path) -> None:
    """Delete what an earlier run wrote there, and nothing else; a directory of other making is left alone."""
    if not _is_of_a_run(directory):
        return
    for path in _own_names(directory):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
