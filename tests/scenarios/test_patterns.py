"""Each pattern has the shape that its definition says."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.patterns import (
    MAX_STEPS,
    PATTERNS,
    PRODUCTION_DAY_RPS,
    PatternError,
    burst,
    production,
    ramp,
    spike,
    step_levels,
    steps,
)
from scenarios.rates import RateProfile
from scenarios.schedule import Stage, make_schedule

rates = st.floats(min_value=0.05, max_value=500.0)
durations = st.floats(min_value=1.0, max_value=86_400.0)


def names_of(profile: RateProfile) -> list[str]:
    return [phase.name for phase in profile.phases()]


def test_a_burst_sends_80_percent_in_the_first_20_percent() -> None:
    profile = burst(10.0, 100.0)

    assert profile.expected_between(0, 20) == pytest.approx(800.0)
    assert profile.expected_between(0, 100) == pytest.approx(1000.0)
    assert names_of(profile) == ["burst", "steady"]


def test_a_spike_is_its_factor_times_the_baseline_in_its_window() -> None:
    profile = spike(2.0, 50.0)

    assert [(phase.name, phase.start_s, phase.end_s) for phase in profile.phases()] == [
        ("baseline", 0.0, 20.0),
        ("spike", 20.0, 30.0),
        ("recovery", 30.0, 50.0),
    ]
    assert [profile.rate_at(time_s) for time_s in (10.0, 25.0, 40.0, 60.0)] == [2.0, 20.0, 2.0, 0.0]
    assert profile.peak_rps == 20.0


@given(st.floats(0.0, 100.0), rates, durations, st.floats(0.0, 1.0))
def test_a_ramp_is_linear_in_the_rate(start_rps: float, end_rps: float, duration_s: float, part: float) -> None:
    profile = ramp(start_rps, end_rps, duration_s)
    middle_s = part * duration_s

    assert profile.expected_between(0.0, duration_s) == pytest.approx((start_rps + end_rps) / 2 * duration_s)
    if part < 1.0:
        assert profile.rate_at(middle_s) == pytest.approx(start_rps + (end_rps - start_rps) * part)
    assert names_of(profile) == ["fall" if end_rps < start_rps else "rise"]


@given(rates, st.integers(1, MAX_STEPS), st.none() | st.floats(0.0, 100.0), durations)
def test_steps_are_equally_high_and_equally_long_and_end_at_the_rate(
    rate_rps: float, count: int, start_rps: float | None, duration_s: float
) -> None:
    levels = step_levels(rate_rps, count, start_rps)
    profile = steps(levels, duration_s)
    first = levels[0] if count == 1 or start_rps is not None else rate_rps / count

    assert (len(levels), levels[-1]) == (count, rate_rps)
    assert levels == pytest.approx([first + (rate_rps - first) * k / max(count - 1, 1) for k in range(count)])
    assert names_of(profile) == [f"step{number}" for number in range(1, count + 1)]
    assert profile.expected_between(0.0, duration_s) == pytest.approx(sum(levels) / count * duration_s)


@given(rates, durations)
def test_a_production_day_has_the_products_mean_and_peak_and_peak_hours(mean_rps: float, duration_s: float) -> None:
    profile = production(mean_rps, duration_s)
    hour_s = duration_s / 24

    assert profile.expected_between(0.0, duration_s) == pytest.approx(mean_rps * duration_s)
    assert profile.peak_rps == pytest.approx(mean_rps * 50 / 12)
    assert names_of(profile) == ["night", "peak", "late"]
    assert [phase.start_s for phase in profile.phases()] == pytest.approx([0.0, 9 * hour_s, 23 * hour_s])
    assert profile.expected_between(9 * hour_s, 23 * hour_s) >= 0.85 * mean_rps * duration_s


def test_every_peak_hour_is_busier_than_every_other() -> None:
    assert min(PRODUCTION_DAY_RPS[9:23]) >= max(PRODUCTION_DAY_RPS[:9] + PRODUCTION_DAY_RPS[23:])


def some_stage(pattern: str, **values: object) -> Stage:
    given_values = {"rate_rps": 1.0, "duration_s": 9.0, "process": "poisson", "levels_rps": (1.0,)} | values
    return Stage(pattern, **given_values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (some_stage("spkie"), "choose one of sustained"),
        (some_stage("sustained", rate_rps=0.0), "rate must be above 0"),
        (some_stage("sustained", duration_s=0.0), "duration must be above 0"),
        (some_stage("spike", spike_window=(0.6, 0.4)), "window inside"),
        (some_stage("spike", spike_factor=math.nan), "factor above 0"),
        (some_stage("replay"), "needs a trace"),
    ],
)
def test_parameters_that_make_no_traffic_are_refused(stage: Stage, message: str) -> None:
    with pytest.raises(PatternError, match=message):
        stage.shape()


@pytest.mark.parametrize("pattern", sorted(set(PATTERNS) - {"sustained", "replay"}))
def test_only_a_constant_rate_can_go_on_for_ever(pattern: str) -> None:
    with pytest.raises(PatternError, match="needs a test duration"):
        make_schedule([some_stage(pattern, duration_s=None)])
