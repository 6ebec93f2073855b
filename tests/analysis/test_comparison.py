"""Runs against their baseline, tiers against each other: what is called a regression, what noise, what neither."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.comparability import Pair, cell_differences, run_differences
from analysis.comparison import (
    Change,
    Comparison,
    Row,
    compare_cells,
    compare_runs,
    judge,
    tier_pairs,
)
from analysis.inputs import CellInfo, RunInfo
from analysis.sides import read_side
from analysis.summary import analyse, write_summary
from tests.support.run_builder import CellSpec, build_run

CELL = CellSpec("a", n=600, rate_rps=20.0)


def compared(
    folder: Path,
    cells: list[CellSpec],
    baseline: list[CellSpec] | None = None,
    across: tuple[str, ...] = (),
    **run: Any,
) -> Comparison:
    """The comparison of two invented runs of different seeds; `run` changes the new one's run.json."""
    build_run(folder / "new", cells, seed=2, **run)
    build_run(folder / "old", [CELL] if baseline is None else baseline, seed=1)
    return compare_runs(read_side(folder / "new"), read_side(folder / "old"), across=across)


def row_of(comparison: Comparison, metric: str, stat: str | None = None) -> Row:
    (row,) = (row for row in comparison.cells[0].rows if (row.metric, row.stat) == (metric, stat))
    return row


def test_the_same_service_measured_twice_is_within_noise(tmp_path: Path) -> None:
    found = compared(tmp_path, [CELL])

    assert found.status == Change.WITHIN_NOISE
    assert found.regressions == found.gaps == []
    assert {row.metric for row in found.cells[0].rows} >= {"ttft_ms", "e2e_ms", "tpot_ms", "sla_compliance"}


def test_a_slower_service_has_regressed_and_the_sentence_has_the_figures(tmp_path: Path) -> None:
    found = compared(tmp_path, [replace(CELL, ttft_ms=450.0)])

    assert found.status == found.cells[0].of_metric("ttft_ms") == Change.REGRESSED
    assert found.cells[0].of_metric("tpot_ms") == Change.WITHIN_NOISE
    assert found.regressions[0].startswith("a: ttft_ms p50 +")
    assert found.as_dict()["cells"][0]["mann_whitney"]["ttft_ms"]["p_this_slower"] > 0.8


def test_a_faster_service_has_improved(tmp_path: Path) -> None:
    assert compared(tmp_path, [replace(CELL, ttft_ms=200.0)]).status == Change.IMPROVED


def test_throttles_that_were_not_there_before_are_a_regression(tmp_path: Path) -> None:
    found = compared(tmp_path, [replace(CELL, outcomes={"throttled": 0.05})])

    assert row_of(found, "throttle_rate").status == Change.REGRESSED
    assert row_of(found, "sla_compliance").status == Change.REGRESSED
    assert "throttle_rate +4." in found.regressions[0]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"model_id": "amazon.nova-2-lite-v1:0"}, "model: amazon.nova-2-lite-v1:0, in the baseline amazon.nova-pro-v1"),
        ({"region_prefix": "eu"}, "region_prefix: eu"),
        ({"prompt_size": "large"}, "prompt_size: large"),
        ({"rate_rps": 10.0}, "rate: 10, in the baseline 20"),
    ],
)
def test_other_conditions_are_not_comparable_and_named(tmp_path: Path, change: dict[str, Any], what: str) -> None:
    found = compared(tmp_path, [replace(CELL, ttft_ms=900.0, **change)])

    assert found.status == Change.NOT_COMPARABLE
    assert what in found.gaps[0]
    assert found.regressions == []


def run_with(**content: Any) -> RunInfo:
    return RunInfo(content, tuple(CellInfo(cell["cell"], "finished", cell) for cell in content.pop("cells", [])))


@pytest.mark.parametrize(
    ("request_here", "request_there", "shown"),
    [
        ({"latency": "optimized"}, {"latency": None}, ["latency: optimized, in the baseline none"]),
        ({"nonce": True}, {"nonce": False}, ["nonce: True, in the baseline False"]),
        ({"system_prompt": {"sha256": "ab", "file": "x"}}, {"system_prompt": None}, ["system_prompt: ab"]),
        ({"system_prompt": {"sha256": "ab", "file": "x"}}, {"system_prompt": {"sha256": "ab", "file": "y"}}, []),
        ({"latency": "optimized"}, {}, []),
        ({"latency": "optimized"}, 3, []),
    ],
)
def test_requests_of_another_kind_are_not_comparable(request_here: Any, request_there: Any, shown: list[str]) -> None:
    found = run_differences(run_with(request=request_here), run_with(request=request_there))

    assert len(found) == len(shown)
    assert all(str(difference).startswith(text) for difference, text in zip(found, shown, strict=True))


