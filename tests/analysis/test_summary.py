"""summary.json as a whole: the contract's keys, strict JSON, the same bytes, and every kind of broken directory."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.records import LATENCY_METRICS
from analysis.summary import analyse, write_summary
from bedrock.outcome import Outcome
from scenarios.run_directory import RunDirectoryError
from tests.support.run_builder import (
    CellSpec,
    build_run,
    make_record,
    run_json,
    small_suite,
    write_json,
    write_records,
    write_run,
)

TOP_LEVEL = {
    "schema_version", "run", "verdict", "objectives", "validity", "cells", "groups", "total", "cost", "throttling",
    "recommendations",
}  # fmt: skip


def strictly(text: str) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def written(directory: Path) -> Any:
    write_summary(directory, analyse(directory))
    return strictly((directory / "summary.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_run(tmp_path_factory.mktemp("suite"), small_suite())


def test_the_summary_has_the_contracts_keys(suite: Path) -> None:
    summary = written(suite)

    assert summary.keys() >= TOP_LEVEL
    assert summary["verdict"].keys() == {"status", "exit_code", "reasons"}
    assert summary["validity"].keys() >= {"status", "checks"}
    assert summary["groups"].keys() == {
        "query_type", "model", "service_tier", "prompt_size", "language", "phase", "region", "api",
    }  # fmt: skip
    assert {"projected_daily_cost_usd", "projected_monthly_cost_usd", "what_if"} <= summary["cost"].keys()
    for objective in summary["objectives"]:
        assert objective.keys() >= {"objective", "scope", "observed", "limit", "margin_pct", "n", "status"}
    for cell in summary["cells"]:
        assert cell.keys() >= {"cell", "model_id", "region_prefix", "service_tier", "prompt_size", "users", "rate_rps",
                               "pattern", "metrics"}  # fmt: skip
    for finding in summary["recommendations"]:
        assert finding.keys() == {"finding", "evidence", "threshold", "advice"}
    for metrics in [
        summary["total"]["metrics"],
        *(row["metrics"] for rows in summary["groups"].values() for row in rows),
    ]:
        assert metrics.keys() >= set(LATENCY_METRICS)


def test_cells_keep_the_order_of_the_run_and_skipped_ones_their_reason(suite: Path) -> None:
    cells = analyse(suite).summary["cells"]

    assert [cell["cell"] for cell in cells] == [spec.cell for spec in small_suite()]
    assert cells[-1]["status"] == "skipped"
    assert cells[-1]["reason"] == "amazon.nova-pro-v1:0 does not serve the reserved tier"
    assert cells[-1]["metrics"] is None
    assert cells[3]["users"] == 30
    assert cells[3]["rate_rps"] is None


def test_the_same_input_gives_the_same_bytes(suite: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(suite, copy)
    written(suite)
    first = (suite / "summary.json").read_bytes()
    written(suite)  # its own output is no input
    written(copy)

    assert (suite / "summary.json").read_bytes() == first
    assert (copy / "summary.json").read_bytes() == first


def test_the_exit_code_written_afterwards_does_not_change_the_summary(suite: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(suite, copy)
    before = written(copy)
    run = json.loads((copy / "run.json").read_text())
    write_json(copy / "run.json", run | {"exit_code": 1})

    assert written(copy) == before


def test_a_directory_without_run_json_is_refused_in_plain_words(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match=r"is not a results directory: it has no run\.json"):
        analyse(tmp_path)


BROKEN: dict[str, tuple[dict[str, list[dict[str, Any]]], dict[str, Any]]] = {
    "no cells": ({}, {"cells": []}),
    "no records": ({"a": []}, {}),
    "one record": ({"a": [make_record(0)]}, {}),
    "one dropped arrival": ({"a": [make_record(0, outcome="dropped")]}, {}),
    "all throttled": ({"a": [make_record(seq, outcome="throttled") for seq in range(200)]}, {}),
    "all aborted": ({"a": [make_record(seq, outcome="aborted") for seq in range(200)]}, {}),
    "only warm-up": ({"a": [make_record(seq, phase="warmup") for seq in range(200)]}, {}),
    "bare records": ({"a": [dict.fromkeys(make_record(0)) | {
        "cell": "a", "process": "0", "seq": 0, "message_id": "m", "outcome": "ok"}]}, {}),
    "bare run.json": ({"a": [make_record(0)]}, {"run": {"cells": [{"cell": "a"}]}}),
    "odd run.json": ({"a": [make_record(0)]}, {"run": {
        "cells": [None, 3, {"cell": None}, {"cell": "a", "status": 7, "rate_rps": "fast", "users": True}],
        "sla_s": "soon", "daily_messages": -1, "objectives": "none", "started_at": "yesterday", "stopped_by": 3}}),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_broken_directories_give_nulls_with_reasons(tmp_path: Path, name: str) -> None:
    records, options = BROKEN[name]
    write_run(tmp_path, records, options.get("cells"))
    if "run" in options:
        write_json(tmp_path / "run.json", options["run"])

    summary = written(tmp_path)

    total = summary["total"]["metrics"]
    assert summary["verdict"]["status"] in ("INCONCLUSIVE", "FAIL") or not summary["objectives"]
    assert summary["verdict"]["reasons"]
    for metric in LATENCY_METRICS:
        assert total[metric]["p95"] is None
        assert total[metric]["insufficient"]["p95"].endswith("72 needed")
    if total["requests"] == 0:
        nulls = ("throttle_rate", "error_rate", "input_tokens", "cost_usd", "cost_per_request_usd")
        assert [total[key] for key in nulls] == [None] * len(nulls)


def test_a_run_without_records_is_inconclusive_with_exit_code_5(tmp_path: Path) -> None:
    write_run(tmp_path, {"a": []})

    assert written(tmp_path)["verdict"] == {
        "status": "INCONCLUSIVE", "exit_code": 5, "reasons": ["No request was recorded", "Cell a left no records"],
    }  # fmt: skip


def test_an_interrupted_run_is_analysed_as_far_as_it_got(tmp_path: Path) -> None:
    cells = [CellSpec("a", n=100), CellSpec("b", n=80, status="interrupted"), CellSpec("c", status="pending")]
    build_run(tmp_path, cells, stopped_by="interrupt", ended_at=None)
    (tmp_path / "cells" / "b" / "load.json").unlink()
    requests = tmp_path / "cells" / "b" / "requests-0.jsonl"
    requests.write_bytes(requests.read_bytes()[:-300])

    summary = written(tmp_path)

    assert summary["verdict"]["exit_code"] == 2
    assert [cell["metrics"] and cell["metrics"]["requests"] for cell in summary["cells"]] == [100, 79, None]
    assert summary["cells"][1]["metrics"]["duration_s"] == pytest.approx(16.0, abs=1.5)
    assert summary["validity"]["skipped_lines"] == {"torn last line": 1}


def test_cells_that_run_json_does_not_list_are_analysed_too(tmp_path: Path) -> None:
    build_run(tmp_path, [CellSpec("a", n=100)])
    write_records(tmp_path, "by-hand", [make_record(0, cell="by-hand")])

    cells = written(tmp_path)["cells"]

    assert [(cell["cell"], cell["status"]) for cell in cells] == [("a", "finished"), ("by-hand", "unlisted")]
    assert cells[1]["metrics"]["requests"] == 1


def test_a_run_that_tells_only_its_load_model_is_judged_by_it(tmp_path: Path) -> None:
    write_records(tmp_path, "a", [make_record(seq) for seq in range(10)])
    write_json(tmp_path / "run.json", run_json([]) | {"load_model": "open"})

    assert "send_lag_p99_ms" in {check["name"] for check in written(tmp_path)["validity"]["checks"]}


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"outcome": st.sampled_from([str(outcome) for outcome in Outcome])},
            optional={
                "phase": st.sampled_from(["ramp", "warmup", "steady", "spike", "drain", None]),
                "model_id": st.sampled_from(["amazon.nova-pro-v1:0", "x", "", None]),
                "requested_tier": st.sampled_from(["priority", "flex", "?", None]),
                "attempt": st.sampled_from([1, 2, None]),
                "message_id": st.sampled_from(["m", "n"]),
                "output_tokens": st.none() | st.integers(0, 10**6),
                "last_token_at": st.none(),
                "intended_at": st.none(),
                "started_at": st.none(),
                "ended_at": st.none(),
            },
        ),
        max_size=12,
    )
)
def test_any_records_whatever_give_a_summary_that_is_strict_json(
    tmp_path_factory: pytest.TempPathFactory, fields: list[dict[str, Any]]
) -> None:
    directory = tmp_path_factory.mktemp("any")
    records = [make_record(seq, **given_fields) for seq, given_fields in enumerate(fields)]
    write_run(directory, {"a": records}, objectives=["ttft_ms p50 < 400ms", "cost_usd < $1", "sla_compliance >= 99%"])

    summary = written(directory)

    total = summary["total"]["metrics"]
    assert total["requests"] == sum(entry["outcome"] != "dropped" for entry in fields)
    assert sum(total["outcomes"].values()) == len(fields)
    for name in ("throttle_rate", "error_rate", "sla_compliance"):
        assert total[name] is None or 0.0 <= total[name] <= 1.0


def test_the_total_lasts_as_long_as_the_cells_that_left_records(tmp_path: Path) -> None:
    build_run(tmp_path, [CellSpec("a", n=100), CellSpec("b", n=100)])
    (tmp_path / "cells" / "b" / "requests-0.jsonl").unlink()

    assert analyse(tmp_path).summary["total"]["metrics"]["duration_s"] == pytest.approx(20.0)
