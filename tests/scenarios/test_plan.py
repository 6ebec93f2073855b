"""The arithmetic of the plan, by hand and by property."""

import math
import random
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.catalog import default_catalog
from scenarios.cells import Cell, expand
from scenarios.expectations import assumed_e2e_s, assumed_output_tokens
from scenarios.model import Scenario
from scenarios.plan import (
    CELL_OVERHEAD_S,
    MIN_SLOTS,
    SUITE_OVERHEAD_S,
    KnownQuota,
    SystemPart,
    make_plan,
    plan_cell,
    slots_for,
    with_quotas,
)
from scenarios.sessions import ONE_SHOT, SessionShape

CATALOG = default_catalog()
PRO, MICRO = "amazon.nova-pro-v1:0", "amazon.nova-micro-v1:0"


@dataclass(frozen=True)
class FakeMessage:
    text: str
    model_id: str
    max_tokens: int | None = None
    history_tokens: float = 0.0


SAMPLE = [FakeMessage("one two three", PRO)]


def cell_of(**values) -> Cell:
    scenario = Scenario.model_validate({"name": "x", "model_id": PRO} | values)
    return expand(scenario, CATALOG, {})[0]


def test_assumed_answers_are_the_mean_of_the_cut_off_lognormal():
    random_numbers = random.Random(1)
    draws = [random_numbers.lognormvariate(math.log(120.0), 0.5) for _ in range(200_000)]

    for limit in (50, 120, 300, 4096):
        simulated = sum(min(draw, limit) for draw in draws) / len(draws)
        assert assumed_output_tokens(limit) == pytest.approx(simulated, rel=0.01)


@given(st.integers(1, 10_000))
def test_no_answer_is_assumed_longer_than_max_tokens(max_tokens):
    assert 0 < assumed_output_tokens(max_tokens) <= max_tokens


def test_a_call_takes_its_first_token_its_prefill_and_its_decoding():
    model = CATALOG.resolve(PRO)

    expected = 0.4 * math.exp(0.4**2 / 2) + 0.00015 * 1000 + 95 / 95
    assert assumed_e2e_s(model, input_tokens=1000, output_tokens=95) == pytest.approx(expected)


def test_an_open_cell_sends_what_its_schedule_says():
    planned = plan_cell(cell_of(load={"rate": "5/s", "duration": "20s", "warmup": "4s"}), SAMPLE, CATALOG)

    output = assumed_output_tokens(4096)
    e2e_s = assumed_e2e_s(CATALOG.resolve(PRO), 4, output)
    assert planned.requests == pytest.approx(120.0)
    assert planned.input_tokens == pytest.approx(480.0)
    assert planned.output_tokens == pytest.approx(120 * output)
    assert planned.peak_in_flight == pytest.approx(5 * e2e_s), "Little's law"
    assert planned.slots == slots_for(planned.peak_in_flight)
    assert planned.duration_s == pytest.approx(24 + e2e_s + CELL_OVERHEAD_S)


def test_conversations_multiply_requests_and_hold_their_slots_while_customers_think():
    load = {"rate": "5/s", "duration": "20s"}
    shape = SessionShape(turns=3.0, thinking_s=12.0)
    alone, talking = (plan_cell(cell_of(load=load), SAMPLE, CATALOG, shape=each) for each in (ONE_SHOT, shape))

    assert talking.requests == pytest.approx(3 * alone.requests)
    assert talking.peak_in_flight == pytest.approx(3 * alone.peak_in_flight)
    assert talking.slots == slots_for(talking.peak_in_flight + 5 * 12.0)
    assert talking.models[0].requests_per_minute == pytest.approx(3 * alone.models[0].requests_per_minute)


def test_users_hold_one_conversation_after_the_other():
    load = {"users": 10, "duration": "100s", "spawn_rate": "1000/s", "think_time": "2s-2s"}
    planned = plan_cell(cell_of(load=load), SAMPLE, CATALOG, shape=SessionShape(turns=4.0, thinking_s=18.0))
    e2e_s = planned.models[0].e2e_s

    assert planned.requests == pytest.approx(10 * 100 / (4 * e2e_s + 18 + 2) * 4, rel=0.001)
    assert planned.slots == 10


def test_the_history_counts_as_input():
    long = [FakeMessage("one two three", PRO, history_tokens=500.0)]

    assert plan_cell(cell_of(load={"rate": "5/s", "duration": "20s"}), long, CATALOG).input_tokens == 100 * 504


def test_a_spike_counts_at_its_height():
    load = {"rate": "2/s", "duration": "100s", "pattern": "spike", "spike_factor": 10.0}
    planned = plan_cell(cell_of(load=load), SAMPLE, CATALOG)

    assert planned.requests == pytest.approx(2 * 80 + 20 * 20)
    assert planned.peak_in_flight == pytest.approx(20 * planned.models[0].e2e_s)


