"""Costs: the published worked example, sums by hand, projections and what-ifs."""

from pathlib import Path
from typing import Any

import pytest

from analysis.cost import COST_MODEL_MIX, MixEntry, price_mix, reference_prices
from analysis.summary import analyse
from bedrock.catalog import Price, default_catalog
from tests.support.analysed import analyse_cell
from tests.support.run_builder import CellSpec, build_run, make_record

NOVA_PRO_USD = (40 * 0.8 + 60 * 3.2) / 1e6  # of a record as make_record makes it


def cost_of(directory: Path, records: list[dict[str, Any]], **run: Any) -> dict[str, Any]:
    cost: dict[str, Any] = analyse_cell(directory, records, **run).summary["cost"]
    return cost


def several(count: int, first: int = 0, **fields: Any) -> list[dict[str, Any]]:
    return [make_record(first + index, **fields) for index in range(count)]


def test_the_published_worked_example_of_the_cost_model() -> None:
    priced = price_mix(COST_MODEL_MIX, reference_prices(default_catalog()), 1_000_000)

    assert round(priced.daily_usd, 2) == 1959.21
    assert priced.monthly_usd == pytest.approx(30 * priced.daily_usd)
    assert priced.cached_share == pytest.approx(0.335)
    assert sum(priced.daily_usd_by_type.values()) == pytest.approx(priced.daily_usd)
    assert sum(entry.share for entry in COST_MODEL_MIX) == pytest.approx(1.0)


def test_a_mix_costs_nothing_where_the_cache_answers_all() -> None:
    mix = [MixEntry("faq", 1.0, 100, 100, "only", 1.0)]

    assert price_mix(mix, {"only": Price(1.0, 5.0)}, 1e6).daily_usd == 0.0


def test_projection_is_the_mean_cost_of_a_request_times_the_daily_messages(tmp_path: Path) -> None:
    cost = cost_of(tmp_path, [*several(10), *several(5, 10, outcome="throttled")], daily_messages=2_000_000)

    assert cost["cost_usd"] == pytest.approx(10 * NOVA_PRO_USD)
    assert cost["projected_daily_cost_usd"] == pytest.approx(2e6 * NOVA_PRO_USD)
    assert cost["projected_monthly_cost_usd"] == pytest.approx(30 * 2e6 * NOVA_PRO_USD)
    assert cost["cost_per_1000_messages_usd"] == pytest.approx(1000 * NOVA_PRO_USD)
    assert cost["billed_requests"] == 10


def test_a_message_pays_for_all_its_attempts(tmp_path: Path) -> None:
    records = [
        make_record(0, message_id="m", attempt=1, outcome="stream_error", input_tokens=40, output_tokens=60,
                    served_tier="default"),
        make_record(1, message_id="m", attempt=2),
    ]  # fmt: skip

    cost = cost_of(tmp_path, records)

    assert cost["cost_per_request_usd"] == pytest.approx(NOVA_PRO_USD)
    assert cost["cost_per_1000_messages_usd"] == pytest.approx(2000 * NOVA_PRO_USD)


def test_costs_by_model_and_tier_add_up(tmp_path: Path) -> None:
    lite = {"model_id": "us.amazon.nova-2-lite-v1:0"}
    flex = {"requested_tier": "flex", "served_tier": "flex"}
    cost = cost_of(tmp_path, [*several(3), *several(2, 3, **lite), *several(5, 5, **flex)])

    assert [(row["model"], row["billed_requests"]) for row in cost["by_model"]] == [
        ("amazon.nova-2-lite-v1:0", 2), ("amazon.nova-pro-v1:0", 8),
    ]  # fmt: skip
    assert [(row["service_tier"], row["cost_usd"]) for row in cost["by_tier"]] == [
        ("default", pytest.approx(3 * NOVA_PRO_USD + 2 * 1.1 * (40 * 0.3 + 60 * 2.5) / 1e6)),
        ("flex", pytest.approx(5 * NOVA_PRO_USD / 2)),
    ]
    assert len(cost["by_model_and_tier"]) == 3
    assert sum(row["cost_usd"] for row in cost["by_model_and_tier"]) == pytest.approx(cost["cost_usd"])


def test_what_ifs_price_the_measured_requests_anew(tmp_path: Path) -> None:
    records = [make_record(seq, output_tokens=20 if seq < 50 else 200) for seq in range(100)]

    cost = cost_of(tmp_path, records)
    changes = {entry["change"]: entry for entry in cost["what_if"]}

    assert changes["all requests in the priority tier"]["delta_pct"] == pytest.approx(75.0)
    assert changes["all requests in the flex tier"]["delta_pct"] == pytest.approx(-50.0)
    assert changes["all requests as batch jobs"]["delta_pct"] == pytest.approx(-50.0)
    capped = changes["answers capped at 110 output tokens (the measured p50)"]
    assert capped["cost_per_request_usd"] == pytest.approx((40 * 0.8 + (20 + 110) / 2 * 3.2) / 1e6)
    assert capped["projected_monthly_cost_usd"] == pytest.approx(capped["cost_per_request_usd"] * 30e6)
    assert "all requests in the default tier" not in changes  # that is what was measured
    assert "all requests in the reserved tier" not in changes  # has no known price
    assert not any("p90" in change for change in changes)  # caps nothing


def changes_of(cost: dict[str, Any]) -> dict[str, float]:
    return {entry["change"]: entry["delta_pct"] for entry in cost["what_if"]}


