"""The scenarios that ship with the project: each is valid, can be planned, and fits its own limits."""

from pathlib import Path

import pytest

from bedrock.catalog import default_catalog
from orchestrator.preflight import Preparation
from orchestrator.validation import validate
from scenarios.objectives import parse_objective

SHIPPED = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))


@pytest.fixture(params=SHIPPED, ids=lambda path: path.stem)
def preparation(request) -> Preparation:
    validation = validate(request.param)
    assert validation.problems == ()
    assert validation.preparation is not None
    return validation.preparation


def test_it_costs_nothing_unless_asked_to_and_runs_every_cell(preparation):
    assert preparation.settings.scenario.target == "emulator"
    assert preparation.plan.requests > 0
    assert preparation.plan.skipped == ()


def test_its_limit_of_requests_does_not_end_it_early(preparation):
    limit = preparation.settings.scenario.budget.max_requests

    assert limit is None or preparation.plan.requests * 1.1 < limit


def test_every_objective_speaks_of_something_that_its_cells_have(preparation):
    cells = preparation.cells
    present = {
        "api": {cell.api for cell in cells},
        "service_tier": {cell.service_tier for cell in cells},
        "prompt_size": {cell.prompt_size for cell in cells},
        "phase": {phase.name for cell in cells if cell.is_open for phase in cell.schedule().phases()},
    }
    objectives = [parse_objective(entry) for entry in preparation.settings.scenario.objectives]

    assert objectives
    for objective in objectives:
        for key, value in objective.scope.items():
            assert value in present[key], objective.text


def test_the_models_it_names_are_not_at_the_end_of_their_life(preparation):
    models = {model.model_id for planned in preparation.plan.cells for model in planned.models}

    assert not [model for model in models if default_catalog().resolve(model).end_of_life]
