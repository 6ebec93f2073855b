"""`compare`: two results directories, or cells of one, held against each other; the answer and its page."""

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from analysis.comparability import DIMENSIONS, Pair
from analysis.comparison import (
    DEFAULT_THRESHOLD,
    CellComparison,
    Change,
    Comparison,
    Row,
    Side,
    compare_cells,
    compare_runs,
)
from analysis.inputs import CellInfo
from analysis.sides import read_side, read_summary
from analysis.summary import finite
from orchestrator.answer import Answer, RefusalError
from orchestrator.exit_codes import ExitCode
from orchestrator.tables import MISSING
from reports import numbers
from reports.text import clean_tree
from scenarios.field_types import did_you_mean
from scenarios.run_directory import RunDirectory, RunDirectoryError, write_text
from scenarios.units import parse_share

DESCRIPTION = (
    "Compare two results directories, or two cells of one; no network. Writes a page, DIR/comparison.html, and nothing "
    "else in DIR; nothing at all in BASELINE."
)
EPILOG = "Exit codes: 0 no regression, 1 a regression, 4 usage error, 5 something could not be compared."

#: What the exit codes mean on the page.
_MEANINGS: Mapping[ExitCode, str] = {
    ExitCode.OK: "no regression",
    ExitCode.FAILED: "a regression",
    ExitCode.INCONCLUSIVE: "something could not be compared",
}

SCHEMA_VERSION = 1

#: With more cells than this only the figures that changed are listed.
_LISTED_WHOLE = 2

_STYLES = {
    Change.REGRESSED: "bold red",
    Change.IMPROVED: "bold green",
    Change.WITHIN_NOISE: "",
    Change.NOT_COMPARABLE: "yellow",
}


