"""Who takes which arrivals, while processes come and go: always exactly one, and nothing is forgotten."""

import gevent

import itertools
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from bedrock.clock import now
from loadgen.arrivals import OpenLoop, Turn
from loadgen.dealing import Deal, Hand, deal_to
from scenarios.arrivals import Arrival

#: When (in seconds of the schedule) which processes are there; the first entry is the start.
CREWS = st.lists(st.sets(st.sampled_from("abcd"), min_size=1), min_size=1, max_size=5)


def schedule(count: int, gap_s: float = 1.0) -> list[Arrival]:
    return [Arrival(index, index * gap_s, "steady") for index in range(count)]


def hands(crews: list[set[str]], every_s: float) -> dict[str, Hand]:
    """What each process was dealt, where the crew changes every so many seconds."""
    found = {name: Hand(()) for name in "abcd"}
    for number, crew in enumerate(crews):
        dealt = deal_to(sorted(crew), number * every_s)
        for name, hand in found.items():
            hand.add(dealt.get(name, Deal(number * every_s, None, 1)))
    return found


@given(CREWS, st.floats(0.5, 20.0))
def test_every_arrival_belongs_to_exactly_one_process_that_is_there(crews: list[set[str]], every_s: float) -> None:
    by_name = hands(crews, every_s)
    for arrival in schedule(60):
        owners = [name for name, hand in by_name.items() if hand.takes(arrival)]
        crew = crews[min(int(arrival.at_s / every_s), len(crews) - 1)]
        assert len(owners) == 1
        assert owners[0] in crew


@given(CREWS, st.floats(0.5, 20.0), st.floats(0.0, 60.0))
def test_what_all_were_dealt_is_the_schedule(crews: list[set[str]], every_s: float, until_s: float) -> None:
    arrivals = schedule(60)
    taken = [arrival for hand in hands(crews, every_s).values() for arrival in hand.arrivals(arrivals, until_s)]

    assert sorted(taken, key=lambda arrival: arrival.index) == [each for each in arrivals if each.at_s < until_s]


def indices(loop: OpenLoop, count: int) -> list[int]:
    """The next turns, as soon as they are due."""
    with gevent.Timeout(10.0):
        return [loop.next_turn(is_first=False).index for _ in range(count)]


def test_arrivals_ahead_that_are_dealt_anew_are_taken_over_once_and_in_time() -> None:
    arrivals = schedule(20, gap_s=0.02)
    dropped: list[Turn] = []
    first, second = (OpenLoop(lambda: arrivals, 5.0, dropped.append) for _ in range(2))
    start_at = now() + 0.1
    first.start(start_at, [Deal(0.0, 0, 2)])
    second.start(start_at, [Deal(0.0, 1, 2)])
    gevent.sleep(0)
    # The second is gone from the schedule's 0.2 s on: it keeps 1, 3, ... 9, and the first takes everything from 10 on.
    first.deal(Deal(0.195, 0, 1))
    second.deal(Deal(0.195, None, 1))

    assert indices(first, 15) == [0, 2, 4, 6, 8, *range(10, 20)]
    assert indices(second, 5) == [1, 3, 5, 7, 9]
    gevent.sleep(0.05)
    assert (first.waiting, second.waiting, first.offered, second.offered) == (0, 0, 15, 5)
    assert dropped == []


def test_who_is_dealt_nothing_does_not_run_through_the_schedule() -> None:
    seen = 0

    def endless() -> Iterator[Arrival]:
        nonlocal seen
        for seen in itertools.count():
            yield Arrival(seen, seen * 0.1, "steady")

    loop = OpenLoop(endless, 5.0, lambda turn: None)
    loop.start(now(), [Deal(0.0, None, 1)])
    gevent.sleep(0.1)
    loop.stop()

    assert seen < 200


def test_who_joins_late_takes_nothing_of_what_was_due_before() -> None:
    loop = OpenLoop(lambda: schedule(2000, gap_s=0.001), 5.0, lambda turn: None)
    loop.start(now() - 1.0, [Deal(1.5, 0, 1)])

    assert indices(loop, 500) == list(range(1500, 2000))
