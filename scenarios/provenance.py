"""What made a measurement: the command, versions of the software that shapes it, the commit of this checkout."""

import platform
import shlex
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bedrock.outcome import mask_accounts

PROJECT = Path(__file__).parent.parent


def shell_command(words: Sequence[str], environment: Mapping[str, str]) -> str:
    """A command with the variables it was started with, quoted for a shell; account ids are masked."""
    variables = [f"{name}={shlex.quote(mask_accounts(value))}" for name, value in environment.items()]
    return " ".join([*variables, shlex.join(map(mask_accounts, words))])


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