def test_every_lever_of_the_cost_model_is_priced_on_the_measured_tokens(tmp_path: Path) -> None:
    lite = {"model_id": "us.amazon.nova-2-lite-v1:0"}
    cost = cost_of(tmp_path, [*several(50, output_tokens=60), *several(50, 50, output_tokens=10, **lite)])

    assert {entry["lever"] for entry in cost["what_if"]} == {
        "tier", "batch", "routing", "cache", "max_tokens", "prompt",
    }  # fmt: skip


def test_a_response_cache_saves_its_hit_rate_and_shorter_prompts_their_share_of_the_input(tmp_path: Path) -> None:
    changes = changes_of(cost_of(tmp_path, several(100)))

    assert changes["33.5 % of the messages answered from a response cache"] == pytest.approx(-33.5)
    assert changes["prompts 50 % shorter"] == pytest.approx(-50.0 * 40 * 0.8 / (40 * 0.8 + 60 * 3.2))


def test_prompt_caching_reads_half_of_the_input_at_the_cache_price(tmp_path: Path) -> None:
    changes = changes_of(cost_of(tmp_path, several(100, input_tokens=4000, output_tokens=10)))

    expected = (2000 * 0.8 + 2000 * 0.2 + 10 * 3.2) / (4000 * 0.8 + 10 * 3.2) - 1.0
    assert changes["50 % of the input tokens read from the prompt cache"] == pytest.approx(expected * 100.0)


def test_routing_moves_requests_of_the_dearest_model_to_the_cheapest(tmp_path: Path) -> None:
    lite = {"model_id": "us.amazon.nova-2-lite-v1:0"}
    cost = cost_of(tmp_path, [*several(50), *several(50, 50, output_tokens=10, **lite)])

    pro_as_lite = 1.1 * (40 * 0.3 + 60 * 2.5) / 1e6
    measured = (50 * NOVA_PRO_USD + 50 * 1.1 * (40 * 0.3 + 10 * 2.5) / 1e6) / 100
    moved = measured + 0.5 * 50 * (pro_as_lite - NOVA_PRO_USD) / 100
    changes = changes_of(cost)
    half = "50 % of the requests of us.amazon.nova-pro-v1:0 to us.amazon.nova-2-lite-v1:0"
    assert changes[half] == pytest.approx((moved / measured - 1.0) * 100.0)


def test_cost_by_cache_class_adds_up(tmp_path: Path) -> None:
    cost = cost_of(tmp_path, several(10, cache_read_tokens=1000, cache_write_tokens=100))

    rows = {row["class"]: (row["tokens"], row["cost_usd"]) for row in cost["by_cache_class"]}
    assert rows["cache_read"] == (10_000, pytest.approx(10_000 * 0.2 / 1e6))
    assert rows["input"] == (400, pytest.approx(400 * 0.8 / 1e6))
    assert sum(row["cost_usd"] for row in cost["by_cache_class"]) == pytest.approx(cost["cost_usd"])


def test_cost_by_model_says_what_a_good_request_and_a_thousand_messages_cost(tmp_path: Path) -> None:
    (row,) = cost_of(tmp_path, [*several(8), *several(2, 8, e2e_ms=5000.0)])["by_model"]

    assert row["cost_per_good_request_usd"] == pytest.approx(10 * NOVA_PRO_USD / 8)
    assert row["cost_per_1000_messages_usd"] == pytest.approx(1000 * NOVA_PRO_USD)


def test_an_unknown_price_leaves_every_figure_open_with_a_note(tmp_path: Path) -> None:
    cost = cost_of(tmp_path, [*several(3), *several(2, 3, model_id="nobody.knows-v1:0", requested_tier="flex")])

    figures = ("cost_usd", "cost_per_request_usd", "projected_daily_cost_usd", "projected_monthly_cost_usd",
               "cost_per_1000_messages_usd", "cost_per_good_request_usd")  # fmt: skip
    assert [cost[name] for name in figures] == [None] * len(figures)
    assert cost["what_if"] == []
    assert cost["notes"] == ["No price is known for nobody.knows-v1:0 in the flex tier: costs that include it are null"]
    assert cost["by_model"][0]["cost_usd"] == pytest.approx(3 * NOVA_PRO_USD)
    assert cost["by_model"][1]["cost_usd"] is None


def test_calls_that_broke_off_are_said_to_cost_an_unknown_sum(tmp_path: Path) -> None:
    notes = cost_of(tmp_path, [*several(3), *several(2, 3, outcome="truncated")])["notes"]

    assert notes == ["2 attempts broke off before the service reported tokens; what they cost is not known"]


def test_without_any_answer_nothing_is_projected(tmp_path: Path) -> None:
    build_run(tmp_path, [CellSpec("a", outcomes={"throttled": 1.0})])

    cost = analyse(tmp_path).summary["cost"]

    assert cost["cost_usd"] is cost["projected_monthly_cost_usd"] is None
    assert cost["by_model"] == cost["what_if"] == []
    assert cost["cost_model"]["daily_usd"] == pytest.approx(1959.2125)


def test_costs_by_tier_are_those_of_the_tier_that_served(tmp_path: Path) -> None:
    records = [make_record(seq, requested_tier="flex", served_tier="default") for seq in range(10)]

    rows = analyse_cell(tmp_path, records).summary["cost"]["by_tier"]

    assert [row["service_tier"] for row in rows] == ["default"]
