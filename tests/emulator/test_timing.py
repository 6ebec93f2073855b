"""The timing model: distributions by their quantiles, and schedules by the documented formula."""

import itertools
import math
import random
import statistics
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.capacity import CapacityLimits
from emulator.timing import (
    ASSUMED_TIERS,
    NO_TAIL,
    UNCHANGED,
    AnswerPlan,
    Distribution,
    Draw,
    DrawStreams,
    Factors,
    Kind,
    Profile,
    Tail,
    plan_answer,
)

MIDDLE = Draw(ttft=0.5, speed=0.5, length=0.5, tail_chance=0.5, tail_size=0.5, reasoning=0.5)
SIZES = (0, 100)

uniforms = st.floats(min_value=1e-12, max_value=1.0, exclude_max=True)
draws = st.builds(Draw, *[uniforms] * 6)


def fixed(value: float) -> Distribution:
    return Distribution(Kind.FIXED, median=value)


def lognormal(median: float, sigma: float) -> Distribution:
    return Distribution(Kind.LOGNORMAL, median=median, sigma=sigma)


PROFILE = Profile(
    ttft_ms=lognormal(400.0, 0.4),
    prefill_ms_per_token=0.25,
    tokens_per_second=lognormal(80.0, 0.2),
    tokens_per_event=4,
    output_tokens=lognormal(120.0, 0.5),
    tail=Tail(share=0.01, factor_min=3.0, factor_max=10.0),
    tiers={**ASSUMED_TIERS, "flex": Factors(ttft_factor=1.5, speed_factor=0.75)},
)
profiles = st.builds(
    Profile,
    ttft_ms=st.builds(lognormal, st.floats(1.0, 5000.0), st.floats(0.0, 1.0)),
    prefill_ms_per_token=st.floats(0.0, 2.0),
    tokens_per_second=st.builds(lognormal, st.floats(1.0, 1000.0), st.floats(0.0, 0.5)),
    tokens_per_event=st.integers(1, 12),
    output_tokens=st.builds(lognormal, st.floats(1.0, 1000.0), st.floats(0.0, 1.0)),
    tail=st.sampled_from([NO_TAIL, PROFILE.tail]),
    tiers=st.just(ASSUMED_TIERS),
)
sizes = st.tuples(st.integers(0, 500), st.integers(0, 2000)).filter(any)
plans = st.builds(
    plan_answer, profiles, st.sampled_from(list(ASSUMED_TIERS.values())), st.integers(0, 5000), sizes, draws
)


def normal_cdf(x: float) -> float:
    """The standard normal's distribution function by the error function, not by the inverse under test."""
    return 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))


# --- distributions -------------------------------------------------------------------------------------------


@given(uniforms.filter(lambda u: 1e-6 < u < 1 - 1e-6), st.floats(1.0, 1e4), st.floats(0.05, 2.0))
def test_a_lognormal_sample_is_the_quantile_of_its_random_number(uniform: float, median: float, sigma: float) -> None:
    sample = lognormal(median, sigma).at(uniform)

    assert normal_cdf(math.log(sample / median) / sigma) == pytest.approx(uniform, rel=1e-6)


def test_lognormal_samples_have_the_quantiles_of_their_parameters() -> None:
    """20,000 seeded samples; the bounds are six standard errors of each quantile."""
    rng = random.Random(1)
    logs = sorted(math.log(lognormal(400.0, 0.5).at(rng.random()) / 400.0) / 0.5 for _ in range(20_000))

    for z in (-1.645, -0.674, 0.0, 0.674, 1.645, 2.326):
        share = normal_cdf(z)
        density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        bound = 6 * math.sqrt(share * (1 - share) / 20_000) / density
        assert logs[int(share * 20_000)] == pytest.approx(z, abs=bound)


def test_empirical_samples_are_the_given_values_with_equal_chance() -> None:
    distribution = Distribution(Kind.EMPIRICAL, values=(120.0, 80.0, 500.0))
    rng = random.Random(1)
    samples = [distribution.at(rng.random()) for _ in range(9_000)]

    for value in distribution.values:
        assert samples.count(value) == pytest.approx(3_000, abs=300)
    assert [distribution.at(u) for u in (1e-12, 0.34, 1 - 2**-53)] == [120.0, 80.0, 500.0]


@given(uniforms)
def test_a_fixed_quantity_is_the_same_whatever_is_drawn(uniform: float) -> None:
    assert fixed(250.0).at(uniform) == 250.0


@given(uniforms, st.floats(0.0, 500.0), st.floats(500.0, 1000.0))
def test_samples_stay_within_min_and_max(uniform: float, low: float, high: float) -> None:
    sample = replace(lognormal(400.0, 1.0), low=low, high=high).at(uniform)

    assert low <= sample <= high


# --- TTFT ----------------------------------------------------------------------------------------------------


