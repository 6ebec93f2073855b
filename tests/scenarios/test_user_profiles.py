"""Users over time: whole numbers that follow the pattern, with `users` as the most of them at any moment."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scenarios.patterns import PatternError
from scenarios.user_profiles import USER_PATTERNS, UserCourse, UserPattern

patterns = st.builds(
    UserPattern,
    name=st.sampled_from(USER_PATTERNS),
    spike_factor=st.floats(0.1, 50.0),
    spike_window=st.tuples(st.floats(0.01, 0.4), st.floats(0.5, 0.99)),
    steps=st.integers(1, 20),
)
users = st.integers(1, 300)
durations = st.floats(1.0, 1e5)


@given(patterns, users, durations, st.floats(0.0, 100.0), st.floats(-1.0, 2.0))
def test_there_is_always_somebody_and_never_more_than_asked_for(
    pattern: UserPattern, count: int, duration_s: float, warmup_s: float, share: float
) -> None:
    profile = pattern.profile(count, duration_s, warmup_s)

    assert 1 <= profile.users_at(share * duration_s) <= count
    assert profile.peak_users == count
    assert profile.duration_s == pytest.approx(duration_s + warmup_s)


@given(patterns, users, durations, st.floats(0.0, 100.0))
def test_the_number_stays_until_the_change_that_is_announced(
    pattern: UserPattern, count: int, duration_s: float, warmup_s: float
) -> None:
    profile = pattern.profile(count, duration_s, warmup_s)
    at_s, changes = 0.0, [profile.users_at(0.0)]
    while (next_s := profile.next_change_s(at_s)) < profile.duration_s:
        assert profile.users_at((at_s + next_s) / 2.0) == changes[-1]
        assert profile.users_at(next_s) != changes[-1]
        at_s = next_s
        changes.append(profile.users_at(at_s))

    assert changes == [level.users for level in profile.levels]


@given(users, durations)
def test_a_ramp_brings_one_user_after_the_other_and_half_of_all_on_average(count: int, duration_s: float) -> None:
    profile = UserPattern("ramp").profile(count, duration_s)

    assert [level.users for level in profile.levels] == list(range(1, count + 1))
    assert profile.user_seconds == pytest.approx(count * duration_s / 2.0)
    assert [phase.name for phase in profile.phases()] == ["rise"]


def test_a_spike_is_all_users_in_its_window_and_a_share_of_them_around_it() -> None:
    profile = UserPattern("spike", spike_factor=10.0, spike_window=(0.4, 0.6)).profile(60, 100.0)

    assert [profile.users_at(at) for at in (0.0, 39.9, 40.0, 59.9, 60.0, 99.0)] == [6, 6, 60, 60, 6, 6]
    assert [phase.name for phase in profile.phases()] == ["baseline", "spike", "recovery"]


def test_a_spike_below_1_is_a_dip() -> None:
    profile = UserPattern("spike", spike_factor=0.5).profile(60, 100.0)

    assert [profile.users_at(at) for at in (0.0, 50.0, 70.0)] == [60, 30, 60]


def test_a_burst_has_four_fifths_of_the_user_time_in_a_fifth_of_the_time() -> None:
    profile = UserPattern("burst").profile(160, 50.0)

    assert [(level.start_s, level.users) for level in profile.levels] == [(0.0, 160), (10.0, 10)]
    assert 160 * 10.0 / profile.user_seconds == pytest.approx(0.8)


def test_steps_go_up_evenly_to_all_users() -> None:
    profile = UserPattern("steps", steps=4).profile(20, 40.0)

    assert [(level.start_s, level.users) for level in profile.levels] == [(0, 5), (10, 10), (20, 15), (30, 20)]
    assert [phase.name for phase in profile.phases()] == ["step1", "step2", "step3", "step4"]


@pytest.mark.parametrize(("name", "warm"), [("sustained", 40), ("ramp", 1), ("burst", 10), ("spike", 4), ("steps", 8)])
def test_a_warm_up_runs_at_the_first_level_and_that_of_a_burst_at_its_mean(name: str, warm: int) -> None:
    profile = UserPattern(name).profile(40, 100.0, warmup_s=5.0)

    assert profile.users_at(0.0) == profile.users_at(4.9) == warm
    assert (profile.phases()[0].name, profile.phases()[0].end_s) == ("warmup", 5.0)


def test_a_sustained_load_needs_no_end_and_the_others_do() -> None:
    assert UserPattern().profile(5, math.inf).next_change_s(1e9) == math.inf
    for name in USER_PATTERNS[1:]:
        with pytest.raises(PatternError, match="needs a test duration"):
            UserPattern(name).profile(5, math.inf)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        (UserPattern("production"), "production needs the open loop"),
        (UserPattern("replay"), "replay needs the open loop"),
        (UserPattern("spkie"), "choose one of sustained"),
        (UserPattern("spike", spike_factor=0.0), "factor above 0"),
        (UserPattern("spike", spike_window=(0.6, 0.4)), "window inside the duration"),
    ],
)
def test_what_users_cannot_follow_is_refused(pattern: UserPattern, problem: str) -> None:
    with pytest.raises(PatternError, match=problem):
        pattern.profile(5, 10.0)


@given(patterns, users, st.floats(100.0, 1e4))
@example(UserPattern("spike", spike_factor=0.5, spike_window=(0.25, 0.75)), 2, 100.0)
def test_no_minute_has_more_user_time_than_the_busiest(pattern: UserPattern, count: int, duration_s: float) -> None:
    profile = pattern.profile(count, duration_s)

    assert profile.busiest(60.0) <= count * 60.0 * (1 + 1e-9)
    minutes = math.ceil(duration_s / 60.0)  # so many cover the duration: one of them has the mean at least
    assert profile.busiest(60.0) >= profile.user_seconds / minutes * (1 - 1e-9)


SPIKE = UserPattern("spike", spike_factor=10.0).profile(50, 100.0, warmup_s=10.0)


def test_the_first_users_come_at_the_spawn_rate_and_later_changes_at_once() -> None:
    course = UserCourse(SPIKE, 3.0)

    assert course.change(0.0) == (5, 3.0)
    assert course.change(49.9) is None
    assert course.change(50.0) == (50, 45.0)
    assert course.change(70.0) == (5, 45.0)


def test_there_is_nothing_to_do_until_the_next_change_or_the_end() -> None:
    course = UserCourse(SPIKE, 3.0, run_time_s=85.0)

    assert course.pause_s(20.0, run_s=22.0) == 30.0
    assert course.pause_s(80.0, run_s=82.0) == 3.0


@pytest.mark.parametrize(
    ("profile_s", "run_s", "is_over"),
    [(0.0, 0.0, False), (109.9, 115.0, False), (110.0, 115.0, True), (0.0, 120.0, True), (90.0, 120.0, True)],
)
def test_the_end_of_the_profile_or_locusts_own_limit_ends_the_test(
    profile_s: float, run_s: float, is_over: bool
) -> None:
    assert UserCourse(SPIKE, 3.0, run_time_s=120.0).is_over(profile_s, run_s) is is_over


@given(patterns, users, durations)
def test_whoever_follows_the_pauses_makes_every_change(pattern: UserPattern, count: int, duration_s: float) -> None:
    course = UserCourse(pattern.profile(count, duration_s), 1.0)
    at_s, seen = 0.0, []
    while not course.is_over(at_s, at_s):
        change = course.change(at_s)
        seen += [] if change is None else [change[0]]
        at_s = max(at_s + course.pause_s(at_s, at_s), math.nextafter(at_s, math.inf))

    assert seen == [level.users for level in course.profile.levels]
