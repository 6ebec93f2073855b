"""cost_what_if: what a month would cost with each lever pulled, against the month as measured and its limit."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports import style
from reports.charts.chart import Chart
from reports.charts.strips import limit_key
from reports.charts.wording import highest, lowest
from reports.cost_frames import AS_MEASURED, what_if_costs
from reports.material import Material
from reports.numbers import count, signed_percent, usd
from reports.style import Canvas
from reports.text import shorten

_ROW_PX = 38
_CHAR_PX = 7.0
_MONTH = "monthly_usd"


def charts(material: Material) -> Iterator[Chart]:
    """The chart of a run whose month has a price; none for others."""
    frame, cost = what_if_costs(material), material.summary.get("cost") or {}
    if not frame.empty:
        limit_usd, billed = cost.get("monthly_cost_limit_usd"), cost.get("billed_requests")
        yield Chart(
            "cost_what_if",
            "A month as measured, and with each lever pulled",
            finding(frame, limit_usd, cost.get("daily_messages"), billed),
            "Bars from zero, one for the projected monthly cost as measured and one for each what-if, with the monthly "
            "limit as a line.",
            "cost",
            lambda canvas: cost_what_if(frame, limit_usd, canvas),
            section="cost",
        )


def cost_what_if(frame: pd.DataFrame, limit_usd: float | None, canvas: Canvas) -> Figure:
    """One bar per what-if with its words above it; `frame` is `cost_frames.what_if_costs`."""
    figure = canvas.figure(len(frame) * _ROW_PX + 80)
    axes = figure.subplots()
    measured = float(frame[_MONTH].iloc[0])
    for y, (_, row) in enumerate(frame.iterrows()):
        is_base = row["change"] == AS_MEASURED
        color = style.LIGHT.muted if is_base else style.series(0 if row[_MONTH] <= measured else 1).color
        hatch = "///" if not is_base and row[_MONTH] > measured else ""
        axes.barh(y, row[_MONTH], height=0.36, color=color, hatch=hatch, edgecolor=style.LIGHT.surface, linewidth=0)
    _words(axes, frame, canvas)
    axes.axvline(measured, color=style.LIGHT.muted, linewidth=1.0, linestyle=(0, (1, 2)), zorder=3)
    keys: list[Artist] = [
        Line2D([], [], color=style.LIGHT.muted, linewidth=1.0, linestyle=(0, (1, 2)), label=AS_MEASURED)
    ]
    keys += _limit(axes, limit_usd)
    style.zero_axis(axes, "x", 3 if canvas.narrow else 7)
    axes.set_yticks([])
    axes.set_ylim(len(frame) - 0.6, -0.75)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("USD a month")
    figure.legend(handles=keys, loc="outside upper left", ncols=2)
    return figure


def _words(axes: Axes, frame: pd.DataFrame, canvas: Canvas) -> None:
    for y, (_, row) in enumerate(frame.iterrows()):
        change = "" if pd.isna(row["delta_pct"]) else f" ({signed_percent(row['delta_pct'])})"
        figures = f"{usd(row[_MONTH])}{change}"
        room = int(canvas.width_px / _CHAR_PX) - len(figures) - 3
        for x, text, side in ((0.0, shorten(str(row["change"]), room), "left"), (1.0, figures, "right")):
            axes.text(
                x, y - 0.24, text, transform=axes.get_yaxis_transform(), ha=side, va="bottom",
                fontsize=style.SMALL_PT, color=style.LIGHT.ink, fontweight="bold" if y == 0 else "normal", zorder=6,
                bbox={"facecolor": style.LIGHT.surface, "edgecolor": "none", "pad": 0.6}, in_layout=False,
            )  # fmt: skip


def _limit(axes: Axes, limit_usd: float | None) -> list[Artist]:
    """The monthly limit as a line, unless it is so far above that it would flatten the bars."""
    if limit_usd is None:
        return []
    name, top = f"limit {usd(limit_usd)}", axes.get_xlim()[1]
    if limit_usd > 4 * top:
        return [limit_key(f"{name}, far above")]
    key = limit_key(name)
    axes.axvline(limit_usd, color=key.get_color(), linewidth=key.get_linewidth(), linestyle=key.get_linestyle())
    axes.set_xlim(0, max(top, limit_usd * 1.05))
    return [key]


def finding(frame: pd.DataFrame, limit_usd: float | None, daily_messages: float | None, billed: float | None) -> str:
    """The caption's sentence: the month as measured against its limit, and the levers that move it most."""
    month = float(frame[_MONTH].iloc[0])
    against = ""
    if limit_usd is not None:
        against = f", {'above' if month > limit_usd else 'within'} the limit of {usd(limit_usd)}"
    changes = frame.iloc[1:]
    least, most = lowest(changes, _MONTH), highest(changes, _MONTH)
    text = f"At {count(daily_messages)} messages a day a month costs {usd(month)}{against}."
    parts = [
        f"{shorten(str(row['change']), 90)} {verb} it to {usd(row[_MONTH])} ({signed_percent(row['delta_pct'])})"
        for row, verb, is_move in ((least, "lowers", least[_MONTH] < month), (most, "raises", most[_MONTH] > month))
        if is_move
    ]
    moves = "".join(f" {part[:1].upper()}{part[1:]}." for part in parts)
    basis = f"Tokens of {count(billed)} billed requests at catalogue prices, one lever at a time."
    return f"{text}{moves} Lower is better. {basis}"
