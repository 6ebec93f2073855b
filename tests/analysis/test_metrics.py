"""Metrics of small record sets against figures worked out by hand or by numpy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.records import LATENCY_METRICS
from analysis.summary import analyse
from bedrock.outcome import Outcome
from tests.support.analysed import load_of, metrics_of
from tests.support.run_builder import CellSpec, build_run, make_record, synthetic_records, write_run

CONTRACT_KEYS = {
    "requests", "outcomes", "throttle_rate", "error_rate", "sla_compliance", "offered_rps", "achieved_rps",
    "goodput_rps", "duration_s", "input_tokens", "output_tokens", "cost_usd", "cost_per_request_usd",
    "cost_per_good_request_usd", *LATENCY_METRICS,
}  # fmt: skip


def several(count: int, first: int = 0, **fields: Any) -> list[dict[str, Any]]:
    return [make_record(first + index, **fields) for index in range(count)]


def test_the_keys_are_those_of_the_contract(tmp_path: Path) -> None:
    metrics = metrics_of(tmp_path, several(3))

    assert metrics.keys() >= CONTRACT_KEYS
    assert list(metrics["ttft_ms"]) == ["n", "mean", "p50", "p90", "p95", "p99", "p99_9", "max", "ci95", "insufficient"]
    assert set(metrics["outcomes"]) == {str(outcome) for outcome in Outcome}


def test_counts_and_rates_of_a_mixed_cell(tmp_path: Path) -> None:
    records = [
        *several(6),
        *several(2, 6, outcome="throttled"),
        *several(1, 8, outcome="server_error"),
        *several(1, 9, outcome="aborted"),
        *several(2, 10, outcome="dropped"),
    ]

    metrics = metrics_of(tmp_path, records, seconds=4.0)

    assert metrics["requests"] == 10  # sent: dropped arrivals never were
    assert metrics["outcomes"]["dropped"] == 2
    assert metrics["throttle_rate"] == 2 / 10
    assert metrics["error_rate"] == 1 / 10
    assert metrics["offered_rps"] == 12 / 4
    assert metrics["achieved_rps"] == 10 / 4
    assert metrics["messages"] == 11  # all but the aborted one
    assert metrics["sla_compliance"] == 6 / 11
    assert metrics["goodput_rps"] == 6 / 4
    assert (metrics["input_tokens"], metrics["output_tokens"]) == (6 * 40, 6 * 60)
    assert metrics["total_output_tokens_per_s"] == 6 * 60 / 4


def test_counts_tokens_and_cost_cover_every_phase_and_latencies_the_measured_ones(tmp_path: Path) -> None:
    warm = several(4, phase="warmup", ttft_ms=5000.0, e2e_ms=9000.0)
    warm += several(1, 4, phase="ramp", outcome="throttled")

    metrics = metrics_of(tmp_path, [*warm, *several(10, 5)], seconds=5.0)

    assert metrics["requests"] == 15
    assert metrics["measured_requests"] == 10
    assert metrics["throttle_rate"] == 1 / 15
    assert metrics["output_tokens"] == 14 * 60
    assert metrics["billed_requests"] == 14
    assert metrics["ttft_ms"]["n"] == 10
    assert metrics["ttft_ms"]["max"] == pytest.approx(300.0, abs=1e-3)
    assert metrics["sla_compliance"] == 1.0
    assert metrics["achieved_rps"] == 2.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_latency_statistics_equal_numpy_on_the_raw_records(tmp_path: Path, seed: int) -> None:
    spec = CellSpec("a", n=500, warmup_n=20, warmup_s=4.0, outcomes={"throttled": 0.05, "timeout": 0.02})
    records = synthetic_records(spec, seed, 0.0)
    answered = [record for record in records if record["outcome"] == "ok" and record["phase"] == "steady"]

    metrics = metrics_of(tmp_path, records, seconds=spec.duration_s)

    oracle = {
        "ttft_ms": [(r["first_token_at"] - r["intended_at"]) * 1000 for r in answered],
        "service_ttft_ms": [(r["first_token_at"] - r["started_at"]) * 1000 for r in answered],
        "e2e_ms": [(r["ended_at"] - r["intended_at"]) * 1000 for r in answered],
        "tpot_ms": [
            (r["last_token_at"] - r["first_token_at"]) * 1000 / (r["output_tokens"] - 1) for r in answered
        ],
        "send_lag_ms": [(r["started_at"] - r["intended_at"]) * 1000 for r in answered],
    }  # fmt: skip
    for name, values in oracle.items():
        assert metrics[name]["n"] == len(values)
        assert metrics[name]["mean"] == pytest.approx(np.mean(values), rel=1e-9)
        assert metrics[name]["p50"] == pytest.approx(np.percentile(values, 50), rel=1e-9)
        assert metrics[name]["p95"] == pytest.approx(np.percentile(values, 95), rel=1e-9)
        assert metrics[name]["max"] == max(values)
        assert metrics[name]["p99_9"] is None


def test_failures_join_the_latencies_only_when_asked_for(tmp_path: Path) -> None:
    records = [*several(3), *several(1, 3, outcome="timeout", e2e_ms=60_000.0), *several(1, 4, outcome="aborted"),
               *several(1, 5, outcome="dropped")]  # fmt: skip

    without = metrics_of(tmp_path / "without", records)["e2e_ms"]
    with_failures = metrics_of(tmp_path / "with", records, include_failures=True)["e2e_ms"]

    assert (without["n"], without["max"]) == (3, pytest.approx(930.0, abs=1e-3))
    assert (with_failures["n"], with_failures["max"]) == (4, pytest.approx(60_000.0, abs=1e-3))


def test_the_sla_is_the_runs_own_and_failures_and_drops_miss_it(tmp_path: Path) -> None:
    records = [*several(8, e2e_ms=1900.0), *several(1, 8, outcome="throttled"), *several(1, 9, outcome="dropped")]

    assert metrics_of(tmp_path / "3s", records)["sla_compliance"] == 0.8
    assert metrics_of(tmp_path / "2s", records, sla_s=2.0)["sla_compliance"] == 0.8
    assert metrics_of(tmp_path / "1s", records, sla_s=1.0)["sla_compliance"] == 0.0


def test_goodput_counts_messages_that_meet_every_objective_one_request_can_meet(tmp_path: Path) -> None:
    records = [
        *several(10),
        *several(3, 10, ttft_ms=500.0),  # misses the first objective
        *several(2, 13, e2e_ms=2500.0),  # short answers: miss the second
        *several(4, 15, e2e_ms=2500.0, output_tokens=900),  # long answers: it does not apply
        *several(1, 19, e2e_ms=3500.0, output_tokens=900),  # beyond the SLA
    ]
    objectives = [
        "ttft_ms p95 < 400ms", "e2e_ms p95 < 1500ms where output_tokens < 500", "ttft_ms mean < 1ms",
        "throttle_rate <= 0%",
    ]  # fmt: skip

    assert metrics_of(tmp_path, records, objectives=objectives)["good_messages"] == 14


def test_goodput_is_unknown_where_an_objectives_metric_was_never_measured(tmp_path: Path) -> None:
    unstreamed = {"first_token_at": None, "first_answer_at": None, "last_token_at": None, "first_event_at": None}
    records = [make_record(seq, **unstreamed) for seq in range(5)]

    metrics = metrics_of(tmp_path / "ttft", records, objectives=["ttft_ms p95 < 400ms"])
    plain = metrics_of(tmp_path / "none", records, objectives=[])

    assert metrics["goodput_rps"] is metrics["cost_per_good_request_usd"] is None
    assert plain["goodput_rps"] == 0.5
    assert plain["ttft_ms"]["n"] == 0


def test_goodput_is_zero_and_known_where_nothing_was_answered(tmp_path: Path) -> None:
    metrics = metrics_of(tmp_path, several(5, outcome="throttled"), objectives=["ttft_ms p95 < 400ms"])

    assert metrics["goodput_rps"] == 0.0
    assert metrics["cost_per_good_request_usd"] is None


def test_costs_are_per_billed_request_and_per_good_message(tmp_path: Path) -> None:
    one = (40 * 0.8 + 60 * 3.2) / 1e6
    records = [*several(4), *several(4, 4, e2e_ms=4000.0), *several(8, 8, outcome="throttled"),
               *several(3, 16, phase="warmup")]  # fmt: skip

    metrics = metrics_of(tmp_path, records)

    assert metrics["cost_usd"] == pytest.approx(11 * one)
    assert metrics["cost_per_request_usd"] == pytest.approx(one)  # throttled attempts are not billed
    assert metrics["cost_per_good_request_usd"] == pytest.approx(2 * one)


@pytest.mark.parametrize("unpriced", [{"model_id": "nobody.knows-v1:0"}, {"requested_tier": "reserved"}])
def test_an_unknown_price_makes_the_cost_unknown(tmp_path: Path, unpriced: dict[str, Any]) -> None:
    metrics = metrics_of(tmp_path, [*several(4), *several(1, 4, served_tier=None, **unpriced)])

    assert metrics["cost_usd"] is metrics["cost_per_request_usd"] is None
    assert metrics["billed_requests"] == 5


def test_all_failed_gives_nulls_for_what_cannot_be_known(tmp_path: Path) -> None:
    metrics = metrics_of(tmp_path, several(4, outcome="throttled"))

    assert metrics["throttle_rate"] == 1.0
    assert metrics["sla_compliance"] == 0.0
    unknown = ["input_tokens", "output_tokens", "cost_usd", "cost_per_request_usd", "total_output_tokens_per_s"]
    assert [metrics[name] for name in unknown] == [None] * len(unknown)
    assert all(metrics[name]["n"] == 0 and metrics[name]["mean"] is None for name in LATENCY_METRICS)


def test_a_message_is_judged_by_its_last_attempt_from_the_first_ones_start(tmp_path: Path) -> None:
    def attempts(index: int, second_at: float, **second: Any) -> list[dict[str, Any]]:
        message = f"m-{index}"
        return [
            make_record(2 * index, message_id=message, attempt=1, at=0.0, outcome="throttled"),
            make_record(2 * index + 1, message_id=message, attempt=2, at=second_at, **second),
        ]

    records = [
        *attempts(0, 1.0),  # answered 1.93 s after it was due
        *attempts(1, 2.5),  # answered too late, though quickly once it was let in
        *attempts(2, 1.0, outcome="throttled"),
        *attempts(3, 1.0, outcome="aborted"),
    ]

    metrics = metrics_of(tmp_path, records)

    assert (metrics["requests"], metrics["messages"]) == (8, 3)
    assert metrics["sla_compliance"] == pytest.approx(1 / 3)
    assert metrics["offered_rps"] == 0.4  # four messages in ten seconds
    assert metrics["achieved_rps"] == 0.8
    assert metrics["throttle_rate"] == 5 / 8


def test_totals_add_up_over_cells_and_groups(tmp_path: Path) -> None:
    build_run(
        tmp_path,
        [CellSpec("a", n=60, rate_rps=6.0), CellSpec("b", n=40, rate_rps=2.0, service_tier="flex", prompt_size="large",
                                                     outcomes={"throttled": 0.2})],
    )  # fmt: skip

    summary = analyse(tmp_path).summary
    total, cells, groups = summary["total"]["metrics"], summary["cells"], summary["groups"]

    assert total["duration_s"] == pytest.approx(30.0)
    assert total["offered_rps"] == pytest.approx(100 / 30)
    for name in ("requests", "output_tokens", "cost_usd"):
        assert sum(cell["metrics"][name] for cell in cells) == pytest.approx(total[name])
        for group in groups.values():
            assert sum(row["metrics"][name] or 0 for row in group) == pytest.approx(total[name])
    assert {row["key"]: row["metrics"]["duration_s"] for row in groups["service_tier"]} == {
        "default": pytest.approx(10.0), "flex": pytest.approx(20.0),
    }  # fmt: skip
    assert [row["key"] for row in groups["model"]] == ["amazon.nova-pro-v1:0"]


def test_a_spikes_phases_have_their_own_rates(tmp_path: Path) -> None:
    build_run(tmp_path, [CellSpec("a", n=100, rate_rps=5.0, pattern="spike")])

    phases = {row["key"]: row["metrics"] for row in analyse(tmp_path).summary["groups"]["phase"]}

    assert {name: metrics["requests"] for name, metrics in phases.items()} == {
        "baseline": 40, "spike": 20, "recovery": 40,
    }  # fmt: skip
    assert phases["spike"]["duration_s"] == pytest.approx(4.0)
    assert phases["spike"]["offered_rps"] == pytest.approx(5.0)


def test_records_without_a_key_stay_out_of_that_group(tmp_path: Path) -> None:
    write_run(
        tmp_path, {"a": [*several(2), *several(1, 2, query_type=None)]}, loads={"a": load_of(10.0)}
    )  # fmt: skip

    groups = analyse(tmp_path).summary["groups"]

    assert [(row["key"], row["metrics"]["requests"]) for row in groups["query_type"]] == [("product_lookup", 2)]


def retried(count: int, attempts: int = 3) -> list[dict[str, Any]]:
    """Messages of which every attempt but the last was throttled; each attempt is 400 ms after the one before."""
    return [
        make_record(
            message * attempts + attempt,
            message_id=f"m-{message}",
            attempt=attempt + 1,
            at=message * 0.2,
            lag_ms=400.0 * attempt,
            ttft_ms=400.0 * attempt + 300.0,
            e2e_ms=400.0 * attempt + 930.0,
            outcome="ok" if attempt == attempts - 1 else "throttled",
        )
        for message in range(count)
        for attempt in range(attempts)
    ]


def test_rates_count_attempts_and_promises_count_messages(tmp_path: Path) -> None:
    metrics = metrics_of(tmp_path, retried(20), objectives=["e2e_ms p95 < 1800ms"])

    assert (metrics["requests"], metrics["messages"]) == (60, 20)
    assert metrics["throttle_rate"] == pytest.approx(2 / 3)
    assert metrics["sla_compliance"] == 1.0
    assert (metrics["offered_rps"], metrics["achieved_rps"]) == (2.0, 6.0)
    assert metrics["good_messages"] == 20


def test_latencies_are_those_of_the_attempt_that_ended_the_message(tmp_path: Path) -> None:
    without = metrics_of(tmp_path / "without", retried(20))
    with_failures = metrics_of(tmp_path / "with", retried(20), include_failures=True)

    for metrics in (without, with_failures):
        assert metrics["e2e_ms"]["n"] == 20
        assert metrics["e2e_ms"]["p50"] == pytest.approx(1730.0, abs=1e-3)
        assert metrics["service_e2e_ms"]["p50"] == pytest.approx(930.0, abs=1e-3)
        assert metrics["send_lag_ms"]["n"] == 0, "a backoff is no lag of the generator"


def test_a_message_that_failed_in_every_attempt_is_one_miss(tmp_path: Path) -> None:
    given_up = [record | {"outcome": "server_error"} for record in retried(1)]
    shifted = [make_record(3 + seq, at=seq * 0.2) for seq in range(9)]

    assert metrics_of(tmp_path, [*given_up, *shifted])["sla_compliance"] == pytest.approx(0.9)


def test_the_tail_of_the_gaps_sees_a_stall_in_every_request(tmp_path: Path) -> None:
    gaps = metrics_of(tmp_path, several(400, gap_max_ms=5000.0))["gap_ms"]

    assert (gaps["p50"], gaps["p95"], gaps["p99"], gaps["max"]) == (30.0, 34.0, 5000.0, 5000.0)
    assert 30.0 < gaps["mean"] < 5000.0


def test_a_median_that_is_kept_makes_no_message_bad(tmp_path: Path) -> None:
    records = [*several(6), *several(4, 6, ttft_ms=500.0)]

    assert metrics_of(tmp_path, records, objectives=["ttft_ms p50 < 400ms"])["good_messages"] == 10
