"""Arrival processes on a virtual clock: counts follow the integral of the rate, laws hold, seeds repeat."""

import itertools
import math
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from loadgen.dealing import Deal, Hand
from scenarios.arrivals import (
    PROCESSES,
    Arrival,
    ArrivalProcess,
    arrivals,
    constant_process,
    poisson_process,
    process_named,
)
from scenarios.patterns import burst, production, ramp, spike, sustained
from scenarios.rates import RateProfile, Segment

rates = st.floats(min_value=0.05, max_value=40.0)
durations = st.floats(min_value=0.5, max_value=60.0)
segments = st.builds(Segment, st.sampled_from(["a", "b", "c"]), durations, rates | st.just(0.0), rates | st.just(0.0))
profiles = st.builds(RateProfile, st.lists(segments, min_size=1, max_size=4).map(tuple))
processes = st.builds(process_named, st.sampled_from(PROCESSES), st.sampled_from([0.05, 0.5, 1.0, 4.0]))


@given(profiles, st.floats(0, 1), st.floats(0, 1))
def test_constant_arrivals_in_any_interval_are_the_integral_within_one(
    profile: RateProfile, one: float, other: float
) -> None:
    start_s, end_s = sorted((one * profile.duration_s, other * profile.duration_s))
    count = sum(start_s <= arrival.at_s < end_s for arrival in arrivals(profile, constant_process, seed=1))

    assert abs(count - profile.expected_between(start_s, end_s)) <= 1.0 + 1e-6


