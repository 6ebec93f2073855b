"""Turns of the open and the closed loop, without a clock: schedules that lie in the past are due at once."""

import gevent

import itertools
import math
from collections.abc import Iterator

from bedrock.clock import now
from loadgen.arrivals import ClosedLoop, InFlight, OpenLoop, Turn
from loadgen.dealing import Deal
from scenarios.arrivals import Arrival


def schedule(count: int) -> Iterator[Arrival]:
    return (Arrival(index, index * 0.001, "steady") for index in range(count))


def started(count: int, max_lag_s: float, dropped: list[Turn]) -> OpenLoop:
    loop = OpenLoop(lambda: schedule(count), max_lag_s, dropped.append)
    loop.start(now() - 1000.0, [Deal(0.0, 0, 1)])
    return loop


def test_every_arrival_becomes_a_turn_with_its_intended_time_and_phase() -> None:
    dropped: list[Turn] = []
    loop = started(3, math.inf, dropped)
    turns = [loop.next_turn(is_first=False) for _ in range(3)]

    assert [turn.index for turn in turns] == [0, 1, 2]
    assert {turn.phase for turn in turns} == {"steady"}
    assert turns[1].intended_at is not None
    assert turns[0].intended_at is not None
    assert abs(turns[1].intended_at - turns[0].intended_at - 0.001) < 1e-6
    assert loop.offered == 3
    assert dropped == []


def test_an_arrival_that_is_too_late_is_dropped_and_never_sent() -> None:
    dropped: list[Turn] = []
    late = [Arrival(0, 0.0, "steady"), Arrival(1, 1000.0, "steady")]
    loop = OpenLoop(lambda: iter(late), 500.0, dropped.append)
    loop.start(now() - 1000.0, [Deal(0.0, 0, 1)])

    assert loop.next_turn(is_first=False).index == 1
    assert [turn.index for turn in dropped] == [0]


def test_what_nobody_took_by_the_end_is_dropped_and_counted() -> None:
    dropped: list[Turn] = []
    loop = started(5, math.inf, dropped)
    loop.next_turn(is_first=False)
    loop.stop()
    loop.drop_waiting()

    assert loop.offered == 5
    assert [turn.index for turn in dropped] == [1, 2, 3, 4]
    assert loop.waiting == 0


def test_what_was_due_when_the_test_ended_is_offered_although_the_loop_was_too_busy_to_get_to_it() -> None:
    arrivals = [
        Arrival(0, 0.0, "steady"),
        Arrival(1, 0.05, "steady"),
        Arrival(2, 0.1, "steady"),
        Arrival(3, 900.0, "steady"),
    ]
    loop = OpenLoop(lambda: iter(arrivals), math.inf, lambda turn: None)
    loop.start(now() - 0.01, [Deal(0.0, 0, 1)])
    loop.next_turn(is_first=False)
    until = now() + 0.15
    while now() < until:
        pass
    loop.stop()

    assert (loop.offered, loop.waiting) == (3, 2)


def test_the_shares_of_a_closed_loop_number_their_messages_apart() -> None:
    shares = [ClosedLoop((0.0, 0.0), seed=1, share=share, shares=3) for share in range(3)]
    numbers = [[loop.next_turn(is_first=True).index for _ in range(4)] for loop in shares]

    assert sorted(itertools.chain(*numbers)) == list(range(12))


def test_a_closed_loops_call_sets_its_own_time() -> None:
    turn = ClosedLoop((0.0, 0.0), seed=1, share=0, shares=1).next_turn(is_first=True)

    assert turn.intended_at is None


def test_calls_in_flight_can_be_waited_for() -> None:
    in_flight = InFlight()
    assert in_flight.wait_idle(0.0)

    in_flight.enter()
    in_flight.enter()
    in_flight.leave()
    assert not in_flight.wait_idle(0.0)

    in_flight.leave()
    assert in_flight.wait_idle(0.0)
    assert in_flight.count == 0


def test_users_who_come_together_spread_over_pause_and_call() -> None:
    """With a call of an hour nobody's first pause is over at once; without it, a think time of 0 s is no pause."""
    waits = []
    for call_s in (3600.0, None):
        loop = ClosedLoop((0.0, 0.0), seed=1, share=0, shares=1, mean_call_s=lambda call_s=call_s: call_s)
        user = gevent.spawn(loop.next_turn, is_first=True)
        gevent.sleep(0.01)
        waits.append(not user.ready())
        user.kill()

    assert waits == [True, False]


def test_the_mean_call_counts_all_calls_and_is_unknown_before_the_first_has_ended() -> None:
    in_flight = InFlight()
    in_flight.enter()
    assert in_flight.mean_call_s() is None

    in_flight.leave()
    mean_s = in_flight.mean_call_s()
    assert mean_s is not None
    assert mean_s >= 0.0
