"""The cells table and the groups tables."""

from collections.abc import Mapping
from typing import Any

from reports.cells import CellResult, size_order, tier_order
from reports.material import Material
from reports.numbers import MISSING
from reports.sections.metrics import PERCENTILE_NOTE, SHARED_COLUMNS, scales_of, shared_entries
from reports.table import Entry, Table, cut, paged, status_entry, text_column
from reports.text import shorten

#: Groups of the summary, in the order of the page, with their headings.
GROUPS: Mapping[str, str] = {
    "query_type": "Query types",
    "service_tier": "Service tiers",
    "prompt_size": "Prompt sizes",
    "model": "Models",
    "language": "Languages",
    "phase": "Phases",
    "region": "Regions",
    "api": "APIs",
}


#: More cells than this are in the CSV alone.
MAX_CELLS = 500


def cells_tables(material: Material) -> list[Table]:
    """The cells table in pages."""
    return paged(cells_table(material))


def cells_table(material: Material) -> Table:
    """One row per cell in reading order; a cell that did not run says why."""
    cells = sorted(material.cells, key=lambda cell: cell.order)
    scales = scales_of([cell.metrics for cell in cells if cell.metrics])
    rows, rest = cut([_cell_row(material, cell, scales) for cell in cells], MAX_CELLS)
    columns = (text_column("Cell"), text_column("Objectives"), *SHARED_COLUMNS)
    note = f"# is the cell's number in the overview. {PERCENTILE_NOTE}"
    return Table("cells", "Cells", columns, rows, note=note, rest=rest, wide=True)


def _cell_row(material: Material, cell: CellResult, scales: Mapping[str, float]) -> list[Entry]:
    label = Entry(f"#{cell.number} {shorten(material.label(cell), 120)}", detail=cell.name)
    if not cell.metrics or not cell.metrics.get("requests"):
        why = cell.reason or "no request was recorded"
        return [label, status_entry(cell.status, small=why), *(Entry(MISSING, why) for _ in SHARED_COLUMNS)]
    unfinished = None if cell.status == "finished" else shorten(f"{cell.status}: {cell.reason or 'partial'}", 80)
    verdict = status_entry(cell.verdict, small=unfinished) if cell.verdict else status_entry(cell.status)
    return [label, verdict, *shared_entries(cell.metrics, scales)]


def group_tables(material: Material) -> list[Table]:
    """A table per dimension with more than one value; one value says nothing the totals do not."""
    groups = material.summary.get("groups") or {}
    return [_group_table(name, groups[name]) for name in GROUPS if len(groups.get(name) or []) > 1]


def _group_table(name: str, groups: list[Mapping[str, Any]]) -> Table:
    order = {"prompt_size": size_order, "service_tier": tier_order, "phase": _phase_order}.get(name)
    ordered = sorted(groups, key=lambda group: order(str(group["key"]))) if order else groups
    scales = scales_of([group["metrics"] for group in ordered])
    rows, rest = cut(
        [[Entry(shorten(str(group["key"]), 60)), *shared_entries(group["metrics"], scales)] for group in ordered], 50
    )
    note = "Phases before and after the measured window have no latencies." if name == "phase" else ""
    columns = (text_column(GROUPS[name]), *SHARED_COLUMNS)
    return Table(f"by-{name}", GROUPS[name], columns, rows, note=note, rest=rest, wide=True)


def _phase_order(phase: str) -> tuple[int, str]:
    """Phases as they follow one another; those that a scenario names come in between."""
    return ({"ramp": 0, "warmup": 1, "baseline": 2, "spike": 4, "recovery": 5, "drain": 6}.get(phase, 3), phase)


def lone_groups(material: Material) -> str:
    """The dimensions with a single value, as one sentence."""
    groups = material.summary.get("groups") or {}
    lone = [
        f"{GROUPS[name] if name == 'api' else GROUPS[name].lower()}: {groups[name][0]['key']}"
        for name in GROUPS
        if len(groups.get(name) or []) == 1
    ]
    return f"Only one value each: {'; '.join(lone)}." if lone else ""