def test_the_plan_of_a_pattern_counts_the_users_that_are_there():
    load = {"users": 10, "duration": "60s", "warmup": "0s", "think_time": "1s", "spawn_rate": 5}
    cells = [cell_of(load=load | {"pattern": pattern}) for pattern in ("sustained", "ramp")]
    steady, ramp = (plan_cell(cell, SAMPLE, CATALOG) for cell in cells)

    assert ramp.requests == pytest.approx(steady.requests / 2, rel=0.05)
    assert ramp.peak_in_flight == steady.peak_in_flight
    assert ramp.slots == 10


def test_users_of_a_closed_loop_send_once_a_cycle():
    load = {"users": 10, "duration": "60s", "warmup": "0s", "think_time": "1s", "spawn_rate": 5}
    planned = plan_cell(cell_of(load=load), SAMPLE, CATALOG)

    e2e_s = planned.models[0].e2e_s
    first_calls = 10 * min(1.0, e2e_s / 2) * (0.5 - 0.5 / (e2e_s + 1))
    assert planned.requests == pytest.approx(10 * (60 + 1) / (e2e_s + 1) + first_calls)
    assert planned.peak_in_flight == pytest.approx(10 * e2e_s / (e2e_s + 1))
    assert planned.slots == 10
    assert planned.duration_s == pytest.approx(2 + 60 + e2e_s + CELL_OVERHEAD_S)


def test_traffic_is_split_by_the_share_of_each_model():
    sample = [FakeMessage("one two three", PRO)] * 1 + [FakeMessage("一二", MICRO)] * 3
    planned = plan_cell(cell_of(load={"rate": "4/s", "duration": "30s"}), sample, CATALOG)

    shares = {model.model_id: (model.share, model.input_tokens) for model in planned.models}
    assert shares == {f"us.{PRO}": (0.25, 4.0), f"us.{MICRO}": (0.75, 3.0)}
    assert planned.input_tokens == pytest.approx(120 * (0.25 * 4 + 0.75 * 3))


def test_cost_is_a_range_from_short_answers_to_max_tokens():
    planned = plan_cell(cell_of(load={"rate": "1/s", "duration": "100s"}, max_tokens=1000), SAMPLE, CATALOG)

    output = assumed_output_tokens(1000)
    assert planned.cost.expected_usd == pytest.approx(100 * (4 * 0.8 + output * 3.2) / 1e6)
    assert planned.cost.low_usd == pytest.approx(100 * (4 * 0.8 + output / 2 * 3.2) / 1e6)
    assert planned.cost.high_usd == pytest.approx(100 * (4 * 0.8 + 1000 * 3.2) / 1e6)


def test_a_tier_has_its_own_price():
    cells = expand(
        Scenario.model_validate(
            {"name": "x", "model_id": PRO, "load": {"rate": "1/s"}, "matrix": {"service_tiers": ["default", "flex"]}}
        ),
        CATALOG,
        {},
    )
    default, flex = (plan_cell(cell, SAMPLE, CATALOG).cost.expected_usd for cell in cells)

    assert flex == pytest.approx(default / 2)


def test_a_total_with_an_unknown_price_is_unknown():
    model = "anthropic.claude-haiku-4-5-20251001-v1:0"
    cell = cell_of(model_id=model, load={"rate": "1/s"}, matrix={"service_tiers": ["reserved"]})
    plan = make_plan([cell], {cell.cell: [FakeMessage("a", model)]}, CATALOG)

    assert cell.status == "pending"
    assert plan.cost is None


def test_skipped_cells_send_nothing():
    matrix = {"service_tiers": ["default", "flex"]}
    scenario = {"name": "x", "model_id": MICRO, "load": {"rate": "1/s", "duration": "10s"}, "matrix": matrix}
    cells = expand(Scenario.model_validate(scenario), CATALOG, {})
    plan = make_plan(cells, {cell.cell: [FakeMessage("a", MICRO)] for cell in cells}, CATALOG)

    assert [cell.cell for cell in plan.skipped] == ["us-flex-medium-r1"]
    assert plan.requests == pytest.approx(10.0)


def test_totals_are_sums_and_the_suite_has_its_own_overhead():
    cells = [cell_of(load={"rate": "2/s", "duration": "10s"}), cell_of(load={"users": 3, "duration": "10s"})]
    plan = make_plan(cells, {cell.cell: SAMPLE for cell in cells}, CATALOG)

    assert plan.requests == pytest.approx(sum(cell.requests for cell in plan.cells))
    assert plan.duration_s == pytest.approx(sum(cell.duration_s for cell in plan.cells) + SUITE_OVERHEAD_S)
    assert plan.peak_in_flight == max(cell.peak_in_flight for cell in plan.cells)


