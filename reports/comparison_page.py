"""comparison.html: two runs, or two cells of one, held against each other on a page that opens anywhere."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from analysis.comparison import Comparison, Side
from analysis.config_differences import ConfigDifference, Role, config_differences
from reports import numbers, style
from reports.charts import compared_distributions
from reports.charts.catalogue import Pictures
from reports.charts.changes import change_charts, tally
from reports.charts.chart import Chart
from reports.drawing import page_figures
from reports.html import environment
from reports.material import COMMAND_LIMIT, Material, prepare
from reports.page_figures import PageFigures
from reports.sections import comparison, first_screen, service
from reports.sections.comparison_words import COMPARISON_DEFINITIONS
from reports.sections.words import DEFINITIONS
from reports.table import Column, Entry, Table, cut, status_entry, text_column, tone_of
from reports.text import clean, clean_tree, shorten

#: Rows of the table on the first screen, and sentences under the verdict; everything is further down.
_FIRST_ROWS = 10
_FIRST_SENTENCES = 4
_MAX_SENTENCES = 60

#: What both sides are called where they are two runs.
_RUNS = ("this run", "baseline")

#: What of the report's definitions this page needs.
DEFINED = (
    "Intended start", "TTFT", "First answer", "Whole response", "TPOT", "Throttled", "Errors", "In SLA",
    "Measured window", "Percentile",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Party:
    """One of the two runs as the page shows it: what is compared of it, and its own results fit to print."""

    side: Side
    material: Material


def party(side: Side, summary: Mapping[str, Any]) -> Party:
    """A side with the content of its summary.json, empty where it was never analysed."""
    return Party(side, prepare(summary, side.run.raw, side.records[["cell", "intended_at"]]))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the command that asks for the comparison ends, and what it was."""

    exit_code: int
    meaning: str
    command: str


@dataclass(frozen=True, slots=True)
class VerdictView:
    """The first line of the page: status word, its tone, the main reason, and the other sentences."""

    status: str
    tone: str
    reason: str
    others: tuple[str, ...]


def render_comparison(
    found: Comparison, this: Party, baseline: Party, outcome: Outcome, across: Collection[str] = ()
) -> str:
    """The page; for two cells of one run both parties are the same. Same input, same bytes."""
    plain = clean_tree(found.as_dict())
    labels = _labels(found, is_one_run=this is baseline)
    differences = config_differences(found, this.side.run, baseline.side.run, across)
    changes = change_charts(found)
    curves = compared_distributions.charts(found, this.side, baseline.side, labels)
    drawn = _drawn([*changes, *curves])
    return environment().get_template("comparison.html").render(
        title=this.material.run.get("scenario") or "load test",
        labels=labels,
        verdict=_verdict(plain),
        outcome=replace(outcome, command=clean(outcome.command, COMMAND_LIMIT)),
        validities=_validities(this, baseline),
        banners=_banners(this, baseline),
        changed=_named(_first_rows(comparison.changed_table(plain)), labels),
        figures=_named(comparison.figures_table(plain), labels),
        changes=drawn.figures[: len(changes)],
        curves=drawn.figures[len(changes) :],
        chart_css=drawn.css,
        runs=_runs(this, baseline),
        differences=_named(_differences_table(differences), labels),
        validity=_validity_table(this, baseline),
        definitions=[*COMPARISON_DEFINITIONS, *((term, text) for term, text in DEFINITIONS if term in DEFINED)],
        sentences=_FIRST_SENTENCES,
        most_sentences=_MAX_SENTENCES,
        version=(this.material.run.get("versions") or {}).get("project"),
    )  # fmt: skip


def _labels(found: Comparison, *, is_one_run: bool) -> tuple[str, str]:
    """What both sides are called: the names of the cells where they are of one run."""
    if is_one_run and len(found.cells) == 1:
        return clean(found.cells[0].cell), clean(found.cells[0].baseline_cell)
    return _RUNS


def _verdict(found: Mapping[str, Any]) -> VerdictView:
    status, gaps = str(found["status"]), [str(gap) for gap in found["gaps"]]
    statuses = [str(row["status"]) for cell in found["cells"] for row in cell["rows"]]
    regressions = [f"Regressed: {sentence}" for sentence in found["regressions"]]
    said = [*regressions, *gaps]
    counted = f"{tally(statuses, 'figures')}." if statuses else "Nothing was compared."
    if status == "not comparable":
        return VerdictView(status.capitalize(), tone_of(status), said[0] if said else counted, tuple(said[1:]))
    return VerdictView(status.capitalize(), tone_of(status), counted, tuple(said))


def _drawn(charts: Sequence[Chart]) -> PageFigures:
    """Charts for the page alone: no file beside it needs a PNG, which takes a quarter of the time."""
    with style.chart_style():
        pairs = [[style.svg_bytes(chart.draw(canvas)) for canvas in (style.WIDE, style.NARROW)] for chart in charts]
    return page_figures(charts, [Pictures(wide, narrow, png=b"") for wide, narrow in pairs])


