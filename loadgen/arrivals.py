"""Who calls when: the open loop's arrival queue, the closed loop's pauses, and the count of open calls."""

import gevent
from gevent.event import Event
from gevent.queue import Empty, Queue

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
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

    def withdraw(self) -> None:
        """A turn that was taken is not to be: it counts as if it had never been due."""

    @property
    def waiting(self) -> int:
        """Arrivals that are due and that nobody has taken."""

    @property
    def offered(self) -> int | None:
        """Arrivals so far, taken or not; None where there is no schedule."""


#: Arrivals of others that are passed over at a stretch before calls in flight get their turn.
_PASSED_AT_A_STRETCH = 500
#: How far ahead arrivals of others are looked at: a new deal comes about a second ahead of its time. A process that was
#: dealt nothing would otherwise run through the whole schedule.
_LOOK_AHEAD_S = 10.0
#: A process that stood still for so long may have been given up, and its arrivals dealt to others: it hears the news
#: before it goes on.
_STANDSTILL_S = 2.0
_NEWS_S = 0.5


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
        self._walks: list[_Walk] = []
        self._offered = 0
        self._start_at = 0.0
        self._hand = Hand(())
        #: Arrivals ahead that are others', in case they are dealt to this process after all.
        self._passed: deque[Arrival] = deque()

    def start(self, start_at: float, deals: Sequence[Deal]) -> None:
        """Start walking this process's share of the schedule."""
        self._start_at = start_at
        self._hand = Hand(deals)
        self._walk(self._schedule())

    def deal(self, deal: Deal) -> None:
        """From an instant ahead on, this process takes another share."""
        self._hand.add(deal)
        mine = [arrival for arrival in self._passed if self._hand.takes(arrival)]
        if mine:
            self._passed = deque(arrival for arrival in self._passed if not self._hand.takes(arrival))
            self._walk(mine)

    def _walk(self, schedule: Iterable[Arrival]) -> None:
        self._walks.append(_Walk(iter(schedule), self))

    def wait_for(self, arrival: Arrival) -> float:
        """Sleep until an arrival of this process's is due, and how late it is then; others' are not waited for."""
        if not self._hand.takes(arrival):
            return 0.0
        due_at = self._start_at + arrival.at_s
        wait_s = due_at - now()
        if wait_s > 0.0:
            gevent.sleep(wait_s)
        return now() - due_at

    def offer(self, arrival: Arrival) -> None:
        """Queue an arrival that is due, unless it is another's: it may have been dealt anew while it was awaited."""
        if self._hand.takes(arrival):
            self._offered += 1
            due_at = self._start_at + arrival.at_s
            self._queue.put(Turn(arrival.index, due_at, arrival.phase, arrival.wanted))
        else:
            self._pass_over(arrival)

    def _pass_over(self, arrival: Arrival) -> None:
        self._passed.append(arrival)
        elapsed_s = now() - self._start_at
        while self._passed and self._passed[0].at_s < elapsed_s:
            self._passed.popleft()
        if arrival.at_s > elapsed_s + _LOOK_AHEAD_S:
            gevent.sleep(arrival.at_s - elapsed_s - _LOOK_AHEAD_S)
        elif arrival.index % _PASSED_AT_A_STRETCH == 0:
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
        elapsed_s = now() - self._start_at
        for walk in self._walks:
            walk.stop(elapsed_s)
        self._walks.clear()

    def withdraw(self) -> None:
        """An arrival that was taken counts as if it had never been due."""
        self._offered -= 1

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


class _Walk:
    """A greenlet that goes through arrivals as they become due."""

    def __init__(self, schedule: Iterator[Arrival], loop: OpenLoop) -> None:
        self._schedule = schedule
        self._loop = loop
        self._ahead: Arrival | None = next(schedule, None)
        self._greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        while self._ahead is not None:
            if self._loop.wait_for(self._ahead) > _STANDSTILL_S:
                gevent.sleep(_NEWS_S)
            self._step()

    def _step(self) -> None:
        arrival, self._ahead = self._ahead, None
        if arrival is not None:
            self._ahead = next(self._schedule, None)
            self._loop.offer(arrival)

    def stop(self, elapsed_s: float) -> None:
        """Stop here, with everything offered that was due by now: the loop may have been too busy to get to it."""
        self._greenlet.kill()
        while self._ahead is not None and self._ahead.at_s <= elapsed_s:
            self._step()


def _take_or_none(queue: Queue) -> Turn | None:
    try:
        turn: Turn = queue.get_nowait()
    except Empty:
        return None
    return turn


class ClosedLoop:
    """Each user pauses for a think time and calls again; nothing is sent before its answer has come."""

    def __init__(
        self,
        think_time_s: tuple[float, float],
        seed: int,
        share: int,
        shares: int,
        mean_call_s: Callable[[], float | None] = lambda: None,
    ) -> None:
        """Messages are numbered share, share + shares, ...: no number twice over all processes.

        `mean_call_s` is how long calls take in this test, as far as known.
        """
        self._mean_call_s = mean_call_s
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
        """Pause, then go."""
        gevent.sleep(self._first_pause_s() if is_first else self._random.uniform(*self._think_time_s))
        if not self._open.is_set():
            self._never.wait()
        return Turn(next(self._numbers), None, None)

    def _first_pause_s(self) -> float:
        """Any part of a user's cycle of pause and call, so that users who come together do not march in step.

        They then call at once at the rate at which so many users call in the long run. Before the first answers
        nobody knows how long a call takes: any part of a think time.
        """
        (low_s, high_s), call_s = self._think_time_s, self._mean_call_s()
        return self._random.uniform(0.0, high_s if call_s is None else (low_s + high_s) / 2.0 + call_s)

    def stop(self) -> None:
        """Users wait for ever from now on; they are in Locust's WAITING state and can be stopped at once."""
        self._open.clear()

    def withdraw(self) -> None:
        """There is no schedule to take a turn back from."""

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
    """How many calls are open in this process, for how long, and a way to wait until none is."""

    def __init__(self) -> None:
        self.count = 0
        self._ended = 0
        self._call_s = 0.0
        self._changed_at = 0.0
        self._idle = Event()
        self._idle.set()

    def enter(self) -> None:
        """A call begins."""
        self._account()
        self.count += 1
        self._idle.clear()

    def leave(self) -> None:
        """A call has ended and its record is written."""
        self._account()
        self.count -= 1
        self._ended += 1
        if self.count == 0:
            self._idle.set()

    def _account(self) -> None:
        at = now()
        self._call_s += self.count * (at - self._changed_at)
        self._changed_at = at

    def mean_call_s(self) -> float | None:
        """Time that calls were open / calls that ended; None before the first."""
        return self._call_s / self._ended if self._ended else None

    def wait_idle(self, timeout_s: float) -> bool:
        """Block until no call is open; False if `timeout_s` passed first, or somebody gave up."""
        self._idle.wait(timeout_s)
        return self.count == 0

    def give_up(self) -> None:
        """Let nobody wait for open calls any more."""
        self._idle.set()
