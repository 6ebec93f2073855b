"""`run_tests.py compare` and `report --baseline`: what they print, and the exit code that a pipeline sees."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.cli import main
from tests.support.run_builder import CellSpec, build_run

CELL = CellSpec("us-default", n=400, rate_rps=20.0)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directories old, same (another draw of it), slow and other (another rate)."""
    folder = tmp_path_factory.mktemp("runs")
    build_run(folder / "old", [CELL])
    build_run(folder / "same", [CELL, replace(CELL, cell="us-flex", service_tier="flex")], seed=2)
    build_run(folder / "slow", [replace(CELL, ttft_ms=600.0)], seed=2, objectives=["error_rate < 5%"])
    build_run(folder / "slower", [replace(CELL, ttft_ms=390.0)], seed=2)
    build_run(folder / "other", [replace(CELL, rate_rps=5.0)], seed=2)
    return folder


@pytest.mark.parametrize(
    ("name", "exit_code", "said"),
    [
        ("old", 0, "Comparison: within noise"),
        ("slow", 1, "Comparison: regressed"),
        ("same", 5, "Cell us-flex is not in the baseline"),
        ("other", 5, "Cell us-default is not comparable: rate: 5, in the baseline 20"),
    ],
)
def test_the_exit_code_says_how_the_comparison_ended(
    runs: Path, capsys: pytest.CaptureFixture[str], name: str, exit_code: int, said: str
) -> None:
    assert main(["compare", str(runs / name), str(runs / "old"), "--no-page"]) == exit_code
    assert said in capsys.readouterr().out


def test_json_is_one_document_with_every_figure(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["compare", str(runs / "slow"), str(runs / "old"), "--format", "json", "--no-page"])

    document = json.loads(capsys.readouterr().out)
    (cell,) = document["comparison"]["cells"]
    row = next(row for row in cell["rows"] if (row["metric"], row["stat"]) == ("ttft_ms", "p95"))
    assert document["exit_code"] == 1
    assert row["status"] == "regressed"
    assert row["change_ci95"][0] < row["change"] < row["change_ci95"][1]
    assert document["comparison"]["baseline"]["path"].endswith("old")
    assert document["paths"] == {"comparison_html": None}


def test_two_cells_of_a_run_can_be_compared(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(runs / "same"), "--cells", "us-flex,us-default", "--no-page"]) == 0
    assert "Comparison: within noise" in capsys.readouterr().out


def test_a_threshold_of_ones_own_is_used(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["compare", str(runs / "slower"), str(runs / "old"), "--no-page"]

    assert main(arguments) == 1
    assert main([*arguments, "--regression-threshold", "60%"]) == 0
    assert "more than chance, but below the threshold of 60 %" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["slow"], "compare needs a BASELINE"),
        (["slow", "nowhere"], "is not a results directory"),
        (["slow", "old", "--across", "modle"], "Did you mean model?"),
        (["slow", "old", "--regression-threshold", "a lot"], "'a lot' is not a share"),
        (["same", "--cells", "us-flex"], "is not two cells"),
        (["same", "--cells", "us-flex,us-flex"], "no other cell than itself"),
        (["same", "--cells", "us-flex,us-defaul"], "Did you mean us-default?"),
        (["same", "old", "--cells", "us-flex,us-default"], "neither a BASELINE nor --across"),
        (["other", "old", "--output", "old"], "--output: "),
        (["slow", "old", "--output", "x.html", "--no-page"], "give one of them"),
        (["slow", "old", "--format", "yaml"], "--format: 'yaml' is not one of text, json"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_4(
    runs: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    names = {path.name for path in runs.iterdir()} | {"nowhere"}
    given = [str(runs / word) if word in names else word for word in arguments]

    assert main(["compare", *given]) == 4
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert captured.err.count("error: ") == 1


def test_the_page_goes_beside_the_report_and_the_baseline_stays_as_it_is(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.is_file()}

    assert main(["compare", str(runs / "other"), str(runs / "old"), "--format", "json"]) == 5
    page = runs / "other" / "comparison.html"
    assert json.loads(capsys.readouterr().out)["paths"] == {"comparison_html": str(page)}
    after = {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.is_file()}
    assert after == files | {page: page.stat().st_mtime_ns}


@pytest.mark.parametrize("place", ["other/run.json", "old/report.html", "old/cells/new.html"])
def test_a_page_never_takes_the_place_of_results(runs: Path, capsys: pytest.CaptureFixture[str], place: str) -> None:
    files = {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.is_file()}

    assert main(["compare", str(runs / "other"), str(runs / "old"), "--output", str(runs / place)]) == 4
    assert "is in the results of" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.is_file()} == files


def test_a_page_that_cannot_be_written_does_not_hold_back_the_answer(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = build_run(tmp_path / "run", [replace(CELL, rate_rps=5.0)])
    (directory / "comparison.html").mkdir()

    assert main(["compare", str(directory), str(runs / "old")]) == 5
    captured = capsys.readouterr()
    assert captured.out.endswith("Comparison: not comparable\n")
    assert "Choose another place with --output" in captured.err


def test_a_report_with_a_baseline_fails_on_a_regression_and_shows_it(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["report", str(runs / "slow"), "--baseline", str(runs / "old"), "--fail-on", "both", "--no-charts"]

    assert main(arguments) == 1
    shown = capsys.readouterr().out
    assert "Regressed against run-1: " in shown
    assert "Regressed: us-default: ttft_ms p50 +" in shown
    summary_md = (runs / "slow" / "summary.md").read_text(encoding="utf-8")
    assert "### Against the baseline" in summary_md
    assert "❌ regressed" in summary_md
    junit = (runs / "slow" / "junit.xml").read_text(encoding="utf-8")
    assert 'message="regressed against the baseline: ttft_ms' in junit


def test_a_report_that_only_a_regression_may_fail_needs_a_baseline(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(runs / "other"), "--fail-on", "regression", "--no-charts"]) == 5
    assert "There is no baseline to compare with" in capsys.readouterr().out
    assert main(["report", str(runs / "other"), "--baseline", "/nowhere"]) == 4


def test_the_plan_says_before_the_run_what_will_not_be_comparable(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "smoke", "--baseline", str(runs / "old")]) == 0
    assert "This run will not be comparable with its baseline: scenario: smoke" in capsys.readouterr().out


def test_a_run_is_not_written_over_its_baseline(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = str(runs / "old")

    assert main(["run", "smoke", "--results-dir", old, "--force", "--baseline", old]) == 4
    assert "this run would be written over its own baseline" in capsys.readouterr().err
    assert (runs / "old" / "run.json").exists()
