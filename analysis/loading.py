"""The records of a results directory, read block by block on all cores, as one typed and ordered DataFrame."""

import os
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa

from analysis.jsonl import parse_block, read_blocks
from analysis.parquet_store import Stored, StoreWriter, fingerprint, read_rows, read_stored
from analysis.record_checks import LONGEST_RUN_S, CheckedRows, check_rows
from analysis.record_columns import ColumnBuilder, Columns, Positions, to_frame
from analysis.record_schema import KEPT, SCHEMA, TEXT, UNIQUE_TEXT, Flags, Floats
from scenarios.run_directory import RunDirectory, RunDirectoryError

_IDENTITY = ["cell", "process", "seq", "message_id", "attempt", "intended_at"]

#: Reading holds no lock of Python's: two threads use two cores. More than these find the disk or the memory busy.
_THREADS = min(4, os.cpu_count() or 1)

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class RecordSet:
    """All sound records of a run, sorted by cell, process, seq; and the lines that were none, by reason and by file."""

    frame: pd.DataFrame
    skipped: Mapping[str, int]
    skipped_by_file: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def skipped_lines(self) -> int:
        """How many lines were skipped."""
        return sum(self.skipped.values())


def load_records(
    directory: Path, run_id: str | None = None, *, keep_parquet: bool = False, columns: Collection[str] = KEPT
) -> RecordSet:
    """Every record under `cells/*/requests-*.jsonl`; of its kept fields `columns`, and those that tell it from others.

    Columns are the fields of a record but for those that no figure needs (`record_schema.ONLY_ON_DISK`): texts that
    repeat are categories, message ids strings, counts nullable integers, instants (Unix s) and spans (ms) floats with
    NaN for "did not happen". Lines that are no records are skipped and counted, and so are records of another run
    where `run_id` is known; an empty directory gives an empty frame with the same columns.

    With `keep_parquet` all fields are left in `requests.parquet`, which is read in place of unchanged record files.
    RunDirectoryError where a record file cannot be read: figures without its records would be wrong.
    """
    names = [name for name in KEPT if name in columns or name in _IDENTITY]
    try:
        return _load(directory, run_id, names, keep_parquet=keep_parquet)
    except OSError as error:
        raise RunDirectoryError(f"Cannot read {error.filename or directory}: {error.strerror or error}") from error


def _load(directory: Path, run_id: str | None, names: Sequence[str], *, keep_parquet: bool) -> RecordSet:
    files = sorted(directory.glob("cells/*/requests-*.jsonl"))
    path = RunDirectory(directory).requests_parquet
    current = fingerprint(directory, files, run_id)
    stored = read_stored(path)
    # Someone who kept the columns alone still has the run.
    if stored is not None and (stored.fingerprint == current or not files):
        loaded = _read_parquet(path, stored, names)
        if loaded is not None:
            return loaded
    reading = _Reading(ColumnBuilder(names), StoreWriter(path) if keep_parquet else None)
    return _read_files(directory, files, run_id, current, reading)


def _read_parquet(path: Path, stored: Stored, names: Sequence[str]) -> RecordSet | None:
    """The records as they were stored; None if the file cannot be read after all."""
    try:
        builder = ColumnBuilder(names)
        for table in read_rows(path, names):
            builder.add(table)
        columns = builder.finish()
    except (OSError, pa.ArrowException, ValueError, KeyError):
        return None
    return _record_set(to_frame(columns, _order(columns)), stored.skipped)


@dataclass(slots=True)
class _Reading:
    """What has been read so far."""

    columns: ColumnBuilder
    writer: StoreWriter | None
    earliest: list[Floats] = field(default_factory=list)
    latest: list[Floats] = field(default_factory=list)
    #: Files and their rows, a pair for each block.
    rows: list[tuple[str, int]] = field(default_factory=list)
    skipped: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, file: str, checked: CheckedRows) -> None:
        if self.writer is not None:
            self.writer.add(checked.table)
        self.columns.add(checked.table)
        self.earliest.append(checked.earliest)
        self.latest.append(checked.latest)
        self.rows.append((file, checked.table.num_rows))
        self.skip(file, checked.skipped)

    def skip(self, file: str, reasons: Mapping[str, int]) -> None:
        if reasons:
            self.skipped.setdefault(file, Counter()).update(reasons)


def _read_files(directory: Path, files: list[Path], run_id: str | None, current: str, reading: _Reading) -> RecordSet:
    writer = reading.writer
    blocks = ((file, block) for file in files for block in read_blocks(file))
    try:
        with ThreadPoolExecutor(_THREADS) as threads:
            for file, checked in _in_order(threads, lambda each: _read_block(*each, run_id), blocks):
                reading.add(file.relative_to(directory).as_posix(), checked)
        loaded, kept = _finish(reading)
        if writer is not None:
            writer.finish(Stored(loaded.skipped_by_file, current), kept)
    finally:
        if writer is not None:
            writer.abandon()
    return loaded


