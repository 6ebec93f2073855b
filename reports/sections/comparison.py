"""The run against its baseline: one sentence, the figures that changed, and all figures."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from reports import numbers
from reports.table import Column, Entry, Table, cut, status_entry, text_column

#: More rows than this are in summary.json.
MAX_ROWS = 40

#: Verdicts, the gravest first.
GRAVITY = ("regressed", "improved", "within noise", "not comparable")

_COLUMNS = (
    text_column("Cell"), text_column("Figure"), text_column("Verdict"), Column("Baseline"), Column("This run"),
    Column("Change"), Column("95 % interval"),
)  # fmt: skip


def sentence(found: Mapping[str, Any]) -> str:
    """The outcome with what it rests on."""
    baseline = found["baseline"].get("run_id") or found["baseline"].get("path") or "the baseline"
    if not found["tests"]:
        return f"{str(found['status']).capitalize()} against {baseline}: no figure could be compared."
    return (
        f"{str(found['status']).capitalize()} against {baseline}: {found['tests']} figures compared, corrected for "
        f"that number; latencies count from {found['threshold'] * 100.0:g} % on."
    )


def changed_table(found: Mapping[str, Any]) -> Table:
    """Every figure that regressed or improved, regressions first."""
    rows = [(cell["cell"], row) for cell in found["cells"] for row in cell["rows"]]
    changed = [pair for pair in rows if pair[1]["status"] in ("regressed", "improved")]
    changed.sort(key=lambda pair: str(pair[1]["status"]) != "regressed")
    return Table("comparison", "Against the baseline", _COLUMNS, [_row(*pair) for pair in changed[:MAX_ROWS]])


def figures_table(found: Mapping[str, Any]) -> Table:
    """Every figure of every pair of cells, the gravest verdicts first, with its corrected p and both n."""
    pairs = [(cell, row) for cell in found["cells"] for row in cell["rows"]]
    pairs.sort(key=lambda pair: GRAVITY.index(str(pair[1]["status"])))
    rows, rest = cut([_full_row(cell, row) for cell, row in pairs])
    columns = (
        *_COLUMNS, Column("p", "Holm"), Column("n", "this run"), Column("n", "baseline"),
        text_column("Remark", long=True),
    )  # fmt: skip
    note = f"{rest} more figures are in the JSON of `compare --format json`. " if rest else ""
    note += "pp: percentage points. Intervals are those of each figure alone; p is corrected for all figures together."
    return Table("figures", "All figures compared", columns, rows, note=note, wide=True)


def _full_row(cell: Mapping[str, Any], row: Mapping[str, Any]) -> list[Entry]:
    other = f"against {cell['baseline_cell']}" if cell["baseline_cell"] != cell["cell"] else None
    name, *others = _row(str(cell["cell"]), row)
    reason = Entry(row["reason"] or "")
    p = row["p_corrected"]
    shown = numbers.MISSING if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"
    counts = [Entry(numbers.count(row[key])) for key in ("n", "n_baseline")]
    return [replace(name, small=other), *others, Entry(shown, row["reason"]), *counts, reason]


def _row(cell: str, row: Mapping[str, Any]) -> list[Entry]:
    metric, why = str(row["metric"]), row["reason"]
    is_relative = row["change"] is not None
    size, interval = (row["change"], row["change_ci95"]) if is_relative else (row["delta"], row["delta_ci95"])
    unit = "%" if is_relative else "pp"
    return [
        Entry(str(cell)),
        Entry(f"{metric} {row['stat']}" if row["stat"] else metric),
        status_entry(str(row["status"])),
        Entry(numbers.quantity(metric, row["baseline"]), why),
        Entry(numbers.quantity(metric, row["this"]), why),
        Entry(numbers.MISSING if size is None else f"{size * 100.0:+.1f} {unit}", why),
        Entry(numbers.MISSING if interval is None else _interval_text(interval, unit), why),
    ]


def _interval_text(interval: Sequence[float], unit: str) -> str:
    return " to ".join(f"{end * 100.0:+.1f}" for end in interval) + f" {unit}"
