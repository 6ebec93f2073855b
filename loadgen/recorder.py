"""Appends records to one file per process, a line per attempt, flushed as it is written."""

import itertools
from pathlib import Path
from types import TracebackType
from typing import Self

from bedrock.invocation import InvocationRecord


class Recorder:
    """The record file of one process.

    A line is handed to the operating system before `write` returns, so a killed process loses nothing it had
    finished. A line can be torn only where the machine dies or the disk is full; the next one starts afresh.
    """

    def __init__(self, path: Path, process: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.process = process
        self.path = path
        self._sequence = itertools.count()
        self._file = path.open("ab", buffering=0)
        self._is_torn = False

    def next_seq(self) -> int:
        """The next sequence number of this process, from 0; readers detect a lost line by the gap."""
        return next(self._sequence)

    def write(self, record: InvocationRecord) -> None:
        """Append one record."""
        line = record.to_json().encode("utf-8") + b"\n"
        if self._is_torn:
            line = b"\n" + line
        written = 0
        try:
            while written < len(line):  # a nearly full disk takes a part
                written += self._file.write(line[written:])
        finally:
            self._is_torn = 0 < written < len(line) or (self._is_torn and written == 0)

    def close(self) -> None:
        """Close the file; harmless when done twice."""
        self._file.close()

    @property
    def closed(self) -> bool:
        """Whether no more records can be written."""
        return self._file.closed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
