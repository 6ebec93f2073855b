"""Lines of a worker that cannot reach the results directory, on their way to the process that leads the test.

A worker collects its lines into numbered batches and sends them once a second or sooner; the master writes each batch
and says so; what it has not said is sent again, in order, as often as it takes. So nothing is lost while both are
there, nothing is written twice, and what is missing at the end is known by its number.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: A batch of this size is sent at once: larger ones would hold up heartbeats on the same line.
BATCH_BYTES = 256 * 1024
#: Batches on their way at most; more wait their turn.
WINDOW = 16
#: After so long without a word of the oldest batch, all that are on their way are sent again.
RESEND_AFTER_S = 3.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Whole lines by kind of file; `number` counts the batches of one worker and test from 0."""

    number: int
    lines: Mapping[str, bytes]

    def as_message(self) -> dict[str, Any]:
        """Plain data that a message between processes can carry."""
        return {"number": self.number, "lines": dict(self.lines)}

    @classmethod
    def from_message(cls, data: Mapping[str, Any]) -> "Batch":
        """The inverse of `as_message`; ValueError for what is none."""
        number, lines = data.get("number"), data.get("lines")
        if not isinstance(number, int) or not isinstance(lines, dict):
            raise ValueError("not a batch of lines")
        if not all(isinstance(kind, str) and isinstance(part, bytes) for kind, part in lines.items()):
            raise ValueError("not a batch of lines")
        return cls(number, lines)


class Outbox:
    """The sender's side: what is to be sent, and what may have to be sent again. Pure, over a clock that is given."""

    def __init__(self) -> None:
        self._open: dict[str, list[bytes]] = {}
        self._open_bytes = 0
        self._waiting: deque[Batch] = deque()
        self._sent: deque[Batch] = deque()
        self._next = 0
        self._spoke_at_s = 0.0

    def add(self, kind: str, line: bytes) -> None:
        """Take a line."""
        self._open.setdefault(kind, []).append(line)
        self._open_bytes += len(line)
        if self._open_bytes >= BATCH_BYTES:
            self.seal()

    def seal(self) -> None:
        """Make a batch of what there is."""
        if self._open:
            self._waiting.append(Batch(self._next, {kind: b"".join(lines) for kind, lines in self._open.items()}))
            self._next += 1
            self._open, self._open_bytes = {}, 0

    def due(self, now_s: float) -> list[Batch]:
        """What to send now: batches that were not sent yet, behind those that seem to be lost."""
        if not self._sent:
            self._spoke_at_s = now_s
        again: list[Batch] = []
        if now_s - self._spoke_at_s >= RESEND_AFTER_S:
            again, self._spoke_at_s = list(self._sent), now_s
        fresh = [self._waiting.popleft() for _ in range(min(WINDOW - len(self._sent), len(self._waiting)))]
        self._sent.extend(fresh)
        return again + fresh

    def acknowledge(self, number: int, now_s: float) -> None:
        """All batches up to `number` are written."""
        while self._sent and self._sent[0].number <= number:
            self._sent.popleft()
            self._spoke_at_s = now_s

    @property
    def is_empty(self) -> bool:
        """Whether all lines are written where they belong."""
        return not (self._open or self._waiting or self._sent)

    def left(self) -> dict[str, bytes]:
        """All lines that nobody has said are written, by kind."""
        self.seal()
        found: dict[str, bytes] = {}
        for batch in (*self._sent, *self._waiting):
            for kind, lines in batch.lines.items():
                found[kind] = found.get(kind, b"") + lines
        return found


class Inbox:
    """The receiver's side, for one sender: takes batches in order, each once."""

    def __init__(self) -> None:
        self._next = 0

    def expects(self, batch: Batch) -> bool:
        """Whether to write this batch: it is the next. One that comes again, or too early, is not."""
        return batch.number == self._next

    def advance(self) -> None:
        """The expected batch is written."""
        self._next += 1

    @property
    def written(self) -> int:
        """The number of the last batch that was written; -1 before the first."""
        return self._next - 1
