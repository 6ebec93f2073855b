"""Which distributions of a comparison are shown: all requests together, and the cells that changed most."""

from collections.abc import Sequence

import numpy as np

from analysis.comparison import CellComparison, Change, Comparison, Row, Side, change_text, compared_values, unanswered
from analysis.curves import ecdf
from analysis.percentiles import QUANTILES
from reports.charts.changes import NAMES, figure_name, weight
from reports.charts.chart import Chart
from reports.charts.paired_ecdf import PairedCurves, mix_note, paired_ecdf, reading
from reports.charts.percentiles import METRICS
from reports.frames import MIN_SAMPLES
from reports.numbers import count, milliseconds
from reports.text import clean, shorten

#: Cells that get curves of their own.
MAX_CELLS = 3


def charts(found: Comparison, this: Side, baseline: Side, labels: tuple[str, str]) -> list[Chart]:
    """Paired distributions of all cells that were compared together, then of those that changed most."""
    compared = [cell for cell in found.cells if cell.status != Change.NOT_COMPARABLE]
    if not compared:
        return []
    if len(compared) == 1:
        return [_of_cell(compared[0], this, baseline, labels, 1)]
    whole = _chart(
        "ecdf-total",
        f"All {len(compared)} cells together",
        _pooled_finding(compared, this, baseline),
        (_curves(compared, this, baseline, labels)),
    )
    changed = _changed_most(compared)
    return [whole, *(_of_cell(cell, this, baseline, labels, n) for n, cell in enumerate(changed, start=1))]


def _changed_most(cells: Sequence[CellComparison]) -> list[CellComparison]:
    """Regressed cells, then improved ones, each by their largest change."""
    changed = [cell for cell in cells if cell.status in (Change.REGRESSED, Change.IMPROVED)]
    changed.sort(key=lambda cell: (list(Change).index(cell.status), -max(map(_weight_that_counts, cell.rows))))
    return changed[:MAX_CELLS]


def _weight_that_counts(row: Row) -> float:
    return weight(row) if row.status in (Change.REGRESSED, Change.IMPROVED) else 0.0


def _of_cell(cell: CellComparison, this: Side, baseline: Side, labels: tuple[str, str], number: int) -> Chart:
    curves = _curves([cell], this, baseline, labels)
    sentence = f"{_finding(cell)}{_left_out([cell], this, baseline)}"
    return _chart(f"ecdf-{number}", shorten(clean(cell.cell), 80), sentence, curves)


def _chart(name: str, title: str, finding: str, curves: PairedCurves) -> Chart:
    return Chart(
        name,
        title,
        f"{finding} {reading()}",
        "Two cumulative distributions per panel, time to first token and whole response, one line per run.",
        "figures",
        lambda canvas: paired_ecdf(curves, canvas),
        "distributions",
    )


def _curves(cells: Sequence[CellComparison], this: Side, baseline: Side, labels: tuple[str, str]) -> PairedCurves:
    curves = {}
    for metric in METRICS:
        mine, theirs = _both(cells, this, baseline, metric)
        curves[metric] = (ecdf(mine), ecdf(theirs))
    first, second = (shorten(label, 28) for label in labels)
    return PairedCurves((first, second), curves)


def _both(cells: Sequence[CellComparison], this: Side, baseline: Side, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """A metric's values of all the cells, of this run and of the baseline."""
    mine = [compared_values(this, _rounds(this, cell.cell, baseline), metric) for cell in cells]
    theirs = [compared_values(baseline, _rounds(baseline, cell.baseline_cell, this), metric) for cell in cells]
    return np.concatenate(mine), np.concatenate(theirs)


def _rounds(side: Side, cell: str, other: Side) -> tuple[str, ...]:
    """What is compared under a cell's name: with another run all its rounds, with another cell of the run it alone."""
    return (cell,) if side is other else side.rounds_with(cell)


def _finding(cell: CellComparison) -> str:
    """The p95 of both metrics (p50 where there are too few requests) with change, interval and verdict."""
    return " ".join(_figure_sentence(row) for metric in METRICS if (row := _telling(cell, metric)) is not None)


def _telling(cell: CellComparison, metric: str) -> Row | None:
    rows = {row.stat: row for row in cell.rows if row.metric == metric and row.change_ci95 is not None}
    return rows.get("p95") or rows.get("p50")


def _figure_sentence(row: Row) -> str:
    low, high = row.change_ci95 or (0.0, 0.0)
    return (
        f"{figure_name(row).capitalize() if row.metric != 'ttft_ms' else figure_name(row)} "
        f"{milliseconds(row.baseline)} → {milliseconds(row.this)} ms, {change_text(row)} "
        f"({low * 100.0:+.1f} to {high * 100.0:+.1f}): {row.status}."
    )


def _pooled_finding(cells: Sequence[CellComparison], this: Side, baseline: Side) -> str:
    """The p95 of both metrics over all cells; verdicts are those of the cells."""
    parts = []
    for metric in METRICS:
        pair = [values[~np.isnan(values)] for values in _both(cells, this, baseline, metric)]
        if min(map(len, pair)) >= MIN_SAMPLES["p95"]:
            after, before = (float(np.quantile(values, QUANTILES["p95"])) for values in pair)
            parts.append(f"{NAMES[metric]} p95 {milliseconds(before)} → {milliseconds(after)} ms")
    text = f"{', '.join(parts)}, all cells together" if parts else "All cells together"
    return (
        f"{text}; verdicts are per cell.{_left_out(cells, this, baseline)}{mix_note(_mix_shift(cells, this, baseline))}"
    )


def _mix_shift(cells: Sequence[CellComparison], this: Side, baseline: Side) -> float:
    """Share of the requests that belong to other cells than in the baseline, 0 to 1."""
    mine = np.array(
        [np.isfinite(compared_values(this, _rounds(this, cell.cell, baseline), "e2e_ms")).sum() for cell in cells]
    )
    theirs = np.array(
        [
            np.isfinite(compared_values(baseline, _rounds(baseline, cell.baseline_cell, this), "e2e_ms")).sum()
            for cell in cells
        ]
    )
    if not mine.sum() or not theirs.sum():
        return 0.0
    return float(np.abs(mine / mine.sum() - theirs / theirs.sum()).sum() / 2.0)


def _left_out(cells: Sequence[CellComparison], this: Side, baseline: Side) -> str:
    """How many messages have no place on the curves because they were not answered."""
    mine = sum(unanswered(this, _rounds(this, cell.cell, baseline)) for cell in cells)
    theirs = sum(unanswered(baseline, _rounds(baseline, cell.baseline_cell, this)) for cell in cells)
    if not mine and not theirs:
        return " Every message was answered."
    return f" Not on the curves: messages without an answer, {count(mine)} here and {count(theirs)} in the baseline."
