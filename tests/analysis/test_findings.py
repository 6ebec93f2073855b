"""Findings: made where the evidence is, with its numbers, and nowhere else."""

from pathlib import Path
from typing import Any

import pytest

from analysis.summary import analyse
from tests.support.run_builder import CellSpec, build_run


def findings_of(directory: Path, *cells: CellSpec, **run: Any) -> list[dict[str, str]]:
    build_run(directory, cells, **run)
    found: list[dict[str, str]] = analyse(directory).summary["recommendations"]
    return found


def test_a_good_run_gives_no_findings(tmp_path: Path) -> None:
    assert findings_of(tmp_path, CellSpec("a")) == []


@pytest.mark.parametrize("cells", [[], [CellSpec("a", status="skipped")]])
def test_no_data_gives_no_findings(tmp_path: Path, cells: list[CellSpec]) -> None:
    assert findings_of(tmp_path, *cells) == []


def test_throttles_are_found_with_their_kind_and_place(tmp_path: Path) -> None:
    found = findings_of(tmp_path, CellSpec("a"), CellSpec("b", n=200, outcomes={"throttled": 0.5}))

    assert found[0]["finding"].endswith("of the attempts were throttled (threshold: none)")
    assert "requests" in found[0]["evidence"]
    assert "most in b" in found[0]["evidence"]
    assert "quota" in found[0]["advice"]


def test_a_missed_sla_is_found_with_its_threshold(tmp_path: Path) -> None:
    found = findings_of(tmp_path, CellSpec("a", ttft_ms=4000.0))

    assert "of the messages were answered within 3 s (threshold: 99.00 %)" in found[0]["finding"]
    assert found[0]["evidence"].startswith("120 messages")


def test_too_few_messages_are_no_evidence_of_a_missed_sla(tmp_path: Path) -> None:
    assert findings_of(tmp_path, CellSpec("a", n=5, ttft_ms=4000.0)) == []


def test_timeouts_are_found(tmp_path: Path) -> None:
    found = findings_of(tmp_path, CellSpec("a", n=300, outcomes={"timeout": 0.005}))

    assert [entry["finding"] for entry in found] == ["1 attempt timed out (threshold: none)"]


def test_the_first_combination_to_break_is_named_with_its_load(tmp_path: Path) -> None:
    found = findings_of(
        tmp_path,
        CellSpec("a", rate_rps=5.0),
        CellSpec("b", rate_rps=10.0, service_tier="flex", ttft_ms=3000.0),
        CellSpec("c", rate_rps=20.0, service_tier="flex", ttft_ms=4000.0),
    )

    assert (
        found[1]["finding"] == "amazon.nova-pro-v1:0 in the flex tier with small prompts is the first to miss the SLA, "
        "at 10 arrivals/s (sustained) (threshold: 99.00 %)"
    )
    assert "2 of 3 cells miss it" in found[1]["evidence"]


def test_where_all_break_none_is_the_first(tmp_path: Path) -> None:
    found = findings_of(tmp_path, CellSpec("a", ttft_ms=4000.0), CellSpec("b", ttft_ms=4000.0))

    assert not any("first to miss" in entry["finding"] for entry in found)


def test_a_monthly_cost_over_the_limit_is_found(tmp_path: Path) -> None:
    found = findings_of(tmp_path, CellSpec("a"), monthly_cost_limit_usd=1000)

    assert "USD a month (threshold: 1,000 USD)" in found[0]["finding"]
    assert "120 billed requests" in found[0]["evidence"]


def test_answers_from_another_tier_are_found(tmp_path: Path) -> None:
    found = findings_of(tmp_path, CellSpec("a", service_tier="priority", served_tier="default"))

    assert found[-1]["finding"].startswith("100.00 % of the answers came from another tier")


def test_errors_are_found_with_their_kinds(tmp_path: Path) -> None:
    found = findings_of(tmp_path, CellSpec("a", n=300, outcomes={"server_error": 0.2}))

    (failed,) = [entry for entry in found if "of the attempts failed" in entry["finding"]]
    assert "by outcome: " in failed["evidence"]
    assert "server error" in failed["evidence"]


def test_every_finding_has_its_threshold_evidence_and_advice(tmp_path: Path) -> None:
    build_run(tmp_path / "old", [CellSpec("a", n=400)])
    found = findings_of(
        tmp_path / "new",
        CellSpec("a", n=400, ttft_ms=3500.0, outcomes={"throttled": 0.1, "timeout": 0.02, "server_error": 0.02}),
        CellSpec("b", rate_rps=9.0),
        baseline=str(tmp_path / "old"),
        monthly_cost_limit_usd=1,
    )

    assert len(found) >= 6
    assert all(entry["threshold"] and entry["evidence"] and entry["advice"] for entry in found)
    assert all(f"(threshold: {entry['threshold']})" in entry["finding"] for entry in found)
    assert found[0]["finding"].startswith("1 of 1 cells regressed against the baseline")
    assert "a: ttft_ms p50 +" in found[0]["evidence"]


def test_throughput_that_no_longer_follows_the_load_is_found_with_where(tmp_path: Path) -> None:
    found = findings_of(
        tmp_path,
        CellSpec("a", rate_rps=5.0),
        CellSpec("b", rate_rps=10.0),
        CellSpec("c", rate_rps=20.0, n=400, outcomes={"throttled": 0.6}),
    )

    (scaling,) = [entry for entry in found if entry["finding"].startswith("Throughput")]
    assert scaling["finding"].startswith("Throughput falls from 20 arrivals/s on")
    assert "over 3 loads" in scaling["evidence"]
