"""docs/metrics.md and docs/comparing.md name everything that the summary can contain."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.metrics import Metrics
from analysis.percentiles import QUANTILES, min_samples
from analysis.records import LATENCY_METRICS
from analysis.summary import analyse
from analysis.validity import RULES
from scenarios.objectives import METRICS
from tests.support.run_builder import CellSpec, build_run, run_json, write_json

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "metrics.md").read_text(encoding="utf-8")

NAMES = sorted(
    {*LATENCY_METRICS, *METRICS, *(name for name in Metrics.__slots__ if name != "distributions")}
    | {rule.name for rule in RULES}
    | {"unreadable_lines", "unfinished_cells"}
)


@pytest.mark.parametrize("name", NAMES)
def test_every_metric_and_check_is_explained(name: str) -> None:
    assert f"`{name}`" in TEXT


def test_the_least_numbers_of_samples_are_the_ones_in_use() -> None:
    row = " | ".join(str(min_samples(q)) for q in QUANTILES.values())

    assert f"| least n | {row} |" in TEXT


#: Keys under these are names of data, not of the summary.
NAMES_OF_DATA = {"run", "skipped_lines", "routes", "daily_usd_by_type", "series"}


def keys_of(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, content in value.items():
            yield key
            yield from () if key in NAMES_OF_DATA else keys_of(content)
    elif isinstance(value, list):
        for each in value:
            yield from keys_of(each)


def test_every_key_of_a_summary_is_explained(tmp_path: Path) -> None:
    one = CellSpec("a", n=80, outcomes={"throttled": 0.1})
    cells = [
        one, replace(one, cell="b", service_tier="flex"), replace(one, cell="c", rate_rps=10.0),
        replace(one, cell="d", pattern="spike"), replace(one, cell="a-round2"),
    ]  # fmt: skip
    entries = [cell.entry() | {"round_number": 2 if "round" in cell.cell else 1} for cell in cells]
    build_run(tmp_path, cells)
    write_json(tmp_path / "run.json", run_json(entries, baseline=str(tmp_path)))
    write_json(tmp_path / "summary.json", {"validity": {"status": "VALID"}})
    (tmp_path / "cells" / "a" / "requests-1.jsonl").write_text("torn")

    summary = analyse(tmp_path).summary

    assert summary["rounds"]
    assert summary["tier_comparison"]["cells"][0]["rows"]
    text = re.sub(r"```.*?```", "", TEXT + (DOCS / "comparing.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    explained = set(re.findall(r"[a-z0-9_]+", " ".join(re.findall(r"`([^`]+)`", text))))
    assert sorted(set(keys_of(summary)) - explained) == []
