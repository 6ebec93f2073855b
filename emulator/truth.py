"""The truth log: what the emulator did for each request, one line per request, whatever became of the client.

`seq` counts lines, in the order in which requests ended, so `since` never misses one that took long. Times are
Unix seconds of `bedrock.clock`, taken as bytes are handed to the socket.
"""

import json
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from emulator.hints import tell_user

#: Version of the lines; the endpoint says it in the header `X-Emulator-Schema-Version`.
TRUTH_SCHEMA_VERSION = 1
#: Lines kept for the endpoint; older ones are only in the file.
MEMORY_LINES = 100_000
#: Header of the endpoint's answer: how many of the lines asked for are only in the file.
FORGOTTEN_HEADER = "X-Emulator-Forgotten"

#: Outcome of a request whose client closed the connection before it had the whole answer.
CLIENT_GONE = "client_gone"


@dataclass(slots=True)
class TruthEntry:
    """One request. None means that a thing did not happen; `events` counts event frames of a stream."""

    seq: int | None = None
    request_id: str | None = None
    received_at: float | None = None
    first_event_at: float | None = None
    first_token_at: float | None = None
    last_token_at: float | None = None
    ended_at: float | None = None
    operation: str | None = None
    model_id: str | None = None
    requested_tier: str | None = None
    served_tier: str | None = None
    status: int | None = None
    outcome: str | None = None
    error_code: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    events: int | None = None
    fault: str | None = None
    attempt: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None


_FIELD_NAMES = tuple(field.name for field in fields(TruthEntry))
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class TruthPage:
    """Consecutive lines of the log; `forgotten` of those asked for are no longer kept."""

    lines: Sequence[str]
    forgotten: int

    def to_jsonl(self) -> bytes:
        """The endpoint's answer: a JSON object per line, as in the file."""
        return "".join(f"{line}\n" for line in self.lines).encode()


class TruthLog:
    """Appends entries to a file, if there is one, and keeps the last `MEMORY_LINES` of them."""

    def __init__(self, file: BinaryIO | None = None, memory_lines: int = MEMORY_LINES) -> None:
        self._file = file
        self._lines: deque[str] = deque(maxlen=memory_lines)
        self._last_seq = 0
        #: Lines up to this `seq` were dropped on purpose.
        self._begins_after = 0
        #: Lines that could not be written to the file.
        self.unwritten = 0

    def append(self, entry: TruthEntry) -> None:
        """Number the entry and write its line; it is in the file when this returns.

        A file that takes no more, on a full disk, must not stop the answers: such lines are kept in memory and counted.
        """
        self._last_seq += 1
        entry.seq = self._last_seq
        line = _encode({name: getattr(entry, name) for name in _FIELD_NAMES})
        self._lines.append(line)
        if self._file is not None and not self._write(self._file, line):
            self.unwritten += 1

    def _write(self, file: BinaryIO, line: str) -> bool:
        if self.unwritten:  # the last line in the file may be torn: nothing can follow it
            return False
        data = line.encode() + b"\n"
        try:
            while data:  # a nearly full disk takes a part
                data = data[file.write(data) :]
        except OSError as error:
            tell_user(f"The truth log cannot be written ({error.strerror}): from here on it is kept in memory only.")
            return False
        return True

    def page(self, since: int, limit: int | None = None) -> TruthPage:
        """Lines with a `seq` above `since`, all that are kept or the first `limit` of them."""
        since = max(since, self._begins_after)
        oldest = self._last_seq - len(self._lines)
        start = max(since, oldest)
        first = min(start - oldest, len(self._lines))
        end = len(self._lines) if limit is None else min(first + limit, len(self._lines))
        return TruthPage(list(islice(self._lines, first, end)), forgotten=start - since)

    def forget(self) -> None:
        """Drop what is kept in memory; numbering goes on and the file stays as it is."""
        self._lines.clear()
        self._begins_after = self._last_seq


def open_truth_file(path: Path) -> BinaryIO:
    """The file to append to, behind a line that is torn on a line of its own; OSError where it cannot be written."""
    file = path.open("a+b", buffering=0)
    if file.tell():
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")
    return file