@given(draws, st.integers(0, 10_000), st.sampled_from(["default", "priority", "flex"]))
def test_ttft_and_speed_follow_the_documented_formula(draw: Draw, input_tokens: int, tier: str) -> None:
    factors = {"default": (1.0, 1.0), "priority": (0.9, 1.25), "flex": (1.5, 0.75)}
    ttft_factor, speed_factor = factors[tier]
    normal = statistics.NormalDist()
    base_ms = 400.0 * math.exp(0.4 * normal.inv_cdf(draw.ttft)) + 0.25 * input_tokens
    tail = 3.0 + 7.0 * draw.tail_size if draw.tail_chance < 0.01 else 1.0
    tokens_per_second = 80.0 * math.exp(0.2 * normal.inv_cdf(draw.speed)) * speed_factor
    plan = plan_answer(PROFILE, PROFILE.tier(tier), input_tokens, SIZES, draw)

    assert plan.ttft_s * 1000.0 == pytest.approx(base_ms * ttft_factor * tail)
    assert plan.decode_interval_s == pytest.approx(1.0 / tokens_per_second)


@given(draws, st.integers(0, 5000), st.integers(0, 5000))
def test_each_input_token_adds_the_same_prefill_time(draw: Draw, few: int, more: int) -> None:
    profile = replace(PROFILE, tail=NO_TAIL)
    ttft_s = [plan_answer(profile, UNCHANGED, tokens, SIZES, draw).ttft_s for tokens in (0, few, few + more)]

    assert ttft_s[2] - ttft_s[1] == pytest.approx(more * 0.25e-3, abs=1e-9)
    assert ttft_s[1] - ttft_s[0] == pytest.approx(few * 0.25e-3, abs=1e-9)


@given(draws, st.integers(0, 5000), st.floats(0.0, 1.0))
def test_a_token_from_the_cache_adds_its_share_of_the_prefill_time(draw: Draw, cached: int, share: float) -> None:
    """The caller gives the tokens whose prefill takes time; a share of one is a fraction."""
    profile = replace(PROFILE, tail=NO_TAIL, cache_read_share=share)
    without, with_cached = (
        plan_answer(profile, UNCHANGED, tokens, SIZES, draw).ttft_s
        for tokens in (100, 100 + cached * profile.cache_read_share)
    )

    assert with_cached - without == pytest.approx(cached * share * 0.25e-3, abs=1e-9)


@given(draws, st.integers(1, 400))
def test_a_slow_down_by_load_leaves_the_last_token_that_many_times_as_late(draw: Draw, load: int) -> None:
    slow_down = CapacityLimits(knee=4).slow_down(load)
    crowded = Factors(ttft_factor=slow_down, speed_factor=1.0 / slow_down)
    alone, among_others = (plan_answer(PROFILE, factors, 10, SIZES, draw) for factors in (UNCHANGED, crowded))

    assert among_others.end_s == pytest.approx(alone.end_s * max(1.0, load / 4))


def test_a_tier_the_profile_does_not_name_changes_nothing() -> None:
    assert PROFILE.tier("batch") == PROFILE.tier("default") == UNCHANGED


@given(draws, st.floats(0.1, 10.0), st.floats(0.1, 10.0))
def test_factors_of_tier_latency_and_load_multiply(draw: Draw, ttft_factor: float, speed_factor: float) -> None:
    both = Factors(2.0, 0.5).times(Factors(ttft_factor, speed_factor))
    plain, changed = (plan_answer(PROFILE, factors, 10, SIZES, draw) for factors in (UNCHANGED, both))

    assert changed.ttft_s == pytest.approx(2.0 * ttft_factor * plain.ttft_s)
    assert changed.decode_interval_s == pytest.approx(plain.decode_interval_s / (0.5 * speed_factor))


def test_the_tail_slows_its_share_of_answers_by_a_factor_of_its_range() -> None:
    tail = Tail(share=0.1, factor_min=3.0, factor_max=10.0)
    rng = random.Random(1)
    factors = [tail.factor(rng.random(), rng.random()) for _ in range(10_000)]
    slow = [factor for factor in factors if factor != 1.0]

    assert len(slow) == pytest.approx(1_000, abs=180), "six standard deviations"
    assert min(slow) == pytest.approx(3.0, abs=0.1)
    assert max(slow) == pytest.approx(10.0, abs=0.1)
    assert statistics.fmean(slow) == pytest.approx(6.5, abs=0.4)
    assert {NO_TAIL.factor(uniform, 0.5) for uniform in (1e-12, 0.5, 0.999)} == {1.0}


