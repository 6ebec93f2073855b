"""From dimensions to cells."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.catalog import default_catalog
from scenarios.cells import Cell, expand
from scenarios.model import Scenario

ROUTINGS = {
    "nova": ("amazon.nova-2-lite-v1:0", "amazon.nova-pro-v1:0"),
    "reference": ("anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-3-sonnet-20240229-v1:0"),
}


def cells_of(**values) -> tuple[Cell, ...]:
    given = {"name": "x", "load": {}} | values
    return expand(Scenario.model_validate(given), default_catalog(), ROUTINGS)


def names_of(**values) -> list[str]:
    return [cell.cell for cell in cells_of(**values)]


PERMUTATIONS = {
    "model_id": "amazon.nova-premier-v1:0",
    "matrix": {
        "service_tiers": ["default", "priority", "flex"],
        "prompt_sizes": ["small", "medium", "large"],
        "user_counts": [30, 60, 90],
    },
}


def test_the_permutation_suite_has_27_cells_named_by_what_differs():
    cells = cells_of(**PERMUTATIONS)

    assert len(cells) == 27
    assert cells[0].cell == "us-default-small-u30"
    assert cells[-1].cell == "us-flex-large-u90"
    assert {cell.status for cell in cells} == {"pending"}
    assert {cell.load_model for cell in cells} == {"closed"}


def test_names_say_pattern_and_model_only_where_they_vary():
    assert names_of(routing="nova", matrix={"rates": ["0.5/s"], "patterns": ["sustained", "spike"]}) == [
        "us-default-medium-r0_5-sustained",
        "us-default-medium-r0_5-spike",
    ]
    assert names_of(
        load={"users": 3},
        matrix={"models": ["amazon.nova-pro-v1:0", "amazon.nova-micro-v1:0"], "region_prefixes": ["none"]},
    ) == ["amazon_nova-pro-v1_0-default-medium-u3", "amazon_nova-micro-v1_0-default-medium-u3"]


def test_apis_and_regions_are_dimensions_and_part_of_the_name_where_they_vary():
    cells = cells_of(
        routing="nova",
        load={"rate": "5/s"},
        matrix={
            "apis": ["converse", "invoke_model"],
            "regions": ["us-east-1", "us-west-2"],
            "include": [{"api": "converse_stream"}, {"region": "eu-west-1", "region_prefix": "eu"}],
        },
    )

    assert [(cell.api, cell.region) for cell in cells] == [
        ("converse", "us-east-1"),
        ("converse", "us-west-2"),
        ("invoke_model", "us-east-1"),
        ("invoke_model", "us-west-2"),
        ("converse_stream", "us-east-1"),
        ("converse", "eu-west-1"),
    ]
    assert cells[0].cell == "converse-us-east-1-us-default-medium-r5"
    assert cells[-1].to_dict()["region"] == "eu-west-1"


def test_without_the_dimension_a_cell_calls_the_region_of_the_run():
    (cell,) = cells_of(routing="nova", api="invoke_model", load={"rate": "5/s"})

    assert (cell.api, cell.region) == ("invoke_model", None)


@given(
    prefixes=st.lists(st.sampled_from(["us", "eu", "none", "us-gov"]), min_size=1, max_size=3, unique=True),
    rates=st.lists(st.floats(0.01, 500).map(lambda rate: round(rate, 4)), min_size=1, max_size=4, unique=True),
    patterns=st.lists(st.sampled_from(["sustained", "spike"]), max_size=2, unique=True),
    extras=st.lists(
        st.fixed_dictionaries({}, optional={"rate": st.sampled_from(["1/s", "2/s"]), "prompt_size": st.just("large")}),
        max_size=4,
    ),
)
def test_names_are_unique_and_safe_in_a_file_system(prefixes, rates, patterns, extras):
    matrix = {"region_prefixes": prefixes, "rates": [f"{rate}/s" for rate in rates], "patterns": patterns}
    cells = cells_of(routing="nova", matrix=matrix | {"include": extras})

    names = [cell.cell.lower() for cell in cells]
    assert len(cells) == len(prefixes) * len(rates) * max(len(patterns), 1) + len(extras)
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name) for name in names)


def test_a_cell_that_bedrock_would_refuse_is_skipped_with_the_reason():
    default, priority = cells_of(
        routing="reference", load={"rate": "5/s"}, matrix={"service_tiers": ["default", "priority"]}
    )

    assert (default.status, default.reason) == ("pending", None)
    assert priority.status == "skipped"
    assert "Claude 3 Haiku and Claude 3 Sonnet do not accept the priority tier" in priority.reason


def test_an_extra_cell_takes_what_it_leaves_out_from_the_first_of_each_dimension():
    *_, extra = cells_of(
        routing="nova",
        load={"rate": "4/s", "duration": "10s", "warmup": "2s"},
        matrix={
            "service_tiers": ["flex", "default"],
            "prompt_sizes": ["large", "small"],
            "include": [{"pattern": "spike", "rate": "2/s", "spike_factor": 5.0}],
        },
    )

    assert (extra.service_tier, extra.prompt_size, extra.duration_s, extra.warmup_s) == ("flex", "large", 10.0, 2.0)
    assert (extra.pattern, extra.rate_rps, extra.stages[0].spike_factor) == ("spike", 2.0, 5.0)
    assert extra.cell == "us-flex-large-r2-spike"


def test_an_extra_cell_may_be_of_the_other_load_model_or_call_one_model():
    _, closed, single = cells_of(
        routing="nova",
        load={"rate": "4/s"},
        matrix={"include": [{"users": 3}, {"model_id": "amazon.nova-micro-v1:0", "region_prefix": "none"}]},
    )

    assert (closed.load_model, closed.users, closed.rate_rps) == ("closed", 3, None)
    assert (single.traffic, single.routing, single.model_id) == ("single_prompt", None, "amazon.nova-micro-v1:0")
    assert single.sent_id(single.model_id) == "amazon.nova-micro-v1:0"


def test_the_profile_of_a_cell_has_its_warm_up_and_its_spike():
    (cell,) = cells_of(routing="nova", load={"rate": "2/s", "duration": "10s", "warmup": "5s", "pattern": "spike"})

    assert [phase.name for phase in cell.schedule().phases()] == ["warmup", "baseline", "spike", "recovery"]
    assert cell.schedule().peak_rps == pytest.approx(20.0)


def test_the_entry_of_run_json_has_plain_values():
    (cell,) = cells_of(routing="nova", load={"users": 20, "spawn_rate": 4})

    entry = cell.to_dict()
    assert entry["cell"] == "us-default-medium-u20"
    assert entry["model_id"] is None
    assert entry["routing"] == "nova"
    assert entry["think_time_s"] == [0.5, 1.5]
    assert cell.ramp_s == 5.0


def test_users_follow_each_pattern_and_are_never_more_than_their_number():
    matrix = {"user_counts": [40], "patterns": ["spike", "steps"], "include": [{"users": 9, "pattern": "burst"}]}
    load = {"duration": "20s", "warmup": "5s", "spike_factor": 4, "steps": 2, "spawn_rate": 5}
    spike, steps, burst = cells_of(routing="nova", load=load, matrix=matrix)

    assert [spike.user_profile().users_at(at) for at in (0.0, 14.0, 18.0)] == [10, 40, 10]
    assert [phase.name for phase in steps.user_profile().phases()] == ["warmup", "step1", "step2"]
    assert (burst.users, burst.user_profile().peak_users) == (9, 9)
    assert spike.ramp_s == 2.0
    assert spike.to_dict()["user_pattern"]["spike_factor"] == 4


def test_the_steps_of_users_can_be_given_by_their_length():
    (cell,) = cells_of(routing="nova", load={"users": 6, "pattern": "steps", "steps": 3, "step_duration": "10s"})

    assert cell.duration_s == 30.0


def test_models_of_a_routing_are_listed_once():
    (cell,) = expand(
        Scenario.model_validate({"name": "x", "routing": "one", "load": {"users": 1}}),
        default_catalog(),
        {"one": ("amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0")},
    )

    assert cell.models({"one": ("amazon.nova-pro-v1:0",) * 2}) == ("amazon.nova-pro-v1:0",)


PROVISIONED = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc123=amazon.nova-pro-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.amazon.nova-pro-v1:0"


def test_an_arn_is_sent_as_it_is_and_has_its_own_prefix():
    provisioned, profile = cells_of(matrix={"models": [PROVISIONED, PROFILE], "rates": ["1/s"]})

    assert (provisioned.region_prefix, profile.region_prefix) == (None, "eu")
    assert provisioned.sent_id("amazon.nova-pro-v1:0") == PROVISIONED
    assert profile.sent_id("amazon.nova-pro-v1:0") == PROFILE


def test_no_account_id_gets_into_names_and_entries():
    cells = cells_of(matrix={"models": [PROVISIONED, PROFILE], "rates": ["1/s"]})

    assert [cell.cell for cell in cells] == ["abc123-default-medium-r1", "eu_amazon_nova-pro-v1_0-eu-default-medium-r1"]
    assert all("123456789012" not in str(cell.to_dict()) for cell in cells)
    assert cells[0].to_dict()["model_id"] == PROVISIONED.replace("123456789012", "<account>")


def test_a_routing_of_a_file_gives_cells_its_name_without_the_folder():
    routings = {"/a/b/mine.yaml": ROUTINGS["nova"]}
    values = {
        "routing": "/a/b/mine.yaml",
        "matrix": {"rates": ["1/s"], "include": [{"model_id": "amazon.nova-pro-v1:0"}]},
    }
    cells = expand(Scenario.model_validate({"name": "x"} | values), default_catalog(), routings)

    assert cells[0].cell == "mine-us-default-medium-r1"
