"""throughput_comparison: what was due, what was sent, what was answered well."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from reports import style
from reports.charts.rows import Rows, by_hue, cut_note, label_rows, number_column, plan_rows, side_panel
from reports.charts.wording import cell_name, highest, lowest
from reports.numbers import count, percent, rate
from reports.style import Canvas

#: One row of bars, with the legend of a narrow chart above it and the units below.
_LEAST_HEIGHT_PX = 150


def throughput_comparison(frame: pd.DataFrame, dimensions: Sequence[str], canvas: Canvas) -> Figure:
    """Requests a second (offered, sent, good) and output tokens a second per cell; `frame` is `cells_frame`."""
    rows = plan_rows(frame, dimensions)
    figure = canvas.figure(max(rows.height_px + 46, _LEAST_HEIGHT_PX))
    panels = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    label_rows(panels[0], rows, canvas)
    _rates(panels[0], rows)
    for color, part in by_hue(rows):
        panels[1].barh(
            part["y"], part["total_output_tokens_per_s"].astype(float), height=0.62, color=color, linewidth=0
        )
    for axes, unit, ticks in ((panels[0], "requests/s", 6), (panels[1], "output tokens/s", 4)):
        style.zero_axis(axes, "x", 2 if canvas.narrow else ticks)
        axes.set_xlabel(unit)
    side_panel(panels[1])
    number_column(panels[1], rows, "n", [count(n) for n in rows.frame["requests"]], 38)
    figure.legend(handles=_keys(), loc="outside upper left", ncols=1 if canvas.narrow else 3)
    return figure


def _rates(axes: Axes, rows: Rows) -> None:
    for color, part in by_hue(rows):
        axes.barh(part["y"], part["achieved_rps"].astype(float), height=0.66, color=color, alpha=0.35, linewidth=0)
        axes.barh(part["y"], part["goodput_rps"].astype(float), height=0.3, color=color, linewidth=0)
    offered = rows.frame.dropna(subset=["offered_rps"])
    axes.plot(
        offered["offered_rps"].astype(float), offered["y"], linestyle="none", marker="|", markersize=14,
        markeredgewidth=1.8, color=style.LIGHT.ink, zorder=5, clip_on=False,
    )  # fmt: skip


def _keys() -> list[Artist]:
    grey = style.LIGHT.muted
    return [
        Line2D([], [], linestyle="none", marker="|", markersize=12, color=style.LIGHT.ink, label="offered"),
        Patch(color=grey, alpha=0.35, label="sent"),
        Line2D([], [], color=grey, linewidth=4, label="met every per-request objective (goodput)"),
    ]


def finding(frame: pd.DataFrame, dimensions: Sequence[str]) -> str:
    """The caption's sentence: the highest rate sent, and where the least of the offered load was answered well."""
    known = frame.dropna(subset=["achieved_rps"])
    if known.empty:
        return "Nothing was measured, so there is no throughput."
    best = highest(known, "achieved_rps")
    name = f"Most was sent in {cell_name(best, dimensions)}" if len(known) > 1 else "Sent"
    text = f"{name}: {rate(best['achieved_rps'])} requests/s."
    return (
        f"{text}{_lost(known, dimensions)} Higher is better; the tick is the offered rate. Rates are those of the "
        f"measured window; n counts the attempts of all phases.{cut_note(frame)}"
    )


def _lost(known: pd.DataFrame, dimensions: Sequence[str]) -> str:
    offered = known[(known["offered_rps"].astype(float) > 0) & known["goodput_rps"].notna()]
    if offered.empty:
        return ""
    shares = offered.assign(share=offered["goodput_rps"].astype(float) / offered["offered_rps"].astype(float))
    worst = lowest(shares, "share")
    share = percent(min(1.0, float(worst["share"])))
    if len(offered) == 1:
        return f" Goodput is {share} of the offered rate."
    return f" Goodput is the smallest share of the offered rate in {cell_name(worst, dimensions)}: {share}."