def test_quota_use_is_that_of_the_busiest_minute_of_the_busiest_cell():
    cells = [cell_of(load={"rate": rate, "duration": "2m"}) for rate in ("2/s", "10/s")]
    plan = make_plan(cells, {cell.cell: SAMPLE for cell in cells}, CATALOG)

    (use,) = plan.quotas
    assert (use.requests_cell, use.tokens_cell) == ("us-default-medium-r10", "us-default-medium-r10")
    assert use.requests_per_minute == pytest.approx(600.0)
    assert (use.rpm_quota, use.tpm_quota) == (500, 2_000_000), "that of the cross-region profile"
    assert use.exceeds


def test_the_requests_of_one_cell_do_not_hide_behind_the_tokens_of_another():
    cells = [cell_of(load={"rate": rate, "duration": "2m"}) for rate in ("8/s", "10/s")]
    long_text = [FakeMessage("word " * 2000, SAMPLE[0].model_id)]
    plan = make_plan(cells, {cells[0].cell: long_text, cells[1].cell: SAMPLE}, CATALOG)

    (use,) = plan.quotas
    assert (use.requests_cell, use.tokens_cell) == (cells[1].cell, cells[0].cell)
    assert use.requests_per_minute == pytest.approx(600.0)
    assert use.exceeds, "600 requests a minute are above 500, whichever cell has more tokens"


def test_burn_down_counts_output_tokens_several_times():
    model = "anthropic.claude-haiku-4-5-20251001-v1:0"
    planned = plan_cell(
        cell_of(model_id=model, load={"rate": "1/s", "duration": "1m"}), [FakeMessage("a b c", model)], CATALOG
    )

    (use,) = planned.models
    settled, reserved = 4 + 5 * use.output_tokens, 4 + 4096
    assert use.tokens_per_minute == pytest.approx((60 - use.e2e_s) * settled + use.e2e_s * reserved)


def test_a_large_max_tokens_takes_quota_while_calls_are_in_flight():
    load = {"rate": "2/s", "duration": "1m"}
    small, large = (plan_cell(cell_of(load=load, max_tokens=most), SAMPLE, CATALOG) for most in (1000, 4000))

    (few,), (many,) = small.models, large.models
    assert many.tokens_per_minute - few.tokens_per_minute == pytest.approx(2 * many.e2e_s * 3000, rel=0.02)


def test_a_tier_that_answers_slowly_has_fewer_requests_of_the_same_users():
    load = {"users": 10, "duration": "1m"}
    fast, plain, slow = (
        plan_cell(cell_of(load=load, matrix={"service_tiers": [tier]}), SAMPLE, CATALOG)
        for tier in ("priority", "default", "flex")
    )

    assert fast.requests > plain.requests > slow.requests


def test_a_plan_is_held_against_the_quotas_that_are_known():
    cell = cell_of(load={"rate": "2/s", "duration": "1m"})
    quotas = {(None, f"us.{PRO}"): KnownQuota(60.0, None, "Service Quotas")}
    plan = make_plan([cell], {cell.cell: SAMPLE}, CATALOG, quotas=quotas)

    (use,) = plan.quotas
    assert (use.rpm_quota, use.tpm_quota, use.source, use.exceeds) == (60.0, None, "Service Quotas", True)
    assert plan.quota_share(plan.cells[0]) == pytest.approx(2.0)
    (default,) = with_quotas(plan, {}, CATALOG).quotas
    assert (default.source, default.exceeds) == ("default", False)


def test_each_region_has_its_own_quota_and_a_cell_without_one_calls_that_of_the_run():
    matrix = {"regions": ["us-west-2", "us-east-1"]}
    there, here = expand(
        Scenario.model_validate({"name": "x", "model_id": PRO, "load": {"rate": "2/s"}, "matrix": matrix}), CATALOG, {}
    )
    plain = cell_of(load={"rate": "8/s", "duration": "1m"})
    cells = [there, here, replace(plain, cell="plain")]
    quotas = {("us-west-2", f"us.{PRO}"): KnownQuota(60.0, None), ("us-east-1", f"us.{PRO}"): KnownQuota(600.0, None)}

    plan = make_plan(cells, {cell.cell: SAMPLE for cell in cells}, CATALOG, quotas=quotas, region="us-east-1")

    assert {use.region: (use.requests_cell, use.rpm_quota, use.exceeds) for use in plan.quotas} == {
        "us-west-2": (there.cell, 60.0, True),
        "us-east-1": ("plain", 600.0, False),
    }
    assert [plan.quota_share(planned) for planned in plan.cells] == pytest.approx([2.0, 0.2, 0.8])


