"""Traces to replay: CSV or JSONL files with a time for each message, and optionally what the message was.

A file is read line by line, checked, and kept compactly. It is written by others and treated as hostile: the first
thing wrong with it is one sentence with its line. docs/load.md describes the format.
"""

import csv
import json
import math
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from bedrock.catalog import split_model_id
from scenarios.arrivals import Wanted
from scenarios.problems import ProblemsError, kind

#: Names of the time's column. The last is that of this project's own records.
TIME_NAMES = ("time", "timestamp", "intended_at")

#: Other columns by what they are called in a trace; the rest of a file is ignored.
_TEXTS = {"query_type": "query_type", "prompt_id": "prompt_id", "model": "model_id", "model_id": "model_id"}
_COUNTS = ("input_tokens", "output_tokens")

#: A day of the workload has 1,000,000 messages.
MAX_ARRIVALS = 1_000_000
MAX_LINE_BYTES = 100_000
MAX_TEXT_LENGTH = 200
MAX_TOKENS = 10_000_000
#: Longer replays are no load tests, but slips: of one time in seconds, and another as a date.
MAX_SPAN_S = 31 * 86_400
#: Each is a row in every table of a report, and of Locust's.
MAX_QUERY_TYPES = 200


class TraceError(ProblemsError):
    """A trace cannot be used; the text has the file, the line and the reason."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Messages in order of time. `times_s` counts from the first; `wanted` has one entry for each of them.

    `first_lines` says in which line each distinct entry of `wanted` stands first, for messages about it.
    """

    file: str
    times_s: "array[float]"
    wanted: tuple[Wanted, ...]
    first_lines: Mapping[Wanted, int]

    @property
    def span_s(self) -> float:
        """Seconds from the first message to the last."""
        return self.times_s[-1]

    def problem(self, wanted: Wanted, text: str) -> TraceError:
        """The error of a message that cannot be sent."""
        return _error(self.file, self.first_lines[wanted], text)


