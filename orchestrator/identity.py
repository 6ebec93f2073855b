"""What identifies a run: id, versions, commit, command."""

import platform
import secrets
import shlex
import subprocess
import time
import tomllib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PROJECT = Path(__file__).parent.parent


def time_stamp(at: float) -> str:
    """`20261121T035024Z` of Unix seconds."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))


def new_run_id(scenario: str, at: float) -> str:
    """An id that sorts by time and is unique also for runs of the same second."""
    return f"{time_stamp(at)}-{scenario}-{secrets.token_hex(3)}"


def versions() -> dict[str, str | None]:
    """Versions of what shapes a measurement; None where a package is not installed."""
    return {
        "project": _project_version(),
        "python": platform.python_version(),
        **{name: _installed(name) for name in ("locust", "boto3", "botocore")},
    }


def _project_version() -> str | None:
    try:
        project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    except OSError:
        return None
    return str(project["project"]["version"])


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def git_commit() -> str | None:
    """Commit of this checkout, `-dirty` behind it where files differ from it; None outside a repository."""
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return None
    return f"{commit}-dirty" if _git("status", "--porcelain", "--untracked-files=no") else commit


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", "-C", str(PROJECT), *arguments],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def command_line(arguments: Sequence[str]) -> str:
    """The command that repeats this run, quoted for a shell."""
    return shlex.join(["python", "run_tests.py", *arguments])
