"""Arrival schedules: counts follow the integral of the rate, processes follow the profile, seeds repeat."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from scenarios.patterns import (
    PROCESSES,
    PatternError,
    RateProfile,
    Segment,
    arrivals,
    build_profile,
    burst,
    deal,
    spike,
    sustained,
)

rates = st.floats(min_value=0.05, max_value=40.0)
durations = st.floats(min_value=0.5, max_value=60.0)
segments = st.builds(Segment, st.sampled_from(["a", "b", "c"]), durations, rates, rates)
profiles = st.builds(RateProfile, st.lists(segments, min_size=1, max_size=4).map(tuple))
processes = st.sampled_from(sorted(PROCESSES))


@given(profiles, st.floats(0, 1), st.floats(0, 1))
def test_constant_arrivals_in_any_interval_are_the_integral_within_one(
    profile: RateProfile, one: float, other: float
) -> None:
    start_s, end_s = sorted((one * profile.duration_s, other * profile.duration_s))
    count = sum(start_s <= arrival.at_s < end_s for arrival in arrivals(profile, "constant", seed=1))

    assert abs(count - profile.expected_between(start_s, end_s)) <= 1.0 + 1e-6


@given(profiles, processes, st.integers(0, 1000))
def test_arrivals_are_in_order_inside_the_profile_and_carry_the_phase_of_their_instant(
    profile: RateProfile, process: str, seed: int
) -> None:
    schedule = list(arrivals(profile, process, seed))

    assert [arrival.index for arrival in schedule] == list(range(len(schedule)))
    assert all(a.at_s <= b.at_s + 1e-9 for a, b in itertools.pairwise(schedule))
    assert all(0.0 <= arrival.at_s <= profile.duration_s + 1e-9 for arrival in schedule)
    for arrival in schedule:
        assert arrival.phase in {
            phase.name for phase in profile.phases() if phase.start_s - 1e-6 <= arrival.at_s <= phase.end_s + 1e-6
        }


@given(profiles, processes, st.integers(0, 1000))
def test_the_same_seed_gives_the_same_schedule(profile: RateProfile, process: str, seed: int) -> None:
    assert list(arrivals(profile, process, seed)) == list(arrivals(profile, process, seed))


def test_another_seed_gives_another_poisson_schedule() -> None:
    profile = sustained(10.0, 10.0)

    assert list(arrivals(profile, "poisson", 1)) != list(arrivals(profile, "poisson", 2))


@given(profiles, processes, st.integers(1, 7))
def test_the_union_of_all_shares_is_the_whole_schedule(profile: RateProfile, process: str, shares: int) -> None:
    dealt = [list(deal(arrivals(profile, process, 5), share, shares)) for share in range(shares)]

    assert sorted(itertools.chain(*dealt), key=lambda arrival: arrival.index) == list(arrivals(profile, process, 5))


@given(segments, st.floats(0.05, 0.95))
def test_splitting_a_segment_changes_nothing(segment: Segment, at: float) -> None:
    cut_s = segment.duration_s * at
    middle = segment.rate_at(cut_s)
    halves = (
        Segment(segment.name, cut_s, segment.start_rps, middle),
        Segment(segment.name, segment.duration_s - cut_s, middle, segment.end_rps),
    )
    whole = [arrival.at_s for arrival in arrivals(RateProfile((segment,)), "constant", 1)]
    split = [arrival.at_s for arrival in arrivals(RateProfile(halves), "constant", 1)]

    # An arrival on the very last instant may fall to either side of the end by rounding.
    assert abs(len(whole) - len(split)) <= 1
    assert split[: len(whole)] == pytest.approx(whole[: len(split)], rel=1e-6, abs=1e-6)


@settings(max_examples=30)
@given(st.sampled_from([sustained(50.0, 40.0), spike(20.0, 40.0, 5.0), burst(50.0, 40.0)]), st.integers(0, 50))
def test_poisson_counts_lie_where_poisson_counts_lie(profile: RateProfile, seed: int) -> None:
    expected = profile.expected_between(0.0, profile.duration_s)
    count = sum(1 for _ in arrivals(profile, "poisson", seed))

    low, high = stats.poisson.interval(1 - 1e-6, expected)
    assert low <= count <= high


def test_poisson_gaps_are_exponential() -> None:
    times = [arrival.at_s for arrival in arrivals(sustained(10.0, 500.0), "poisson", seed=11)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]

    assert stats.kstest(gaps, "expon", args=(0, 0.1)).pvalue > 0.01


def test_a_burst_sends_80_percent_in_the_first_20_percent() -> None:
    profile = burst(10.0, 100.0)

    assert profile.expected_between(0, 20) == pytest.approx(800.0)
    assert profile.expected_between(0, 100) == pytest.approx(1000.0)
    assert [phase.name for phase in profile.phases()] == ["burst", "steady"]


def test_a_spike_is_its_factor_times_the_baseline_in_its_window() -> None:
    profile = spike(2.0, 50.0)

    assert [(phase.name, phase.start_s, phase.end_s) for phase in profile.phases()] == [
        ("baseline", 0.0, 20.0),
        ("spike", 20.0, 30.0),
        ("recovery", 30.0, 50.0),
    ]
    assert [profile.rate_at(time_s) for time_s in (10.0, 25.0, 40.0, 60.0)] == [2.0, 20.0, 2.0, 0.0]
    assert profile.peak_rps == 20.0


def test_a_warm_up_comes_first_at_the_base_rate() -> None:
    profile = build_profile("spike", 2.0, 50.0, warmup_s=5.0)

    assert [phase.name for phase in profile.phases()] == ["warmup", "baseline", "spike", "recovery"]
    assert profile.expected_between(0.0, 5.0) == pytest.approx(10.0)
    assert profile.duration_s == pytest.approx(55.0)


def test_a_schedule_without_end_goes_on() -> None:
    endless = arrivals(build_profile("sustained", 2.0, math.inf), "constant", 1)

    assert [arrival.at_s for arrival in itertools.islice(endless, 3)] == [0.25, 0.75, 1.25]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pattern": "spkie", "rate_rps": 1.0, "duration_s": 1.0}, "choose one of sustained"),
        ({"pattern": "sustained", "rate_rps": 0.0, "duration_s": 1.0}, "rate must be above 0"),
        ({"pattern": "sustained", "rate_rps": 1.0, "duration_s": 0.0}, "duration must be above 0"),
        ({"pattern": "spike", "rate_rps": 1.0, "duration_s": math.inf}, "needs a test duration"),
        ({"pattern": "spike", "rate_rps": 1.0, "duration_s": 9.0, "spike_window": (0.6, 0.4)}, "window inside"),
    ],
)
def test_parameters_that_make_no_traffic_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(PatternError, match=message):
        build_profile(**arguments)  # type: ignore[arg-type]
