"""Which cell runs when: one after the other, or several at once where the service keeps them apart.

Pure: times are seconds on whatever clock the caller has.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

#: What cells must not have in common to run at once: a model in a region, whose quota and capacity they would share.
Claim = tuple[str, str]

#: What a cell needs that runs alone.
_EVERYTHING: frozenset[Claim] = frozenset({("", "")})


class CellQueue:
    """Cells by name in the order in which they are to run, at most `most` of them at once.

    A cell waits for those that run with a claim of its own, and `cool_down_s` seconds from their end on. Where only one
    runs at a time, each waits for the one before it.
    """

    def __init__(
        self, cells: Sequence[str], claims: Mapping[str, frozenset[Claim]], *, most: int = 1, cool_down_s: float = 0.0
    ) -> None:
        self._claims = claims
        self._most = most
        self._cool_down_s = cool_down_s
        self._waiting = list(cells)
        self._running: list[str] = []
        #: When the last cell with a claim ended.
        self._ended_s: dict[Claim, float] = {}

    @property
    def waiting(self) -> tuple[str, ...]:
        """Cells that have not begun."""
        return tuple(self._waiting)

    @property
    def running(self) -> tuple[str, ...]:
        """Cells that have begun and not ended."""
        return tuple(self._running)

    def start_next(self, at_s: float) -> str | None:
        """The next cell that may begin now, which then runs; None while all that wait must go on waiting."""
        if len(self._running) >= self._most:
            return None
        name = next((name for name in self._waiting if self._ready_s(name) <= at_s), None)
        if name is not None:
            self._waiting.remove(name)
            self._running.append(name)
        return name

    def ended(self, cell: str, at_s: float) -> None:
        """A cell that ran is over."""
        self._running.remove(cell)
        self._ended_s |= dict.fromkeys(self._needs(cell), at_s)

    @property
    def next_ready_s(self) -> float:
        """When the first of the waiting cells may begin as far as is known: infinite until one that runs has ended."""
        if len(self._running) >= self._most:
            return math.inf
        return min(map(self._ready_s, self._waiting), default=math.inf)

    def _ready_s(self, name: str) -> float:
        needs = self._needs(name)
        if any(not needs.isdisjoint(self._needs(other)) for other in self._running):
            return math.inf
        return max(
            (self._ended_s[claim] + self._cool_down_s for claim in needs & self._ended_s.keys()), default=-math.inf
        )

    def _needs(self, name: str) -> frozenset[Claim]:
        return _EVERYTHING if self._most == 1 else self._claims[name]


@dataclass(frozen=True, slots=True)
class Turn:
    """When a cell runs, in seconds from the start of the suite's load."""

    cell: str
    began_s: float
    ended_s: float


def timetable(queue: CellQueue, durations_s: Mapping[str, float]) -> Iterator[Turn]:
    """When each cell runs if it takes as long as planned, in the order in which they begin."""
    at_s, ends_s = 0.0, dict[str, float]()
    while queue.waiting:
        while (name := queue.start_next(at_s)) is not None:
            ends_s[name] = at_s + durations_s[name]
            yield Turn(name, at_s, ends_s[name])
        at_s = min([queue.next_ready_s, *ends_s.values()])
        for name in [name for name, end in ends_s.items() if end <= at_s]:
            queue.ended(name, ends_s.pop(name))
