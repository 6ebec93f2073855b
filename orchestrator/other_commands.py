"""The commands that neither send nor render: check, look up, compare, reconcile."""

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

from bedrock.outcome import mask_accounts
from orchestrator.command_line import (
    SCENARIOS,
    Parser,
    RefusalError,
    UsageError,
    add_format,
    find_scenario,
    from_here,
    output_format_of,
    print_json,
    reader_may_leave,
)
from orchestrator.exit_codes import ExitCode
from orchestrator.flags import DEFAULT_REGION
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
    return Parser(prog="run_tests.py schema", description="Print the JSON Schema of scenario files.")


def _schema(_namespace: argparse.Namespace, _arguments: list[str]) -> int:
    with reader_may_leave(sys.stdout):
        sys.stdout.write(schema_text())
    return ExitCode.OK


def _compare_parser() -> argparse.ArgumentParser:
    # The analysis takes a second to import: only the commands that need it pay for it.
    from orchestrator.compare_command import add_arguments  # noqa: PLC0415

    parser = Parser(
        prog="run_tests.py compare",
        description="Compare two results directories, or two cells of one; no network, nothing is written.",
        epilog="Exit codes: 0 no regression, 1 a regression, 4 usage error, 5 something could not be compared.",
    )
    add_arguments(parser)
    return parser


def _compare(namespace: argparse.Namespace, _arguments: list[str]) -> int:
    from orchestrator.compare_command import (  # noqa: PLC0415
        CompareError,
        compare,
        comparison_document,
        comparison_text,
        exit_code_of,
    )

    output_format = output_format_of(namespace)
    try:
        comparison = compare(namespace)
    except CompareError as error:
        raise UsageError(str(error).rstrip(".")) from error
    if output_format == "json":
        print_json(comparison_document(comparison))
    else:
        print_all(sys.stdout, comparison_text(comparison))
    return exit_code_of(comparison)


def _prices_parser() -> argparse.ArgumentParser:
    # botocore takes 0.2 s to import.
    from orchestrator.prices_command import add_arguments  # noqa: PLC0415

    parser = Parser(
        prog="run_tests.py prices",
        description="Print the prices in force, or write those of the AWS Price List to a price file.",
        epilog="--refresh reads AWS (free of charge; credentials with pricing:GetProducts). Nothing else does.",
    )
    add_arguments(parser)
    return parser


def _prices(namespace: argparse.Namespace, _arguments: list[str]) -> int:
    from orchestrator.prices_command import (  # noqa: PLC0415
        PriceListError,
        prices_document,
        prices_in_force,
        prices_text,
        refresh,
    )

    output_format = output_format_of(namespace)
    shown = namespace.prices_file or os.environ.get("PRICES_FILE")
    try:
        if namespace.refresh is not None:
            refresh(namespace.refresh, namespace.region or DEFAULT_REGION)
            shown = str(namespace.refresh)
            sys.stderr.write(f"Wrote {namespace.refresh}: use it with --prices-file {namespace.refresh}\n")
        catalog = prices_in_force(shown)
    except PriceListError as error:
        raise RefusalError(str(error)) from error
    if output_format == "json":
        print_json(prices_document(catalog))
    else:
        print_all(sys.stdout, prices_text(catalog))
    return ExitCode.OK


def _reconcile_parser() -> argparse.ArgumentParser:
    from orchestrator.reconcile_command import add_arguments  # noqa: PLC0415 - brings the analysis and botocore

    parser = Parser(
        prog="run_tests.py reconcile",
        description="Hold a run on AWS against what CloudWatch counted of it; nothing is written.",
        epilog="Exit codes: 0 as expected, 1 a figure differs, 4 usage error, 5 CloudWatch has no figures (yet).",
    )
    add_arguments(parser)
    return parser


def _reconcile(namespace: argparse.Namespace, _arguments: list[str]) -> int:
    from orchestrator.reconcile_command import (  # noqa: PLC0415
        ReconcileError,
        TooEarlyError,
        reconcile_run,
        reconciliation_document,
        reconciliation_text,
    )

    output_format = output_format_of(namespace)
    try:
        found = reconcile_run(namespace.directory)
    except TooEarlyError as error:
        sys.stderr.write(f"error: {error}\n")
        return ExitCode.INCONCLUSIVE
    except ReconcileError as error:
        raise RefusalError(str(error)) from error
    if output_format == "json":
        print_json(reconciliation_document(found))
    else:
        print_all(sys.stdout, reconciliation_text(found))
    return found.exit_code


#: Commands by name.
COMMANDS = {
    "validate": Command(_validate_parser, _validate),
    "list": Command(_list_parser, _list),
    "schema": Command(_schema_parser, _schema),
    "compare": Command(_compare_parser, _compare),
    "prices": Command(_prices_parser, _prices),
    "reconcile": Command(_reconcile_parser, _reconcile),
}
