"""Rounds: what each configuration showed over all of them, and how far they are apart."""

from collections.abc import Mapping
from typing import Any

from reports import numbers
from reports.material import Material
from reports.sections.metrics import stat_entry
from reports.table import Column, Entry, Table, cut, text_column
from reports.text import shorten

_FIGURES = (("ttft_ms", "p50"), ("ttft_ms", "p95"), ("e2e_ms", "p50"), ("e2e_ms", "p95"))
_NAMES = {
    "ttft_ms": "TTFT", "e2e_ms": "response", "throttle_rate": "throttled", "error_rate": "errors",
    "sla_compliance": "in SLA",
}  # fmt: skip


def rounds_table(material: Material) -> Table:
    """One row per configuration that ran in several rounds; no row where each ran once."""
    cells = {cell.name: cell for cell in material.cells}
    telling = [name for name in material.dimensions if name not in ("round", "name")]
    found = [(cells[str(each["cell"])], each) for each in material.summary.get("rounds") or []]
    ordered = sorted(found, key=lambda pair: pair[0].order)
    rows, rest = cut([_row(cell.label(telling), cell.name, each) for cell, each in ordered])
    columns = (
        text_column("Cell"), Column("Rounds"), Column("TTFT p50", "ms"), Column("TTFT p95", "ms"),
        Column("Response p50", "ms"), Column("Response p95", "ms"), Column("In SLA", "%"), Column("Latency", "n"),
        text_column("Between the rounds", long=True),
    )  # fmt: skip
    note = (
        "Figures of all rounds together, computed from their requests; small: lowest to highest round. More than "
        "chance: requests of one unchanged service would rarely lie as far apart (p < 5 % after Holm's correction for "
        "all figures of all rows)."
    )
    return Table("rounds", "Rounds of the same cell", columns, rows, note=note, rest=rest, wide=True)


def _row(label: str, name: str, each: Mapping[str, Any]) -> list[Entry]:
    metrics, spread = each["metrics"], {(row["metric"], row["stat"]): row for row in each["spread"]}
    left_out = each.get("left_out") or []
    return [
        Entry(shorten(label, 80), detail=name),
        Entry(numbers.count(len(each["rounds"])), small=f"{len(left_out)} left out" if left_out else None),
        *(_figure(metrics, spread.get(figure) or {}, *figure) for figure in _FIGURES),
        Entry(numbers.percent(metrics.get("sla_compliance")), "no request to take a share of"),
        Entry(numbers.count((metrics.get("e2e_ms") or {}).get("n"))),
        _difference(each["spread"]),
    ]


def _figure(metrics: Mapping[str, Any], spread: Mapping[str, Any], metric: str, stat: str) -> Entry:
    pooled = stat_entry(metrics, metric, stat)
    low, high = spread.get("min"), spread.get("max")
    apart = None if low is None else f"{numbers.milliseconds(low)} – {numbers.milliseconds(high)}"
    return Entry(pooled.text, pooled.why, pooled.detail, small=apart)


def _difference(spread: list[Mapping[str, Any]]) -> Entry:
    """The figures that differ by more than chance; else how many were tested."""
    beyond = [_name(row) for row in spread if row["beyond_chance"]]
    tested = [row for row in spread if row["beyond_chance"] is not None]
    if beyond:
        return Entry(f"more than chance: {', '.join(beyond)}", tone="unclear")
    if not tested:
        return Entry("cannot be told: too few requests in a round")
    return Entry(f"no more than chance, {len(tested)} of {len(spread)} figures tested")


def _name(row: Mapping[str, Any]) -> str:
    words = [_NAMES.get(str(row["metric"]), str(row["metric"])), row["stat"]]
    apart = row["range_pct"]
    return " ".join(str(word) for word in [*words, apart and f"{numbers.significant(apart)} % apart"] if word)
