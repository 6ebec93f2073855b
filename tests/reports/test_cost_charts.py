"""What the charts of throttling, cost and query types show."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from reports import style
from reports.charts import cost_by_configuration, cost_what_if, query_types, throttling
from reports.cost_frames import AS_MEASURED, PARTS, cell_costs, model_costs, what_if_costs
from reports.frames import groups_frame
from reports.material import Material, prepare
from reports.minutes import COLUMNS, busiest, first_throttles, minutes_frame
from tests.reports.pages import Rendered, material_of
from tests.support.run_builder import make_record, write_run


@pytest.fixture(scope="module")
def small(small_run: Rendered) -> Material:
    analysis = small_run.analysis
    return prepare(analysis.summary, analysis.run, analysis.records, analysis.health)


@pytest.fixture(scope="module")
def unpriced(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """One known model, one that nobody has a price or a quota for, of one query type."""
    records = [
        make_record(i, model_id=model) for model in ("acme.giant-v1:0", "amazon.nova-pro-v1:0") for i in range(8)
    ]
    records = [{**record, "seq": seq, "message_id": f"m{seq}"} for seq, record in enumerate(records)]
    return material_of(write_run(tmp_path_factory.mktemp("unpriced") / "run", {"a": records}))


def bars(figure: Figure, panel: int = 0) -> list[Rectangle]:
    return [patch for patch in figure.axes[panel].patches if isinstance(patch, Rectangle)]


def test_minutes_lie_where_their_cells_ran_and_count_all_attempts(small: Material) -> None:
    frame = minutes_frame(small)
    sent = small.records[small.records["sent"]]

    assert frame[["requests_accepted", "throttled", "overloaded"]].sum().sum() == len(sent)
    assert frame["start_s"].is_monotonic_increasing
    assert ((frame["end_s"] - frame["start_s"]) <= 60.0).all()
    assert frame["end_s"].max() == pytest.approx(sent["started_at"].max() - small.records["intended_at"].min(), abs=1.0)


def test_refused_requests_stand_on_the_accepted_and_are_hatched(small: Material) -> None:
    frame = minutes_frame(small)
    with style.chart_style():
        figure = throttling.throttling_over_time(frame, first_throttles(small), style.WIDE)
    refused = [bar for bar in bars(figure) if bar.get_hatch()]
    accepted = [bar for bar in bars(figure) if not bar.get_hatch()]

    assert sum(bar.get_height() for bar in refused) == frame["throttled"].sum()
    assert [bar.get_y() for bar in refused] == [bar.get_height() for bar in accepted]
    (first,) = first_throttles(small).values()
    assert first in [line.get_xdata()[0] for line in figure.axes[0].lines]
    assert "quota 500" in figure.axes[0].get_title(loc="left")
    assert "quota 2,000,000 is far above" in figure.axes[1].get_title(loc="left")


def test_of_minutes_that_share_a_bar_the_busiest_is_kept() -> None:
    minutes = [{"start_s": i * 60.0, "end_s": i * 60.0 + 60.0, "requests_accepted": i % 7} for i in range(10)]
    frame = pd.DataFrame(minutes).assign(model="m", throttled=0.0, overloaded=0.0)
    kept, share = busiest(frame, 4)

    assert share == 3
    assert kept["requests_accepted"].tolist() == [2, 5, 6, 2]
    assert kept["start_s"].tolist() == [0.0, 180.0, 360.0, 540.0]
    assert kept["end_s"].tolist() == [180.0, 360.0, 540.0, 600.0]


def test_cells_that_run_side_by_side_use_the_same_minutes(tmp_path: Path) -> None:
    both = {name: [make_record(i, cell=name, at=i * 0.5 + shift) for i in range(20)]
            for name, shift in (("a", 0.0), ("b", 3.0))}  # fmt: skip
    frame = minutes_frame(material_of(write_run(tmp_path / "run", both)))

    assert frame["requests_accepted"].tolist() == [40.0]


def test_the_caption_names_the_model_that_throttled_and_the_nearest_quota(small: Material) -> None:
    (chart,) = throttling.charts(small)

    assert "nova-pro throttled 3.16 % of its 950 attempts, first at " in chart.caption
    assert "400 of 500 requests in its busiest minute (80.0 %)" in chart.caption


def test_without_a_throttle_and_without_a_quota_there_is_no_chart(unpriced: Material) -> None:
    minutes = [row for row in unpriced.summary["throttling"]["per_minute"] if row["model"].startswith("acme")]
    summary = {**unpriced.summary, "throttling": {**unpriced.summary["throttling"], "per_minute": minutes}}
    acme = replace(unpriced, summary=summary)

    assert not list(throttling.charts(acme))
    assert minutes_frame(Material({}, {}, pd.DataFrame(), (), ())).columns.tolist() == COLUMNS


def test_the_parts_of_a_cost_add_up_to_it(small: Material) -> None:
    for frame in (model_costs(small), cell_costs(small)):
        assert frame[list(PARTS)].sum(axis=1).to_numpy() == pytest.approx(frame["per_1000_usd"].to_numpy())
    (row,) = [row for row in small.summary["cost"]["by_cell"] if row["cell"] == "us-flex-small-5rps"]
    assert row["cost_usd"] == pytest.approx(
        small.records.loc[small.records["cell"] == "us-flex-small-5rps", "cost_usd"].sum()
    )


def test_bars_of_cost_begin_at_zero_and_good_messages_have_a_mark(small: Material) -> None:
    models, cells = model_costs(small), cell_costs(small)
    with style.chart_style():
        figure = cost_by_configuration.cost_by_configuration(models, cells, small.dimensions, style.WIDE)
    inputs = [bar for bar in bars(figure) if not bar.get_hatch()]

    assert {bar.get_x() for bar in inputs} == {0.0}
    assert len(inputs) == 3 + 5  # tiers that served, cells
    marks = sum(len(line.get_xdata()) for line in figure.axes[0].lines if line.get_marker() in ("D", ">"))
    assert marks == len(models) + cells["per_1000_good_usd"].notna().sum()


def test_a_model_without_a_price_is_a_gap_and_alone_no_chart(unpriced: Material) -> None:
    models, (chart,) = model_costs(unpriced), cost_by_configuration.charts(unpriced)
    with style.chart_style():
        figure = chart.draw(style.WIDE)

    assert "1 of 2 models and tiers have no known price." in chart.caption
    assert "—" in [text.get_text() for text in figure.axes[0].texts]
    assert models["per_1000_usd"].isna().tolist() == [True, False]
    assert not list(cost_what_if.charts(unpriced))
    nothing: dict[str, Any] = {"cost": {"by_model_and_tier": []}}
    assert not list(cost_by_configuration.charts(Material({}, nothing, pd.DataFrame(), (), ())))


def test_good_messages_too_dear_for_the_scale_point_out_of_it(small: Material) -> None:
    models = model_costs(small).assign(per_1000_good_usd=99.0)
    with style.chart_style():
        figure = cost_by_configuration.cost_by_configuration(models, cell_costs(small).iloc[:0], [], style.WIDE)

    assert {line.get_marker() for line in figure.axes[0].lines} == {">"}
    assert figure.axes[0].get_xlim()[1] < 10.0


def test_what_ifs_are_held_against_the_month_as_measured_and_its_limit(small: Material) -> None:
    frame = what_if_costs(small)
    with style.chart_style():
        figure = cost_what_if.cost_what_if(frame, 15_000.0, style.WIDE)
        far = cost_what_if.cost_what_if(frame, 5e9, style.WIDE)
    limits = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_color() == style.LIGHT.limit]

    assert frame["change"].iloc[0] == AS_MEASURED
    assert [bar.get_width() for bar in bars(figure)] == frame["monthly_usd"].tolist()
    assert limits == [15_000.0]
    assert "limit $5,000,000,000, far above" in [text.get_text() for text in far.legends[0].get_texts()]


def test_the_caption_names_the_levers_that_move_the_month_most(small: Material) -> None:
    (chart,) = cost_what_if.charts(small)

    assert "within the limit of $50,000" in chart.caption
    assert "All requests in the flex tier lowers it to " in chart.caption
    assert "All requests in the priority tier raises it to " in chart.caption


def test_query_types_are_compared_where_there_are_two(small: Material, unpriced: Material) -> None:
    frame, (chart,) = groups_frame(small, "query_type"), query_types.charts(small)
    slow = frame.loc[frame["e2e_ms_p95"].astype(float).idxmax()]

    assert frame["e2e_ms_p50"].is_monotonic_decreasing
    assert (
        f"Whole response p95 is highest for {slow['name']}: {slow['e2e_ms_p95']:,.0f} ms (n = {slow['n']})"
        in chart.caption
    )
    assert not list(query_types.charts(unpriced))
