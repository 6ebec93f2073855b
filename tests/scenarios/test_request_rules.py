"""Which requests Bedrock refuses, and which may come to nothing."""

import pytest

from bedrock.catalog import default_catalog
from scenarios.cells import Cell, expand, request_doubts
from scenarios.model import Request, Scenario

NOVA_PRO, NOVA_LITE = "amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0"
LLAMA, TITAN = "meta.llama3-3-70b-instruct-v1:0", "amazon.titan-text-express-v1"
HAIKU = "anthropic.claude-3-5-haiku-20241022-v1:0"
OPTIMIZED = {"latency": "optimized"}
CACHED = {"system_file": "clerk.txt", "cache_system": True}


def cell_of(model_id: str, request: dict, regions=("us-east-1",), prefix="us", **values) -> Cell:
    scenario = {"name": "x", "model_id": model_id, "load": {"rate": "1/s"}, "request": request}
    matrix = {"region_prefixes": [prefix]}
    (cell,) = expand(Scenario.model_validate(scenario | {"matrix": matrix} | values), default_catalog(), {}, regions)
    return cell


@pytest.mark.parametrize(
    ("model_id", "prefix", "regions"),
    [
        (NOVA_PRO, "us", ("us-east-1",)),
        (NOVA_PRO, "us", ()),
        (NOVA_PRO, "us", ("us-east-1", "us-west-2")),
        (HAIKU, "us", ("us-west-2",)),
        ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a=" + NOVA_PRO, "us", ("us-east-1",)),
    ],
)
def test_optimised_latency_runs_where_the_model_the_region_and_the_profile_have_it(model_id, prefix, regions):
    assert cell_of(model_id, OPTIMIZED, regions, prefix).status == "pending"


@pytest.mark.parametrize(
    ("model_id", "prefix", "regions", "reason"),
    [
        (NOVA_LITE, "us", ("us-east-1",), "Nova Lite cannot be asked for optimized latency: Bedrock refuses"),
        (NOVA_PRO, "none", ("us-east-1",), "optimized latency through the base model id"),
        (NOVA_PRO, "eu", ("eu-west-1",), "optimized latency through the profile eu"),
        (NOVA_PRO, "us", ("us-west-1",), "in us-west-1 (in us-east-1, us-east-2, us-west-2 it can)"),
        (HAIKU, "us", ("us-east-1", "us-west-2"), "in us-east-1 (in us-east-2, us-west-2 it can)"),
    ],
)
def test_optimised_latency_that_bedrock_refuses_skips_the_cell_with_the_reason(model_id, prefix, regions, reason):
    cell = cell_of(model_id, OPTIMIZED, regions, prefix)

    assert cell.status == "skipped"
    assert reason in cell.reason


def test_standard_latency_is_refused_nowhere():
    assert cell_of(LLAMA, {"latency": "standard"}).status == "pending"


def test_a_cache_point_skips_models_without_a_prompt_cache():
    assert cell_of(NOVA_PRO, CACHED).status == "pending"
    assert "Llama 3.3 70B Instruct cannot cache a system prompt" in cell_of(LLAMA, CACHED).reason


def test_stop_sequences_skip_llama_only_where_its_body_has_no_place_for_them():
    stop = {"stop_sequences": ["END"]}

    assert cell_of(LLAMA, stop).status == "pending"
    assert (
        "cannot be given stop sequences through InvokeModel" in cell_of(LLAMA, stop, api="invoke_model_stream").reason
    )
    assert cell_of(TITAN, stop, api="invoke_model").status == "pending"


def test_all_that_a_cell_is_refused_for_is_its_reason():
    cell = cell_of(LLAMA, CACHED | OPTIMIZED, matrix={"service_tiers": ["priority"]})

    for part in ("does not accept the priority tier", "optimized latency", "cannot cache"):
        assert part in cell.reason


def doubts_of(model_id: str, request: dict, system_tokens: int = 0, **values) -> tuple[str, ...]:
    cell = cell_of(model_id, request, **values)
    return request_doubts([cell, cell], Request.model_validate(request), system_tokens, default_catalog(), {})


def test_a_system_prompt_below_the_models_minimum_is_said_not_to_be_cached():
    assert doubts_of(NOVA_PRO, CACHED, 1024) == ()
    (doubt,) = doubts_of(NOVA_PRO, CACHED, 1023)
    assert doubt == "Nova Pro caches prompts from 1,024 tokens on: a system prompt of about 1,023 is not cached."


def test_what_a_model_may_refuse_is_said_of_it_alone():
    system, blank = {"system_file": "clerk.txt"}, {"stop_sequences": ["\n\n"]}

    assert "Titan Text" in doubts_of(TITAN, system)[0]
    assert doubts_of(TITAN, system, api="invoke_model") == doubts_of(NOVA_PRO, system | blank) == ()
    assert "white space" in doubts_of(HAIKU, blank)[0]


def test_nothing_is_said_of_cells_that_are_skipped():
    assert doubts_of(TITAN, CACHED) == ()
