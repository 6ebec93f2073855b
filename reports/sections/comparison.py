"""The run against its baseline: one sentence, and the figures that changed."""

from collections.abc import Mapping
from typing import Any

from reports import numbers
from reports.table import Column, Entry, Table, status_entry, text_column

#: More rows than this are in summary.json.
MAX_ROWS = 40


def sentence(found: Mapping[str, Any]) -> str:
    """The outcome with what it rests on."""
    baseline = found["baseline"].get("run_id") or found["baseline"].get("path") or "the baseline"
    return (
        f"{str(found['status']).capitalize()} against {baseline}: {found['tests']} figures compared, corrected for "
        f"that number; latencies count from {found['threshold'] * 100.0:g} % on."
    )


def changed_table(found: Mapping[str, Any]) -> Table:
    """Every figure that regressed or improved, regressions first."""
    rows = [(cell["cell"], row) for cell in found["cells"] for row in cell["rows"]]
    changed = [pair for pair in rows if pair[1]["status"] in ("regressed", "improved")]
    changed.sort(key=lambda pair: str(pair[1]["status"]) != "regressed")
    columns = (
        text_column("Cell"), text_column("Figure"), text_column("Verdict"), Column("Baseline"), Column("This run"),
        Column("Change"), Column("95 % interval"),
    )  # fmt: skip
    return Table("comparison", "Against the baseline", columns, [_row(*pair) for pair in changed[:MAX_ROWS]])


def _row(cell: str, row: Mapping[str, Any]) -> list[Entry]:
    metric = str(row["metric"])
    is_relative = row["change"] is not None
    size, interval = (row["change"], row["change_ci95"]) if is_relative else (row["delta"], row["delta_ci95"])
    unit = "%" if is_relative else "pp"
    return [
        Entry(str(cell)),
        Entry(f"{metric} {row['stat']}" if row["stat"] else metric),
        status_entry(str(row["status"])),
        Entry(numbers.quantity(metric, row["baseline"])),
        Entry(numbers.quantity(metric, row["this"])),
        Entry(f"{size * 100.0:+.1f} {unit}"),
        Entry(" to ".join(f"{end * 100.0:+.1f}" for end in interval) + f" {unit}"),
    ]
