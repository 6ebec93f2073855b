"""What a suite has used up so far, in a file that all its load processes share: a limit is one for all of them.

The processes are on one machine. Each reads and writes the file under a lock, some microseconds at every request, so
that what one of them sends is known to the others at once.
"""

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

#: Names of the limits, as `stopped_by` in `run.json` has them.
MAX_REQUESTS = "max_requests"
MAX_COST_USD = "max_cost_usd"

_LIMITS = (None, MAX_REQUESTS, MAX_COST_USD)

_LAYOUT = struct.Struct("<qqdB")


@dataclass(slots=True)
class Usage:
    """Requests sent, retries too, and of these the ones that have ended, with their cost in USD.

    `limit` is the limit that was reached, None if none was: nothing more may be sent then.
    """

    sent: int = 0
    ended: int = 0
    cost_usd: float = 0.0
    limit: str | None = None

    @property
    def committed_usd(self) -> float:
        """Cost so far, and of the calls in flight at the mean cost of those that ended."""
        in_flight = self.sent - self.ended
        return self.cost_usd + (in_flight * self.cost_usd / self.ended if self.ended else 0.0)


class OwnBook:
    """The usage of one process that shares with nobody."""

    def __init__(self) -> None:
        self._usage = Usage()

    @contextmanager
    def entry(self) -> Iterator[Usage]:
        """The usage, to be read and changed."""
        yield self._usage

    def close(self) -> None:
        """There is nothing to close."""


class SharedBook:
    """The usage of all processes that have the same file open; OSError where there is none."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("r+b", buffering=0)

    @contextmanager
    def entry(self) -> Iterator[Usage]:
        """The usage as it is now, to be read and changed; nobody else can meanwhile."""
        descriptor = self._file.fileno()
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            usage = _unpacked(os.pread(descriptor, _LAYOUT.size, 0))
            yield usage
            os.pwrite(descriptor, _packed(usage), 0)
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)

    def settle(self) -> None:
        """Nothing is in flight: what a process that was killed had sent has ended, at a cost that nobody knows."""
        with self.entry() as usage:
            usage.ended = usage.sent

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def new_book(path: Path, usage: Usage) -> SharedBook:
    """A new file that begins with so much used up; it replaces an older one."""
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_bytes(_packed(usage))
    temporary.replace(path)
    return SharedBook(path)


def _packed(usage: Usage) -> bytes:
    return _LAYOUT.pack(usage.sent, usage.ended, usage.cost_usd, _LIMITS.index(usage.limit))


def _unpacked(content: bytes) -> Usage:
    sent, ended, cost_usd, limit = _LAYOUT.unpack(content)
    return Usage(sent, ended, cost_usd, _LIMITS[limit])