def _validities(this: Party, baseline: Party) -> list[tuple[str, Entry]]:
    """The validity of each run's measurement; one where both are the same run."""
    parties = [("Measurement", this)] if this is baseline else [("This run", this), ("Baseline", baseline)]
    return [(label, status_entry(one.side.validity or "not judged")) for label, one in parties]


def _banners(this: Party, baseline: Party) -> list[str]:
    """What must be read before any number; whose it is, where it is not true of both."""
    mine, theirs = (first_screen.banners(one.material) for one in (this, baseline))
    both = [text for text in mine if text in theirs]
    return [
        *both,
        *(f"This run: {text}" for text in mine if text not in both),
        *(f"Baseline: {text}" for text in theirs if text not in both),
    ]


def _named(table: Table, labels: tuple[str, str]) -> Table:
    """The table with both sides called what they are: cells by their names."""
    if labels == _RUNS:
        return table
    names = dict(zip(("This run", "Baseline"), (shorten(label, 40) for label in labels), strict=True))
    columns = [replace(column, label=names.get(column.label, column.label)) for column in table.columns]
    return replace(table, columns=columns)


def _first_rows(table: Table) -> Table:
    rows, rest = cut(table.rows, _FIRST_ROWS)
    note = f"{rest} more changed: see all figures below." if rest else ""
    return replace(table, rows=rows, note=note, stacks=True)


@dataclass(frozen=True, slots=True)
class RunView:
    """One run's identity: an id for the page, its heading, what it was, and the command that repeats it."""

    name: str
    heading: str
    pairs: tuple[tuple[str, str], ...]
    command: str


def _runs(this: Party, baseline: Party) -> list[RunView]:
    if this is baseline:
        return [_run("this-run", "The run of both cells", this)]
    return [_run("this-run", "This run", this), _run("baseline-run", "Baseline", baseline)]


def _run(name: str, heading: str, one: Party) -> RunView:
    verdict = one.material.summary.get("verdict") or {}
    own = ("Its own verdict", str(verdict.get("status") or "never analysed"))
    where = ("Directory", clean(one.side.path or numbers.MISSING))
    pairs = (*first_screen.identity(one.material), own, where)
    return RunView(name, heading, pairs, str(one.material.run.get("command") or ""))


def _differences_table(found: Sequence[ConfigDifference]) -> Table:
    columns = (
        text_column("What"), text_column("This run", long=True), text_column("Baseline", long=True),
        text_column("Meaning"), text_column("Where", long=True),
    )  # fmt: skip
    rows, rest = cut([_difference_row(entry) for entry in found])
    note = f"{rest} more are not listed." if rest else ""
    return Table("differences", "Differences of configuration", columns, rows, note=note)


def _difference_row(entry: ConfigDifference) -> list[Entry]:
    first, *others = [clean(cell) for cell in entry.cells] or ["the runs"]
    where = f"{first} and {len(others)} more cells" if others else first
    role = Entry(str(entry.role), tone="unclear") if entry.role == Role.PREVENTS else Entry(str(entry.role))
    texts = (entry.difference.what, entry.difference.this, entry.difference.baseline)
    what, this, baseline = (Entry(clean(text)) for text in texts)
    return [what, this, baseline, role, Entry(where)]


def _validity_table(this: Party, baseline: Party) -> Table:
    """The checks of both runs' load generators side by side; of one run as in its report."""
    if this is baseline:
        return service.validity_table(this.material)
    columns = (
        text_column("Check"), text_column("This run"), Column("Observed", "this run"), text_column("Baseline"),
        Column("Observed", "baseline"), Column("OK"), Column("Invalid"),
    )  # fmt: skip
    mine, theirs = (_checks(one) for one in (this, baseline))
    names = list(dict.fromkeys([*mine, *theirs]))
    rows = [_check_row(name, mine.get(name), theirs.get(name)) for name in names]
    return Table("validity", "Checks of both measurements", columns, rows)


def _checks(one: Party) -> dict[str, Mapping[str, Any]]:
    checks = (one.material.summary.get("validity") or {}).get("checks") or []
    return {str(check.get("name")): check for check in checks}


def _check_row(name: str, mine: Mapping[str, Any] | None, theirs: Mapping[str, Any] | None) -> list[Entry]:
    known = mine or theirs or {}
    good, bad = service.check_bounds(known)
    entries = [entry for check in (mine, theirs) for entry in _check_entries(check)]
    return [
        Entry(service.check_title(name)), *entries, Entry(good, "no limit"), Entry(bad, "this check only warns"),
    ]  # fmt: skip


def _check_entries(check: Mapping[str, Any] | None) -> list[Entry]:
    if check is None:
        return [Entry(numbers.MISSING, "this run has no such check: `report DIR` analyses it again")] * 2
    observed = service.check_value(check.get("observed"), str(check.get("unit") or ""))
    return [status_entry(str(check.get("status"))), Entry(observed, str(check.get("reason") or "not measured"))]
