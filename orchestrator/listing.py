"""`list`: what there is to choose from - scenarios, mixes, routings, patterns, models, prompt sizes."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bedrock.catalog import Catalog, Model, default_catalog
from bedrock.tokens import estimate_tokens
from orchestrator.settings import resolve
from orchestrator.tables import MISSING, make_table
from scenarios.cells import expand
from scenarios.patterns import PATTERNS
from scenarios.prompts import LANGUAGES, load_prompts
from scenarios.traffic import MIXES, load_mix, load_routing, routing_names

#: What each pattern does to the rate, in the order in which they are listed.
PATTERN_NOTES: Mapping[str, str] = {
    "sustained": "a constant rate",
    "ramp": "the rate grows linearly from a start to an end",
    "steps": "the rate grows in equal steps",
    "burst": "80 % of the messages in the first 20 % of the time, the rest evenly after it",
    "spike": "a baseline, a multiple of it in a window (10x in 40%-60%), the baseline again",
    "production": "a day's curve with its peak hours, compressed into the duration",
    "replay": "arrival times from a file",
}


def inventory(scenarios: Path) -> dict[str, Any]:
    """Everything there is, as one JSON document; `scenarios` is the folder of the scenario files."""
    catalog = default_catalog()
    return {
        "schema_version": 1,
        "scenarios": [_scenario(path, catalog) for path in sorted(scenarios.glob("*.yaml"))],
        "mixes": [_mix(path) for path in sorted(MIXES.glob("*.yaml"))],
        "routings": [_routing(name) for name in routing_names()],
        "patterns": [{"name": name, "description": PATTERN_NOTES.get(name)} for name in PATTERNS],
        "models": [_model(model, catalog) for model in catalog.models.values()],
        "prices": {"as_of": catalog.as_of, "source": catalog.source, "unit": "USD per 1,000,000 tokens"},
        "prompt_sizes": _prompt_sizes(),
    }


def _scenario(path: Path, catalog: Catalog) -> dict[str, Any]:
    scenario = resolve(path, {}, {}).scenario
    names = {name for name in (scenario.routing, *(extra.routing for extra in scenario.matrix.include)) if name}
    routings = {name: load_routing(name) for name in names}
    cells = expand(scenario, catalog, {name: (routing.simple, routing.complex) for name, routing in routings.items()})
    return {
        "name": scenario.name,
        "file": str(path),
        "description": scenario.description,
        "traffic": scenario.traffic_kind,
        "cells": sum(cell.status != "skipped" for cell in cells),
        "measured_s": sum(cell.duration_s for cell in cells if cell.status != "skipped"),
    }


def _mix(path: Path) -> dict[str, Any]:
    mix = load_mix(path)
    return {"name": mix.name, "description": mix.description, "query_types": mix.shares()}


def _routing(name: str) -> dict[str, Any]:
    routing = load_routing(name)
    return {"name": name, "description": routing.description, "simple": routing.simple, "complex": routing.complex}


def _model(model: Model, catalog: Catalog) -> dict[str, Any]:
    prices = {tier: catalog.price(model.id, tier) for tier in model.tiers}
    return {
        "id": model.id,
        "name": model.name,
        "tiers": list(model.tiers),
        "prices": {
            tier: None if price is None else {"input": round(price.input, 6), "output": round(price.output, 6)}
            for tier, price in prices.items()
        },
        "max_output_tokens": model.max_output_tokens,
        "end_of_life": model.end_of_life,
    }


def _prompt_sizes() -> list[dict[str, Any]]:
    library = load_prompts()
    rows = []
    for size in library.sizes:
        prompts = [prompt for prompt in library.prompts if prompt.size == size]
        tokens = sorted(estimate_tokens(prompt.text) for prompt in prompts)
        languages = {language: sum(prompt.language == language for prompt in prompts) for language in LANGUAGES}
        entry = {"size": size, "prompts": len(prompts), "languages": languages}
        rows.append(entry | {"min_tokens": round(tokens[0]), "max_tokens": round(tokens[-1])})
    return rows


def inventory_tables(content: Mapping[str, Any]) -> list[Any]:
    """The document of `inventory` as tables."""
    prices = content["prices"]
    return [
        _table("Scenarios", ("name", "cells", "traffic", "for"), _scenario_rows(content["scenarios"])),
        _table(
            "Mixes",
            ("name", "query types"),
            ((mix["name"], _shares(mix["query_types"])) for mix in content["mixes"]),
        ),
        _table(
            "Routings",
            ("name", "simple", "complex"),
            ((routing["name"], routing["simple"], routing["complex"]) for routing in content["routings"]),
        ),
        _table(
            "Patterns",
            ("name", "the rate"),
            ((pattern["name"], pattern["description"] or MISSING) for pattern in content["patterns"]),
        ),
        _table(
            f"Models, {prices['unit']} in/out in each service tier (as of {prices['as_of']})",
            ("base model id", "prices"),
            ((model["id"], _prices(model)) for model in content["models"]),
        ),
        _table("Prompt sizes", ("size", "prompts", "tokens"), map(_size_row, content["prompt_sizes"])),
    ]


def _table(title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Any:
    table = make_table(title, columns, left=len(columns))
    for row in rows:
        table.add_row(*row)
    return table


def _scenario_rows(scenarios: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, ...]]:
    for entry in scenarios:
        yield entry["name"], str(entry["cells"]), entry["traffic"], entry["description"] or MISSING


def _shares(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share * 100:g} %" for name, share in shares.items())


def _prices(model: Mapping[str, Any]) -> str:
    listed = ", ".join(f"{tier} {_price(price)}" for tier, price in model["prices"].items())
    return f"{listed} (end of life)" if model["end_of_life"] else listed


def _price(price: Mapping[str, float] | None) -> str:
    return MISSING if price is None else f"{price['input']:g}/{price['output']:g}"


def _size_row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    languages = ", ".join(f"{count} {language}" for language, count in entry["languages"].items())
    tokens = f"{entry['min_tokens']} to {entry['max_tokens']}"
    return entry["size"], f"{entry['prompts']} ({languages})", tokens
