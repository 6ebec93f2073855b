"""Repetitions of a cell: put together, and held against each other."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.inputs import CellInfo
from analysis.rounds import representatives, rounds_of
from analysis.spread import homogeneity
from analysis.summary import analyse
from tests.support.run_builder import CellSpec, synthetic_records, write_run

CELL = CellSpec("nova", n=200, ttft_sigma=0.2)
NAMES = ("nova", "nova-round2", "nova-round3")


def info(name: str, number: int = 1, status: str = "finished", **traits: Any) -> CellInfo:
    return CellInfo(name, status, {"cell": name, "round_number": number, **traits})


def test_rounds_belong_to_the_cell_that_they_are_named_after() -> None:
    cells = [
        info("a"), info("b-round2"), info("b-round2-round3", 3), info("a-round2", 2), info("a-round2-2", 2),
        info("c-round2", 2, users=3), info("c", users=5), info("lost-round2", 2),
    ]  # fmt: skip

    found = {name: [cell.name for cell in rounds] for name, rounds in rounds_of(cells).items()}

    assert found == {
        "a": ["a", "a-round2", "a-round2-2"], "b-round2": ["b-round2", "b-round2-round3"], "c": ["c"],
        "c-round2": ["c-round2"], "lost": ["lost-round2"],
    }  # fmt: skip


@pytest.mark.parametrize("number", [None, "2", True, -1, 2.0])
def test_a_round_number_that_is_none_makes_no_round(number: Any) -> None:
    assert list(rounds_of([info("a"), info("a-round2", number)])) == ["a", "a-round2"]


def test_a_configuration_is_represented_by_its_first_finished_round() -> None:
    cells = [
        info("a", status="failed"),
        info("b"),
        info("a-round2", 2),
        info("b-round2", 2),
        info("c", status="failed"),
    ]

    assert [cell.name for cell in representatives(cells)] == ["b", "a-round2", "c"]


def rounds_run(directory: Path, ttft_ms: tuple[float, ...], **changes: Any) -> Path:
    specs = [replace(CELL, cell=name, ttft_ms=ttft) for name, ttft in zip(NAMES, ttft_ms, strict=False)]
    records = {spec.cell: synthetic_records(spec, 1, 200.0 * number) for number, spec in enumerate(specs)}
    entries = [
        spec.entry() | {"round_number": number} | changes.get(spec.cell, {})
        for number, spec in enumerate(specs, start=1)
    ]  # fmt: skip
    return write_run(directory, records, cells=entries)


@pytest.fixture(scope="module")
def alike(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three rounds of one service."""
    return rounds_run(tmp_path_factory.mktemp("alike"), (300.0, 300.0, 300.0))


def unsteady(summary: dict[str, Any]) -> list[str]:
    return [each["evidence"] for each in summary["recommendations"] if "round to round" in each["finding"]]


def test_the_rounds_of_a_cell_are_put_together_from_their_records(alike: Path) -> None:
    analysis = analyse(alike)

    (entry,) = analysis.summary["rounds"]

    ttft = np.asarray(analysis.records["ttft_ms"])
    assert (entry["cell"], entry["rounds"], entry["left_out"]) == ("nova", list(NAMES), [])
    assert entry["metrics"]["messages"] == 600
    assert entry["metrics"]["ttft_ms"]["p95"] == pytest.approx(np.quantile(ttft, 0.95), rel=1e-9)
    assert entry["metrics"]["duration_s"] == pytest.approx(
        sum(cell["metrics"]["duration_s"] for cell in analysis.summary["cells"])
    )
    p95 = next(row for row in entry["spread"] if (row["metric"], row["stat"]) == ("ttft_ms", "p95"))
    own = [float(np.quantile(ttft[200 * number : 200 * (number + 1)], 0.95)) for number in range(3)]
    assert p95["values"] == pytest.approx(own, rel=1e-9)
    assert (p95["min"], p95["max"]) == (min(p95["values"]), max(p95["values"]))
    assert p95["range_pct"] == pytest.approx((max(own) / min(own) - 1.0) * 100.0)
    assert {row["beyond_chance"] for row in entry["spread"]} <= {False, None}
    assert unsteady(analysis.summary) == []


def test_a_run_of_three_rounds_is_compared_with_a_baseline_of_one(alike: Path, tmp_path: Path) -> None:
    baseline = rounds_run(tmp_path, (300.0,))

    comparison = analyse(alike, overrides={"baseline": str(baseline)}).summary["comparison"]

    assert comparison["gaps"] == comparison["only_here"] == []
    (cell,) = comparison["cells"]
    assert (cell["rows"][0]["n"], cell["rows"][0]["n_baseline"]) == (600, 200)
    assert analyse(baseline).summary["rounds"] == []


def test_rounds_apart_are_a_finding_and_one_that_broke_off_is_left_out_and_named(tmp_path: Path) -> None:
    directory = rounds_run(tmp_path, (300.0, 420.0, 900.0), **{"nova-round3": {"status": "interrupted"}})

    summary = analyse(directory).summary

    (entry,), (evidence,) = summary["rounds"], unsteady(summary)
    assert (entry["rounds"], entry["left_out"]) == (list(NAMES[:2]), ["nova-round3"])
    assert entry["metrics"]["messages"] == 400
    assert evidence.startswith("nova: ttft_ms p50 ")


def test_a_figure_that_only_one_round_has_does_not_spread(tmp_path: Path) -> None:
    specs = (replace(CELL, cell="nova", n=90), replace(CELL, cell="nova-round2", n=20))
    records = {spec.cell: synthetic_records(spec, 1, 0.0) for spec in specs}
    entries = [CELL.entry() | {"cell": name, "round_number": number} for number, name in enumerate(records, start=1)]

    (entry,) = analyse(write_run(tmp_path, records, cells=entries)).summary["rounds"]

    p95 = next(row for row in entry["spread"] if (row["metric"], row["stat"]) == ("ttft_ms", "p95"))
    assert p95["values"][1] is p95["min"] is p95["max"] is p95["range_pct"] is p95["beyond_chance"] is None


def test_rounds_of_one_service_are_called_apart_in_one_of_twenty_draws() -> None:
    rng = np.random.default_rng(5)
    draws = [[rng.random(400) < share for _ in range(3)] for share in (0.5, 0.05) for _ in range(300)]

    found = [homogeneity(hits) for hits in draws]

    assert None not in found
    assert 0.01 <= np.mean([p < 0.05 for p in found if p is not None]) <= 0.06