def test_regions_are_those_of_the_cells_where_every_cell_names_its_own() -> None:
    here, there = ({"cell": name, "region": name, "service_tier": "flex"} for name in ("us-east-1", "eu-west-1"))

    both, one = run_with(region="us-east-1, eu-west-1", cells=[here, there]), run_with(region="us-east-1", cells=[here])
    nameless = run_with(region="us-east-1", cells=[{"cell": "a"}])

    assert run_differences(both, one) == []
    assert [found.what for found in run_differences(both, nameless)] == ["region"]
    assert [found.what for found in cell_differences(both.cells[0], both.cells[1])] == ["region"]


@pytest.mark.parametrize("key", ["scenario", "target", "region", "transport", "prompts_sha256"])
def test_runs_of_another_kind_are_not_comparable_and_named(tmp_path: Path, key: str) -> None:
    build_run(tmp_path / "new", [CELL], **{key: "this"})
    build_run(tmp_path / "old", [CELL], **{key: "that"})

    found = compare_runs(read_side(tmp_path / "new"), read_side(tmp_path / "old"))

    assert found.status == Change.NOT_COMPARABLE
    assert found.gaps == [f"The runs are not comparable: {key.removesuffix('_sha256')}: this, in the baseline that"]


def test_a_difference_that_is_meant_can_be_compared(tmp_path: Path) -> None:
    other = replace(CELL, cell="b", model_id="amazon.nova-2-lite-v1:0", ttft_ms=450.0)

    found = compared(tmp_path, [other], across=("model",))

    assert [(cell.cell, cell.baseline_cell, cell.status) for cell in found.cells] == [("b", "a", Change.REGRESSED)]


def test_cells_are_paired_by_what_they_test(tmp_path: Path) -> None:
    renamed = replace(CELL, cell="a-new-name")

    found = compared(tmp_path, [renamed, CellSpec("b", users=5, rate_rps=None)], [CELL, CellSpec("c", rate_rps=3.0)])

    assert [(cell.cell, cell.baseline_cell) for cell in found.cells] == [("a-new-name", "a")]
    assert found.gaps == ["Cell b is not in the baseline", "Cell c of the baseline is missing here"]


def test_longer_prompts_are_other_prompts_whatever_they_are_called(tmp_path: Path) -> None:
    build_run(tmp_path / "new", [CELL])
    build_run(tmp_path / "old", [CELL])
    new = read_side(tmp_path / "new")
    longer = replace(new, records=new.records.assign(input_tokens=new.records["input_tokens"] * 3))

    assert "prompts: median" in compare_runs(longer, read_side(tmp_path / "old")).gaps[0]


def test_too_few_samples_are_said_to_be_too_few(tmp_path: Path) -> None:
    few = replace(CELL, n=100)

    found = compared(tmp_path, [few], [few])

    assert row_of(found, "ttft_ms", "p99").reason == "100 against 100 samples; 368 needed on each side"
    assert row_of(found, "ttft_ms", "p50").status == Change.WITHIN_NOISE


def test_nothing_is_compared_where_nothing_was_measured(tmp_path: Path) -> None:
    found = compared(tmp_path, [replace(CELL, n=3)], [replace(CELL, n=3)])

    assert found.status == Change.NOT_COMPARABLE
    assert "needed on each side" in found.gaps[0]


@pytest.mark.parametrize("cells", [[], [replace(CELL, status="skipped")]])
def test_a_run_without_cells_is_not_comparable(tmp_path: Path, cells: list[CellSpec]) -> None:
    found = compared(tmp_path, cells)

    assert found.status == Change.NOT_COMPARABLE
    assert found.gaps == ["Cell a of the baseline is missing here"]


def test_a_cell_that_broke_off_is_not_compared(tmp_path: Path) -> None:
    assert compared(tmp_path, [replace(CELL, status="interrupted")]).gaps == [
        "Cell a is not comparable: a is interrupted"
    ]


def test_a_spoiled_measurement_is_not_compared(tmp_path: Path) -> None:
    build_run(tmp_path / "old", [replace(CELL, cpu_pct=100.0)])
    write_summary(tmp_path / "old", analyse(tmp_path / "old"))
    build_run(tmp_path / "new", [CELL])

    found = compare_runs(read_side(tmp_path / "new"), read_side(tmp_path / "old"))

    assert found.gaps == ["The measurement of the baseline is invalid"]


