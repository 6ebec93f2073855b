"""Two runs, or two cells of one run, held against each other: improved, regressed, within noise or not comparable.

A difference counts where three things come together: it is larger than chance explains (p below 5 % after Holm's
correction for all comparisons made at once), its own 95 % interval leaves out "no change", and it is as large as the
threshold, the 10 % of the product's rule. None of them is enough alone.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from analysis.comparability import (
    Difference,
    Pair,
    cell_differences,
    pair_cells,
    prompt_difference,
    run_differences,
)
from analysis.difference import (
    RankDifference,
    Sample,
    compare_quantile,
    compare_share,
    holm,
    mann_whitney,
    sample_of,
)
from analysis.inputs import CellInfo, RunInfo
from analysis.metrics import column_of, latency_population
from analysis.parts import rows_of
from analysis.percentiles import CONFIDENCE, QUANTILES, Interval
from analysis.records import flags, floats
from analysis.rounds import representatives, rounds_of, together
from analysis.verdict import MIN_SAMPLES_SHARE
from bedrock.outcome import Outcome

#: Latencies that are compared, all of them better when lower; the others of the contract follow from them.
COMPARED_LATENCIES = ("ttft_ms", "first_answer_ms", "e2e_ms", "tpot_ms")
COMPARED_QUANTILES = ("p50", "p95", "p99")

#: Shares that are compared, and whether a higher one is better.
COMPARED_SHARES: Mapping[str, bool] = {"throttle_rate": False, "error_rate": False, "sla_compliance": True}

#: Relative change of a latency that matters (the product's rule: p95 up more than 10 %).
DEFAULT_THRESHOLD = 0.10

#: Change of a share that matters: half a percentage point is half of what 99 % leaves.
SHARE_THRESHOLD = 0.005

#: Columns of the records that are read here.
_COLUMNS = (
    *COMPARED_LATENCIES, "input_tokens", "outcome", "sent", "error", "ok", "measured", "ends_message", "answerable",
    "in_sla",
)  # fmt: skip

#: Sorting and drawing hold no lock of Python's.
_THREADS = min(2, os.cpu_count() or 1)

_ALPHA = 1.0 - CONFIDENCE


class Change(StrEnum):
    """What a comparison says."""

    REGRESSED = "regressed"
    IMPROVED = "improved"
    WITHIN_NOISE = "within noise"
    NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two runs: `records` are judged; `validity` is that of its summary, None where it has none."""

    run: RunInfo
    records: pd.DataFrame
    validity: str | None
    path: str | None = None
    _rounds: dict[str, tuple[str, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def rounds_with(self, cell: str) -> tuple[str, ...]:
        """The cell's name and those of its other rounds, as far as their figures may be put together."""
        if not self._rounds:
            for rounds in rounds_of(self.run.cells).values():
                names = tuple(each.name for each in together(rounds))
                self._rounds.update(dict.fromkeys(names, names))
        return self._rounds.get(cell, (cell,))


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of both sides; `delta` in its unit, `change` relative to the baseline; `p_corrected` by Holm."""

    metric: str
    stat: str | None
    this: float | None
    baseline: float | None
    n: int
    n_baseline: int
    delta: float | None = None
    delta_ci95: Interval | None = None
    change: float | None = None
    change_ci95: Interval | None = None
    p_value: float | None = None
    p_corrected: float | None = None
    status: Change = Change.NOT_COMPARABLE
    reason: str | None = None

    @property
    def is_share(self) -> bool:
        """Whether it is a share, compared in percentage points."""
        return self.metric in COMPARED_SHARES

    @property
    def name(self) -> str:
        """`ttft_ms p95`, `throttle_rate`."""
        return f"{self.metric} {self.stat}" if self.stat else self.metric

    def as_dict(self) -> dict[str, Any]:
        """The entry of `rows` in summary.json."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        intervals = {name: None if plain[name] is None else list(plain[name]) for name in ("delta_ci95", "change_ci95")}
        return plain | intervals | {"status": str(self.status)}


@dataclass(frozen=True, slots=True)
class CellComparison:
    """One pair of cells with all its rows; `ranks` has Mann-Whitney by metric."""

    cell: str
    baseline_cell: str
    differs: tuple[Difference, ...] = ()
    compared: tuple[Difference, ...] = ()
    rows: tuple[Row, ...] = ()
    ranks: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    reason: str | None = None

    @property
    def status(self) -> Change:
        """The gravest of its rows."""
        return _gravest([row.status for row in self.rows])

    def of_metric(self, metric: str) -> Change:
        """The gravest of one metric's rows."""
        return _gravest([row.status for row in self.rows if row.metric == metric])

    def as_dict(self) -> dict[str, Any]:
        """The entry of `cells` in `comparison`."""
        metrics = dict.fromkeys(row.metric for row in self.rows)
        return {
            "cell": self.cell,
            "baseline_cell": self.baseline_cell,
            "status": str(self.status),
            "reason": self.reason,
            "differs": [difference.as_dict() for difference in self.differs],
            "compared": [difference.as_dict() for difference in self.compared],
            "metrics": {metric: str(self.of_metric(metric)) for metric in metrics},
            "rows": [row.as_dict() for row in self.rows],
            "mann_whitney": {metric: dict(found) for metric, found in self.ranks.items()},
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """The whole comparison; `differs` is what keeps the runs as such from being compared."""

    cells: tuple[CellComparison, ...]
    only_here: tuple[str, ...]
    only_in_baseline: tuple[str, ...]
    differs: tuple[Difference, ...]
    threshold: float
    baseline: Mapping[str, Any]
    reason: str | None = None

    @property
    def status(self) -> Change:
        """Of all cells; not comparable if no cell is."""
        return _gravest([cell.status for cell in self.cells])

    @property
    def gaps(self) -> list[str]:
        """A sentence for everything that could not be compared."""
        whole = [self.reason] if self.reason else []
        whole += [f"The runs are not comparable: {difference}" for difference in self.differs]
        if whole:
            return whole
        return [
            *(f"Cell {cell.cell} is not comparable: {_why(cell)}" for cell in self.cells if _why(cell)),
            *(f"Cell {name} is not in the baseline" for name in self.only_here),
            *(f"Cell {name} of the baseline is missing here" for name in self.only_in_baseline),
        ]

    @property
    def regressions(self) -> list[str]:
        """A sentence for every cell that regressed, with the figures that did."""
        return [
            f"{cell.cell}: {', '.join(f'{row.name} {change_text(row)}' for row in worse)}"
            for cell in self.cells
            if (worse := [row for row in cell.rows if row.status == Change.REGRESSED])
        ]

    def as_dict(self) -> dict[str, Any]:
        """The `comparison` object of summary.json."""
        return {
            "status": str(self.status),
            "baseline": dict(self.baseline),
            "threshold": self.threshold,
            "share_threshold": SHARE_THRESHOLD,
            "tests": sum(row.p_value is not None for cell in self.cells for row in cell.rows),
            "differs": [difference.as_dict() for difference in self.differs],
            "regressions": self.regressions,
            "gaps": self.gaps,
            "only_here": list(self.only_here),
            "only_in_baseline": list(self.only_in_baseline),
            "cells": [cell.as_dict() for cell in self.cells],
        }


def _gravest(statuses: Sequence[Change]) -> Change:
    """In the order of the enumeration; what could not be compared says nothing beside what could."""
    return next((change for change in Change if change in statuses), Change.NOT_COMPARABLE)


def _why(cell: CellComparison) -> str | None:
    """Why nothing of a pair could be compared; None if anything could."""
    if cell.status != Change.NOT_COMPARABLE:
        return None
    if cell.reason or cell.differs:
        return cell.reason or "; ".join(map(str, cell.differs))
    return next((row.reason for row in cell.rows if row.reason), "neither has any data")


def change_text(row: Row) -> str:
    """`+14.2 %` of a latency, `+3.00 pp` (percentage points) of a share."""
    if row.is_share:
        return "not compared" if row.delta is None else f"{row.delta * 100.0:+.2f} pp"
    return "not compared" if row.change is None else f"{row.change * 100.0:+.1f} %"


def compare_runs(
    this: Side, baseline: Side, *, threshold: float = DEFAULT_THRESHOLD, across: Collection[str] = ()
) -> Comparison:
    """All cells of a run against those of its baseline; dimensions in `across` are meant to differ.

    Rounds of a cell are compared together: what changes from one to the next is no change of the service.
    """
    differs = tuple(run_differences(this.run, baseline.run, across))
    pairs, only_here, only_there = pair_cells(_sent(this.run), _sent(baseline.run), across)
    spoiled = _spoiled(this, baseline)
    if differs or spoiled:
        cells = [CellComparison(pair.this.name, pair.baseline.name, differs, reason=spoiled) for pair in pairs]
    else:
        with ThreadPoolExecutor(_THREADS) as threads:
            compared = threads.map(lambda pair: _compare_pair(this, baseline, pair, across, with_rounds=True), pairs)
            cells = list(compared)
    return Comparison(
        cells=judge_all(cells, threshold),
        only_here=tuple(cell.name for cell in only_here),
        only_in_baseline=tuple(cell.name for cell in only_there),
        differs=differs,
        threshold=threshold,
        baseline=_identity(baseline),
        reason=spoiled,
    )


def without_baseline(path: str, why: str, threshold: float = DEFAULT_THRESHOLD) -> Comparison:
    """What a run says whose baseline cannot be read."""
    return Comparison((), (), (), (), threshold, {"path": path}, f"The baseline cannot be read: {why}")


def compare_cells(
    side: Side, pairs: Sequence[Pair], *, threshold: float = DEFAULT_THRESHOLD, with_rounds: bool = False
) -> Comparison:
    """Cells of one run against each other. Each pair may differ in one dimension: the one that is compared.

    `with_rounds` compares each of them together with its other rounds.
    """
    spoiled = _spoiled(side, side)
    cells = []
    for pair in pairs:
        differs = tuple(cell_differences(pair.this, pair.baseline))
        if len(differs) > 1 or spoiled:
            cells.append(CellComparison(pair.this.name, pair.baseline.name, differs, reason=spoiled))
        else:
            across = [difference.what for difference in differs]
            found = _compare_pair(side, side, pair, across, with_rounds=with_rounds)
            cells.append(replace(found, compared=differs))
    return Comparison(judge_all(cells, threshold), (), (), (), threshold, _identity(side), spoiled)


def compared_values(side: Side, cells: Iterable[str], metric: str) -> np.ndarray:
    """What is compared of a latency of some cells: its values in order of time, NaN where a request has none."""
    return latency_values(metric, in_time(side, cells), side.run.include_failures)


def unanswered(side: Side, cells: Iterable[str]) -> int:
    """How many messages of the measured windows have no part in their latencies: they ended without an answer."""
    records = side.records.take(_places(side, cells))
    ended = flags(records["measured"]) & flags(records["ends_message"])
    return int(ended.sum()) - int(latency_population(records, side.run.include_failures).sum())


def tier_pairs(run: RunInfo) -> list[Pair]:
    """Every cell of another tier with the cell of the default tier that is the same in all else."""
    cells = _sent(run)
    return [
        Pair(cell, other)
        for cell in cells
        for other in cells
        if other.raw.get("service_tier") == "default"
        and [difference.what for difference in cell_differences(cell, other)] == ["service_tier"]
    ]


def _sent(run: RunInfo) -> list[CellInfo]:
    """The cells that are compared, one for all its rounds."""
    return representatives([cell for cell in run.cells if cell.status not in ("skipped", "pending")])


def _identity(side: Side) -> dict[str, Any]:
    keys = ("run_id", "scenario", "started_at", "git_commit")
    return {"path": side.path, **{key: side.run.raw.get(key) for key in keys}, "validity": side.validity}


def _spoiled(this: Side, baseline: Side) -> str | None:
    for side, name in ((this, "this run"), (baseline, "the baseline")):
        if side.validity == "INVALID":
            return f"The measurement of {name} is invalid"
    return None


def _compare_pair(
    this: Side, baseline: Side, pair: Pair, across: Collection[str], *, with_rounds: bool
) -> CellComparison:
    differs = cell_differences(pair.this, pair.baseline, across)
    mine, theirs = (
        in_time(side, side.rounds_with(cell.name) if with_rounds else [cell.name])
        for side, cell in ((this, pair.this), (baseline, pair.baseline))
    )
    if "prompts" not in across and "prompt_size" not in across:
        prompts = prompt_difference(mine, theirs)
        differs += [prompts] if prompts else []
    unfinished = [cell for cell in (pair.this, pair.baseline) if cell.status not in ("finished", "unlisted")]
    if differs or unfinished:
        why = f"{unfinished[0].name} is {unfinished[0].status}" if unfinished else None
        return CellComparison(pair.this.name, pair.baseline.name, tuple(differs), reason=why)
    rows: list[Row] = []
    ranks: dict[str, dict[str, float]] = {}
    failures = (this.run.include_failures, baseline.run.include_failures)
    seen: list[np.ndarray] = []
    for metric in COMPARED_LATENCIES:
        values = [latency_values(metric, *side) for side in zip((mine, theirs), failures, strict=True)]
        if metric == "first_answer_ms" and all(map(_same, values, seen)):
            continue  # nothing was thought before it was said: one figure, and one test
        seen = seen or values
        found, rank = compare_latency(metric, *map(sample_of, values))
        rows += found
        ranks |= rank
    rows += [row for metric in COMPARED_SHARES if (row := _share(metric, mine, theirs)) is not None]
    return CellComparison(pair.this.name, pair.baseline.name, rows=tuple(rows), ranks=ranks)


def _places(side: Side, cells: Iterable[str]) -> np.ndarray:
    slices = [rows_of(side.records, cell) for cell in cells]
    return np.concatenate([np.empty(0, dtype=np.intp), *(np.arange(each.start, each.stop) for each in slices)])


def in_time(side: Side, cells: Iterable[str]) -> pd.DataFrame:
    """What is compared of the records of a cell (or of all its rounds), in order of time."""
    own = _places(side, cells)
    order = np.argsort(floats(side.records["intended_at"])[own], kind="stable")
    return side.records[list(_COLUMNS)].take(own[order])


def latency_values(metric: str, records: pd.DataFrame, include_failures: bool) -> np.ndarray:
    """One latency of the records that its statistics cover, NaN where it is missing."""
    return floats(records[column_of(metric, "p50")])[latency_population(records, include_failures)]


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return np.array_equal(one, other, equal_nan=True)


def compare_latency(metric: str, new: Sample, old: Sample) -> tuple[list[Row], dict[str, dict[str, float]]]:
    """Rows and Mann-Whitney of one latency; nothing where neither side measured it."""
    if not new.n and not old.n:
        return [], {}
    rows = []
    for stat in COMPARED_QUANTILES:
        found = compare_quantile(new, old, QUANTILES[stat])
        rows.append(
            Row(
                metric, stat, found.new, found.old, new.n, old.n, found.delta, found.delta_interval, found.change,
                found.change_interval, found.p_value, reason=found.reason,
            )
        )  # fmt: skip
    rank = mann_whitney(new, old)
    return rows, {} if rank is None else {metric: _as_ranks(rank)}


def _as_ranks(rank: RankDifference) -> dict[str, float]:
    return {"u": rank.u, "p_this_slower": rank.p_new_larger, "p_value": rank.p_value}


def _share(metric: str, this: pd.DataFrame, baseline: pd.DataFrame) -> Row | None:
    new, old = trials_of(metric, this), trials_of(metric, baseline)
    if not len(new) and not len(old):
        return None
    found = compare_share(new, old, MIN_SAMPLES_SHARE)
    return Row(
        metric, None, found.new, found.old, len(new), len(old), found.delta, found.delta_interval,
        p_value=found.p_value, reason=found.reason,
    )  # fmt: skip


def trials_of(metric: str, records: pd.DataFrame) -> np.ndarray:
    """Whether each attempt (each message, for the SLA) counts towards the share."""
    if metric == "sla_compliance":
        counted = flags(records["measured"]) & flags(records["answerable"])
        return flags(records["in_sla"])[counted]
    hits = flags(records["outcome"] == Outcome.THROTTLED) if metric == "throttle_rate" else flags(records["error"])
    return hits[flags(records["sent"])]


def judge_all(cells: Sequence[CellComparison], threshold: float) -> tuple[CellComparison, ...]:
    """The cells with every row judged, corrected for all rows of all cells together."""
    tested = [row for cell in cells for row in cell.rows if row.p_value is not None]
    corrected = iter(holm([row.p_value or 0.0 for row in tested]))

    def judged(rows: Sequence[Row]) -> Iterator[Row]:
        for row in rows:
            yield row if row.p_value is None else judge(replace(row, p_corrected=next(corrected)), threshold)

    return tuple(replace(cell, rows=tuple(judged(cell.rows))) for cell in cells)


def judge(row: Row, threshold: float) -> Row:
    """The row with its status, and with a reason where chance and threshold disagree."""
    size, interval = (row.delta, row.delta_ci95) if row.is_share else (row.change, row.change_ci95)
    if size is None or interval is None or row.p_corrected is None:
        return row
    limit = SHARE_THRESHOLD if row.is_share else threshold
    is_real = row.p_corrected < _ALPHA and not interval[0] <= 0.0 <= interval[1]
    if is_real and abs(size) >= limit:
        is_better = (size > 0.0) == COMPARED_SHARES.get(row.metric, False)
        return replace(row, status=Change.IMPROVED if is_better else Change.REGRESSED)
    shown = f"{limit * 100.0:g} {'percentage points' if row.is_share else '%'}"
    return replace(row, status=Change.WITHIN_NOISE, reason=_remark(is_real, abs(size) >= limit, shown, interval, limit))


def _remark(is_real: bool, is_large: bool, shown: str, interval: Interval, limit: float) -> str | None:
    if is_real:
        return f"more than chance, but below the threshold of {shown}"
    if is_large:
        return f"beyond the threshold of {shown}, but no more than chance can explain"
    if max(abs(interval[0]), abs(interval[1])) >= limit:
        return "too few samples to exclude a change as large as the threshold"
    return None
