"""Where results go: a directory of one's own, never on top of other results unless asked to."""

import fcntl
import os
import shutil
from pathlib import Path
from typing import IO

from orchestrator.identity import time_stamp
from scenarios.run_directory import RunDirectory, RunDirectoryError, create_unused

DEFAULT_PARENT = Path("test_results")
LATEST = "latest"

#: Locked for as long as a run goes on, so that no other one takes its directory, with `--force` or without.
LOCK = ".lock"
#: The locks that this process holds; the system frees them when it ends, however that happens.
_held: list[IO[bytes]] = []

#: What a run writes, and `--force` therefore may delete.
_FOLDERS = ("cells", "charts", "emulator")
_FILES = (
    "run.json", "effective.yaml", "prices.yaml", "summary.json", "summary.md", "report.html", "junit.xml",
    "requests.parquet", "token_data.jsonl", "internal_error.log", "consolidated_results_*.csv", "test_*_stats.csv",
    "test_*_stats_history.csv", "test_*_failures.csv", "test_*_exceptions.csv", "test_*_report.html",
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


def _lock(path: Path) -> None:
    """Hold the directory for this process; RunDirectoryError where another run holds it."""
    lock = (path / LOCK).open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise RunDirectoryError(f"{path} is in use by a run that is still going on") from None
    _held.append(lock)


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
    """Let `latest` beside the directory point to it, in one step."""
    link, temporary = path.parent / LATEST, path.parent / f".{LATEST}.{os.getpid()}"
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
