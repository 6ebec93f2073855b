"""The agenda on a virtual clock and a virtual loop: in order, never early, and nothing forgotten."""

import heapq
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.schedule import Agenda

START_S = 1_000.0
TIMER_STEP_S = 0.001
ROUNDING_S = 1e-9

dues = st.floats(min_value=-5.0, max_value=50.0)


class Timer:
    """What a loop gives back for a planned callback."""

    def __init__(self) -> None:
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class VirtualLoop:
    """The part of an event loop that the agenda uses; `run` moves the clock from callback to callback.

    `early_s` lets timers fire early, as a loop's whole milliseconds may.
    """

    def __init__(self, early_s: float = 0.0) -> None:
        self.now_s = START_S
        self.wake_ups = 0
        self._early_s = early_s
        self._order = 0
        self._planned: list[tuple[float, int, Timer, Callable[[], None]]] = []

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        timer = Timer()
        self._order += 1
        heapq.heappush(self._planned, (self.now_s + max(0.0, delay_s), self._order, timer, callback))
        return timer

    def call_soon(self, callback: Callable[[], None]) -> Timer:
        return self.call_later(0.0, callback)

    def run(self) -> None:
        while self._planned:
            at_s, _, timer, callback = heapq.heappop(self._planned)
            if not timer.is_cancelled:
                self.now_s = max(self.now_s, at_s - self._early_s)
                self.wake_ups += 1
                assert self.wake_ups < 10_000, "it wakes up again and again"
                callback()


def agenda_on(loop: VirtualLoop) -> Agenda:
    return Agenda(cast("Any", loop), clock=lambda: loop.now_s)


@given(st.lists(dues, max_size=60), st.sampled_from([0.0, 0.0004, 0.0009]))
def test_actions_run_in_the_order_of_their_times_and_never_early(offsets_s: list[float], early_s: float) -> None:
    loop = VirtualLoop(early_s)
    agenda = agenda_on(loop)
    ran: list[tuple[int, float]] = []
    for number, offset_s in enumerate(offsets_s):
        agenda.at(START_S + offset_s, lambda number=number: ran.append((number, loop.now_s)))  # type: ignore[misc]
    loop.run()

    assert [number for number, _ in ran] == sorted(range(len(ran)), key=lambda number: START_S + offsets_s[number])
    assert len(ran) == len(offsets_s)
    for number, at_s in ran:
        lateness_s = at_s - max(START_S, START_S + offsets_s[number])
        assert 0.0 <= lateness_s <= TIMER_STEP_S + early_s + ROUNDING_S
    assert len(agenda) == 0


@given(st.lists(st.tuples(dues, st.lists(dues, max_size=3)), max_size=15))
def test_actions_added_by_actions_have_their_turn_too(plan: list[tuple[float, list[float]]]) -> None:
    loop = VirtualLoop()
    agenda = agenda_on(loop)
    ran: list[float] = []

    def act(due_at: float, following: list[float]) -> None:
        assert loop.now_s >= due_at
        ran.append(due_at)
        for later_s in following:
            agenda.at(due_at + later_s, lambda due=due_at + later_s: act(due, []))  # type: ignore[misc]

    for offset_s, following in plan:
        agenda.at(START_S + offset_s, lambda due=START_S + offset_s, then=following: act(due, then))  # type: ignore[misc]
    loop.run()

    assert len(ran) == len(plan) + sum(len(following) for _, following in plan)


@given(st.lists(st.tuples(st.floats(0.0, 10.0), st.floats(0.0, 10.0)), min_size=1, max_size=30))
def test_an_earlier_action_that_comes_later_is_not_kept_waiting(plan: list[tuple[float, float]]) -> None:
    """Each action is announced at one time for another: the timer already set may be too late for it."""
    loop = VirtualLoop()
    agenda = agenda_on(loop)
    lateness_s: list[float] = []

    def announce(wait_s: float) -> None:
        due_at = loop.now_s + wait_s
        agenda.at(due_at, lambda: lateness_s.append(loop.now_s - due_at))

    for said_after_s, wait_s in plan:
        loop.call_later(said_after_s, lambda wait_s=wait_s: announce(wait_s))  # type: ignore[misc]
    loop.run()

    assert len(lateness_s) == len(plan)
    assert all(0.0 <= late_s <= TIMER_STEP_S + ROUNDING_S for late_s in lateness_s)


