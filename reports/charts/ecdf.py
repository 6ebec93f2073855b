"""ecdf_by_tier, ecdf_by_size, ecdf_by_model: the whole shape of the latencies, one line per part of the traffic."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, PercentFormatter

from reports import style
from reports.charts.overview import say
from reports.charts.panels import (
    LIMIT_DASH,
    SPOKEN,
    beyond_reach,
    in_full,
    latency_panels,
    limit_key,
    widen,
    within_reach,
)
from reports.charts.rows import points
from reports.charts.wording import highest, left_out, lower_is_better, lowest
from reports.curves import MAX_GROUPS, METRICS, largest
from reports.frames import MIN_SAMPLES
from reports.messages import Messages
from reports.numbers import count, milliseconds, percent
from reports.promises import Promise, of_metric
from reports.style import Canvas
from reports.text import shorten_to_columns

#: Quantiles marked on every line; hollow where its values are too few for them.
_MARKED = {"p50": 0.5, "p95": 0.95}
#: The slowest line is called slower from this ratio on.
_ALIKE = 1.05


def ecdf_by_part(frame: pd.DataFrame, groups: pd.DataFrame, limits: Sequence[Promise], canvas: Canvas) -> Figure:
    """A panel per metric: the share of answers no slower than a latency, a line for each of `groups`.

    `frame` is `curves.ecdfs` of those groups, `groups` comes from `curves.group_names`.
    """
    panels = latency_panels(canvas, 250)
    keys: dict[str, Artist] = {}
    for metric, axes in panels.by_metric.items():
        part = frame[frame["metric"] == metric]
        if part.empty:
            say(axes, "no answer has this latency")
            axes.set_axis_off()
            continue
        for key in _panel(axes, part, groups, of_metric(limits, metric), canvas):
            keys.setdefault(str(key.get_label()), key)
    handles = [*_group_keys(groups, canvas), *keys.values()]
    panels.figure.legend(handles=handles, loc="outside upper left", ncols=1 if canvas.narrow else 2)
    return panels.figure


def _panel(
    axes: Axes, part: pd.DataFrame, groups: pd.DataFrame, limits: Sequence[Promise], canvas: Canvas
) -> list[Artist]:
    low, high = float(part["value_ms"].min()), float(part["value_ms"].max())
    drawn = within_reach(limits, low, high)
    ends = [low, high, *(limit.limit_ms for limit in drawn)]
    widen(axes, "x", min(ends), max(ends))
    for limit in drawn:
        _limit(axes, limit)
    for position, name in enumerate(groups["name"]):
        _line(axes, part[part["curve"] == name], style.series(position))
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_locator(FixedLocator([0.0, 0.25, 0.5, 0.75, 1.0]))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    axes.set_ylabel("answers within")
    style.log_axis(axes, "x", 4 if canvas.narrow else 6)
    return [limit_key(in_full(limit)) for limit in drawn] + beyond_reach(limits, drawn)


def _limit(axes: Axes, limit: Promise) -> None:
    """A limit as a line, with a tick at the share that has to lie left of it."""
    axes.axvline(limit.limit_ms, color=style.LIGHT.limit, linewidth=1.2, linestyle=LIMIT_DASH, zorder=2)
    axes.plot([limit.limit_ms], [limit.share], marker="_", markersize=11, markeredgewidth=2, color=style.LIGHT.limit)


def _line(axes: Axes, curve: pd.DataFrame, look: style.SeriesStyle) -> None:
    if curve.empty:
        return
    share, value, n = curve["share"].to_numpy(float), curve["value_ms"].to_numpy(float), int(curve["n"].iloc[0])
    axes.plot(value, share, color=look.color, linestyle=look.dash, zorder=3)
    at = pd.Series(list(_MARKED.values()))
    firm = pd.Series([n >= MIN_SAMPLES[name] for name in _MARKED])
    points(axes, pd.Series(np.interp(at, share, value)), at, look, firm, size=5)


def _group_keys(groups: pd.DataFrame, canvas: Canvas) -> list[Artist]:
    keys: list[Artist] = []
    for position, group in enumerate(groups.to_dict("records")):
        look = style.series(position)
        lost = f" + {percent(group['unanswered_share'])} unanswered" if group["unanswered"] else ""
        label = f"{shorten_to_columns(str(group['name']), canvas.label_chars)}, n = {count(group['n'])}{lost}"
        keys.append(
            Line2D([], [], color=look.color, linestyle=look.dash, marker=look.marker, markersize=5, label=label)
        )
    if (groups["n"] < MIN_SAMPLES["p95"]).any():
        grey = style.LIGHT.muted
        keys.append(
            Line2D(
                [],
                [],
                color=grey,
                marker="o",
                markerfacecolor=style.LIGHT.surface,
                linestyle="none",
                label="hollow: too few for a p50 or p95",
            )
        )
    return keys


def finding(frame: pd.DataFrame, groups: pd.DataFrame, limits: Sequence[Promise], found: Messages) -> str:
    """The caption's sentence: slowest against fastest part, the part that breaks a limit most, what has no latency."""
    shown = largest(groups)
    parts = [_spread(frame[frame["metric"] == metric], metric) for metric in METRICS]
    fewest = [text for limit in limits if (text := _fewest(frame[frame["metric"] == limit.metric], limit))]
    parts.append(f"Fewest answers within {'; within '.join(fewest)}." if fewest else "")
    if len(shown) < len(groups):
        parts.append(f"The {MAX_GROUPS} largest of {len(groups)} are drawn.")
    parts += [left_out(found), "Marks: p50 and p95. Requests of all other settings are pooled.", lower_is_better()]
    return " ".join(part for part in parts if part)


def _spread(part: pd.DataFrame, metric: str) -> str:
    """The slowest and the fastest line by p95 where every one has a firm one, else by p50."""
    sizes = part.groupby("curve", sort=False)["n"].first()
    stat = "p95" if len(sizes) and (sizes >= MIN_SAMPLES["p95"]).all() else "p50"
    firm = [str(name) for name, n in sizes.items() if n >= MIN_SAMPLES[stat]]
    if len(firm) < 2:
        return ""
    rows = [{"name": name, "value": _at(part, name, _MARKED[stat])} for name in firm]
    slow, fast = highest(pd.DataFrame(rows), "value"), lowest(pd.DataFrame(rows), "value")
    values, ratio = f"{milliseconds(fast['value'])} to {milliseconds(slow['value'])} ms", slow["value"] / fast["value"]
    if ratio < _ALIKE:
        return f"{stat} {SPOKEN[metric]} is nearly the same in all: {values}."
    return f"{stat} {SPOKEN[metric]} is {ratio:.1f} times as long for {slow['name']} as for {fast['name']}: {values}."


def _at(part: pd.DataFrame, name: str, share: float) -> float:
    curve = part[part["curve"] == name]
    return float(np.interp(share, curve["share"], curve["value_ms"]))


def _fewest(part: pd.DataFrame, limit: Promise) -> str:
    """Which line has the fewest answers within a limit, and how many."""
    rows = [
        {
            "name": name,
            "share": float(np.interp(limit.limit_ms, curve["value_ms"], curve["share"], left=0.0, right=1.0)),
        }
        for name, curve in part.groupby("curve", sort=False)
    ]
    worst = lowest(pd.DataFrame(rows), "share") if rows else None
    return "" if worst is None else f"{in_full(limit)}: {worst['name']}, {percent(worst['share'])}"