@given(profiles, processes, st.integers(0, 1000))
def test_arrivals_are_in_order_inside_the_profile_and_carry_the_phase_of_their_instant(
    profile: RateProfile, process: ArrivalProcess, seed: int
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
def test_the_same_seed_gives_the_same_schedule(profile: RateProfile, process: ArrivalProcess, seed: int) -> None:
    assert list(arrivals(profile, process, seed)) == list(arrivals(profile, process, seed))


@pytest.mark.parametrize("process", [poisson_process, process_named("gamma", 0.5)])
def test_another_seed_gives_another_schedule(process: ArrivalProcess) -> None:
    profile = sustained(10.0, 10.0)

    assert list(arrivals(profile, process, 1)) != list(arrivals(profile, process, 2))


@given(profiles, processes, st.integers(1, 7))
def test_the_union_of_all_shares_is_the_whole_schedule(
    profile: RateProfile, process: ArrivalProcess, shares: int
) -> None:
    dealt = [
        list(Hand([Deal(0.0, share, shares)]).arrivals(arrivals(profile, process, 5), math.inf))
        for share in range(shares)
    ]

    assert sorted(itertools.chain(*dealt), key=lambda arrival: arrival.index) == list(arrivals(profile, process, 5))


@given(segments, st.floats(0.05, 0.95))
def test_splitting_a_segment_changes_nothing(segment: Segment, at: float) -> None:
    cut_s = segment.duration_s * at
    middle = segment.rate_at(cut_s)
    halves = (
        Segment(segment.name, cut_s, segment.start_rps, middle),
        Segment(segment.name, segment.duration_s - cut_s, middle, segment.end_rps),
    )
    whole = [arrival.at_s for arrival in arrivals(RateProfile((segment,)), constant_process, 1)]
    split = [arrival.at_s for arrival in arrivals(RateProfile(halves), constant_process, 1)]

    # An arrival on the very last instant may fall to either side of the end by rounding; near a rate of 0 the
    # integral hardly changes, so the same rounding is a longer time there.
    assert abs(len(whole) - len(split)) <= 1
    assert split[: len(whole)] == pytest.approx(whole[: len(split)], rel=1e-6, abs=1e-5)


def test_taking_arrivals_in_chunks_changes_nothing() -> None:
    profile, process = production(10.0, 60.0), process_named("gamma", 0.3)
    stream = arrivals(profile, process, 7)
    chunks: list[Arrival] = []
    for size in itertools.cycle([1, 2, 30, 7]):
        chunk = list(itertools.islice(stream, size))
        chunks += chunk
        if not chunk:
            break

    assert chunks == list(arrivals(profile, process, 7))


@pytest.mark.parametrize("profile", [sustained(4.0, 86_400.0), production(4.0, 86_400.0)])
def test_a_day_of_constant_arrivals_drifts_by_less_than_a_nanosecond(profile: RateProfile) -> None:
    """Against exact arithmetic: each arrival's own integral of the rate is its number and a half."""
    schedule = arrivals(profile, constant_process, 1)
    last = None
    for arrival in itertools.islice(schedule, 0, None, 9_973):
        error = exactly_expected_until(profile, arrival.at_s) - Fraction(2 * arrival.index + 1, 2)
        assert abs(error / Fraction(profile.rate_at(arrival.at_s))) < Fraction(1, 10**9)
        last = arrival

    assert last is not None
    assert last.index > 330_000


def exactly_expected_until(profile: RateProfile, time_s: float) -> Fraction:
    total, start_s = Fraction(0), Fraction(0)
    for segment in profile.segments:
        duration_s, low, high = Fraction(segment.duration_s), Fraction(segment.start_rps), Fraction(segment.end_rps)
        elapsed_s = min(max(Fraction(time_s) - start_s, Fraction(0)), duration_s)
        total += low * elapsed_s + (high - low) / duration_s * elapsed_s * elapsed_s / 2
        start_s += duration_s
    return total


@settings(max_examples=30)
@given(
    st.sampled_from([sustained(50.0, 40.0), spike(20.0, 40.0, 5.0), burst(50.0, 40.0), ramp(0.0, 100.0, 40.0)]),
    st.integers(0, 50),
)
def test_poisson_counts_lie_where_poisson_counts_lie(profile: RateProfile, seed: int) -> None:
    expected = profile.expected_between(0.0, profile.duration_s)
    count = sum(1 for _ in arrivals(profile, poisson_process, seed))

    low, high = stats.poisson.interval(1 - 1e-6, expected)
    assert low <= count <= high


def gaps_of(process: ArrivalProcess, rate_rps: float, duration_s: float, seed: int) -> np.ndarray:
    times = [arrival.at_s for arrival in arrivals(sustained(rate_rps, duration_s), process, seed)]
    return np.diff(times)


def test_poisson_gaps_are_exponential() -> None:
    assert stats.kstest(gaps_of(poisson_process, 10.0, 500.0, 11), "expon", args=(0, 0.1)).pvalue > 0.01


@pytest.mark.parametrize("burstiness", [0.2, 1.0, 5.0])
def test_gamma_gaps_have_the_shape_burstiness_and_the_mean_of_the_rate(burstiness: float) -> None:
    gaps = gaps_of(process_named("gamma", burstiness), 10.0, 2000.0, 3)

    assert stats.kstest(gaps, stats.gamma(a=burstiness, scale=0.1 / burstiness).cdf).pvalue > 0.01
    assert gaps.std() / gaps.mean() == pytest.approx(1 / math.sqrt(burstiness), rel=0.1)


def test_gamma_with_burstiness_1_is_poisson_in_law_from_the_first_arrival_on() -> None:
    gamma = process_named("gamma", 1.0)
    firsts = [next(gamma(Random(seed))) for seed in range(4000)]

    assert stats.kstest(firsts, "expon").pvalue > 0.01
    assert stats.ks_2samp(gaps_of(gamma, 10.0, 500.0, 5), gaps_of(poisson_process, 10.0, 500.0, 6)).pvalue > 0.01


@pytest.mark.parametrize(("name", "burstiness"), [("poisson", 1.0), ("gamma", 0.25), ("gamma", 4.0)])
def test_mean_counts_of_short_stretches_are_the_integral_and_their_spread_is_that_of_the_law(
    name: str, burstiness: float
) -> None:
    """Also at the very beginning, where a renewal process that starts afresh has too many or too few."""
    process, runs, profile = process_named(name, burstiness), 4000, ramp(0.0, 4.0, 10.0)
    times = [[arrival.at_s for arrival in arrivals(profile, process, seed)] for seed in range(runs)]
    for start_s, end_s in ((0.0, 2.0), (2.0, 6.0), (0.0, 10.0)):
        counts = np.array([sum(start_s <= at < end_s for at in run) for run in times])
        expected = profile.expected_between(start_s, end_s)

        # Seven standard errors of fixed seeds: no flake, and still within a few percent.
        assert abs(counts.mean() - expected) < 7 * counts.std() / math.sqrt(runs)
        if name == "poisson":
            assert counts.var() == pytest.approx(expected, rel=0.15)
        else:  # the spread tends to 1/burstiness of Poisson's, more slowly the fewer there are
            assert (counts.var() > expected) == (burstiness < 1.0)


def test_the_busiest_window_of_a_ramp_up_and_down_lies_across_the_top() -> None:
    profile = RateProfile((*ramp(0.0, 10.0, 100.0).segments, *ramp(10.0, 0.0, 50.0).segments))
    most = max(profile.expected_between(start, start + 60.0) for start in profile.busy_windows(60.0))
    searched = max(profile.expected_between(start / 10, start / 10 + 60.0) for start in range(1500))

    assert most == pytest.approx(searched) == pytest.approx(480.0)


@given(profiles, st.floats(0.1, 70.0))
def test_no_window_is_busier_than_the_busiest_of_those_named(profile: RateProfile, width_s: float) -> None:
    starts = profile.busy_windows(width_s)
    most = max(profile.expected_between(start, start + width_s) for start in starts)

    for place in range(40):
        start_s = profile.duration_s * place / 40
        assert profile.expected_between(start_s, start_s + width_s) <= most + 1e-6