def test_actions_due_together_run_in_the_order_they_were_added() -> None:
    loop = VirtualLoop()
    agenda = agenda_on(loop)
    ran: list[int] = []
    for number in range(100):
        agenda.at(START_S + 1.0, lambda number=number: ran.append(number))  # type: ignore[misc]
    loop.run()

    assert ran == list(range(100))


def test_one_wake_up_serves_all_that_are_due() -> None:
    loop = VirtualLoop()
    agenda = agenda_on(loop)
    for _ in range(500):
        agenda.at(START_S + 1.0, lambda: None)
    loop.run()

    assert loop.wake_ups == 1


def test_what_falls_due_meanwhile_leaves_a_turn_to_the_loop() -> None:
    """Sockets must be read even when the actions never get up with the clock."""
    loop = VirtualLoop()
    agenda = agenda_on(loop)
    turns: list[str] = []

    def slow() -> None:
        turns.append("agenda")
        loop.now_s += 0.5
        if len(turns) < 10:
            loop.call_soon(lambda: turns.append("socket"))
            agenda.at(loop.now_s, slow)

    agenda.at(START_S, slow)
    loop.run()

    assert turns[:4] == ["agenda", "socket", "agenda", "socket"]


def test_an_action_that_fails_does_not_take_the_others_with_it() -> None:
    loop = VirtualLoop()
    agenda = agenda_on(loop)
    ran: list[str] = []

    def fail() -> None:
        raise OSError("no space left on device")

    agenda.at(START_S + 1.0, fail)
    agenda.at(START_S + 1.0, lambda: ran.append("due together"))
    agenda.at(START_S + 2.0, lambda: ran.append("due later"))
    with pytest.raises(OSError, match="no space"):
        loop.run()
    agenda.at(START_S + 3.0, lambda: ran.append("added afterwards"))
    loop.run()

    assert ran == ["due together", "due later", "added afterwards"]


def test_an_action_that_says_when_runs_again_then() -> None:
    loop = VirtualLoop()
    agenda = agenda_on(loop)
    ran_at: list[float] = []

    def tell() -> float | None:
        ran_at.append(loop.now_s)
        return START_S + len(ran_at) if len(ran_at) < 4 else None

    agenda.at(START_S, tell)
    loop.run()

    assert ran_at == [pytest.approx(START_S + second, abs=TIMER_STEP_S) for second in range(4)]
    assert all(at_s >= START_S + second for second, at_s in enumerate(ran_at))


def test_what_is_to_be_done_afterwards_is_done_behind_all_that_is_due_even_if_some_fail() -> None:
    loop = VirtualLoop()
    agenda = agenda_on(loop)
    ran: list[str] = []

    def fail() -> None:
        agenda.afterwards(lambda: ran.append("afterwards"))
        raise OSError("no space left on device")

    agenda.at(START_S + 1.0, lambda: ran.append("first"))
    agenda.at(START_S + 1.0, fail)
    agenda.at(START_S + 1.0, lambda: ran.append("last"))
    with pytest.raises(OSError, match="no space"):
        loop.run()
    loop.run()

    assert ran == ["first", "afterwards", "last"]


def test_its_length_is_what_is_still_to_do() -> None:
    loop = VirtualLoop()
    agenda = agenda_on(loop)
    agenda.at(START_S + 1.0, lambda: None)
    agenda.at(START_S + 2.0, lambda: None)

    assert len(agenda) == 2
    loop.run()
    assert len(agenda) == 0
