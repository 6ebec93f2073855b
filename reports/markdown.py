"""summary.md: the verdict for a pull request or a job summary, under 64 KB whatever the run."""

import re
from collections.abc import Callable, Sequence

from reports.material import Material
from reports.sections import comparison, cost, first_screen, service
from reports.sections.cells import cells_table
from reports.table import Entry, Table

#: GitHub drops a job summary above 1,024 KB whole; half a page is what people read.
MAX_BYTES = 64_000
_MAX_CELLS = 60
_MAX_FINDINGS = 20
_SHAPES = {"pass": "✅", "fail": "❌", "unclear": "⚠️", "none": "▫️"}

# What Markdown or HTML would take for markup; `_` inside a word and `<` before a number are neither.
_SPECIAL = re.compile(r"([\\`*\[\]|~$]|&(?=[#\w])|<(?=[A-Za-z/!?])|(?<!\w)_|_(?!\w)|(?<=www)\.|(?<=:)/(?=/))")
# GitHub makes links of mentions and issue numbers even where they are escaped; an invisible space stops it.
_REFERENCE = re.compile(r"([@#])(?=\w)")

#: Columns of the page's cells table that the summary keeps.
_CELL_COLUMNS = (
    "Cell", "Objectives", "Requests", "Throttled", "In SLA", "Goodput", "TTFT p50", "TTFT p95", "Response p95", "Cost",
)  # fmt: skip


def render_markdown(material: Material) -> str:
    """The summary; sections that do not fit are left out from the end, and a line says so."""
    sections: Sequence[Callable[[Material], str]] = (
        _verdict, _objectives, _headline, _comparison, _findings, _identity, _cells,
    )  # fmt: skip
    text = ""
    for section in sections:
        part = section(material)
        if len((text + part).encode()) > MAX_BYTES:
            return f"{text}\n_The rest did not fit here: see report.html._\n"
        text += part
    return text


def plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return _REFERENCE.sub("\\1\u200b", _SPECIAL.sub(r"\\\1", text))


def _verdict(material: Material) -> str:
    found = first_screen.verdict(material)
    title = plain(str(material.run.get("scenario") or "load test"))
    lines = [f"## {_SHAPES[found.tone]} {found.status}: {title}", "", f"**{plain(found.reason)}** "]
    lines[-1] += f"(exit code {found.exit_code}{f', {found.meaning}' if found.meaning else ''})"
    lines += [f"- {plain(reason)}" for reason in found.others[:_MAX_FINDINGS]]
    lines += ["", *(f"> {plain(banner)}\n" for banner in first_screen.banners(material))]
    return "\n".join(lines).rstrip() + "\n"


def _objectives(material: Material) -> str:
    table = first_screen.objectives_table(material)
    return f"\n### Objectives\n\n{_table(table)}" if table.rows else "\nNo objectives were set.\n"


def _headline(material: Material) -> str:
    figures = first_screen.headline_figures(material)
    lines = ["| | | |", "|---|--:|---|", *(f"| {f.label} | {f.value} | {plain(f.basis)} |" for f in figures)]
    table = _table(first_screen.headline_latency(material))
    return f"\n### Headline numbers\n\n{table}\n" + "\n".join(lines) + f"\n\n{plain(cost.cost_sentence(material))}\n"


def _comparison(material: Material) -> str:
    """What changed against the baseline, worst first; nothing without one."""
    found = material.summary.get("comparison")
    if not found:
        return ""
    changed = comparison.changed_table(found)
    lines = [f"- {plain(str(gap))}" for gap in found["gaps"][:_MAX_FINDINGS]]
    table = f"\n{_table(changed)}" if changed.rows else ""
    gaps = "\n" + "\n".join(lines) + "\n" if lines else ""
    return f"\n### Against the baseline\n\n{plain(comparison.sentence(found))}\n{table}{gaps}"


def _findings(material: Material) -> str:
    found = material.summary.get("recommendations") or []
    validity = first_screen.verdict(material).validity
    checks = [row for row in service.validity_table(material).rows if row[1].tone in ("fail", "unclear")]
    lines = [f"- **{plain(str(f['finding']))}** {plain(str(f['advice']))}" for f in found[:_MAX_FINDINGS]]
    lines += [f"- {row[1].text} {plain(row[0].text)}: {plain(row[-1].text)}" for row in checks]
    heading = f"\n### Findings\n\nMeasurement: {validity}\n"
    return heading + ("\n" + "\n".join(lines) + "\n" if lines else "")


def _identity(material: Material) -> str:
    pairs = ", ".join(f"{label.lower()}: {plain(value)}" for label, value in first_screen.identity(material))
    command = str(material.run.get("command") or "").replace("`", "'")
    code = f"\n```sh\n{command}\n```\n" if command else ""
    return f"\n### This run\n\n{plain(first_screen.loop_sentence(material))}\n\n{pairs}\n{code}"


def _cells(material: Material) -> str:
    table = cells_table(material)
    if not table.rows:
        return ""
    labels = [column.label for column in table.columns]
    keep = [labels.index(name) for name in _CELL_COLUMNS]
    rows = [[row[position] for position in keep] for row in table.rows[:_MAX_CELLS]]
    shown = Table(table.name, table.caption, [table.columns[position] for position in keep], rows)
    rest = len(material.cells) - len(rows)
    more = f"\n{rest} more cells are in report.html and the CSV.\n" if rest else ""
    return f"\n### Cells\n\n{_table(shown)}{more}"


def _table(table: Table) -> str:
    head = " | ".join(f"{column.label}{f', {column.unit}' if column.unit else ''}" for column in table.columns)
    rule = "|".join("--:" if column.numeric else "---" for column in table.columns)
    body = "".join(f"| {' | '.join(_entry(entry) for entry in row)} |\n" for row in table.rows)
    return f"| {head} |\n|{rule}|\n{body}"


def _entry(entry: Entry) -> str:
    text = f"{_SHAPES[entry.tone]} {entry.text}" if entry.tone else plain(entry.text)
    return f"{text} ({plain(entry.small)})" if entry.small else text
