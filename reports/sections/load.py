"""How the service took more load: knee, breaking point and scaling of each series, recovery after spikes."""

from collections.abc import Mapping
from typing import Any

from reports import numbers
from reports.cells import CellResult
from reports.material import Material
from reports.table import Column, Entry, Table, cut, text_column
from reports.text import shorten
from scenarios.units import format_duration

_METRICS = {"ttft_ms": "First token (TTFT)", "e2e_ms": "Whole response"}
_UNITS = {"users": "users", "rate_rps": "/s"}


def load_tables(material: Material) -> list[Table]:
    """Saturation by series and recovery by cell; those that have a row."""
    return [table for table in (_saturation(material), _recovery(material)) if table.rows]


def no_load_sentence(material: Material) -> str:
    """Why there is no knee to look for; empty where there is one."""
    if material.summary.get("saturation"):
        return ""
    return (
        "No two finished cells differ in their load alone, so nothing here says where latency bends. "
        "Give several rates or user counts (--rates 5/s,10/s,20/s) to find out."
    )


def _saturation(material: Material) -> Table:
    cells = {cell.name: cell for cell in material.cells}
    found = [
        (
            _series_name(material, entry, cells),
            min(cells[str(point["cell"])].number for point in entry["points"]),
            entry,
        )
        for entry in material.summary.get("saturation") or []
    ]
    ordered = sorted(found, key=lambda each: each[1])
    rows, rest = cut([_series_row(name, entry) for name, _, entry in ordered], 60)
    columns = (
        text_column("Series"), text_column("Loads"), Column("Knee of e2e p95"), Column("Breaks at"),
        Column("Last load that kept the SLA"), text_column("Throughput"), text_column("Why", long=True),
    )  # fmt: skip
    note = (
        "Knee: where the p95 of the whole response bends upwards by more than chance (Kneedle). Breaks at: the lowest "
        "load at which fewer than 99 % of the messages are answered within the SLA."
    )
    return Table("saturation", "Knee, breaking point and scaling", columns, rows, note=note, rest=rest)


def _series_name(material: Material, entry: Mapping[str, Any], cells: Mapping[str, CellResult]) -> str:
    """What tells the family from the others, as in the chart; of a single one what it is."""
    telling = [name for name in material.dimensions if name not in ("load", "round", "name")]
    if telling:
        return cells[str(entry["points"][0]["cell"])].label(telling)
    traits = (entry["series"].get(key) for key in ("model", "prompt_size", "service_tier"))
    return " · ".join(str(trait) for trait in traits if trait is not None) or "all"


def _series_row(name: str, entry: Mapping[str, Any]) -> list[Entry]:
    kind = str(entry["load"])
    knee, breaks, scaling = entry["knee"], entry["breaking_point"], entry["scaling"]
    loads = sorted({point["load"] for point in entry["points"]})
    shown = f"{_number(loads[0])} to {_load(loads[-1], kind)}, {len(loads)} steps"
    reasons = [f"Knee: {knee['reason']}" if knee.get("reason") else "", _sentence(breaks.get("reason"))]
    return [
        Entry(shorten(name, 80)),
        Entry(shown),
        Entry(_load(knee["load"], kind), knee.get("reason")),
        Entry(_load(breaks["load"], kind), breaks.get("reason"), small=_broken(breaks)),
        Entry(_load(breaks["last_good_load"], kind), breaks.get("reason") or "no load kept it"),
        Entry(_scaling(scaling, kind), scaling.get("reason")),
        Entry(". ".join(reason for reason in reasons if reason) or numbers.MISSING, "nothing to add"),
    ]


def _sentence(reason: Any) -> str:
    return f"{str(reason)[:1].upper()}{str(reason)[1:]}" if reason else ""


def _broken(breaks: Mapping[str, Any]) -> str | None:
    if breaks["load"] is None:
        return None
    return f"{numbers.percent(breaks['sla_compliance'])} in SLA, {numbers.percent(breaks['throttle_rate'])} throttled"


def _scaling(scaling: Mapping[str, Any], kind: str) -> str:
    if scaling["kind"] is None:
        return numbers.MISSING
    since = "" if scaling["from_load"] is None else f" from {_load(scaling['from_load'], kind)}"
    return f"{scaling['kind']}{since}, {numbers.percent(scaling['efficiency'])} of the best per load at the top"


def _load(value: float | None, kind: str) -> str:
    if value is None:
        return numbers.MISSING
    unit = _UNITS[kind]
    return f"{_number(value)}{unit}" if unit.startswith("/") else f"{_number(value)} {unit}"


def _number(value: float) -> str:
    return f"{value:,.4g}" if value < 10_000 else f"{value:,.0f}"


def _recovery(material: Material) -> Table:
    labels = {cell.name: material.label(cell) for cell in material.cells}
    found = [
        (labels.get(str(cell["cell"]), str(cell["cell"])), entry)
        for cell in material.summary.get("cells") or []
        for entry in cell.get("recovery") or []
    ]
    rows, rest = cut([_recovery_row(label, entry) for label, entry in found], 60)
    columns = (
        text_column("Cell"), text_column("Latency"), Column("Baseline p95", "ms"), Column("Spike p95", "ms"),
        Column("Worst p95 after", "ms"), Column("Recovered after"), Column("Windows of"),
    )  # fmt: skip
    note = "Recovered: the first window after the spike whose p95 is at most 10 % above that of the baseline."
    return Table("recovery", "Recovery after a spike", columns, rows, note=note, rest=rest)


def _recovery_row(label: str, entry: Mapping[str, Any]) -> list[Entry]:
    reason = str(entry.get("reason") or "too few answers")
    recovered, window_s = entry.get("recovery_s"), entry.get("window_s")
    return [
        Entry(shorten(label, 80)),
        Entry(_METRICS.get(str(entry["metric"]), str(entry["metric"]))),
        *(
            Entry(numbers.milliseconds(entry.get(name)), reason)
            for name in ("baseline_p95_ms", "spike_p95_ms", "worst_after_p95_ms")
        ),
        Entry(numbers.MISSING if recovered is None else format_duration(recovered), reason),
        Entry(numbers.MISSING if window_s is None else format_duration(window_s), reason),
    ]
