"""What all commands of `run_tests.py` have in common: parsing, words for mistakes, where the output goes."""

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TextIO

from bedrock.outcome import mask_accounts
from orchestrator import assignments
from orchestrator.flags import RUN_ONLY, SCENARIO_FLAGS, Flag, read_format
from scenarios.field_types import did_you_mean
from scenarios.loading import Problem, ScenarioError

SCENARIOS = Path(__file__).parent.parent / "scenarios"


class UsageError(ValueError):
    """The command line makes no sense; the text says why."""


class Parser(argparse.ArgumentParser):
    """argparse ends with code 2, which means interrupted here."""

    def error(self, message: str) -> NoReturn:
        """A sentence, and what was probably meant."""
        raise UsageError(f"{message}.{self._suggestion(message)}")

    def _suggestion(self, message: str) -> str:
        if message.endswith(": expected one argument"):
            flag = message.removeprefix("argument ").partition(":")[0].split("/")[0]
            return f" A value that begins with - needs an equals sign: {flag}=-..."
        kind, _, unknown = message.partition("unrecognized arguments: ")
        if kind or not unknown.startswith("--"):
            return ""
        word = re.split(r"[ =]", unknown, maxsplit=1)[0]
        harmless = [flag.text for flag in (*SCENARIO_FLAGS, *RUN_ONLY) if not flag.is_dangerous]
        if word in harmless:
            return " It is a flag of run and plan"
        return did_you_mean(word, (*harmless, assignments.FLAG))


def add_flag(group: Any, flag: Flag) -> None:
    """Add a flag to a parser or to a group of one."""
    names = [flag.text, flag.short] if flag.short else [flag.text]
    kind: dict[str, Any] = {"action": "store_true"} if flag.is_switch else {"metavar": flag.metavar}
    group.add_argument(*names, dest=flag.name, default=None, help=flag.help, **kind)


def add_format(parser: argparse.ArgumentParser) -> None:
    """Let a command choose between text and JSON."""
    parser.add_argument("--format", metavar="FORMAT", dest="output_format", help="text or json on stdout")


def output_format_of(namespace: argparse.Namespace) -> str:
    """`text` or `json`, by flag or variable; ScenarioError for anything else."""
    source, given = "--format", namespace.output_format
    if given is None:
        source, given = "environment FORMAT", os.environ.get("FORMAT") or "text"
    try:
        return read_format(given)
    except ValueError as error:
        raise ScenarioError(Problem(source, str(error))) from error


def print_json(document: dict[str, Any]) -> None:
    """One document on stdout, without account ids."""
    sys.stdout.write(mask_accounts(json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False)) + "\n")


@contextmanager
def reader_may_leave(stream: TextIO) -> Iterator[None]:
    """A run goes on, and its exit code stays its own, when nobody reads what it says (`| head -1`).

    The same where a log of stderr cannot be written. A result that is not written whole is an error.
    """
    try:
        yield
        stream.flush()
    except OSError as error:
        if stream is not sys.stderr and not isinstance(error, BrokenPipeError):
            raise
        to_nowhere(stream)


def to_nowhere(stream: TextIO) -> None:
    """Let what is still to be written to a stream vanish: the other end of its pipe is closed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def find_scenario(word: str) -> Path:
    """A scenario file by its path, or one of the shipped ones by its name."""
    shipped = SCENARIOS / f"{word}.yaml"
    return from_here(shipped) if not Path(word).exists() and shipped.exists() else Path(word)


def meant_scenario(path: Path) -> str:
    """` Did you mean smoke?` where a shipped scenario's name was mistyped; else the empty text."""
    if path.exists() or path.suffix or len(path.parts) != 1:
        return ""
    return did_you_mean(str(path), [file.stem for file in SCENARIOS.glob("*.yaml")])


def from_here(path: Path) -> Path:
    """The path as a person in the current directory would write it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
