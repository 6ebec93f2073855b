"""What identifies a run: its id and the command that repeats it."""

import secrets
import time
from collections.abc import Mapping, Sequence

from scenarios.provenance import shell_command


def time_stamp(at: float) -> str:
    """`20261121T035024Z` of Unix seconds."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))


def new_run_id(scenario: str, at: float) -> str:
    """An id that sorts by time and is unique also for runs of the same second."""
    return f"{time_stamp(at)}-{scenario}-{secrets.token_hex(3)}"


def command_line(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """The command that repeats this run, quoted for a shell, behind the variables that had an effect on it."""
    return shell_command(["python", "run_tests.py", *arguments], environment)
