"""What the fields of a scenario say together: contradictions, missing halves, unknown models."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from bedrock.bodies import APIS
from bedrock.catalog import SERVICE_TIERS, Catalog, UnknownModelError, default_catalog, is_arn, split_model_id
from scenarios.field_types import MANGAASSIST, SINGLE_PROMPT, did_you_mean, format_rps
from scenarios.load_checks import Finding, check_load
from scenarios.model import Scenario
from scenarios.objectives import parse_objective
from scenarios.patterns import PATTERNS
from scenarios.prompts import COMPLEXITIES, LANGUAGES, SIZES

T = TypeVar("T")

#: What the `for` of an objective can be compared with, where that is known before the run.
_SCOPE_VALUES: Mapping[str, Sequence[str]] = {
    "service_tier": SERVICE_TIERS,
    "prompt_size": SIZES,
    "language": LANGUAGES,
    "complexity": COMPLEXITIES,
    "api": APIS,
    "pattern": PATTERNS,
}


def cross_check(scenario: Scenario, catalog: Catalog | None = None, *, is_partial: bool = False) -> list[Finding]:
    """All contradictions of a scenario whose fields are valid one by one; models are looked up in the catalogue.

    `is_partial`: values that were not valid have been left out, so nothing is said about what is missing.
    """
    known = catalog or default_catalog()
    return [
        *([] if is_partial else _check_presence(scenario)),
        *check_load(scenario, is_partial=is_partial),
        *_check_objectives(scenario),
        *_check_traffic(scenario),
        *_check_sessions(scenario),
        *_check_models(scenario, known),
        *_check_regions(scenario),
        *_check_repetitions(scenario),
    ]


def _check_presence(scenario: Scenario) -> Iterator[Finding]:
    if not scenario.routing and not scenario.model_ids:
        yield (), "say what is called: model_id (one model), matrix.models (several) or routing (the mix)"


def _check_objectives(scenario: Scenario) -> Iterator[Finding]:
    for index, entry in enumerate(scenario.objectives):
        objective = parse_objective(entry)
        if objective.on_fail == "abort":
            yield ("objectives", index), "on_fail=abort is not supported yet: objectives are judged after the run"
        for key, value in objective.scope.items():
            known = _SCOPE_VALUES.get(key)
            if known and value not in known:
                text = f"nothing has {key}={value}: it is one of {', '.join(known)}.{did_you_mean(value, known)}"
                yield ("objectives", index), text


def _check_traffic(scenario: Scenario) -> Iterator[Finding]:
    models = scenario.model_ids
    if scenario.model_id and scenario.matrix.models:
        yield ("matrix", "models"), "model_id is given as well; give one of them"
    if scenario.routing and models:
        yield ("routing",), "a model is given as well; a routing chooses the models itself"
    elif scenario.traffic == MANGAASSIST and models:
        yield ("traffic",), "mangaassist needs a routing instead of a model"
    elif scenario.traffic == SINGLE_PROMPT and scenario.routing:
        yield ("traffic",), "single_prompt needs a model_id instead of a routing"
    for index, extra in enumerate(scenario.matrix.include):
        if extra.routing and extra.model_id:
            path = ("matrix", "include", index)
            yield path, "routing and model_id exclude each other; give one of them"
        if extra.prompt_size == "mixed" and (extra.model_id or not (extra.routing or scenario.routing)):
            path = ("matrix", "include", index)
            yield path, "prompt_size mixed needs the mix: give a routing"
    if "mixed" in scenario.matrix.prompt_sizes and not scenario.routing:
        yield ("matrix", "prompt_sizes"), "mixed needs the mix: give a routing"


def _check_sessions(scenario: Scenario) -> Iterator[Finding]:
    if scenario.sessions is None:
        return
    needed = "conversations need a routing, which has a model for each of their query types"
    if scenario.model_ids and not scenario.routing:
        yield ("sessions",), f"{needed}, instead of one model"
    for index, extra in enumerate(scenario.matrix.include):
        if extra.model_id:
            yield ("matrix", "include", index, "model_id"), f"{needed}, instead of one model"
    if any(shape.trace for shape in (scenario.load, *scenario.load.stages, *scenario.matrix.include)):
        yield ("sessions",), "a trace says which message comes when, and so do conversations: leave one of them out"


def _check_models(scenario: Scenario, catalog: Catalog) -> Iterator[Finding]:
    for path, model_id in _model_ids(scenario):
        base = split_model_id(model_id)
        try:
            catalog.resolve_chat(model_id)
        except UnknownModelError as error:
            yield path, str(error)
            continue
        if is_arn(model_id):
            if len(scenario.matrix.region_prefixes) > 1:
                yield path, "an ARN names its inference profile itself: give one region prefix, which it will not use"
        elif base.base != model_id:
            prefix = f" and region prefix {base.prefix}" if base.prefix else ""
            yield path, f"{model_id} is not a base model id: write {base.base}{prefix}"


def _model_ids(scenario: Scenario) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if scenario.model_id:
        yield ("model_id",), scenario.model_id
    for index, model_id in enumerate(scenario.matrix.models):
        yield ("matrix", "models", index), model_id
    for index, extra in enumerate(scenario.matrix.include):
        if extra.model_id:
            yield ("matrix", "include", index, "model_id"), extra.model_id


def _check_regions(scenario: Scenario) -> Iterator[Finding]:
    if not scenario.failover.regions:
        return
    text = "failover.regions is given as well, which chooses the region of each call; give one of them"
    if scenario.matrix.regions:
        yield ("matrix", "regions"), text
    for index, extra in enumerate(scenario.matrix.include):
        if extra.region:
            yield ("matrix", "include", index, "region"), text


def _check_repetitions(scenario: Scenario) -> Iterator[Finding]:
    matrix = scenario.matrix
    dimensions: dict[str, Iterable[object]] = {
        "region_prefixes": matrix.region_prefixes,
        "service_tiers": matrix.service_tiers,
        "prompt_sizes": matrix.prompt_sizes,
        "user_counts": matrix.user_counts,
        "rates": map(format_rps, matrix.rates_rps),
        "patterns": matrix.patterns,
        "models": matrix.models,
        "apis": matrix.apis,
        "regions": matrix.regions,
    }
    for key, values in dimensions.items():
        for index, value in _repeated(values):
            yield ("matrix", key, index), f"{value} is given twice; the two cells would be the same"


def _repeated(values: Iterable[T]) -> Iterator[tuple[int, T]]:
    """Values that came before, with their place in the list."""
    seen: set[T] = set()
    for index, value in enumerate(values):
        if value in seen:
            yield index, value
        seen.add(value)
