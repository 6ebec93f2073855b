"""`requests.parquet`: all sound records of a run in columns, written while the record files are read, and read instead
of them as long as they have not changed.

Beside the fields of a record it holds the latency metrics, for notebooks; what depends on prices or objectives is
computed anew by every report. Its rows are in the order of the files.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.latencies import latencies
from analysis.record_checks import numbers
from analysis.record_schema import (
    COUNTS,
    INSTANTS,
    LATENCY_METRICS,
    SCHEMA,
    SHARES,
    SPANS_MS,
    TEXT,
    UNIQUE_TEXT,
    Flags,
)

#: Raised when records are read differently, so that files written before are not taken for today's.
STORE_VERSION = 1

#: Rows written at once: enough for compression, little memory.
ROWS_A_GROUP = 65_536

_SOURCE_KEY = b"records_source"
_REPEATED_TEXT = [name for name in TEXT if name not in UNIQUE_TEXT]
_NUMBERS = [*COUNTS, *INSTANTS, *SPANS_MS, *SHARES, *LATENCY_METRICS]


@dataclass(frozen=True, slots=True)
class Stored:
    """What was found beside the rows: lines skipped, by file and reason; whether it is known to be up to date."""

    skipped: Mapping[str, Mapping[str, int]]
    fingerprint: str


def fingerprint(directory: Path, files: Sequence[Path], run_id: str | None) -> str:
    """A digest of the record files' names, sizes and times of change, and of how they are read."""
    seen = [(file.relative_to(directory).as_posix(), (stat := file.stat()).st_size, stat.st_mtime_ns) for file in files]
    content = json.dumps([STORE_VERSION, run_id, seen])
    return hashlib.sha256(content.encode("utf-8")).hexdigest()


def read_stored(path: Path) -> Stored | None:
    """What the file says of itself; None if there is none, or none of ours."""
    try:
        metadata = pq.read_metadata(path).metadata or {}
        raw = json.loads(metadata[_SOURCE_KEY])
        return Stored({str(file): dict(reasons) for file, reasons in raw["skipped"].items()}, str(raw["fingerprint"]))
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError, AttributeError):
        return None


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Some columns of the rows, a row group at a time; texts that repeat come as dictionaries."""
    repeated = [name for name in _REPEATED_TEXT if name in columns]
    with pq.ParquetFile(path, read_dictionary=repeated, page_checksum_verification=True) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number, columns=list(columns))


class StoreWriter:
    """Writes the file beside its final place, and puts it there once it is whole.

    A disk that is full or read-only ends the writing, not the reading: the file is a convenience.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[pa.Table] = []
        self._rows = 0
        # Writing takes as long as reading does: they go on side by side, the reader at most one group ahead.
        self._thread = ThreadPoolExecutor(1)
        self._under_way: Future[None] | None = None
        self._writer: pq.ParquetWriter | None = None
        self._temporary: Path | None = None
        try:
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            os.close(handle)
            self._temporary = Path(name)
            self._writer = _open_writer(self._temporary)
        except OSError:
            self.abandon()

    def add(self, table: pa.Table) -> None:
        """Write some more rows, now or with those that follow."""
        if self._writer is None:
            return
        self._waiting.append(table)
        self._rows += table.num_rows
        if self._rows >= ROWS_A_GROUP:
            self._flush()

    def _flush(self) -> None:
        rows, self._waiting, self._rows = self._waiting, [], 0
        if self._under_way is not None:
            self._under_way.result()
        self._under_way = self._thread.submit(self._write, rows) if rows else None

    def _write(self, rows: list[pa.Table]) -> None:
        try:
            if self._writer is not None:
                self._writer.write_table(_with_latencies(pa.concat_tables(rows)).unify_dictionaries())
        except OSError:
            self.abandon()

    def finish(self, stored: Stored, kept: Flags | None) -> None:
        """Close the file and put it into its place; `kept` says which of the rows are to stay (None: all)."""
        self._flush()
        self._thread.shutdown()
        if self._writer is None or self._temporary is None:
            return
        try:
            _close(self._writer, stored)
            self._writer = None
            if kept is not None:
                _keep_rows(self._temporary, kept, stored)
            self._temporary.chmod(0o644)
            self._temporary.replace(self._path)
        except OSError:
            self.abandon()

    def abandon(self) -> None:
        """Leave nothing of an unfinished file behind."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(OSError):
                writer.close()
        if self._temporary is not None:
            with suppress(OSError):
                self._temporary.unlink(missing_ok=True)


def _open_writer(path: Path) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        path,
        _stored_schema(),
        compression="lz4",
        use_dictionary=_REPEATED_TEXT,
        # The first bytes of neighbouring numbers are alike: side by side they take less time and room.
        use_byte_stream_split=_NUMBERS,
        write_statistics=False,
        write_page_checksum=True,
    )


def _stored_schema() -> pa.Schema:
    fields = [*SCHEMA, *(pa.field(name, pa.float64()) for name in LATENCY_METRICS)]
    repeated = pa.dictionary(pa.int32(), pa.string())
    return pa.schema([pa.field(each.name, repeated) if each.name in _REPEATED_TEXT else each for each in fields])


def _close(writer: pq.ParquetWriter, stored: Stored) -> None:
    source: dict[str, Any] = {"fingerprint": stored.fingerprint, "skipped": stored.skipped}
    writer.add_key_value_metadata({_SOURCE_KEY: json.dumps(source).encode("utf-8")})
    writer.close()


def _with_latencies(table: pa.Table) -> pa.Table:
    columns = {name: numbers(table[name]) for name in (*INSTANTS, "output_tokens", "gap_p50_ms", "attempt")}
    found = latencies(columns)
    for name in LATENCY_METRICS:
        table = table.append_column(name, pa.array(found[name], from_pandas=True))
    return table.cast(_stored_schema())


def _keep_rows(path: Path, kept: Flags, stored: Stored) -> None:
    """Write the file again with some of its rows."""
    shorter = path.with_name(path.name + ".kept")
    try:
        writer, first = _open_writer(shorter), 0
        for table in read_rows(path, _stored_schema().names):
            chosen = np.asarray(kept[first : first + table.num_rows])
            writer.write_table(table.filter(pa.array(chosen)).cast(_stored_schema()))
            first += table.num_rows
        _close(writer, stored)
        shorter.replace(path)
    finally:
        shorter.unlink(missing_ok=True)
