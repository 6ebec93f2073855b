"""`list` and `schema`: what there is to choose from."""

import json
from pathlib import Path

import pytest

from bedrock.catalog import default_catalog
from orchestrator.cli import main
from orchestrator.listing import PATTERN_NOTES, inventory
from scenarios.field_types import PROMPT_SIZES
from scenarios.patterns import PATTERNS

SCENARIOS = Path(__file__).parents[2] / "scenarios"


@pytest.fixture(scope="module")
def content():
    return inventory(SCENARIOS)


def test_every_shipped_scenario_is_listed_with_its_purpose(content):
    listed = {entry["name"]: entry for entry in content["scenarios"]}

    assert set(listed) == {path.stem for path in SCENARIOS.glob("*.yaml")}
    assert listed["permutations"]["cells"] == 27
    assert all(entry["description"] for entry in listed.values())


def test_models_come_with_the_price_of_each_tier_they_serve(content):
    models = {entry["id"]: entry for entry in content["models"]}

    assert set(models) == set(default_catalog().models)
    assert models["amazon.nova-pro-v1:0"]["prices"]["default"] == {"input": 0.8, "output": 3.2}
    assert set(models["amazon.nova-pro-v1:0"]["prices"]) == {"default", "priority", "flex"}


def test_every_pattern_is_described(content):
    assert [entry["name"] for entry in content["patterns"]] == list(PATTERNS)
    assert set(PATTERNS) <= set(PATTERN_NOTES)


def test_mixes_routings_and_prompt_sizes(content):
    assert sum(content["mixes"][0]["query_types"].values()) == pytest.approx(1.0)
    assert {"reference", "current", "nova"} <= {entry["name"] for entry in content["routings"]}
    assert {entry["size"] for entry in content["prompt_sizes"]} == set(PROMPT_SIZES) - {"mixed"}


def test_the_text_names_everything_that_the_document_does(content, capsys):
    assert main(["list"]) == 0

    text = capsys.readouterr().out
    for kind in ("scenarios", "mixes", "routings", "patterns"):
        assert all(entry["name"] in text for entry in content[kind])
    assert all(entry["id"] in text for entry in content["models"])
    assert "priority 1.4/5.6" in text


def test_the_document_of_the_command_is_one_json_document(content, capsys):
    assert main(["list", "--format", "json"]) == 0

    assert json.loads(capsys.readouterr().out)["models"] == content["models"]


def test_schema_prints_the_committed_schema(capsys):
    assert main(["schema"]) == 0

    assert capsys.readouterr().out == (SCENARIOS / "schema.json").read_text(encoding="utf-8")
