"""What a command that only reads has to say: for `compare`, `prices` and `reconcile`."""

from dataclasses import dataclass
from typing import Any

from orchestrator.exit_codes import ExitCode


class RefusalError(ValueError):
    """What was asked for cannot be done; the text says why, in one sentence."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The exit code, the JSON document of `--format json`, and what is printed as text."""

    exit_code: ExitCode
    document: dict[str, Any]
    lines: list[Any]
