"""Objectives and run conditions to verdicts and exit codes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from analysis.summary import analyse
from analysis.verdict import default_min_samples
from scenarios.objectives import parse_objective
from tests.support.analysed import analyse_cell, load_of
from tests.support.run_builder import CellSpec, build_run, make_record, write_run

FAST = "ttft_ms p95 < 400ms"
SLOW = "ttft_ms p95 < 200ms"


def several(count: int, first: int = 0, **fields: Any) -> list[dict[str, Any]]:
    return [make_record(first + index, **fields) for index in range(count)]


def objective_of(directory: Path, text: str, records: Sequence[dict[str, Any]], **run: Any) -> dict[str, Any]:
    result: dict[str, Any] = analyse_cell(directory, records, objectives=[text], **run).summary["objectives"][0]
    return result


def verdict_of(directory: Path, cells: Sequence[CellSpec] | None = None, **run: Any) -> dict[str, Any]:
    run = {"objectives": [FAST], **run}
    build_run(directory, cells or [CellSpec("a", n=100, ttft_sigma=0.01)], **run)
    verdict: dict[str, Any] = analyse(directory).summary["verdict"]
    return verdict


@pytest.mark.parametrize(
    ("text", "status", "observed"),
    [
        ("ttft_ms p95 < 400ms", "PASS", 300.0),
        ("ttft_ms p95 < 200ms", "FAIL", 300.0),
        ("ttft_ms max <= 500ms", "PASS", 300.0),
        ("e2e_ms mean > 1000ms", "FAIL", 930.0),
        ("input_tokens p80 < 2000", "PASS", 40.0),
        ("output_tokens_per_s p50 >= 60/s", "PASS", 59 / 0.628),
        ("e2e_ms p95 < 1500ms where output_tokens < 500", "PASS", 930.0),
        ("sla_compliance >= 99%", "PASS", 1.0),
        ("throttle_rate <= 1%", "PASS", 0.0),
        ("throttle_rate <= 0%", "PASS", 0.0),
        ("error_rate <= 0.5%", "INCONCLUSIVE", 0.0),  # 100 of the 200 attempts that 0.5 % can be told from
        ("goodput_rps >= 12/s", "FAIL", 10.0),
        ("offered_rps >= 10/s", "PASS", 10.0),
        ("cost_usd <= $1", "PASS", 100 * 224e-6),
        ("cost_per_request_usd <= $0.0001", "FAIL", 224e-6),
        ("projected_daily_cost_usd < $1000", "PASS", 224.0),
        ("projected_monthly_cost_usd < $5000", "FAIL", 6720.0),
    ],
)
def test_an_objective_is_judged_by_what_was_observed(tmp_path: Path, text: str, status: str, observed: float) -> None:
    result = objective_of(tmp_path, text, several(100))

    assert (result["status"], result["observed"]) == (status, pytest.approx(observed, rel=1e-5))
    assert result["objective"] == text
    assert result["n"] == 100


@pytest.mark.parametrize(
    ("text", "records", "reason"),
    [
        (FAST, [], "no data"),
        (FAST, several(71), "needs 1 more sample (71 of 72)"),
        (SLOW, several(71), "needs 1 more sample (71 of 72)"),
        (FAST, several(100, outcome="throttled"), "no data"),
        (FAST + " where output_tokens > 500", several(100), "no data"),
        (FAST + " for service_tier=priority", several(100), "no data"),
        (FAST + " for pattern=spike", several(100), "no data"),
        (FAST + " with min_samples=150", several(100), "needs 50 more samples (100 of 150)"),
        (FAST + " with min_samples=10", several(20), "needs 52 more samples: p95 has no interval below 72"),
        ("e2e_ms mean < 1000ms", several(29), "needs 1 more sample (29 of 30)"),
        ("sla_compliance >= 99%", several(99), "needs 1 more sample (99 of 100)"),
        ("throttle_rate <= 1%", [], "no data"),
        ("cost_usd < $1", several(30, model_id="nobody.knows-v1:0"), "the price of a model that was called"),
        ("tftt_ms p95 < 4ms", several(100), "Unknown metric"),
    ],
)  # fmt: skip
def test_no_data_and_too_few_samples_are_inconclusive_and_never_a_pass(
    tmp_path: Path, text: str, records: list[dict[str, Any]], reason: str
) -> None:
    result = objective_of(tmp_path, text, records)

    assert result["status"] == "INCONCLUSIVE"
    assert reason in result["reason"]


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("ttft_ms p50 < 1", 6), ("ttft_ms p99 < 1", 368), ("ttft_ms mean < 1", 30), ("ttft_ms max < 1", 30),
        ("sla_compliance >= 99%", 100), ("throttle_rate <= 1%", 100), ("throttle_rate <= 0%", 20),
        ("error_rate <= 0.5%", 200), ("error_rate <= 50%", 20), ("goodput_rps >= 1/s", 20), ("cost_usd < $1", 20),
    ],
)  # fmt: skip
def test_how_many_samples_an_objective_needs(text: str, needed: int) -> None:
    assert default_min_samples(parse_objective(text)) == needed


@pytest.mark.parametrize(
    ("text", "margin_pct"),
    [("ttft_ms p95 < 400ms", 25.0), ("ttft_ms p95 < 200ms", -50.0), ("offered_rps >= 8/s", 25.0),
     ("offered_rps >= 20/s", -50.0), ("throttle_rate <= 0%", None)],
)  # fmt: skip
def test_the_margin_is_the_room_left_in_percent_of_the_limit(
    tmp_path: Path, text: str, margin_pct: float | None
) -> None:
    expected = None if margin_pct is None else pytest.approx(margin_pct, abs=1e-3)

    assert objective_of(tmp_path, text, several(100))["margin_pct"] == expected


def test_scope_and_condition_choose_the_requests(tmp_path: Path) -> None:
    records = [
        *several(80, ttft_ms=900.0, requested_tier="flex", output_tokens=900),
        *several(80, 80, ttft_ms=250.0, requested_tier="priority", model_id="us.amazon.nova-2-lite-v1:0"),
    ]

    def observed(clause: str) -> tuple[int, float]:
        result = objective_of(
            tmp_path / clause.replace(" ", "_").replace(":", ""), f"ttft_ms p95 < 400ms {clause}", records
        )
        return result["n"], result["observed"]  # fmt: skip

    fast, slow = (80, pytest.approx(250.0, abs=1e-3)), (80, pytest.approx(900.0, abs=1e-3))
    assert observed("for service_tier=priority") == fast
    assert observed("for model=amazon.nova-2-lite-v1:0") == fast
    assert observed("for model=us.amazon.nova-2-lite-v1:0") == fast
    assert observed("where output_tokens < 500") == fast
    assert observed("where output_tokens >= 500 for service_tier=flex") == slow


def test_scopes_may_name_the_load_of_a_cell(tmp_path: Path) -> None:
    cells = [
        CellSpec("a", n=100, rate_rps=5.0, ttft_ms=200.0), CellSpec("b", n=90, users=30, rate_rps=None, ttft_ms=900.0),
        CellSpec("c", n=80, rate_rps=10.0, pattern="spike"),
    ]  # fmt: skip
    parts = ["cell=a", "rate_rps=5", "rate_rps=5/s", "users=30", "pattern=spike", "region_prefix=us", "phase=spike"]
    build_run(tmp_path, cells, objectives=[f"ttft_ms p50 < 400ms for {part}" for part in parts])

    assert [result["n"] for result in analyse(tmp_path).summary["objectives"]] == [100, 100, 100, 90, 80, 270, 16]


def test_a_close_call_says_so(tmp_path: Path) -> None:
    records = [make_record(seq, ttft_ms=300.0 + seq) for seq in range(100)]

    close = objective_of(tmp_path / "close", "ttft_ms p95 < 395ms", records)
    clear = objective_of(tmp_path / "clear", "ttft_ms p95 < 500ms", records)

    assert close["ci95"][0] <= 395.0 <= close["ci95"][1]
    assert close["reason"].startswith("close call: the 95 % interval")
    assert clear["reason"] is None


VERDICTS: dict[str, tuple[dict[str, Any], str, int]] = {
    "all met": ({}, "PASS", 0),
    "no objectives": ({"objectives": []}, "PASS", 0),
    "one missed": ({"objectives": [FAST, SLOW]}, "FAIL", 1),
    "one undecided": ({"objectives": [FAST, "ttft_ms p99 < 9s"]}, "INCONCLUSIVE", 5),
    "missed and undecided": ({"objectives": [SLOW, "ttft_ms p99 < 9s"]}, "FAIL", 1),
    "missed, but nobody wants it to fail": ({"objectives": [SLOW], "fail_on": "never"}, "FAIL", 0),
    "undecided, but nobody wants it to fail": (
        {"objectives": ["ttft_ms p99 < 9s"], "fail_on": "never"}, "INCONCLUSIVE", 0),
    "interrupted": ({"stopped_by": "interrupt"}, "INCONCLUSIVE", 2),
    "interrupted after a miss": ({"objectives": [SLOW], "stopped_by": "interrupt"}, "FAIL", 2),
    "stopped by the budget": ({"stopped_by": "max_cost_usd"}, "INCONCLUSIVE", 6),
    "stopped by the request limit": ({"stopped_by": "max_requests", "fail_on": "never"}, "INCONCLUSIVE", 6),
}  # fmt: skip


@pytest.mark.parametrize(("run", "status", "exit_code"), VERDICTS.values(), ids=VERDICTS)
def test_verdict_and_exit_code_of_a_sound_run(tmp_path: Path, run: dict[str, Any], status: str, exit_code: int) -> None:
    verdict = verdict_of(tmp_path, **run)

    assert (verdict["status"], verdict["exit_code"]) == (status, exit_code)
    assert verdict["reasons"]


SPOILED: dict[str, tuple[dict[str, Any], dict[str, Any], str, int, str]] = {
    "late generator": ({"hub_lag_ms": 900.0}, {}, "INCONCLUSIVE", 5, "event loop was 900.0 ms late in a"),
    "late generator and a miss": ({"hub_lag_ms": 900.0}, {"objectives": [SLOW]}, "INCONCLUSIVE", 5, "invalid"),
    "late generator, never fail": ({"hub_lag_ms": 900.0}, {"fail_on": "never"}, "INCONCLUSIVE", 5, "invalid"),
    "a little late": ({"hub_lag_ms": 50.0}, {}, "PASS", 0, "event loop was 50.0 ms late in a"),
    "failed cell": ({"status": "failed", "reason": "exit 1"}, {}, "INCONCLUSIVE", 5, "Cell a failed: exit 1"),
    "failed cell and a miss": ({"status": "failed"}, {"objectives": [SLOW]}, "FAIL", 1, "Cell a failed"),
    "failed cell, never fail": ({"status": "failed"}, {"fail_on": "never"}, "INCONCLUSIVE", 5, "Cell a failed"),
    "crashed in a cell": ({"status": "running"}, {}, "INCONCLUSIVE", 5, "Cell a did not finish"),
    "interrupted in a cell": ({"status": "interrupted"}, {"stopped_by": "interrupt"}, "INCONCLUSIVE", 2, "interrupted"),
    "only skipped": ({"status": "skipped"}, {}, "INCONCLUSIVE", 5, "Nothing was sent"),
    "all refused": ({"outcomes": {"connection_error": 1.0}}, {"objectives": ["sla_compliance >= 99%"]},
                    "INCONCLUSIVE", 5, "No request was accepted by the service; most often error: connection refused"),
    "all invalid": ({"outcomes": {"client_error": 1.0}}, {"objectives": ["sla_compliance >= 99%"]},
                    "INCONCLUSIVE", 5, "ValidationException: The provided service tier"),
    "no answer at all": ({"outcomes": {"timeout": 1.0}}, {}, "INCONCLUSIVE", 5, "No request was accepted"),
    "timeouts and answers": ({"outcomes": {"timeout": 0.2}}, {"objectives": [SLOW]}, "FAIL", 1, "Missed"),
    "all throttled": ({"outcomes": {"throttled": 1.0}}, {"objectives": ["sla_compliance >= 99%"]},
                      "FAIL", 1, "Missed: sla_compliance >= 99% (observed 0%, n = 100)"),
}  # fmt: skip


@pytest.mark.parametrize("case", SPOILED.values(), ids=SPOILED)
def test_verdict_and_exit_code_of_an_unsound_run(
    tmp_path: Path, case: tuple[dict[str, Any], dict[str, Any], str, int, str]
) -> None:
    cell, run, status, exit_code, reason = case
    verdict = verdict_of(tmp_path, [CellSpec("a", n=100, ttft_sigma=0.01, **cell)], **run)

    assert (verdict["status"], verdict["exit_code"]) == (status, exit_code)
    assert any(reason in text for text in verdict["reasons"])


def test_a_skipped_cell_beside_a_good_one_is_no_doubt(tmp_path: Path) -> None:
    cells = [CellSpec("a", n=100, ttft_sigma=0.01), CellSpec("b", status="skipped", reason="tier not served")]

    assert verdict_of(tmp_path, cells)["status"] == "PASS"


def test_a_finished_cell_without_records_is_a_doubt(tmp_path: Path) -> None:
    write_run(
        tmp_path, {"a": several(100)}, [CellSpec("a").entry(), CellSpec("b").entry()],
        {"a": load_of(20.0)}, objectives=[FAST],
    )  # fmt: skip

    verdict = analyse(tmp_path).summary["verdict"]

    assert (verdict["status"], verdict["exit_code"]) == ("INCONCLUSIVE", 5)
    assert "Cell b left no records" in verdict["reasons"]


def test_cells_show_where_a_promise_breaks_without_deciding_the_verdict(tmp_path: Path) -> None:
    cells = [
        CellSpec("a", n=400, ttft_ms=100.0, ttft_sigma=0.01),
        CellSpec("b", n=10, ttft_ms=380.0),
        CellSpec("c", n=80, ttft_ms=380.0),
    ]
    build_run(tmp_path, cells, objectives=["ttft_ms p50 < 300ms"])  # fmt: skip

    summary = analyse(tmp_path).summary

    assert summary["verdict"]["status"] == "PASS"
    assert [cell["objectives"][0]["status"] for cell in summary["cells"]] == ["PASS", "FAIL", "FAIL"]


@pytest.mark.parametrize("text", ["gap_ms max < 500ms", "gap_ms p99 < 100ms"])
def test_an_objective_on_the_tail_of_the_gaps_is_missed_by_stalls(tmp_path: Path, text: str) -> None:
    result = objective_of(tmp_path, text, several(400, gap_max_ms=5000.0))

    assert (result["status"], result["observed"]) == ("FAIL", 5000.0)


@pytest.mark.parametrize("outcome", ["throttled", "server_error", "overloaded", "stream_error"])
def test_a_run_in_which_nothing_was_answered_says_nothing(tmp_path: Path, outcome: str) -> None:
    verdict = verdict_of(tmp_path, [CellSpec("a", n=100, outcomes={outcome: 1.0})], objectives=[])

    assert (verdict["status"], verdict["exit_code"]) == ("INCONCLUSIVE", 5)
    assert "No request was answered in the measured window" in verdict["reasons"]


def test_without_objectives_a_run_is_measured_and_not_judged(tmp_path: Path) -> None:
    verdict = verdict_of(tmp_path, objectives=[])

    assert verdict["status"] == "PASS"
    assert verdict["reasons"] == ["No objectives were set: the run was measured, not judged"]


@pytest.mark.parametrize(("outcome", "metric"), [("server_error", "error_rate"), ("throttled", "throttle_rate")])
def test_failures_that_no_objective_covers_are_named(tmp_path: Path, outcome: str, metric: str) -> None:
    cells = [CellSpec("a", n=900, ttft_sigma=0.01, outcomes={outcome: 0.5})]

    reasons = verdict_of(tmp_path / "uncovered", cells)["reasons"]
    covered = verdict_of(tmp_path / "covered", cells, objectives=[FAST, f"{metric} <= 60%"])["reasons"]

    assert any("no objective covers it" in reason and metric in reason for reason in reasons)
    assert not any("no objective covers it" in reason for reason in covered)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_finished_cell_without_a_recorded_end_is_inconclusive(tmp_path: Path, is_there: bool) -> None:
    build_run(tmp_path, [CellSpec("a", n=100, ttft_sigma=0.01)], objectives=[FAST])
    load = tmp_path / "cells" / "a" / "load.json"
    content = json.loads(load.read_text()) | {"ended_at": None}
    load.unlink()
    if is_there:
        load.write_text(json.dumps(content))

    verdict = analyse(tmp_path).summary["verdict"]

    assert (verdict["status"], verdict["exit_code"]) == ("INCONCLUSIVE", 5)
    assert any("Cell a has no recorded end" in reason for reason in verdict["reasons"])


def test_a_close_call_says_how_many_more_requests_would_settle_it(tmp_path: Path) -> None:
    build_run(tmp_path, [CellSpec("a", n=400, ttft_sigma=0.2)], objectives=["ttft_ms p50 < 305ms"])

    (result,) = analyse(tmp_path).summary["objectives"]

    assert result["status"] == "PASS"
    assert result["more_requests_needed"] > 0
    assert f"about {result['more_requests_needed']:,} more samples like these would settle it" in result["reason"]


def test_an_open_question_counts_the_requests_that_its_where_leaves_out(tmp_path: Path) -> None:
    records = [make_record(seq, output_tokens=60 if seq % 4 else 600) for seq in range(100)]
    objective = "e2e_ms p95 < 1500ms where output_tokens > 500"

    (result,) = analyse_cell(tmp_path, records, objectives=[objective]).summary["objectives"]

    assert (result["n"], result["reason"]) == (25, "needs 47 more samples (25 of 72)")
    assert result["more_requests_needed"] == 47 * 4


@pytest.mark.parametrize(
    ("objective", "status", "total"),
    [("sla_compliance >= 99%", "PASS", 368), ("throttle_rate <= 1%", "PASS", 368), ("error_rate <= 1%", "FAIL", 547)],
)
def test_a_share_near_its_limit_says_so_and_how_many_more_requests_would_settle_it(
    tmp_path: Path, objective: str, status: str, total: int
) -> None:
    broken = several(2, 98, outcome="server_error") if "error" in objective else several(2, 98)

    (result,) = analyse_cell(tmp_path, [*several(98), *broken], objectives=[objective]).summary["objectives"]

    low, high = stats.binomtest(round(result["observed"] * 100), 100).proportion_ci()
    assert result["ci95"] == pytest.approx([low, high])
    assert (result["status"], result["more_requests_needed"]) == (status, total - 100)
    assert f"about {total - 100:,} more samples like these would settle it" in result["reason"]


def test_no_number_of_requests_proves_that_something_never_happens(tmp_path: Path) -> None:
    objectives = ["throttle_rate <= 0%", "sla_compliance >= 100%"]

    results = analyse_cell(tmp_path, several(100), objectives=objectives).summary["objectives"]

    assert [(each["status"], each["reason"], each["more_requests_needed"]) for each in results] == [
        ("PASS", None, None)
    ] * 2


def test_a_clear_verdict_needs_no_more_requests(tmp_path: Path) -> None:
    build_run(tmp_path, [CellSpec("a")], objectives=["ttft_ms p50 < 9s", "error_rate < 15%"])

    assert [result["more_requests_needed"] for result in analyse(tmp_path).summary["objectives"]] == [None, None]
