"""The table of rounds, from the figures that the analysis leaves."""

from typing import Any

import pandas as pd
import pytest

from reports.cells import cell_results, varying
from reports.material import Material
from reports.sections.rounds import rounds_table


def spread(beyond: bool | None) -> dict[str, Any]:
    return {
        "metric": "ttft_ms", "stat": "p95", "values": [400.0, 536.0], "min": 400.0, "max": 536.0, "range_pct": 34.0,
        "p_value": None, "p_corrected": None, "beyond_chance": beyond,
    }  # fmt: skip


def material(beyond: bool | None) -> Material:
    cells = tuple(
        cell_results(
            [], [{"cell": name, "rate_rps": 4.0, "round_number": n} for n, name in ((1, "a"), (2, "a-round2"))]
        )
    )
    pooled = {"ttft_ms": {"p50": 300.0, "p95": 470.0, "n": 180}, "e2e_ms": {"n": 180}, "sla_compliance": 1.0}
    each = {"cell": "a", "rounds": ["a", "a-round2"], "left_out": [], "metrics": pooled, "spread": [spread(beyond)]}
    return Material({}, {"rounds": [each]}, pd.DataFrame(), cells, tuple(varying(cells)))


def test_a_cell_has_the_figures_of_all_its_rounds_and_their_range() -> None:
    (row,) = rounds_table(material(beyond=False)).rows

    assert row[1].text == "2"
    assert (row[3].text, row[3].small) == ("470", "400 – 536")
    assert row[4].is_missing


@pytest.mark.parametrize(
    ("beyond", "said"),
    [
        (True, "more than chance: TTFT p95 34.0 % apart"),
        (False, "no more than chance, 1 of 1 figures tested"),
        (None, "cannot be told: too few requests in a round"),
    ],
)
def test_the_table_says_whether_rounds_differ_by_more_than_chance(beyond: bool | None, said: str) -> None:
    assert rounds_table(material(beyond)).rows[0][-1].text == said


def test_a_run_of_one_round_has_no_row() -> None:
    assert rounds_table(Material({}, {}, pd.DataFrame(), (), ())).rows == []
