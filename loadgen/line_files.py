"""Files that grow by whole lines."""

import os
from pathlib import Path
from typing import Protocol

_OWNER_ONLY = 0o600
_AS_USUAL = 0o666


class LineSink(Protocol):
    """Where the lines of one process go: a file here, or one beside the process that leads the test."""

    def write(self, line: bytes) -> None:
        """Append a line, its end included."""

    def close(self) -> None:
        """No more lines come; harmless when done twice."""


class LineFile:
    """A file to append to.

    A line is handed to the operating system before `write` returns, so a killed process loses nothing it had written.
    A line can be torn only where the machine dies or the disk is full; the next one starts afresh.
    """

    def __init__(self, path: Path, *, is_private: bool = False) -> None:
        """Open or create it; `is_private` lets nobody but its owner read it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _OWNER_ONLY if is_private else _AS_USUAL)
        if is_private:
            os.fchmod(handle, _OWNER_ONLY)  # the file may be older than this run
        self._file = os.fdopen(handle, "ab", buffering=0)
        self._is_torn = False

    def write(self, line: bytes) -> None:
        """Append a line, its end included."""
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
        """Whether no more lines can be written."""
        return self._file.closed
