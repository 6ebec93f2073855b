"""Embedding models are in the catalogue, but no load test of answers can be made with them."""

from pathlib import Path

import pytest

from bedrock.catalog import UnknownModelError, default_catalog
from scenarios.loading import ScenarioError, load_scenario
from scenarios.traffic import load_routing
from scenarios.traffic_files import TrafficError

TITAN_EMBED = "amazon.titan-embed-text-v2:0"
SENTENCE = f"{TITAN_EMBED} is an embedding model: it answers with vectors. Give a chat model."
LOAD = "load: {rate: 5/s, duration: 10s}"


def problems_of(folder: Path, text: str) -> list[str]:
    path = folder / "scenario.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    "models", [f"model_id: {TITAN_EMBED}", f"matrix: {{models: [amazon.nova-pro-v1:0, '{TITAN_EMBED}']}}"]
)
def test_a_scenario_cannot_call_an_embedding_model(tmp_path: Path, models: str) -> None:
    (problem,) = problems_of(tmp_path, f"name: x\n{models}\n{LOAD}\n")

    assert SENTENCE in problem


def test_a_routing_cannot_send_messages_to_an_embedding_model(tmp_path: Path) -> None:
    path = tmp_path / "routing.yaml"
    path.write_text(f"description: x\nsimple: {TITAN_EMBED}\ncomplex: amazon.nova-pro-v1:0\n", encoding="utf-8")
    with pytest.raises(TrafficError) as caught:
        load_routing(path)

    assert f"simple: {SENTENCE}" in str(caught.value)


def test_the_catalogue_tells_models_that_chat_from_those_that_do_not() -> None:
    catalog = default_catalog()

    assert [model.id for model in catalog.models.values() if not model.is_chat] == [TITAN_EMBED]
    assert catalog.resolve_chat("us.amazon.nova-pro-v1:0").name == "Nova Pro"
    assert catalog.price(TITAN_EMBED, "default") is not None
    with pytest.raises(UnknownModelError, match="embedding model"):
        catalog.resolve_chat(TITAN_EMBED)
    with pytest.raises(UnknownModelError, match="Did you mean"):
        catalog.resolve_chat("amazon.nova-por-v1:0")