def test_the_tail_moves_the_p99_and_leaves_the_median() -> None:
    streams = DrawStreams(seed=1)
    drawn = [streams.next("model", "default") for _ in range(4_000)]

    def quantiles_ms(tail: Tail) -> list[float]:
        profile = replace(PROFILE, tail=tail)
        times = [plan_answer(profile, UNCHANGED, 0, SIZES, draw).ttft_s * 1000.0 for draw in drawn]
        return statistics.quantiles(times, n=200)

    without, with_tail = quantiles_ms(NO_TAIL), quantiles_ms(Tail(0.02, 3.0, 10.0))

    assert with_tail[99] == pytest.approx(without[99], rel=0.05)
    assert with_tail[197] > 1.5 * without[197]


# --- schedule ------------------------------------------------------------------------------------------------


@given(plans)
def test_the_events_cover_all_tokens_the_first_one_alone(plan: AnswerPlan) -> None:
    ends = list(plan.event_ends())
    sizes = [ends[0], *(later - earlier for earlier, later in itertools.pairwise(ends))]

    assert ends[-1] == plan.output_tokens
    assert sizes[0] == 1
    assert all(1 <= size <= plan.tokens_per_event for size in sizes[1:])
    assert all(
        size == plan.tokens_per_event or end in (plan.reasoning_tokens, plan.output_tokens)
        for size, end in zip(sizes[1:], ends[1:], strict=True)
    ), "only the last event of the thought and that of the answer are smaller"


@given(plans)
def test_no_event_mixes_thought_and_answer(plan: AnswerPlan) -> None:
    assert plan.reasoning_tokens in (0, *plan.event_ends())


@given(plans)
def test_times_are_in_order_from_the_opening_to_the_last_token(plan: AnswerPlan) -> None:
    due_s = [plan.token_due_s(end) for end in plan.event_ends()]

    assert 0.0 <= plan.open_s <= plan.ttft_s == due_s[0]
    assert all(earlier < later for earlier, later in itertools.pairwise(due_s))
    assert due_s[-1] == plan.end_s


@given(plans)
def test_the_testers_tpot_is_the_decode_interval(plan: AnswerPlan) -> None:
    """TPOT = (last token - first token) / (tokens - 1)."""
    if plan.output_tokens > 1:
        tpot_s = (plan.end_s - plan.ttft_s) / (plan.output_tokens - 1)
        assert tpot_s == pytest.approx(plan.decode_interval_s, rel=1e-6)


@given(plans, st.data())
def test_a_token_counts_as_generated_once_it_is_due(plan: AnswerPlan, data: st.DataObject) -> None:
    token = data.draw(st.integers(1, plan.output_tokens))
    half_s = plan.decode_interval_s / 2

    assert plan.tokens_by(plan.token_due_s(token) + half_s) == token
    assert plan.tokens_by(plan.token_due_s(token) - half_s) == token - 1
    assert plan.tokens_by(plan.end_s + 3600.0) == plan.output_tokens


# --- seeds ---------------------------------------------------------------------------------------------------


def planned(seed: int, calls: list[tuple[str, str]]) -> dict[tuple[str, str], list[AnswerPlan]]:
    streams = DrawStreams(seed)
    plans_by_key: dict[tuple[str, str], list[AnswerPlan]] = {}
    for model_id, tier in calls:
        plan = plan_answer(PROFILE, PROFILE.tier(tier), 100, SIZES, streams.next(model_id, tier))
        plans_by_key.setdefault((model_id, tier), []).append(plan)
    return plans_by_key


calls_of_models = st.lists(
    st.tuples(st.sampled_from(["nova", "haiku"]), st.sampled_from(["default", "flex"])), min_size=1, max_size=40
)


@given(st.integers(0, 2**32), calls_of_models, st.randoms(use_true_random=False))
def test_the_same_seed_gives_the_same_plans_in_whatever_order_calls_interleave(
    seed: int, calls: list[tuple[str, str]], rng: random.Random
) -> None:
    shuffled = calls.copy()
    rng.shuffle(shuffled)

    assert planned(seed, shuffled) == planned(seed, calls)


def test_another_seed_or_another_model_gives_other_plans() -> None:
    calls = [("nova", "default"), ("haiku", "default")] * 5
    one, other = planned(1, calls), planned(2, calls)

    assert one[("nova", "default")] != other[("nova", "default")]
    assert one[("nova", "default")] != one[("haiku", "default")]


def test_tiers_of_a_model_get_the_same_draws_so_their_factors_compare_exactly() -> None:
    plans_by_key = planned(1, [("nova", "default"), ("nova", "flex")] * 20)

    for plain, flex in zip(plans_by_key["nova", "default"], plans_by_key["nova", "flex"], strict=True):
        assert flex.ttft_s == pytest.approx(1.5 * plain.ttft_s)
        assert flex.decode_interval_s == pytest.approx(plain.decode_interval_s / 0.75)


def test_a_restart_begins_every_stream_again() -> None:
    streams = DrawStreams(seed=1)
    first = [streams.next("nova", "default") for _ in range(3)]
    streams.restart()

    assert [streams.next("nova", "default") for _ in range(3)] == first
    assert len({draw.ttft for draw in first}) == 3
