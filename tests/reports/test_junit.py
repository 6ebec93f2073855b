import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from reports.junit import render_junit
from tests.reports.golden import assert_matches_golden
from tests.reports.pages import Rendered, material_of
from tests.support.run_builder import CellSpec, build_run


def parsed(run: Rendered) -> ET.Element:
    return ET.fromstring(run.text("junit.xml"))  # noqa: S314 - our own


def test_the_xml_of_a_small_run_is_the_known_one(small_run: Rendered) -> None:
    assert_matches_golden(small_run.text("junit.xml"), "junit.xml")


def test_there_is_a_case_for_every_objective_and_every_check(small_run: Rendered) -> None:
    summary = small_run.analysis.summary
    verdict, objectives, cells, validity = parsed(small_run).findall("testsuite")

    assert len(verdict.findall("testcase")) == 1
    assert [c.get("name") for c in cells.findall("testcase")] == [c["cell"] for c in summary["cells"]]
    assert [c.get("name") for c in objectives.findall("testcase")] == [o["objective"] for o in summary["objectives"]]
    assert len(validity.findall("testcase")) == len(summary["validity"]["checks"])


def test_a_missed_objective_says_what_was_expected_what_was_seen_and_on_how_many(small_run: Rendered) -> None:
    failure = parsed(small_run).find(".//testcase[@name='ttft_ms p95 < 600ms']/failure")

    assert failure is not None
    message = failure.get("message") or ""
    assert re.fullmatch(r"expected ttft_ms p95 < 600ms, observed [\d,]+ ms, n = [\d,]+", message)


def test_an_inconclusive_objective_is_skipped_with_its_reason(small_run: Rendered) -> None:
    skipped = parsed(small_run).find(".//testcase[@name='ttft_ms p99 < 900ms for service_tier=flex']/skipped")

    assert skipped is not None
    assert (skipped.get("message") or "").startswith("INCONCLUSIVE: needs 128 more samples")


@pytest.mark.parametrize("odd", ["no cells", "one request", "all failed", "interrupted", "bare run.json"])
def test_counts_agree_with_cases_whatever_happened(odd_runs: dict[str, Rendered], odd: str) -> None:
    root = parsed(odd_runs[odd])
    for name, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(root.get(name) or -1) == len(root.findall(f".//{tag}"))
        for suite in root.findall("testsuite"):
            assert int(suite.get(name) or -1) == len(suite.findall(f".//{tag}"))


def test_a_spoiled_measurement_fails_its_check(odd_runs: dict[str, Rendered]) -> None:
    run = odd_runs["one request"]
    failed = [check["name"] for check in run.analysis.summary["validity"]["checks"] if check["status"] == "FAIL"]

    assert failed
    assert len(parsed(run).findall("testsuite[@name='validity']/testcase/failure")) == len(failed)


def built(directory: Path, cells: list[CellSpec], **run: Any) -> ET.Element:
    """junit.xml of a run of these cells."""
    build_run(directory, cells, **run)
    return ET.fromstring(render_junit(material_of(directory)).encode())  # noqa: S314 - our own


def test_a_failed_cell_is_an_error_and_the_verdict_is_not_green(tmp_path: Path) -> None:
    root = built(tmp_path, [CellSpec("a", n=100), CellSpec("b", n=100, status="failed", reason="no route")])

    error = root.find(".//testsuite[@name='cells']/testcase[@name='b']/error")
    assert error is not None
    assert error.get("message") == "failed: no route"
    assert root.find(".//testsuite[@name='verdict']/testcase/skipped") is not None


def test_a_run_that_was_stopped_is_an_error(tmp_path: Path) -> None:
    root = built(tmp_path, [CellSpec("a", n=100, status="interrupted")], stopped_by="interrupt")

    assert root.find(".//testsuite[@name='verdict']/testcase/error") is not None
    assert int(root.get("errors") or 0) == 2


def test_a_passed_run_is_green(tmp_path: Path) -> None:
    root = built(tmp_path, [CellSpec("a", n=100)], objectives=["sla_compliance >= 99%"])

    assert (root.get("failures"), root.get("errors"), root.get("skipped")) == ("0", "0", "0")