class CompareError(RefusalError):
    """What was asked for cannot be compared; the text says why."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Both sides, the same one twice for two cells of a run, and what became of them."""

    this: Side
    baseline: Side
    found: Comparison
    across: Sequence[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `compare` takes."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="a results directory")
    parser.add_argument("baseline", type=Path, metavar="BASELINE", nargs="?", help="the one it is held against")
    parser.add_argument("--cells", metavar="CELL,CELL", help="two cells of DIR, the second is the baseline")
    parser.add_argument("--across", metavar="NAME,...", help=f"what is meant to differ: {', '.join(DIMENSIONS)}")
    parser.add_argument("--regression-threshold", metavar="SHARE", help="change of a latency that counts; default 10%%")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the page goes; default DIR/comparison.html")
    parser.add_argument("--no-page", action="store_true", help="write no page")


def answer(namespace: argparse.Namespace) -> Answer:
    """The command's answer; CompareError or RunDirectoryError for what cannot be compared."""
    if namespace.no_page and namespace.output is not None:
        raise CompareError("--output says where the page goes, --no-page that there is none: give one of them")
    _check_output(namespace)
    compared = compare(namespace)
    page = None if namespace.no_page else _write_page(namespace, compared)
    lines = comparison_text(compared.found)
    return Answer(
        exit_code_of(compared.found),
        comparison_document(compared.found, page),
        [*lines, str(page)] if page else lines,
    )


def compare(namespace: argparse.Namespace) -> Compared:
    """The comparison that was asked for; CompareError or RunDirectoryError says what is wrong with the question."""
    threshold = _threshold(namespace.regression_threshold)
    across = _dimensions(namespace.across)
    if namespace.cells is None:
        if namespace.baseline is None:
            raise CompareError("compare needs a BASELINE, or two cells of DIR in --cells")
        this, baseline = read_side(namespace.directory), read_side(namespace.baseline)
        return Compared(this, baseline, compare_runs(this, baseline, threshold=threshold, across=across), across)
    if namespace.baseline is not None or across:
        raise CompareError("--cells compares two cells of DIR: it takes neither a BASELINE nor --across")
    side = read_side(namespace.directory)
    return Compared(side, side, compare_cells(side, [_pair(namespace.cells, side.run.cells)], threshold=threshold), ())


def _check_output(namespace: argparse.Namespace) -> None:
    """CompareError for a page in the place of results: of either run only `comparison.html` is the command's."""
    if namespace.output is None:
        return
    page = namespace.output.resolve()
    for directory in filter(None, (namespace.directory, namespace.baseline)):
        if page.is_relative_to(directory.resolve()) and page != RunDirectory(directory.resolve()).comparison_html:
            raise CompareError(f"--output: {namespace.output} is in the results of {directory}: choose another place")


def _write_page(namespace: argparse.Namespace, compared: Compared) -> Path | None:
    """Write the page; its path. CompareError if it cannot be written where it was asked for.

    A directory that cannot be written, as of a build's artifacts, is no reason to hold back the answer: then there is
    only a warning, and None.
    """
    path: Path = (namespace.output or RunDirectory(namespace.directory).comparison_html).absolute()
    try:
        write_text(path, _page(namespace, compared))
    except OSError as error:
        why = f"{path} cannot be written: {error.strerror or error}"
        if namespace.output is not None:
            raise CompareError(f"--output: {why}") from error
        sys.stderr.write(f"The page is missing, {why}. Choose another place with --output\n")
        return None
    return path


def _page(namespace: argparse.Namespace, compared: Compared) -> str:
    # matplotlib takes half a second to import: only a comparison with a page pays for it.
    from reports.comparison_page import Outcome, party, render_comparison  # noqa: PLC0415

    this = party(compared.this, read_summary(namespace.directory))
    is_one_run = compared.baseline is compared.this
    baseline = this if is_one_run else party(compared.baseline, read_summary(namespace.baseline))
    code = exit_code_of(compared.found)
    return render_comparison(
        compared.found, this, baseline, Outcome(int(code), _MEANINGS[code], _command(namespace)), compared.across
    )


def _command(namespace: argparse.Namespace) -> str:
    """The command that writes the page again, with all that decides what is on it."""
    flags = {
        "--cells": namespace.cells,
        "--across": namespace.across,
        "--regression-threshold": namespace.regression_threshold,
    }
    given = [word for flag, value in flags.items() if value is not None for word in (flag, value)]
    directories = [str(path) for path in (namespace.directory, namespace.baseline) if path is not None]
    return shlex.join(["python", "run_tests.py", "compare", *directories, *given])


def _threshold(text: str | None) -> float:
    try:
        return DEFAULT_THRESHOLD if text is None else parse_share(text)
    except ValueError as error:
        raise CompareError(f"--regression-threshold: {error}") from error


def _dimensions(text: str | None) -> list[str]:
    names = [name.strip() for name in text.split(",")] if text else []
    for name in names:
        if name not in DIMENSIONS:
            raise CompareError(
                f"--across: {name!r} is not one of {', '.join(DIMENSIONS)}.{did_you_mean(name, DIMENSIONS)}"
            )
    return names


def _pair(text: str, cells: Sequence[CellInfo]) -> Pair:
    names = [name.strip() for name in text.split(",")]
    known = {cell.name: cell for cell in cells}
    if len(names) != 2:
        raise CompareError(f"--cells: {text!r} is not two cells, like us-flex-small-u30,us-default-small-u30")
    if names[0] == names[1]:
        raise CompareError(f"--cells: {names[0]!r} is no other cell than itself")
    for name in names:
        if name not in known:
            raise RunDirectoryError(f"--cells: the run has no cell {name!r}.{did_you_mean(name, known)}")
    return Pair(known[names[0]], known[names[1]])


def exit_code_of(comparison: Comparison) -> ExitCode:
    """1 for a regression, 5 where anything could not be compared, else 0."""
    if comparison.status == Change.REGRESSED:
        return ExitCode.FAILED
    return ExitCode.INCONCLUSIVE if comparison.gaps or not comparison.cells else ExitCode.OK


def comparison_document(comparison: Comparison, page: Path | None = None) -> dict[str, Any]:
    """The comparison as one JSON document, with the path of its page."""
    content: Mapping[str, Any] = finite(comparison.as_dict())
    return {
        "schema_version": SCHEMA_VERSION,
        "exit_code": int(exit_code_of(comparison)),
        "comparison": content,
        "paths": {"comparison_html": None if page is None else str(page)},
    }


def comparison_text(comparison: Comparison) -> list[Any]:
    """What changed, what could not be compared, and the verdict."""
    lines: list[Any] = []
    rows = [(cell, row) for cell in comparison.cells for row in cell.rows if _is_listed(comparison, row)]
    if rows:
        lines += [_table(rows), ""]
    unchanged = sum(row.status == Change.WITHIN_NOISE for cell in comparison.cells for row in cell.rows)
    if len(comparison.cells) > _LISTED_WHOLE and unchanged:
        lines.append(f"{unchanged} figures of {len(comparison.cells)} cells are within noise.")
    lines += list(clean_tree(comparison.gaps))
    return [*lines, f"Comparison: {comparison.status}"]


def _is_listed(comparison: Comparison, row: Row) -> bool:
    return len(comparison.cells) <= _LISTED_WHOLE or row.status in (Change.REGRESSED, Change.IMPROVED)


def _table(rows: Sequence[tuple[CellComparison, Row]]) -> Table:
    columns = ("cell", "figure", "baseline", "this run", "change", "95 % interval", "p (Holm)", "verdict")
    table = Table(title="Comparison", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index in (0, 1, 7) else "right", no_wrap=index < 2)
    for cell, row in rows:
        change, interval = _change_texts(row)
        table.add_row(
            str(clean_tree(cell.cell)), row.name, numbers.quantity(row.metric, row.baseline),
            numbers.quantity(row.metric, row.this), change, interval,
            MISSING if row.p_corrected is None else _p_text(row.p_corrected),
            f"{row.status}{f': {row.reason}' if row.reason else ''}", style=_STYLES[row.status],
        )  # fmt: skip
    return table


def _p_text(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _change_texts(row: Row) -> tuple[str, str]:
    """The change and its interval: relative for a latency, in percentage points for a share."""
    size, interval = (row.delta, row.delta_ci95) if row.is_share else (row.change, row.change_ci95)
    if size is None or interval is None:
        return MISSING, MISSING
    unit = "pp" if row.is_share else "%"
    low, high = (f"{end * 100.0:+.1f}" for end in interval)
    return f"{size * 100.0:+.1f} {unit}", f"{low} to {high} {unit}"
