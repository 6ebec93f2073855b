"""Plan and results as text and as JSON."""

import io
import json
from pathlib import Path

import pytest

from orchestrator.preflight import prepare
from orchestrator.settings import resolve
from orchestrator.tables import plan_document, plan_text, print_all, results_text, settings_table

SCENARIOS = Path(__file__).parents[2] / "scenarios"


def text_of(renderables) -> str:
    stream = io.StringIO()
    print_all(stream, renderables)
    return stream.getvalue()


def plan_of(name: str, **arguments):
    return prepare(resolve(SCENARIOS / f"{name}.yaml", arguments, {}))


def test_the_plan_of_the_default_suite_has_27_cells_and_a_total():
    text = text_of(plan_text(plan_of("permutations")))

    assert text.count("users, 1m") == 27
    assert "In all 27 cells, about 31,8" in text
    assert "(27m measured)" in text
    assert "us-flex-large-u90" in text
    assert "expect throttling on AWS" in text
    assert "nothing is billed" in text
    assert not any(line.endswith(" ") for line in text.splitlines())


def test_cells_that_would_measure_the_quota_are_marked():
    plan = plan_of("spike")
    text, document = text_of(plan_text(plan)), plan_document(plan)

    (row,) = [line for line in text.splitlines() if line.strip().startswith("us-default-mixed-r5 ")]
    assert "198 %" in row
    assert "measures the quota on AWS, and not the model: us-default-mixed-r5\n" in text
    assert document["cells"][0]["quota_share"] == pytest.approx(990 / 500)
    assert "measures the quota" not in text_of(plan_text(plan_of("smoke")))


def test_many_cells_above_the_quota_are_not_all_named():
    every = plan_of("permutations")
    some = plan_of("permutations", user_counts="1,90")

    assert "not the model: all 27 cells\n" in text_of(plan_text(every))
    assert "us-default-large-u90 and 6 more\n" in text_of(plan_text(some))


def test_a_skipped_cell_is_in_the_plan_with_its_reason():
    text = text_of(plan_text(plan_of("smoke", routing="reference", service_tiers="default,flex")))

    assert "Skipped: us-flex-small-r10: Claude 3 Haiku and Claude 3 Sonnet do not accept the flex tier" in text


def test_the_plan_warns_of_limits_that_it_will_reach():
    text = text_of(plan_text(plan_of("smoke", max_requests="5", max_cost_usd="0.0001")))

    assert "The limit of 5 requests will end this suite early." in text
    assert "The limit of $0.0001 will end this suite early." in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"rates": "1000/s", "test_duration": "10d"}, "days of the workload: are rate and duration as meant?"),
        ({"test_duration": "3650d"}, "this suite would take 3,650 days"),
        ({"rates": "1/day", "test_duration": "10s"}, "less than one request is expected"),
        ({"rates": "5000/s"}, "calls in flight at the peak are more than the 1,200 that 1 process on this machine can"),
        ({"rates": "300/s", "transport": "boto3"}, "more than the 144 that 1 process"),
        ({"set_values": ["objectives=[ttft_ms p95 < 1s for service_tier=flex]"]}, "no cell has service_tier=flex, so"),
        ({"set_values": ["objectives=[ttft_ms p95 < 1s for phase=spike]"]}, "no cell has phase=spike, so"),
    ],
)
def test_a_plan_that_nobody_can_mean_or_this_machine_cannot_do_is_warned_of(arguments, said):
    plan = plan_of("smoke", **arguments)

    assert any(said in line for line in plan_document(plan)["warnings"])
    assert said in text_of(plan_text(plan))


def test_the_shipped_scenarios_are_no_cause_for_warnings():
    for path in SCENARIOS.glob("*.yaml"):
        assert plan_document(plan_of(path.stem))["warnings"] == [], path.stem


def test_the_plan_says_when_prompts_and_answers_will_be_written():
    assert "Prompts and answers will be written" not in text_of(plan_text(plan_of("smoke")))
    assert "Prompts and answers will be written" in text_of(plan_text(plan_of("smoke", record_responses=True)))


def test_settings_are_shown_with_their_source():
    text = text_of([settings_table(plan_of("smoke", seed="3").settings)])

    (row,) = [line.split() for line in text.splitlines() if line.strip().startswith("seed")]
    assert row == ["seed", "3", "--seed"]


def test_text_is_never_read_as_markup():
    assert text_of(["[red]not a colour[/red]"]) == "[red]not a colour[/red]\n"


def test_the_plan_as_json_has_the_same_numbers():
    preparation = plan_of("demo")
    document = json.loads(json.dumps(plan_document(preparation), allow_nan=False))

    assert len(document["cells"]) == document["total"]["cells"] == 5
    assert document["total"]["requests"] == pytest.approx(sum(cell["requests"] for cell in document["cells"]))
    cost = document["total"]["cost_usd"]
    assert cost["low"] < cost["expected"] < cost["high"]
    assert {row["name"] for row in document["settings"]} >= {"target", "matrix.service_tiers", "region"}


METRICS = {
    "requests": 1234,
    "ttft_ms": {"p50": 411.6, "p95": None},
    "e2e_ms": {"n": 1101, "p50": 1200.0, "p95": 2400.0},
    "throttle_rate": 0.0123,
    "sla_compliance": 0.995,
    "cost_usd": 0.5,
}


def test_results_show_a_dash_for_what_could_not_be_measured():
    summary = {
        "cells": [
            {"cell": "a", "status": "finished", "metrics": METRICS},
            {"cell": "b", "status": "skipped", "metrics": None},
        ],
        "total": {"metrics": METRICS},
        "objectives": [{"objective": "ttft_ms p95 < 400ms", "status": "INCONCLUSIVE", "observed": None, "n": 3}],
        "verdict": {"status": "INCONCLUSIVE", "reasons": ["Undecided: too few"]},
    }
    lines = [line.split() for line in text_of(results_text(summary)).splitlines()]

    assert ["a", "1,101", "412", "—", "1,200", "2,400", "1.2", "%", "99.5", "%", "0.5000", "finished"] in lines
    assert ["b", *["—"] * 8, "skipped"] in lines
    assert ["ttft_ms", "p95", "<", "400ms", "INCONCLUSIVE", "—", "3"] in lines
    assert ["Verdict:", "INCONCLUSIVE"] in lines
    assert ["Undecided:", "too", "few"] in lines


def test_what_the_service_wrote_does_not_steer_the_terminal():
    summary = {
        "cells": [],
        "total": {"metrics": METRICS},
        "objectives": [],
        "verdict": {"status": "INCONCLUSIVE", "reasons": ["most often \x1b]0;owned\x07\x1b[2Jbad"]},
    }

    text = text_of(results_text(summary))

    assert "\x1b" not in text
    assert "most often bad" in text
