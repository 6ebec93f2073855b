"""How much work a model does at once: what load does to the pace, who waits for a place, who is turned away.

    load      = calls in flight when a call starts, itself included; for a priority call, those of priority alone
    slow-down = (load / knee) ^ exponent above the knee, 1 up to it
    TTFT x slow-down, tokens per second / slow-down

With an exponent of 1 the model shares out a fixed amount of work: above the knee every call gets less, all together
get the same (processor sharing). A larger exponent loses work to the crowd, a smaller one gains by batching.

A call keeps the slow-down of the moment in which it started. A real server changes its pace with every call that comes
and goes; here the whole schedule of an answer is known when it starts, which keeps it exact, reproducible and free of
work while it runs. Over a steady load both come to the same.

    priority   counts only its own kind as load, and is turned away only when all `limit` places are taken
    default    is turned away when the places that are not set aside for priority (`priority_share`) are taken
    flex       starts while the others are at most `flex_share` of the knee and all together are below it; else it
               waits in a queue, first come, first served, for `flex_wait_s` at most, and is turned away when the
               queue is full or its time is up

This is a model of what AWS says in words ("Priority requests are prioritized over Standard and Flex"); AWS publishes
no numbers. Times are seconds on any one clock.
"""

import math
from collections import Counter, OrderedDict
from dataclasses import dataclass
from enum import Enum, auto

from emulator.timing import Factors

PRIORITY, FLEX = "priority", "flex"
#: Slack for shares that are no binary fractions: 0.29 of 100 places are 29.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class CapacityLimits:
    """How many calls one model serves at once. `knee` None: load slows nothing; `limit` None: all are served."""

    knee: int | None = None
    exponent: float = 1.0
    limit: int | None = None
    priority_share: float = 0.0
    flex_share: float = 0.5
    flex_wait_s: float = 30.0
    flex_queue: int = 100
    #: What a call is told that is turned away.
    message: str = "Too many connections, please wait before trying again."

    def slow_down(self, load: int) -> float:
        """By how much a call is slower that starts as one of `load`."""
        return 1.0 if self.knee is None else max(1.0, load / self.knee) ** self.exponent

    def places(self, tier: str) -> float:
        """How many calls may be in flight, of whatever tier, with the last that starts in this tier."""
        if self.limit is None:
            return math.inf
        set_aside = 0 if tier == PRIORITY else math.floor(self.limit * self.priority_share + _ROUNDING)
        return self.limit - set_aside


@dataclass(eq=False, slots=True)
class Seat:
    """A call in flight, until it leaves."""

    tier: str
    slow_down: float

    @property
    def factors(self) -> Factors:
        """What the load does to its answer."""
        return Factors(ttft_factor=self.slow_down, speed_factor=1.0 / self.slow_down)


@dataclass(eq=False, slots=True)
class Waiting:
    """A flex call in the queue; its time is up at `until_s`."""

    until_s: float


class Shed(Enum):
    """The answer to a call for which there is no place."""

    SHED = auto()


class Capacity:
    """The calls in flight and in the queue of one model."""

    def __init__(self, limits: CapacityLimits) -> None:
        self.limits = limits
        self._seats: set[Seat] = set()
        self._in_tier: Counter[str] = Counter()
        self._queue: OrderedDict[Waiting, None] = OrderedDict()

    @property
    def in_flight(self) -> int:
        """Calls that have a seat."""
        return len(self._seats)

    @property
    def waiting(self) -> int:
        """Calls in the queue."""
        return len(self._queue)

    def enter(self, tier: str, now_s: float) -> Seat | Waiting | Shed:
        """A call comes: it starts, waits until `leave` of another gives it a seat, or is turned away."""
        if self._has_room(tier):  # there is none for flex while others wait: they would have started
            return self._seat(tier)
        if tier != FLEX or len(self._queue) >= self.limits.flex_queue:
            return Shed.SHED
        waiting = Waiting(now_s + self.limits.flex_wait_s)
        self._queue[waiting] = None
        return waiting

    def leave(self, seat: Seat) -> list[tuple[Waiting, Seat]]:
        """A call ends; returns who starts in its place, in order. A seat that has been left is left alone."""
        if seat not in self._seats:
            return []
        self._seats.remove(seat)
        self._in_tier[seat.tier] -= 1
        started = []
        while self._queue and self._has_room(FLEX):
            waiting, _ = self._queue.popitem(last=False)
            started.append((waiting, self._seat(FLEX)))
        return started

    def give_up(self, waiting: Waiting) -> bool:
        """Take a call out of the queue; False if it is no longer in it."""
        if waiting not in self._queue:
            return False
        del self._queue[waiting]
        return True

    def _seat(self, tier: str) -> Seat:
        others = self._in_tier[PRIORITY] if tier == PRIORITY else self.in_flight
        seat = Seat(tier, self.limits.slow_down(others + 1))
        self._seats.add(seat)
        self._in_tier[tier] += 1
        return seat

    def _has_room(self, tier: str) -> bool:
        limits, in_flight = self.limits, self.in_flight
        if tier == FLEX and limits.knee is not None:
            others = in_flight - self._in_tier[FLEX]
            if others > limits.flex_share * limits.knee + _ROUNDING or in_flight >= limits.knee:
                return False
        return in_flight < limits.places(tier)
