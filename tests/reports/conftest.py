"""Runs that several tests of the reports look at; built and rendered once."""

from dataclasses import replace
from pathlib import Path

import pytest

from analysis.summary import analyse, write_summary
from orchestrator.cli import main
from tests.reports.hostile import NAME, write_hostile_run
from tests.reports.pages import OBJECTIVES, Rendered, degenerate_runs, rendered_once, suite
from tests.support.run_builder import CellSpec, build_run, small_suite


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """Six cells: open and closed loop, a spike that throttles, one refused combination."""

    def build(root: Path) -> dict[str, Path]:
        directory = build_run(root / "run", small_suite(), objectives=OBJECTIVES)
        (directory / "effective.yaml").write_text("name: built-for-tests\ntraffic: 漫画\n", encoding="utf-8")
        return {"run": directory}

    return rendered_once(tmp_path_factory, "small", build)["run"]


@pytest.fixture(scope="session")
def suite_run(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """The 27 cells of the permutation suite."""

    def build(root: Path) -> dict[str, Path]:
        return {"run": build_run(root / "run", suite(), objectives=OBJECTIVES)}

    return rendered_once(tmp_path_factory, "suite", build)["run"]


@pytest.fixture(scope="session")
def odd_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rendered]:
    """Degenerate runs by name."""
    return rendered_once(tmp_path_factory, "odd", degenerate_runs)


@pytest.fixture(scope="session")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """Attacks in every text, a megabyte in some."""
    return rendered_once(tmp_path_factory, "hostile", lambda root: {"run": write_hostile_run(root / "run")})["run"]


@pytest.fixture(scope="session")
def compared_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `compare` wrote of a run that regressed, beside its other files; its only cell is named like an attack."""
    folder = tmp_path_factory.mktemp("compared")
    cell = CellSpec(NAME, n=400, rate_rps=20.0)
    build_run(folder / "old", [cell], seed=1, git_commit="a1")
    directory = build_run(folder / "slow", [replace(cell, ttft_ms=600.0)], seed=2, git_commit="b2")
    write_summary(directory, analyse(directory))
    assert main(["compare", str(directory), str(folder / "old")]) == 1
    return directory / "comparison.html"
