"""What a scenario may say, value by value."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from scenarios.field_types import did_you_mean, parse_window
from scenarios.model import Load, Matrix, Scenario, to_document
from scenarios.schema import SCHEMA_FILE, schema_text
from scenarios.units import UnitError

MINIMAL = {"name": "x", "routing": "nova", "load": {"rate": "5/s"}}


def test_units_in_the_file_are_seconds_and_rates_in_python():
    load = Load.model_validate({"rate": "300/min", "duration": "1m30s", "warmup": "500ms", "think_time": "1s-2s"})

    assert (load.rate_rps, load.duration_s, load.warmup_s, load.think_time_s) == (5.0, 90.0, 0.5, (1.0, 2.0))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("duration", 60),
        ("duration", "60"),
        ("duration", "0s"),
        ("rate", 5),
        ("rate", "0/s"),
        ("users", "3"),
        ("users", True),
        ("users", 0),
        ("spike_window", "60%-40%"),
        ("spike_window", "0%-50%"),
        ("think_time", "2s-1s"),
        ("warmup", None),
        ("duration", True),
        ("process", "gama"),
    ],
)
def test_values_without_unit_or_out_of_range_are_refused(key, value):
    with pytest.raises(ValidationError):
        Load.model_validate({key: value})


def test_the_spawn_rate_may_be_a_bare_number_as_locust_has_it():
    assert Load.model_validate({"spawn_rate": 10}).spawn_rate_rps == 10.0
    assert Load.model_validate({"spawn_rate": "30/min"}).spawn_rate_rps == 0.5


def test_defaults_of_the_workload():
    scenario = Scenario.model_validate(MINIMAL)

    assert scenario.target == "emulator"
    assert scenario.api == "converse_stream"
    assert scenario.max_tokens == 4096
    assert scenario.matrix.region_prefixes == ("us",)
    assert scenario.matrix.service_tiers == ("default",)


def test_traffic_follows_from_what_is_called():
    assert Scenario.model_validate(MINIMAL).traffic_kind == "mangaassist"
    single = Scenario.model_validate({"name": "x", "model_id": "m", "load": {"users": 3}})
    assert single.traffic_kind == "single_prompt"
    assert single.model_ids == ("m",)


@pytest.mark.parametrize("limit", [0, -1, "five", True, float("inf")])
def test_a_cost_limit_is_an_amount_or_none_in_so_many_words(limit):
    with pytest.raises(ValidationError):
        Scenario.model_validate(MINIMAL | {"budget": {"max_cost_usd": limit}})


def test_a_refused_cost_limit_is_not_the_same_as_one_that_was_never_given():
    refused = Scenario.model_validate(MINIMAL | {"budget": {"max_cost_usd": "none"}})

    assert refused.budget.max_cost_usd == "none"
    assert Scenario.model_validate(MINIMAL).budget.max_cost_usd is None


def test_an_objective_is_parsed_when_the_scenario_is_read():
    with pytest.raises(ValidationError, match="Unknown metric"):
        Scenario.model_validate(MINIMAL | {"objectives": ["ttfd_ms p95 < 400ms"]})


seconds = st.floats(min_value=0.001, max_value=86400.0).map(lambda value: round(value, 3))


@given(duration_s=seconds, rate_rps=seconds, low=st.integers(1, 49), high=st.integers(50, 99))
def test_a_written_scenario_reads_back_the_same(duration_s, rate_rps, low, high):
    load = {"rate": f"{rate_rps}/s", "duration": f"{duration_s}s", "spike_window": f"{low}%-{high}%"}
    scenario = Scenario.model_validate(MINIMAL | {"load": load})

    written = yaml.safe_load(yaml.safe_dump(to_document(scenario)))

    assert Scenario.model_validate(written) == scenario


def test_a_window_is_two_shares_in_order():
    assert parse_window("40%-60%") == (0.4, 0.6)
    with pytest.raises(UnitError, match="like 40%-60%"):
        parse_window("40%")


def test_a_suggestion_is_made_only_when_something_is_close():
    assert did_you_mean("prioritty", ["priority", "flex"]) == " Did you mean priority?"
    assert did_you_mean("xyz", ["priority", "flex"]) == ""


def test_the_committed_schema_is_fresh():
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), "run: python -m scenarios.schema"


def test_every_key_of_the_schema_has_a_description():
    schema = json.loads(schema_text())
    sections = [schema, *schema["$defs"].values()]

    missing = [
        key for section in sections for key, entry in section["properties"].items() if "description" not in entry
    ]

    assert missing == []


def test_the_schema_writes_defaults_as_a_file_would():
    load = json.loads(schema_text())["$defs"]["Load"]["properties"]

    assert load["duration"]["default"] == "60s"
    assert load["spike_window"]["default"] == "40%-60%"


def test_sections_never_change():
    with pytest.raises(ValidationError):
        Matrix.model_validate({}).service_tiers = ("flex",)
