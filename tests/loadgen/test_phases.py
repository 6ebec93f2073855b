"""Phases on the absolute clock."""

import math

from hypothesis import given
from hypothesis import strategies as st

from loadgen.phases import PhaseClock, schedule_phases
from scenarios.patterns import spike
from scenarios.user_profiles import UserPattern


def test_a_closed_loop_ramps_warms_up_and_is_steady() -> None:
    clock = schedule_phases(UserPattern().profile(3, 60.0, warmup_s=5.0).phases(), 100.0, 103.0)

    assert [clock.name_at(at) for at in (99.0, 101.0, 104.0, 108.0, 167.0, 170.0)] == [
        "ramp",
        "ramp",
        "warmup",
        "steady",
        "steady",
        "steady",
    ]
    assert clock.end_at == 168.0


def test_an_open_loop_carries_the_patterns_phases() -> None:
    clock = schedule_phases(spike(1.0, 50.0).phases(), 100.0, 101.0)

    assert [clock.name_at(at) for at in (100.5, 101.0, 121.0, 131.0)] == ["ramp", "baseline", "spike", "recovery"]


def test_nothing_ends_a_test_without_a_duration() -> None:
    clock = schedule_phases(UserPattern().profile(3, math.inf).phases(), 0.0, 1.0)

    assert math.isinf(clock.end_at)
    assert clock.as_json(None)[-1]["ended_at"] is None
    assert clock.as_json(9.0)[-1]["ended_at"] == 9.0


def test_before_anything_is_known_it_is_the_ramp() -> None:
    assert PhaseClock(()).name_at(1.0) == "ramp"


@given(st.floats(0, 1e9), st.floats(0.1, 100), st.floats(0, 100), st.floats(0.1, 1e6) | st.just(math.inf))
def test_phases_survive_a_message(began_at: float, ramp_s: float, warmup_s: float, duration_s: float) -> None:
    clock = schedule_phases(UserPattern().profile(1, duration_s, warmup_s).phases(), began_at, began_at + ramp_s)

    assert PhaseClock.from_message(clock.as_message()) == clock


def test_phases_that_a_stop_forestalled_are_left_out() -> None:
    rows = schedule_phases(spike(1.0, 50.0).phases(), 100.0, 101.0).as_json(stopped_at=125.0)

    assert [(row["name"], row["ended_at"]) for row in rows] == [("ramp", 101.0), ("baseline", 121.0), ("spike", 125.0)]