def read_trace(path: Path | str) -> Trace:
    """The trace of a `.csv` or `.jsonl` file; TraceError with the first thing that is wrong with it.

    A file that has not changed is read once only.
    """
    file = Path(path)
    try:
        status = file.stat()
        return _read(file, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise TraceError(f"{path} as a trace", [f"the file cannot be read ({error.strerror or error})"]) from error


@lru_cache(maxsize=8)
def _read(path: Path, _changed_ns: int, _size: int) -> Trace:
    readers = {".csv": _csv_rows, ".jsonl": _jsonl_rows, ".ndjson": _jsonl_rows}
    read = readers.get(path.suffix.lower())
    if read is None:
        raise TraceError(f"{path} as a trace", ["the name of a trace must end in .csv or .jsonl"])
    if not path.is_file():
        raise TraceError(f"{path} as a trace", ["it is not a file"])
    builder = _Builder(str(path))
    with path.open("rb") as file:
        for line, row in read(str(path), file):
            builder.add(line, row)
    return builder.finish()


def _error(file: str, line: int, text: str) -> TraceError:
    return TraceError(f"{file}:{line} as a trace", [text])


def _lines(name: str, file: IO[bytes]) -> Iterator[tuple[int, str]]:
    """Lines of UTF-8 text with their numbers from 1; never more than one in memory, and none that is too long."""
    number = 0
    while content := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(content) > MAX_LINE_BYTES:
            raise _error(name, number, f"the line is longer than {MAX_LINE_BYTES:,} bytes")
        try:
            yield number, content.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise _error(name, number, "the line is not UTF-8 text") from None


Row = Mapping[str, Any]


def _csv_rows(name: str, file: IO[bytes]) -> Iterator[tuple[int, Row]]:
    reader = csv.reader((text for _, text in _lines(name, file)), strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = _header(name, reader.line_num, cells)
            elif len(cells) != len(header):
                problem = f"the line has {len(cells)} columns, the first line names {len(header)}"
                raise _error(name, reader.line_num, problem)
            else:
                yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise _error(name, reader.line_num, f"the line is not CSV: {error}") from error


def _header(name: str, line: int, cells: list[str]) -> list[str]:
    header = [cell.strip().lower() for cell in cells]
    if not set(header) & set(TIME_NAMES):
        found = ", ".join(cell[:40] for cell in header[:8])
        problem = f"the first line must name the columns, one of them {' or '.join(TIME_NAMES)}; it says: {found}"
        raise _error(name, line, problem)
    twice = next((cell for cell in header if header.count(cell) > 1), None)
    if twice is not None:
        raise _error(name, line, f"the column {twice[:40]!r} is there twice")
    return header


def _jsonl_rows(name: str, file: IO[bytes]) -> Iterator[tuple[int, Row]]:
    for number, text in _lines(name, file):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except RecursionError:
            raise _error(name, number, "the line is nested too deeply") from None
        except ValueError as error:
            raise _error(name, number, f"the line is not JSON: {getattr(error, 'msg', error)}") from error
        if not isinstance(row, dict):
            raise _error(name, number, f"the line must be an object with a time, not {kind(row)}")
        yield number, row


class _Builder:
    """Takes rows one by one; equal ones share what they say of the message."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._times_s: array[float] = array("d")
        self._wanted: list[Wanted] = []
        self._known: dict[Wanted, Wanted] = {}
        self._first_lines: dict[Wanted, int] = {}
        self._query_types: set[str | None] = set()
        self._first_at = 0.0
        self._last: tuple[int, float] | None = None

    def add(self, line: int, row: Row) -> None:
        """Check a row and keep it; TraceError with its line."""
        try:
            at, wanted = _instant(row), _wanted(row)
        except ValueError as error:
            raise _error(self._file, line, str(error)) from error
        if self._last is None:
            self._first_at = at
        elif at < self._last[1]:
            problem = f"the time is before that of line {self._last[0]}; sort the trace by time"
            raise _error(self._file, line, problem)
        elif at - self._first_at > MAX_SPAN_S:
            days = MAX_SPAN_S // 86_400
            problem = f"the time is more than {days} days after the first; is one in seconds, the other a date?"
            raise _error(self._file, line, problem)
        self._query_types.add(wanted.query_type)
        if len(self._query_types) > MAX_QUERY_TYPES:
            raise _error(self._file, line, f"there are more than {MAX_QUERY_TYPES} query types")
        if len(self._times_s) >= MAX_ARRIVALS:
            raise _error(self._file, line, f"the trace has more than {MAX_ARRIVALS:,} messages; replay it in parts")
        self._last = line, at
        self._times_s.append(at - self._first_at)
        self._wanted.append(self._known.setdefault(wanted, wanted))
        self._first_lines.setdefault(wanted, line)

    def finish(self) -> Trace:
        """The trace; TraceError if it is empty."""
        if not self._times_s:
            raise TraceError(f"{self._file} as a trace", ["it has no messages"])
        return Trace(self._file, self._times_s, tuple(self._wanted), self._first_lines)


def _instant(row: Row) -> float:
    """Seconds of a row's time, from whatever zero its numbers have."""
    name = next((name for name in TIME_NAMES if row.get(name) not in (None, "")), None)
    if name is None:
        raise ValueError(f"the line has no time ({' or '.join(TIME_NAMES)})")
    value = row[name]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{name} must be seconds or a date with time, not {kind(value)}")
    try:
        seconds = float(value)
    except ValueError:
        return _seconds_of_date(name, str(value))
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise ValueError(f"{name} is {str(value)[:40]}, which is no moment")
    return seconds


def _seconds_of_date(name: str, text: str) -> float:
    """Unix seconds of a date with time in ISO 8601; without a time zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        problem = f"{name} is {text[:40]!r}: write seconds, or a date with time like 2026-01-31T09:00:00Z"
        raise ValueError(problem) from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    # Not `timestamp()`, which fails for the years 1 and 9999 in some time zones.
    return (aware - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()


def _wanted(row: Row) -> Wanted:
    texts = {field: text for name, field in _TEXTS.items() if (text := _text(name, row.get(name))) is not None}
    counts = {name: _tokens(name, row.get(name)) for name in _COUNTS}
    if "model_id" in texts:  # records have the id as it was sent
        texts["model_id"] = split_model_id(texts["model_id"]).base
    return Wanted(**texts, **counts)  # type: ignore[arg-type]  # names are those of the fields


def _text(name: str, value: Any) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text, not {kind(value)}")
    text = value.strip()
    if len(text) > MAX_TEXT_LENGTH or not text.isprintable():
        raise ValueError(f"{name} must be at most {MAX_TEXT_LENGTH} printable characters")
    return text or None


def _tokens(name: str, value: Any) -> int | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (number.is_integer() and 1 <= number <= MAX_TOKENS):
        raise ValueError(f"{name} is {str(value)[:40]!r}: write a whole number from 1 to {MAX_TOKENS:,}, or nothing")
    return int(number)
