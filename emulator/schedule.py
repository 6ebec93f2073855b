"""One timer for everything that is due: a heap of actions, drained when the first is."""

import asyncio
import heapq
import math
from collections.abc import Callable

from bedrock.clock import now

#: What is to be done; it may say when it is to be done again (Unix seconds).
Action = Callable[[], float | None]


class Agenda:
    """Runs actions at their times, in order, never early; late by the loop's millisecond timer at most when idle.

    A timer per event costs more than the event itself at tens of thousands of events a second. Here an event costs
    a push and a pop, and one wake-up serves all that are due.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = now) -> None:
        self._loop = loop
        self._now = clock
        self._heap: list[tuple[float, int, Action]] = []
        self._order = 0
        self._timer: asyncio.Handle | None = None
        self._timer_due = math.inf
        self._afterwards: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return len(self._heap)

    def at(self, due_at: float, action: Action) -> None:
        """Run `action` at `due_at` (Unix seconds of `bedrock.clock`); actions due together run in this order.

        An action that returns a time runs again at that time. There is no cancelling: an action whose reason has gone
        must notice it and do nothing.
        """
        self._order += 1
        heapq.heappush(self._heap, (due_at, self._order, action))
        if due_at < self._timer_due:
            self._arm(due_at)

    def _arm(self, due_at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due_at
        wait_s = due_at - self._now()
        # The loop's timers count whole milliseconds and may fire up to one early; rounding up avoids a busy wait.
        if wait_s > 0:
            self._timer = self._loop.call_later(math.ceil(wait_s * 1000.0) / 1000.0, self._run)
        else:
            self._timer = self._loop.call_soon(self._run)

    def afterwards(self, action: Callable[[], None]) -> None:
        """Run `action` once, behind all that is due now."""
        self._afterwards.append(action)
        if self._timer_due > self._now():
            self._arm(self._now())

    def _run(self) -> None:
        # Only what is due at the start: what falls due meanwhile waits for the next turn, so sockets are read between.
        # While it runs, `at` must not arm a timer for each of them.
        self._timer_due = -math.inf
        try:
            try:
                self._run_due()
            finally:
                while self._afterwards:
                    self._afterwards.pop(0)()
        finally:
            # Also when an action fails (a full disk under the truth log): the others must still have their turn.
            self._timer, self._timer_due = None, math.inf
            if self._afterwards:
                self._arm(self._now())
            elif self._heap:
                self._arm(self._heap[0][0])

    def _run_due(self) -> None:
        started_at = self._now()
        heap = self._heap
        while heap and heap[0][0] <= started_at:
            action = heapq.heappop(heap)[2]
            again_at = action()
            if again_at is not None:
                self._order += 1
                heapq.heappush(heap, (again_at, self._order, action))
