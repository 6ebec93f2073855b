"""Cells one after the other and several at once, on a virtual clock."""

from hypothesis import given
from hypothesis import strategies as st

from scenarios.cell_queue import CellQueue, Turn, timetable

NOVA, CLAUDE = ("nova", "us-east-1"), ("claude", "us-east-1")
CLAIMS = {"a": frozenset([NOVA]), "b": frozenset([NOVA]), "c": frozenset([CLAUDE]), "d": frozenset([NOVA, CLAUDE])}


def times(cells: str, duration_s: float = 10.0, **order: float) -> list[tuple[str, float, float]]:
    queue = CellQueue(list(cells), CLAIMS, **order)
    return [(turn.cell, turn.began_s, turn.ended_s) for turn in timetable(queue, dict.fromkeys(cells, duration_s))]


def test_one_at_a_time_each_waits_for_the_one_before_it_and_the_pause():
    assert times("abc") == [("a", 0.0, 10.0), ("b", 10.0, 20.0), ("c", 20.0, 30.0)]
    assert times("abc", cool_down_s=5.0) == [("a", 0.0, 10.0), ("b", 15.0, 25.0), ("c", 30.0, 40.0)]


def test_cells_of_different_models_run_at_once_and_those_of_one_model_do_not():
    assert times("abcd", most=2) == [("a", 0.0, 10.0), ("c", 0.0, 10.0), ("b", 10.0, 20.0), ("d", 20.0, 30.0)]


def test_only_cells_that_share_a_quota_wait_for_its_windows_to_pass():
    assert times("abc", most=3, cool_down_s=60.0) == [("a", 0.0, 10.0), ("c", 0.0, 10.0), ("b", 70.0, 80.0)]


@given(
    st.lists(st.tuples(st.frozensets(st.sampled_from("pqrs"), min_size=1), st.floats(0.5, 50.0)), max_size=12),
    st.integers(1, 5),
    st.sampled_from([0.0, 7.0]),
)
def test_every_cell_runs_once_and_never_beside_one_that_it_disturbs(cells, most, cool_down_s):
    claims = {str(number): frozenset((model, "r") for model in models) for number, (models, _) in enumerate(cells)}
    durations_s = {str(number): duration_s for number, (_, duration_s) in enumerate(cells)}

    turns = list(timetable(CellQueue(list(claims), claims, most=most, cool_down_s=cool_down_s), durations_s))

    assert sorted(turn.cell for turn in turns) == sorted(claims)
    for position, turn in enumerate(turns):
        beside = [other for other in turns[:position] if other.ended_s > turn.began_s]
        assert len(beside) < most
        for other in turns[:position]:
            if most == 1 or not claims[other.cell].isdisjoint(claims[turn.cell]):
                assert turn.began_s >= other.ended_s + cool_down_s
    if turns:
        assert span_s(turns) <= sum(durations_s.values()) + cool_down_s * (len(turns) - 1) + 1e-6


def span_s(turns: list[Turn]) -> float:
    return max(turn.ended_s for turn in turns)
