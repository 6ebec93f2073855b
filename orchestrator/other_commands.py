"""The commands that neither send nor render: check, look up, compare, reconcile."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module

from bedrock.outcome import mask_accounts
from orchestrator.answer import Answer
from orchestrator.command_line import (
    SCENARIOS,
    Parser,
    add_format,
    find_scenario,
    from_here,
    output_format_of,
    print_json,
    reader_may_leave,
)
from orchestrator.exit_codes import ExitCode
from orchestrator.listing import inventory, inventory_tables
from orchestrator.tables import print_all
from orchestrator.validation import validate, validation_document, validation_text
from scenarios.schema import schema_text


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its parser, made when it is called for, and what it does; the result is the exit code."""

    make_parser: Callable[[], argparse.ArgumentParser]
    act: Callable[[argparse.Namespace, list[str]], int]


def _validate_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="run_tests.py validate",
        description="Check scenario files and what they name: every problem with its line, column and a suggestion.",
        epilog="Sends nothing. Exit code 0 where all are valid, else 4. Flags and variables of a run have no say.",
    )
    parser.add_argument("scenarios", nargs="+", metavar="FILE", help="a scenario file, or the name of a shipped one")
    add_format(parser)
    return parser


def _validate(namespace: argparse.Namespace, _arguments: list[str]) -> int:
    output_format = output_format_of(namespace)
    validations = [validate(find_scenario(word)) for word in namespace.scenarios]
    with reader_may_leave(sys.stdout):
        if output_format == "json":
            print_json(validation_document(validations))
        else:
            sys.stdout.write(mask_accounts(validation_text(validations)))
    return ExitCode.OK if all(validation.is_valid for validation in validations) else ExitCode.USAGE_ERROR


def _list_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="run_tests.py list",
        description="List scenarios, mixes, routings, patterns, models with their tiers and prices, prompt sizes.",
    )
    add_format(parser)
    return parser


def _list(namespace: argparse.Namespace, _arguments: list[str]) -> int:
    output_format, content = output_format_of(namespace), inventory(from_here(SCENARIOS))
    with reader_may_leave(sys.stdout):
        if output_format == "json":
            print_json(content)
        else:
            print_all(sys.stdout, inventory_tables(content))
    return ExitCode.OK


def _schema_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="run_tests.py schema", description="Print the JSON Schema of scenario files.")
    add_format(parser)
    return parser


def _schema(namespace: argparse.Namespace, _arguments: list[str]) -> int:
    output_format_of(namespace)  # JSON is the text
    with reader_may_leave(sys.stdout):
        sys.stdout.write(schema_text())
    return ExitCode.OK


def _reader(verb: str) -> Command:
    """A command that reads and prints. Its module brings the analysis or botocore: only who needs it pays for that."""
    return Command(partial(_reader_parser, verb), _read)


def _reader_parser(verb: str) -> argparse.ArgumentParser:
    command = import_module(f"orchestrator.{verb}_command")
    parser = Parser(prog=f"run_tests.py {verb}", description=command.DESCRIPTION, epilog=command.EPILOG)
    command.add_arguments(parser)
    add_format(parser)
    parser.set_defaults(answer=command.answer)
    return parser


def _read(namespace: argparse.Namespace, _arguments: list[str]) -> int:
    output_format = output_format_of(namespace)
    answer: Answer = namespace.answer(namespace)
    with reader_may_leave(sys.stdout):
        if output_format == "json":
            print_json(answer.document)
        else:
            print_all(sys.stdout, answer.lines)
    return answer.exit_code


#: Commands by name.
COMMANDS = {
    "validate": Command(_validate_parser, _validate),
    "list": Command(_list_parser, _list),
    "schema": Command(_schema_parser, _schema),
    "compare": _reader("compare"),
    "prices": _reader("prices"),
    "reconcile": _reader("reconcile"),
}
