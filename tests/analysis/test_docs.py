"""docs/metrics.md names everything that the summary can contain."""

from pathlib import Path

import pytest

from analysis.metrics import Metrics
from analysis.percentiles import QUANTILES, min_samples
from analysis.records import LATENCY_METRICS
from analysis.validity import RULES
from scenarios.objectives import METRICS

TEXT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")

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
