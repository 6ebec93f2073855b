"""The truth log: what the emulator did for each request, one line per request, whatever became of the client.

`seq` counts lines, in the order in which requests ended, so `since` never misses one that took long. Times are
Unix seconds of `bedrock.clock`, taken as bytes are handed to the socket.
"""

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

TRUTH_SCHEMA_VERSION = 1
#: Lines kept for the endpoint; older ones are only in the file.
MEMORY_LINES = 100_000
#: Most lines in one answer of the endpoint.
PAGE_LINES = 5_000

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


@dataclass(frozen=True, slots=True)
class TruthPage:
    """Consecutive lines of the log; `next_since` asks for those after them."""

    lines: Sequence[str]
    next_since: int
    has_more: bool
    forgotten: int

    def to_json(self) -> bytes:
        """The endpoint's answer; the lines are JSON already."""
        head = {
            "schema_version": TRUTH_SCHEMA_VERSION,
            "next_since": self.next_since,
            "has_more": self.has_more,
            "forgotten": self.forgotten,
        }
        return f'{json.dumps(head)[:-1]}, "entries": [{",".join(self.lines)}]}}'.encode()


class TruthLog:
    """Appends entries to a file, if there is one, and keeps the last `MEMORY_LINES` of them."""

    def __init__(self, file: TextIO | None = None, memory_lines: int = MEMORY_LINES) -> None:
        self._file = file
        self._lines: deque[str] = deque(maxlen=memory_lines)
        self._last_seq = 0

    def append(self, entry: TruthEntry) -> None:
        """Number the entry and write its line; it is in the file when this returns."""
        self._last_seq += 1
        entry.seq = self._last_seq
        line = json.dumps(asdict(entry), separators=(",", ":"))
        self._lines.append(line)
        if self._file is not None:
            self._file.write(line + "\n")
            self._file.flush()

    def page(self, since: int, limit: int = PAGE_LINES) -> TruthPage:
        """Up to `limit` lines with a `seq` above `since`, and how many of those asked for are no longer kept."""
        oldest = self._last_seq - len(self._lines)
        start = max(since, oldest)
        first = min(start - oldest, len(self._lines))
        lines = [self._lines[index] for index in range(first, min(first + limit, len(self._lines)))]
        return TruthPage(
            lines=lines,
            next_since=start + len(lines) if lines else max(since, 0),
            has_more=start + len(lines) < self._last_seq,
            forgotten=max(0, start - max(since, 0)),
        )

    def forget(self) -> None:
        """Drop what is kept in memory; numbering goes on and the file stays as it is."""
        self._lines.clear()


def open_truth_file(path: Path) -> TextIO:
    """The file to append to; OSError where it cannot be written."""
    return path.open("a", encoding="utf-8")
