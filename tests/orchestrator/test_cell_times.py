"""Which cells of a suite may run at once, and what that does to its plan."""

from pathlib import Path

import pytest

from orchestrator.cell_times import claims_of, suite_s
from orchestrator.preflight import Preparation, prepare
from orchestrator.settings import resolve

SCENARIO = """
name: x
target: {target}
load: {{rate: 10/s, duration: 60s}}
matrix:
  models: [amazon.nova-pro-v1:0, amazon.nova-lite-v1:0]
  {regions}
  region_prefixes: [us, none]
  prompt_sizes: [small]
order: {{parallel_cells: {at_once}, shuffle: false}}
"""


def prepared(folder: Path, target: str = "emulator", at_once: int = 1, failover: bool = False) -> Preparation:
    file, both = folder / "scenario.yaml", "regions: [us-east-1, us-west-2]"
    text = SCENARIO.format(target=target, at_once=at_once, regions="" if failover else both)
    file.write_text(f"{text}failover: {{{both}}}" if failover else text, encoding="utf-8")
    return prepare(resolve(file, {}, {}))


def distinct_claims(preparation: Preparation) -> set[frozenset[tuple[str, str]]]:
    return {claims_of(planned, preparation.settings) for planned in preparation.plan.cells}


def test_on_aws_a_model_in_another_region_is_another_one_and_a_profile_is_not(tmp_path):
    found = distinct_claims(prepared(tmp_path, "aws"))

    models, regions = ("amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0"), ("us-east-1", "us-west-2")
    assert found == {frozenset([(model, region)]) for model in models for region in regions}


def test_an_emulator_is_one_service_whatever_the_region(tmp_path):
    found = distinct_claims(prepared(tmp_path))

    assert found == {frozenset([(model, "")]) for model in ("amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0")}


def test_cells_that_may_fail_over_need_all_those_regions(tmp_path):
    found = distinct_claims(prepared(tmp_path, "aws", failover=True))

    assert len(found) == 2
    assert all(len(claims) == 2 for claims in found)


def test_a_suite_of_two_models_at_once_takes_half_the_time_with_twice_as_many_in_flight(tmp_path):
    alone, together = prepared(tmp_path).plan, prepared(tmp_path, at_once=2).plan

    ends = suite_s(prepared(tmp_path).settings, alone, [])
    assert together.duration_s - ends == pytest.approx((alone.duration_s - ends) / 2, rel=0.01)
    assert together.peak_in_flight == pytest.approx(
        max(cell.peak_in_flight for cell in alone.cells if "pro" in cell.cell.cell)
        + max(cell.peak_in_flight for cell in alone.cells if "lite" in cell.cell.cell)
    )