@pytest.mark.parametrize(
    ("change", "interval", "p", "status", "reason"),
    [
        (0.15, (0.05, 0.25), 0.001, Change.REGRESSED, None),
        (-0.15, (-0.25, -0.05), 0.001, Change.IMPROVED, None),
        (0.05, (0.02, 0.08), 0.001, Change.WITHIN_NOISE, "below the threshold of 10 %"),
        (0.15, (-0.05, 0.35), 0.2, Change.WITHIN_NOISE, "no more than chance"),
        (0.15, (0.01, 0.30), 0.06, Change.WITHIN_NOISE, "no more than chance"),
        (0.02, (-0.12, 0.18), 0.7, Change.WITHIN_NOISE, "too few samples to exclude"),
        (0.01, (-0.02, 0.04), 0.5, Change.WITHIN_NOISE, None),
    ],
)
def test_neither_the_threshold_nor_significance_decides_alone(
    change: float, interval: tuple[float, float], p: float, status: Change, reason: str | None
) -> None:
    row = judge(
        Row("ttft_ms", "p95", 1.0, 1.0, 99, 99, change=change, change_ci95=interval, p_value=p, p_corrected=p), 0.10
    )

    assert row.status == status
    assert (reason or "") in (row.reason or "")
    assert (row.reason is None) == (reason is None)


def test_many_comparisons_are_corrected_for_together(tmp_path: Path) -> None:
    rows = compared(tmp_path, [CELL]).cells[0].rows
    tested = [row for row in rows if row.p_value is not None and row.p_corrected is not None]

    assert len(tested) > 10
    assert all((row.p_corrected or 0) >= (row.p_value or 0) for row in tested)
    assert any((row.p_corrected or 0) > (row.p_value or 0) for row in tested)


def test_tiers_of_one_run_are_held_against_the_default_tier(tmp_path: Path) -> None:
    cells = [
        CELL,
        replace(CELL, cell="flex", service_tier="flex", ttft_ms=600.0),
        replace(CELL, cell="flex-large", service_tier="flex", prompt_size="large"),
    ]
    build_run(tmp_path, cells)

    found = analyse(tmp_path).summary["tier_comparison"]

    (flex,) = found["cells"]
    assert (flex["cell"], flex["baseline_cell"], flex["status"]) == ("flex", "a", "regressed")
    assert flex["compared"] == [{"what": "service_tier", "this": "flex", "baseline": "default"}]


def test_cells_that_differ_in_two_ways_are_not_comparable(tmp_path: Path) -> None:
    build_run(tmp_path, [CELL, replace(CELL, cell="b", service_tier="flex", prompt_size="large")])
    side = read_side(tmp_path)
    one, other = side.run.cells

    assert tier_pairs(side.run) == []
    found = compare_cells(side, [Pair(other, one)])
    assert found.gaps == [
        "Cell b is not comparable: service_tier: flex, in the baseline default; "
        "prompt_size: large, in the baseline small"
    ]


def verdict_with(folder: Path, fail_on: str, ttft_ms: float = 600.0, **new: Any) -> dict[str, Any]:
    build_run(folder / "old", [CELL])
    build_run(
        folder / "new", [replace(CELL, ttft_ms=ttft_ms, **new)], seed=2, objectives=["error_rate < 5%"],
        fail_on=fail_on, baseline=str(folder / "old"),
    )  # fmt: skip
    verdict: dict[str, Any] = analyse(folder / "new").summary["verdict"]
    return verdict


@pytest.mark.parametrize(
    ("fail_on", "status", "exit_code"),
    [("regression", "FAIL", 1), ("both", "FAIL", 1), ("sla", "PASS", 0), ("never", "PASS", 0)],
)
def test_a_regression_fails_the_run_where_that_was_asked_for(
    tmp_path: Path, fail_on: str, status: str, exit_code: int
) -> None:
    verdict = verdict_with(tmp_path, fail_on)

    assert (verdict["status"], verdict["exit_code"]) == (status, exit_code)
    assert any("ttft_ms p50 +" in reason for reason in verdict["reasons"])


@pytest.mark.parametrize(("fail_on", "exit_code"), [("regression", 5), ("both", 5), ("sla", 0)])
def test_a_baseline_that_cannot_be_compared_is_no_pass(tmp_path: Path, fail_on: str, exit_code: int) -> None:
    assert verdict_with(tmp_path, fail_on, rate_rps=3.0)["exit_code"] == exit_code


def test_a_baseline_that_has_gone_is_no_pass(tmp_path: Path) -> None:
    build_run(tmp_path, [CELL], fail_on="both", baseline="/nowhere/at/all")

    summary = analyse(tmp_path).summary

    assert summary["verdict"]["status"] == "INCONCLUSIVE"
    assert "The baseline cannot be read" in summary["comparison"]["gaps"][0]
