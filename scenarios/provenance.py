"""Which software made a measurement: versions of what shapes it, and the commit of this checkout."""

import platform
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PROJECT = Path(__file__).parent.parent


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