def test_answers_that_a_trace_cuts_short_are_planned_and_paid_as_short():
    sample = [FakeMessage("one two three", PRO, 10), FakeMessage("one two three", PRO)]
    planned = plan_cell(cell_of(load={"rate": "1/s", "duration": "100s"}), sample, CATALOG)

    expected = (assumed_output_tokens(10) + assumed_output_tokens(4096)) / 2
    assert planned.output_tokens == pytest.approx(100 * expected)
    assert planned.cost.high_usd == pytest.approx(100 * (4 * 0.8 + (10 + 4096) / 2 * 3.2) / 1e6)


def test_stages_count_each_for_itself():
    stages = [{"rate": "2/s", "duration": "30s"}, {"pattern": "ramp", "rate": "8/s", "duration": "60s"}]
    planned = plan_cell(cell_of(load={"warmup": "10s", "stages": stages}), SAMPLE, CATALOG)

    assert planned.requests == pytest.approx(2 * 10 + 2 * 30 + 8 / 2 * 60)
    assert planned.peak_in_flight == pytest.approx(8 * planned.models[0].e2e_s)
    assert planned.models[0].requests_per_minute == pytest.approx(240.0)


@given(st.floats(0.0, 2000.0), st.floats(0.0, 2000.0))
def test_slots_have_head_room_and_grow_with_the_load(one, other):
    low, high = sorted((one, other))

    assert slots_for(low) >= MIN_SLOTS
    assert slots_for(low) >= 3 * low
    assert slots_for(low) <= slots_for(high)


SYSTEM_TOKENS = 2000


def test_the_system_prompt_is_input_of_every_request():
    cell = cell_of(load={"rate": "5/s", "duration": "20s"})
    planned = plan_cell(cell, SAMPLE, CATALOG, SystemPart(SYSTEM_TOKENS))

    assert planned.input_tokens == pytest.approx(100 * (4 + SYSTEM_TOKENS))
    assert planned.models[0].cached_tokens == 0
    assert planned.cost.expected_usd == pytest.approx(
        100 * ((4 + SYSTEM_TOKENS) * 0.8 + planned.models[0].output_tokens * 3.2) / 1e6
    )


def test_a_cached_system_prompt_is_written_once_and_read_at_the_price_of_the_cache():
    model = "anthropic.claude-haiku-4-5-20251001-v1:0"
    price = CATALOG.price(f"us.{model}", "default")
    cell = cell_of(model_id=model, load={"rate": "1/s", "duration": "100s"}, max_tokens=500)
    planned = plan_cell(cell, [FakeMessage("one two three", model)], CATALOG, SystemPart(5000, is_cached=True))
    answers = 100 * planned.models[0].output_tokens * price.output
    system = 5000 * (price.cache_write + 99 * price.cache_read)

    assert planned.cost.expected_usd == pytest.approx((100 * 4 * price.input + answers + system) / 1e6)
    assert planned.cost.low_usd == pytest.approx((100 * 4 * price.input + answers / 2 + system) / 1e6)
    dearest = 100 * (4 * price.input + 5000 * price.cache_write + 500 * price.output)
    assert planned.cost.high_usd == pytest.approx(dearest / 1e6), "no request finds the prompt in the cache"


def test_where_writing_the_cache_is_free_the_dearest_run_has_no_cache_at_all():
    cell = cell_of(load={"rate": "1/s", "duration": "100s"}, max_tokens=500)
    planned = plan_cell(cell, SAMPLE, CATALOG, SystemPart(SYSTEM_TOKENS, is_cached=True))

    assert planned.cost.high_usd == pytest.approx(100 * ((4 + SYSTEM_TOKENS) * 0.8 + 500 * 3.2) / 1e6)


def test_what_is_read_from_the_cache_counts_against_the_quota_only_while_calls_are_in_flight():
    cell = cell_of(load={"rate": "1/s", "duration": "1m"})
    cached, bare = (
        plan_cell(cell, SAMPLE, CATALOG, system).models[0]
        for system in (SystemPart(SYSTEM_TOKENS, is_cached=True), SystemPart())
    )

    assert cached.input_tokens == 4 + SYSTEM_TOKENS
    held = cached.e2e_s * SYSTEM_TOKENS
    assert cached.tokens_per_minute == pytest.approx(bare.tokens_per_minute + held)
    assert cached.e2e_s == pytest.approx(bare.e2e_s)


def test_a_system_prompt_too_short_for_the_cache_is_priced_as_input():
    cell = cell_of(load={"rate": "1/s", "duration": "1m"})

    assert plan_cell(cell, SAMPLE, CATALOG, SystemPart(1023, is_cached=True)).models[0].cached_tokens == 0
    assert plan_cell(cell, SAMPLE, CATALOG, SystemPart(1024, is_cached=True)).models[0].cached_tokens == 1024
