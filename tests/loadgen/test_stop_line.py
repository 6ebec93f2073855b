"""Where a process stops sending by itself."""

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from loadgen.stop_line import MAX_COST_USD, MAX_REQUESTS, StopLine, share_of_requests
from scenarios.usage_book import SharedBook, Usage, new_book


@given(st.integers(0, 10**6), st.integers(1, 64))
def test_the_shares_of_the_processes_add_up_to_the_limit(requests, shares):
    assert sum(share_of_requests(requests, share, shares) for share in range(shares)) == requests


@given(st.integers(0, 30), st.integers(0, 60))
def test_no_more_requests_are_sent_than_permitted_and_it_is_told_once(permitted, asked):
    told = []
    line = StopLine(permitted, None, lambda: told.append(1))

    sent = sum(line.take() for _ in range(asked))

    assert sent == min(permitted, asked)
    assert (line.reached == MAX_REQUESTS) == (asked >= permitted and (asked > 0 or line.reached is not None))
    assert len(told) == (line.reached is not None)


@given(st.lists(st.tuples(st.booleans(), st.floats(0.01, 1.0)), max_size=200), st.floats(0.1, 20.0))
def test_the_cost_passes_its_limit_by_no_more_than_the_calls_in_flight(events, limit_usd):
    line, in_flight, spent = StopLine(None, limit_usd, lambda: None), 0, 0.0
    open_at_stop = None
    for sends, cost_usd in events:
        if sends:
            in_flight += line.take()
        elif in_flight:
            in_flight, spent = in_flight - 1, spent + cost_usd
            line.ended(cost_usd)
        if line.reached is not None and open_at_stop is None:
            assert line.reached == MAX_COST_USD
            open_at_stop, spent_before = in_flight, spent - (0.0 if sends else cost_usd)
    if open_at_stop is not None:
        assert spent_before < limit_usd
        assert not line.take()
    else:
        assert spent < limit_usd


def test_without_limits_there_is_no_end():
    line = StopLine(None, None, lambda: None)
    assert all(line.take() for _ in range(1000))
    line.ended(10.0**9)
    assert (line.take(), line.reached) == (True, None)


def test_processes_that_share_a_book_share_its_limits(tmp_path):
    book = new_book(tmp_path / "usage", Usage(sent=6, ended=6, cost_usd=0.6))
    told = []
    lines = [StopLine(10, None, lambda name=name: told.append(name), SharedBook(tmp_path / "usage")) for name in "ab"]

    sent = [line.take() for _ in range(4) for line in lines]

    assert sent == [True] * 4 + [False] * 4
    assert (sorted(told), [line.reached for line in lines]) == (["a", "b"], [MAX_REQUESTS] * 2)
    with book.entry() as usage:
        assert usage == Usage(sent=10, ended=6, cost_usd=0.6, limit=MAX_REQUESTS)


def test_the_cost_of_one_process_stops_another(tmp_path):
    new_book(tmp_path / "usage", Usage()).close()
    one, other = (StopLine(None, 1.0, lambda: None, SharedBook(tmp_path / "usage")) for _ in range(2))

    assert one.take()
    one.ended(1.0)
    assert not other.take()
    assert other.reached == MAX_COST_USD


def test_many_processes_together_send_what_is_permitted(tmp_path):
    new_book(tmp_path / "usage", Usage()).close()
    script = (
        "import sys; from pathlib import Path; from loadgen.stop_line import StopLine;"
        "from scenarios.usage_book import SharedBook;"
        "line = StopLine(1000, None, lambda: None, SharedBook(Path(sys.argv[1])));"
        "print(sum(line.take() for _ in range(1000)))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "usage")], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]

    sent = [int(process.communicate()[0]) for process in running]

    assert sum(sent) == 1000