def _in_order(
    threads: ThreadPoolExecutor, work: Callable[[_Item], _Result], items: Iterator[_Item]
) -> Iterator[_Result]:
    """Results in the order of the items; few are under way at a time: memory does not depend on their number."""
    waiting: deque[Future[_Result]] = deque()
    for item in items:
        waiting.append(threads.submit(work, item))
        if len(waiting) > 2 * _THREADS:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _read_block(file: Path, block: bytes, run_id: str | None) -> tuple[Path, CheckedRows]:
    parsed = parse_block(block, SCHEMA)
    checked = check_rows(parsed.table, file.parent.name, run_id)
    return file, CheckedRows(_coded(checked.table), parsed.skipped + checked.skipped, checked.earliest, checked.latest)


def _coded(table: pa.Table) -> pa.Table:
    """The table with texts that repeat as dictionaries."""
    for name in TEXT:
        if name not in UNIQUE_TEXT:
            column = table[name].dictionary_encode()
            table = table.set_column(table.schema.get_field_index(name), name, column)
    return table


def _finish(reading: _Reading) -> tuple[RecordSet, Flags | None]:
    """The records, and which of the rows that were read they are (None: all)."""
    columns = reading.columns.finish()
    order = _order(columns)
    left_out = {"impossible value": _of_another_clock(columns, reading)}
    gone = left_out["impossible value"].copy()
    left_out |= _repeats(columns, order[~gone[order]])
    for reason, rows in left_out.items():
        _count(reading, reason, rows)
        gone |= rows
    frame = to_frame(columns, order[~gone[order]])
    return _record_set(frame, reading.skipped), ~gone if gone.any() else None


def _of_another_clock(columns: Columns, reading: _Reading) -> Flags:
    """Rows with an instant too far from the middle of the run."""
    intended = np.asarray(columns["intended_at"])
    known = intended[~np.isnan(intended)]
    if not len(known):
        return np.zeros(len(intended), dtype=bool)
    middle = float(np.median(known))
    earliest, latest = (np.concatenate(parts) for parts in (reading.earliest, reading.latest))
    return np.asarray((latest - middle > LONGEST_RUN_S) | (middle - earliest > LONGEST_RUN_S))


def _order(columns: Columns) -> Positions:
    """Positions of the rows by cell, process and seq; the categories are in order of their names."""
    cell, process = columns["cell"], columns["process"]
    place = cell.codes.astype(np.int64) * (len(process.categories) + 1) + process.codes
    return np.lexsort((np.asarray(columns["seq"].to_numpy(np.int64, na_value=0)), place))


def _repeats(columns: Columns, order: Positions) -> dict[str, Flags]:
    """Rows that say again what another said: the same record, or the same number of the same process.

    A process counts up: where a number comes twice, two of them wrote one file, or one was started twice.
    """
    keys = [columns["cell"].codes[order], columns["process"].codes[order], np.asarray(columns["seq"])[order]]
    same = np.logical_and.reduce([np.asarray(key[1:] == key[:-1]) for key in keys])
    found = {reason: np.zeros(len(columns["seq"]), dtype=bool) for reason in ("duplicate", "repeated seq")}
    if not same.any():
        return found
    rows = order[np.concatenate([same, [False]]) | np.concatenate([[False], same])]
    several = pd.DataFrame({name: columns[name][rows] for name in _IDENTITY}, index=rows)
    several = several.sort_values(_IDENTITY, kind="stable")
    again = several.duplicated(_IDENTITY)
    found["duplicate"][several.index[again]] = True
    several = several[~again]
    found["repeated seq"][several.index[several.duplicated(_IDENTITY[:3])]] = True
    return found


def _count(reading: _Reading, reason: str, rows: Flags) -> None:
    """Count rows that were left out under the files that they came from."""
    ends = np.cumsum([count for _, count in reading.rows])
    for block in np.searchsorted(ends, np.flatnonzero(rows), side="right"):
        reading.skip(reading.rows[block][0], {reason: 1})


def _record_set(frame: pd.DataFrame, by_file: Mapping[str, Mapping[str, int]]) -> RecordSet:
    total: Counter[str] = Counter()
    for reasons in by_file.values():
        total.update(reasons)
    ordered = {file: dict(sorted(by_file[file].items())) for file in sorted(by_file)}
    return RecordSet(frame, dict(sorted(total.items())), ordered)
