"""Who calls when: the open loop's arrival queue, the closed loop's pauses, and the count of open calls."""

import gevent
from gevent.event import Event
from gevent.queue import Empty, Queue

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from bedrock.clock import now
from loadgen.dealing import Deal, Hand
from scenarios.arrivals import Arrival, Wanted


@dataclass(frozen=True, slots=True)
class Turn:
    """Leave to send one message. `intended_at` None: the call itself sets the time (closed loop).

    `wanted` is what a replayed trace says of the message. `number` is the place of the message in its conversation,
    from 1, and `index` then that of the conversation; None: the message stands alone.
    """

    index: int
    intended_at: float | None
    phase: str | None
    wanted: Wanted | None = None
    number: int | None = None


class Pacer(Protocol):
    """Hands out turns to users; `next_turn` blocks until it is the caller's."""

    def start(self, start_at: float, deals: Sequence[Deal]) -> None:
        """The schedule's zero is at `start_at`; this process takes what it is dealt."""

    def deal(self, deal: Deal) -> None:
        """From an instant ahead on, this process takes another share."""

    def next_turn(self, *, is_first: bool) -> Turn:
        """Block until the caller may send."""

    def stop(self) -> None:
        """No new turns from now on."""

    def drop_waiting(self) -> None:
        """Give up on arrivals that are due and that nobody has taken."""

    @property
    def waiting(self) -> int:
        """Arrivals that are due and that nobody has taken."""

    @property
    def offered(self) -> int | None:
        """Arrivals so far, taken or not; None where there is no schedule."""


#: Arrivals of others that are passed over at a stretch before calls in flight get their turn.
_PASSED_AT_A_STRETCH = 500


class OpenLoop:
    """Walks an absolute schedule and queues this process's arrivals; users are slots that take them.

    An arrival that no slot took within `max_lag_s` is given to `on_dropped` and never sent.
    """

    def __init__(
        self, schedule: Callable[[], Iterable[Arrival]], max_lag_s: float, on_dropped: Callable[[Turn], None]
    ) -> None:
        self._schedule = schedule
        self._max_lag_s = max_lag_s
        self._on_dropped = on_dropped
        self._queue: Queue = Queue()
        self._walkers: list[gevent.Greenlet] = []
        self._offered = 0
        self._start_at = 0.0
        self._hand = Hand(())
        #: Arrivals ahead that are others', in case they are dealt to this process after all.
        self._passed: deque[Arrival] = deque()

    def start(self, start_at: float, deals: Sequence[Deal]) -> None:
        """Start walking this process's share of the schedule."""
        self._start_at = start_at
        self._hand = Hand(deals)
        self._walkers.append(gevent.spawn(self._walk, self._schedule()))

    def deal(self, deal: Deal) -> None:
        """From an instant ahead on, this process takes another share."""
        self._hand.add(deal)
        mine = [arrival for arrival in self._passed if self._hand.takes(arrival)]
        if mine:
            self._passed = deque(arrival for arrival in self._passed if not self._hand.takes(arrival))
            self._walkers.append(gevent.spawn(self._walk, mine))

    def _walk(self, schedule: Iterable[Arrival]) -> None:
        for arrival in schedule:
            if self._hand.takes(arrival):
                self._await(arrival)
            else:
                self._pass_over(arrival)

    def _await(self, arrival: Arrival) -> None:
        """Queue an arrival when it is due, unless it has been dealt to another by then."""
        due_at = self._start_at + arrival.at_s
        wait_s = due_at - now()
        if wait_s > 0.0:
            gevent.sleep(wait_s)
        if self._hand.takes(arrival):
            self._offered += 1
            self._queue.put(Turn(arrival.index, due_at, arrival.phase, arrival.wanted))
        else:
            self._pass_over(arrival)

    def _pass_over(self, arrival: Arrival) -> None:
        self._passed.append(arrival)
        elapsed_s = now() - self._start_at
        while self._passed and self._passed[0].at_s < elapsed_s:
            self._passed.popleft()
        if arrival.index % _PASSED_AT_A_STRETCH == 0:
            gevent.sleep(0)

    def next_turn(self, *, is_first: bool) -> Turn:
        """The next arrival that is not too late; the late ones on the way are dropped."""
        del is_first
        while True:
            turn: Turn = self._queue.get()
            if now() - (turn.intended_at or math.inf) <= self._max_lag_s:
                return turn
            self._on_dropped(turn)

    def stop(self) -> None:
        """Stop the walk. Arrivals already due stay queued for slots that come free within the permitted lag."""
        gevent.killall(self._walkers)

    def drop_waiting(self) -> None:
        """Give up on what is still queued."""
        for turn in iter(lambda: _take_or_none(self._queue), None):
            self._on_dropped(turn)

    @property
    def waiting(self) -> int:
        """Arrivals that are due and that nobody has taken."""
        return int(self._queue.qsize())

    @property
    def offered(self) -> int | None:
        """Arrivals that came due in this process."""
        return self._offered


def _take_or_none(queue: Queue) -> Turn | None:
    try:
        turn: Turn = queue.get_nowait()
    except Empty:
        return None
    return turn


class ClosedLoop:
    """Each user pauses for a think time and calls again; nothing is sent before its answer has come."""

    def __init__(self, think_time_s: tuple[float, float], seed: int, share: int, shares: int) -> None:
        """Messages are numbered share, share + shares, ...: no number twice over all processes."""
        self._think_time_s = think_time_s
        self._random = Random(f"think:{seed}:{share}")
        self._numbers = itertools.count(share, shares)
        self._open = Event()
        self._open.set()
        self._never = Event()

    def start(self, start_at: float, deals: Sequence[Deal]) -> None:
        """Users began when they were spawned; there is nothing to start."""

    def deal(self, deal: Deal) -> None:
        """There is no schedule to deal."""

    def next_turn(self, *, is_first: bool) -> Turn:
        """Pause, then go. A user's first pause is any part of a think time, so that users do not march in step."""
        low_s, high_s = self._think_time_s
        gevent.sleep(self._random.uniform(0.0, high_s) if is_first else self._random.uniform(low_s, high_s))
        if not self._open.is_set():
            self._never.wait()
        return Turn(next(self._numbers), None, None)

    def stop(self) -> None:
        """Users wait for ever from now on; they are in Locust's WAITING state and can be stopped at once."""
        self._open.clear()

    def drop_waiting(self) -> None:
        """A closed loop has no queue."""

    @property
    def waiting(self) -> int:
        """A closed loop has no queue."""
        return 0

    @property
    def offered(self) -> int | None:
        """A closed loop has no schedule."""
        return None


class InFlight:
    """How many calls are open in this process, and a way to wait until none is."""

    def __init__(self) -> None:
        self.count = 0
        self._idle = Event()
        self._idle.set()

    def enter(self) -> None:
        """A call begins."""
        self.count += 1
        self._idle.clear()

    def leave(self) -> None:
        """A call has ended and its record is written."""
        self.count -= 1
        if self.count == 0:
            self._idle.set()

    def wait_idle(self, timeout_s: float) -> bool:
        """Block until no call is open; False if `timeout_s` passed first."""
        return bool(self._idle.wait(timeout_s))
