"""cost_by_configuration: what 1,000 messages cost, by model and tier and by cell, and what of it is paid for what."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from reports import style
from reports.charts.chart import Chart
from reports.charts.rows import Rows, label_rows, legend_key, number_column, plan_rows, points
from reports.charts.wording import cell_name, highest, lowest
from reports.cost_frames import PARTS, cell_costs, model_costs
from reports.material import Material
from reports.numbers import count, percent, usd
from reports.style import Canvas

_COST = "per_1000_usd"
#: Good messages that cost more than this many times the longest bar would flatten the bars.
_MOST_SCALES = 3.0
_NAMES = {"input": "input", "output": "output", "cache_read": "cache read", "cache_write": "cache write"}
#: Hatches by part: in grey, too, they are told apart.
_HATCHES = dict(zip(PARTS, ("", "///", "...", "xxx"), strict=True))


def charts(material: Material) -> Iterator[Chart]:
    """The chart of a run that was billed at known prices; none for others."""
    models, cells, dims = model_costs(material), cell_costs(material), list(material.dimensions)
    if models[_COST].notna().any():
        yield Chart(
            "cost_by_configuration",
            "Cost of 1,000 messages",
            finding(models, cells, dims),
            "Stacked bars from zero, a row per model and tier and a row per cell: USD per 1,000 messages by what "
            "is billed, with a marker at the cost of 1,000 good messages.",
            "cost",
            lambda canvas: cost_by_configuration(models, cells, dims, canvas),
            section="cost",
        )


def cost_by_configuration(
    models: pd.DataFrame, cells: pd.DataFrame, dimensions: Sequence[str], canvas: Canvas
) -> Figure:
    """A row per model and tier, then per cell where there are several; frames are those of `cost_frames`."""
    rows = _rows(models, cells, dimensions)
    figure = canvas.figure(rows.height_px + (80 if canvas.narrow else 46))
    axes = figure.subplots()
    label_rows(axes, rows, canvas)
    keys = _bars(axes, rows.frame)
    keys += _good(axes, rows.frame)
    style.zero_axis(axes, "x", 4 if canvas.narrow else 7)
    axes.set_xlabel("USD per 1,000 messages")
    if not canvas.narrow:
        number_column(axes, rows, "USD", [usd(value).removeprefix("$") for value in rows.frame[_COST]], 56)
    number_column(axes, rows, "n", [count(n) for n in rows.frame["n"]], 42 if canvas.narrow else 100)
    figure.legend(handles=keys, loc="outside upper left", ncols=2 if canvas.narrow else 5)
    return figure


def _rows(models: pd.DataFrame, cells: pd.DataFrame, dimensions: Sequence[str]) -> Rows:
    """Both groups below one another; a single cell says nothing that its models do not."""
    first = _model_rows(models)
    if len(cells) < 2:
        return first
    below = plan_rows(cells, dimensions, _COST)
    gap = first.units + 1.2
    headings = first.headings + tuple((y + gap, text) for y, text in below.headings)
    frame = pd.concat([first.frame, below.frame.assign(y=below.frame["y"] + gap)], ignore_index=True)
    return replace(first, frame=frame, headings=headings, units=below.units + gap)


def _model_rows(models: pd.DataFrame) -> Rows:
    """Tiers below their model, where there are several: both together do not fit beside a phone's bars."""
    parts = models["name"].str.rsplit(" ", n=1, expand=True)
    if parts[1].nunique() < 2:
        return plan_rows(models, [], _COST)
    return plan_rows(models.assign(model=parts[0], tier=parts[1]), ["model", "tier"], _COST)


def _bars(axes: Axes, frame: pd.DataFrame) -> list[Artist]:
    keys: list[Artist] = []
    left = frame[_COST] * 0.0
    for position, part in enumerate(PARTS):
        values = frame[part].astype(float)
        if values.fillna(0.0).sum() > 0:
            look: dict[str, Any] = {
                "facecolor": style.series(position).color, "hatch": _HATCHES[part], "linewidth": 0.6,
                "edgecolor": style.LIGHT.surface,
            }  # fmt: skip
            axes.barh(frame["y"], values, left=left, height=0.66, **look)
            keys.append(Patch(label=_NAMES[part], **look))
            left = left + values
    return keys


def _good(axes: Axes, frame: pd.DataFrame) -> list[Artist]:
    """The cost of 1,000 good messages; where next to none was good it may be out of scale, and points out of it."""
    ink, good, edge = style.LIGHT.ink, frame["per_1000_good_usd"].astype(float), frame[_COST].max() * _MOST_SCALES
    near = good.where(good <= edge)
    axes.hlines(frame["y"], frame[_COST], good.clip(upper=edge), color=ink, linewidth=1.0, zorder=4)
    keys: list[Artist] = []
    far = good.where(good > edge).clip(upper=edge)
    for values, marker, name in (
        (near, "D", "1,000 good messages"),
        (far, ">", "1,000 good messages, beyond the scale"),
    ):
        if values.notna().any():
            points(axes, values, frame["y"], style.SeriesStyle(ink, marker, "-"), values.notna())
            keys.append(legend_key(name, marker, ink))
    return keys


def finding(models: pd.DataFrame, cells: pd.DataFrame, dimensions: Sequence[str]) -> str:
    """The caption's sentence: the dearest configuration against the cheapest, and what it is paid for."""
    several = len(cells) > 1 and cells[_COST].notna().any()
    frame, dims = (cells, list(dimensions)) if several else (models, ["name"])
    known = frame.dropna(subset=[_COST])
    dear, cheap = highest(known, _COST), lowest(known, _COST)
    text = f"1,000 messages cost {usd(dear[_COST])} in {cell_name(dear, dims)}"
    if dear[_COST] >= 1.05 * cheap[_COST] > 0:
        text = f"{text}, {dear[_COST] / cheap[_COST]:.1f} times as much as in {cell_name(cheap, dims)}"
    output = dear["output"] / dear[_COST] if dear[_COST] > 0 else float("nan")
    paid = f"; {percent(output)} of it is output" if pd.notna(output) else ""
    unknown = int(models[_COST].isna().sum())
    gaps = f" {unknown} of {len(models)} models and tiers have no known price." if unknown else ""
    return (
        f"{text}{paid}.{gaps} Lower is better. n is the billed requests, retries and warm-up included; a good message "
        "met every per-request objective."
    )
