"""The run held against its baseline, and its tiers against each other: a row per cell, a column per figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports import numbers
from reports.material import Material
from reports.sections import comparison
from reports.table import Column, Entry, Table, cut, status_entry, text_column, tone_of
from reports.text import shorten

#: Sentences of each kind that the page shows.
_MAX_NOTES = 12

#: Figures of a row, with their headings.
_FIGURES = (
    ("ttft_ms", "p50", Column("TTFT p50", "%")),
    ("ttft_ms", "p95", Column("TTFT p95", "%")),
    ("e2e_ms", "p50", Column("Response p50", "%")),
    ("e2e_ms", "p95", Column("Response p95", "%")),
    ("throttle_rate", None, Column("Throttled", "points")),
    ("error_rate", None, Column("Errors", "points")),
    ("sla_compliance", None, Column("In SLA", "points")),
)
_NOTE = (
    "Changes with a status are real and large enough to count; the others are within noise. Throttled, Errors and In "
    "SLA change by percentage points. The 95 % interval is in the tooltip, all figures are in summary.json."
)


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """A comparison on the page: one sentence, its worst lines, what could not be compared or differs, the table.

    `status` is None where nothing is judged: tiers are a choice, not an earlier version of each other.
    """

    status: str | None
    tone: str
    sentence: str
    regressions: tuple[str, ...]
    remarks: tuple[str, ...]
    table: Table


def baseline_view(material: Material) -> ComparisonView | None:
    """The run against its baseline; None without one."""
    found = material.summary.get("comparison")
    return (
        _view(found, comparison.sentence(found), "baseline", "Changes by cell", str(found["status"])) if found else None
    )


def tiers_view(material: Material) -> ComparisonView | None:
    """Each cell of another tier against the same cell of the default tier; None in a run of one tier."""
    found = material.summary.get("tier_comparison")
    if not found or not found["cells"]:
        return None
    sentence = (
        "Each cell of another tier against the same cell in the default tier: what the other tier costs or saves in "
        f"time. {found['tests']} figures, corrected for that number."
    )
    return _view(found, sentence, "tiers", "Service tiers against the default tier")


def _view(
    found: Mapping[str, Any], sentence: str, name: str, caption: str, status: str | None = None
) -> ComparisonView:
    return ComparisonView(
        status=status,
        tone=tone_of(status or ""),
        sentence=sentence,
        regressions=_some(found["regressions"]),
        remarks=(*_some(found["gaps"]), *_some([_difference(each) for each in found["differs"]])),
        table=_table(found, name, caption),
    )


def _some(lines: Sequence[Any]) -> tuple[str, ...]:
    shown = tuple(shorten(str(line), 240) for line in lines[:_MAX_NOTES])
    return shown if len(lines) <= _MAX_NOTES else (*shown, f"and {len(lines) - _MAX_NOTES} more, in summary.json")


def _difference(entry: Mapping[str, Any]) -> str:
    return f"Different {entry['what']}: {entry['this']} here, {entry['baseline']} there"


def _table(found: Mapping[str, Any], name: str, caption: str) -> Table:
    columns = (text_column("Cell"), text_column("Verdict"), *(column for _, _, column in _FIGURES))
    rows, rest = cut([_row(cell) for cell in found["cells"]])
    return Table(f"against-{name}", caption, columns, rows, note=_NOTE if rows else "", rest=rest, wide=True)


def _row(cell: Mapping[str, Any]) -> list[Entry]:
    rows = {(row["metric"], row["stat"]): row for row in cell["rows"]}
    reason = cell.get("reason") or "; ".join(_difference(each) for each in cell.get("differs") or [])
    against = f"against {cell['baseline_cell']}"
    return [
        Entry(shorten(str(cell["cell"]), 60), small=shorten(against, 60) if _is_other(cell) else None),
        status_entry(str(cell["status"]), small=shorten(reason, 120) if reason else None),
        *(_change(rows.get((metric, stat)), reason) for metric, stat, _ in _FIGURES),
    ]


def _is_other(cell: Mapping[str, Any]) -> bool:
    return cell.get("baseline_cell") not in (None, cell["cell"])


def _change(row: Mapping[str, Any] | None, reason: str) -> Entry:
    """The change in percent, or of a share in percentage points, with a status where it counts."""
    if row is None:
        return Entry(numbers.MISSING, reason or "measured on neither side")
    is_relative = row["change"] is not None
    size, interval = (row["change"], row["change_ci95"]) if is_relative else (row["delta"], row["delta_ci95"])
    if size is None:
        return Entry(numbers.MISSING, str(row["reason"] or "not comparable"))
    status = str(row["status"])
    detail = f"{numbers.quantity(row['metric'], row['baseline'])} to {numbers.quantity(row['metric'], row['this'])}"
    if interval is not None:
        detail += f", 95 % interval {interval[0] * 100:+.1f} to {interval[1] * 100:+.1f}"
    tone = tone_of(status) if status in ("regressed", "improved") else None
    return Entry(f"{size * 100:+,.1f}", detail=f"{status}: {detail}", tone=tone)
