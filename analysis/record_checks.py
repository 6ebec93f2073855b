"""What cannot be a record although its line was sound: found block by block, each row counted by its first fault."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.record_schema import COUNTS, INSTANTS, SPANS_MS, Flags, Floats
from bedrock.outcome import Outcome

REQUIRED = ("cell", "process", "seq", "message_id", "outcome")

#: Unix seconds beyond this (the year 5138) are no instants, counts and spans beyond it no measurements.
_LARGEST = 1e11

#: No run lasts as long (s): an instant further than this from the middle of the run belongs to another clock.
LONGEST_RUN_S = 30 * 24 * 3600.0

#: Events may precede the start by this much (s) before a record counts as impossible: one clock's rounding.
_CLOCK_ROUNDING_S = 0.001

_OUTCOMES = pa.array([str(outcome) for outcome in Outcome])


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """Sound rows, how many were left out for which reason, and the first and last instant of each sound row."""

    table: pa.Table
    skipped: Counter[str]
    earliest: Floats
    latest: Floats


def check_rows(table: pa.Table, cell: str | None, run_id: str | None) -> CheckedRows:
    """Leave out what is no record of this cell and run (None: of any)."""
    at = {name: numbers(table[name]) for name in INSTANTS}
    bad = np.zeros(table.num_rows, dtype=bool)
    skipped: Counter[str] = Counter()
    for reason, rows in _faults(table, at, cell, run_id).items():
        if rows is not None:
            skipped[reason] += int((rows & ~bad).sum())
            bad |= rows
    earliest, latest = (reduce.reduce(list(at.values())) for reduce in (np.fmin, np.fmax))
    if not bad.any():
        return CheckedRows(table, +skipped, earliest, latest)
    return CheckedRows(table.filter(pa.array(~bad)), +skipped, earliest[~bad], latest[~bad])


def numbers(column: pa.ChunkedArray) -> Floats:
    """A numeric column as float64 with NaN for null."""
    return np.asarray(column.to_numpy(), dtype=np.float64)


def _faults(table: pa.Table, at: Mapping[str, Floats], cell: str | None, run_id: str | None) -> dict[str, Flags | None]:
    """Rows by fault, in the order in which they are looked for; None where no row has it."""
    return {
        "record of another cell": _others(table["cell"], cell),
        "missing field": _missing(table),
        "unknown outcome": _unknown_outcome(table["outcome"]),
        "impossible value": _out_of_range(table),
        "times run backwards": _backwards(at),
        "record of another run": _others(table["run_id"], run_id),
    }


def _others(column: pa.ChunkedArray, own: str | None) -> Flags | None:
    """Rows that name another cell or run; one that names none may be of this one."""
    if own is None:
        return None
    return _where(pc.not_equal(column, own), missing=False)


def _missing(table: pa.Table) -> Flags | None:
    missing = None
    for name in REQUIRED:
        if table[name].null_count:
            rows = _where(pc.is_null(table[name]), missing=True)
            missing = rows if missing is None or rows is None else missing | rows
    return missing


def _unknown_outcome(outcome: pa.ChunkedArray) -> Flags | None:
    return _where(pc.invert(pc.is_in(outcome, value_set=_OUTCOMES)), missing=True)


def _out_of_range(table: pa.Table) -> Flags | None:
    found = None
    for name in (*COUNTS, *INSTANTS, *SPANS_MS):
        column = table[name]
        ends = pc.min_max(column)
        low, high = ends["min"].as_py(), ends["max"].as_py()
        if low is not None and (low < 0 or high > _LARGEST):
            values = numbers(column)
            rows = (values < 0.0) | (values > _LARGEST)
            found = rows if found is None else found | rows
    return found


def _backwards(at: Mapping[str, Floats]) -> Flags:
    started = at["started_at"] - _CLOCK_ROUNDING_S
    first_event = np.fmin.reduce([at[name] for name in INSTANTS[2:]])
    return np.asarray(first_event < started, dtype=bool)


def _where(rows: pa.ChunkedArray, *, missing: bool) -> Flags | None:
    """Truths as an array, None if no row is; `missing` is what a null counts as."""
    found = np.asarray(pc.fill_null(rows, missing).to_numpy(), dtype=bool)
    return found if found.any() else None
