"""In which order cells run."""

import itertools

from bedrock.catalog import default_catalog
from scenarios.cells import Cell, expand
from scenarios.model import Scenario
from scenarios.order import run_order, seed_of

MATRIX = {"service_tiers": ["default", "priority", "flex"], "prompt_sizes": ["small", "medium", "large"]}


def suite(**order) -> tuple[Scenario, tuple[Cell, ...]]:
    scenario = Scenario.model_validate(
        {"name": "x", "model_id": "amazon.nova-pro-v1:0", "load": {"users": 3}, "matrix": MATRIX, "order": order}
    )
    return scenario, expand(scenario, default_catalog(), {})


def names(seed: int = 1, **order) -> list[str]:
    scenario, cells = suite(**order)
    return [cell.cell for cell in run_order(cells, scenario.order, seed)]


def test_the_seed_draws_an_order_of_the_same_cells():
    listed = [cell.cell for cell in suite()[1]]

    assert names() != listed
    assert sorted(names()) == sorted(listed)
    assert names() == names(), "a repetition runs them alike"
    assert names(seed=2) != names(seed=1)


def test_no_tier_comes_as_a_block():
    tiers = [name.split("-")[1] for name in names()]

    changes = sum(one != other for one, other in itertools.pairwise(tiers))
    assert changes > 2, "as listed there would be two changes"


def test_a_scenario_can_keep_its_own_order():
    assert names(shuffle=False) == [cell.cell for cell in suite()[1]]


def test_rounds_repeat_all_cells_under_names_of_their_own_each_round_in_another_order():
    scenario, cells = suite(rounds=3)
    ordered = run_order(cells, scenario.order, 1)

    assert len({cell.cell for cell in cells}) == 27
    assert [cell.round_number for cell in ordered] == [1] * 9 + [2] * 9 + [3] * 9
    first, second = [cell.cell for cell in ordered[:9]], [cell.cell for cell in ordered[9:18]]
    assert sorted(f"{name}-round2" for name in first) == sorted(second)
    assert [f"{name}-round2" for name in first] != second
    assert first == names(), "more rounds do not change the first one: a run can be given more of them later"


def test_a_round_has_other_arrivals_than_the_one_before_and_its_cells_have_the_same():
    _, cells = suite(rounds=2)

    assert {seed_of(cell, 7) for cell in cells if cell.round_number == 1} == {7}
    assert {seed_of(cell, 7) for cell in cells if cell.round_number == 2} == {8}


def test_skipped_cells_do_not_run():
    scenario = Scenario.model_validate(
        {
            "name": "x",
            "model_id": "anthropic.claude-3-haiku-20240307-v1:0",
            "load": {"users": 3},
            "matrix": {"service_tiers": ["default", "priority"]},
        }
    )
    cells = expand(scenario, default_catalog(), {})

    assert [cell.service_tier for cell in run_order(cells, scenario.order, 1)] == ["default"]
