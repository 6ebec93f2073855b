"""percentile_spectrum: what is the tail? Every percentile from the median up, each decade of the axis another nine."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from analysis.curves import MIN_VALUES_BEYOND
from reports import style
from reports.charts.overview import say
from reports.charts.panels import (
    LIMIT_DASH,
    SPOKEN,
    beyond_reach,
    in_full,
    latency_panels,
    limit_key,
    named,
    widen,
    within_reach,
)
from reports.charts.wording import left_out, lower_is_better
from reports.curves import INTENDED, METRICS, SENT
from reports.messages import Messages
from reports.numbers import count, milliseconds, percent
from reports.promises import Promise, of_metric
from reports.style import Canvas

#: Curves nearer to each other than this share of their value are one.
SAME_WITHIN = 0.01
#: Percentiles marked on a curve and named at the axis.
_MARKED = (0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
_LABELS = {
    0.5: "p50",
    0.75: "p75",
    0.9: "p90",
    0.95: "p95",
    0.99: "p99",
    0.999: "p99.9",
    0.9999: "p99.99",
    0.99999: "p99.999",
}
_NAMES = {INTENDED: "from the intended start", SENT: "from the sending (service alone)"}


def percentile_spectrum(frame: pd.DataFrame, limits: Sequence[Promise], canvas: Canvas) -> Figure:
    """A panel per metric: latency over 1 / (1 - percentile), both log, limits as steps; `frame` is `curves.spectra`."""
    limits = [limit for limit in limits if limit.share > 0.5]
    last = max([0.0, *frame["share"], *(limit.share for limit in limits if limit.share < 1.0)])
    panels = latency_panels(canvas, 250, sharex=True)
    keys: dict[str, Artist] = {}
    for metric, axes in panels.by_metric.items():
        part = frame[frame["metric"] == metric]
        if part.empty:
            say(axes, f"fewer than {2 * MIN_VALUES_BEYOND + 1} values: no tail to show")
            axes.set_axis_off()
            continue
        for key in _panel(axes, part, of_metric(limits, metric), last):
            keys.setdefault(str(key.get_label()), key)
        _percentile_axis(axes, last, canvas)
    if keys:
        panels.figure.legend(handles=list(keys.values()), loc="outside upper left", ncols=1 if canvas.narrow else 3)
    return panels.figure


def _panel(axes: Axes, part: pd.DataFrame, limits: Sequence[Promise], last: float) -> list[Artist]:
    shown = _different(part)
    low, high = float(shown["value_ms"].min()), float(shown["value_ms"].max())
    drawn = within_reach(limits, low, high)
    heights = [low, high, *(limit.limit_ms for limit in drawn)]
    widen(axes, "y", min(heights), max(heights))
    axes.set_xscale("log")
    axes.set_xlim(_nines(0.5), _nines(last) * 1.15)
    _limit_steps(axes, drawn)
    keys: list[Artist] = [_curve(axes, curve, str(name)) for name, curve in shown.groupby("curve", sort=False)]
    if len(keys) == 1:
        keys[0].set_label(f"{_NAMES[INTENDED]}; the same from the sending")
    style.log_axis(axes, "y", 6)
    return [*keys, *(limit_key(in_full(limit)) for limit in drawn), *beyond_reach(limits, drawn)]


def _different(part: pd.DataFrame) -> pd.DataFrame:
    """Both curves where they differ, else the one from the intended start."""
    return part if _apart(part) > SAME_WITHIN else part[part["curve"] == INTENDED]


def _apart(part: pd.DataFrame) -> float:
    """Largest distance of the two curves as a share of the lower one; 0 where there is one alone."""
    one, other = (part[part["curve"] == name] for name in (INTENDED, SENT))
    if one.empty or other.empty:
        return 0.0
    service = np.interp(one["share"], other["share"], other["value_ms"])
    return float((one["value_ms"].to_numpy() / service - 1.0).max())


def _nines(share: float) -> float:
    return 1.0 / (1.0 - share)


def _curve(axes: Axes, points: pd.DataFrame, name: str) -> Line2D:
    position = (INTENDED, SENT).index(name)
    look = style.series(position)
    share, value = points["share"].to_numpy(float), points["value_ms"].to_numpy(float)
    axes.plot(1.0 / (1.0 - share), value, color=look.color, linestyle=look.dash, zorder=4 - position)
    marked = np.array([each for each in _MARKED if share[0] <= each <= share[-1]])
    axes.plot(
        1.0 / (1.0 - marked), np.interp(marked, share, value), linestyle="none", marker=look.marker, color=look.color,
        markersize=5, zorder=5, clip_on=False,
    )  # fmt: skip
    return Line2D([], [], color=look.color, linestyle=look.dash, marker=look.marker, markersize=5, label=_NAMES[name])


def _limit_steps(axes: Axes, limits: Sequence[Promise]) -> None:
    """The promises as a staircase that the curve must stay below: up to each one's percentile, its limit holds."""
    shares = sorted({limit.share for limit in limits})
    x, y = [axes.get_xlim()[0]], [0.0]
    for share in shares:
        ceiling = min((limit for limit in limits if limit.share >= share), key=lambda limit: limit.limit_ms)
        y[-1] = ceiling.limit_ms
        right = axes.get_xlim()[1] if share == 1.0 else _nines(share)
        x += [right, right]
        y += [ceiling.limit_ms, axes.get_ylim()[1]]
    axes.plot(x, y, color=style.LIGHT.limit, linewidth=1.2, linestyle=LIMIT_DASH, zorder=3)


def _percentile_axis(axes: Axes, last: float, canvas: Canvas) -> None:
    decades = np.log10(_nines(last))
    crowded = decades > (2.5 if canvas.narrow else 3.2)
    ticks = [share for share in _LABELS if share <= last and (share in _MARKED or not crowded)]
    axes.xaxis.set_major_locator(FixedLocator([_nines(share) for share in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: _LABELS.get(round(1.0 - 1.0 / value, 7), ""))
    axes.tick_params(axis="x", labelbottom=True)
    axes.set_xlabel("percentile (each decade: one more nine)")


def finding(frame: pd.DataFrame, limits: Sequence[Promise], found: Messages) -> str:
    """The caption's sentence: the tail, where limits are passed, how far the two starts differ."""
    if frame.empty:
        least = 2 * MIN_VALUES_BEYOND + 1
        return f"A tail takes {least} values; there are {count(len(found.answered))}. {left_out(found)}".strip()
    parts = [_tail(frame[(frame["metric"] == metric) & (frame["curve"] == INTENDED)], limits) for metric in METRICS]
    parts += [_starts(frame), f"Curves end where fewer than {MIN_VALUES_BEYOND} values lie beyond.", left_out(found)]
    return " ".join([*(part for part in parts if part), lower_is_better()])


def _tail(points: pd.DataFrame, limits: Sequence[Promise]) -> str:
    if points.empty:
        return ""
    metric, last = str(points["metric"].iloc[0]), float(points["share"].max())
    share = max(each for each in (0.5, 0.9, 0.95, 0.99) if each <= last)
    high, median = (float(np.interp(each, points["share"], points["value_ms"])) for each in (share, 0.5))
    times = f", {high / median:.1f} times the median" if share > 0.5 else ""
    head = f"{_LABELS[share]} {SPOKEN[metric]} is {milliseconds(high)} ms{times} (n = {count(points['n'].iloc[0])})"
    return (
        "; ".join([head, *(_passes(points, limit) for limit in of_metric(limits, metric) if limit.share > 0.5)]) + "."
    )


def _passes(points: pd.DataFrame, limit: Promise) -> str:
    """Up to which percentile a limit holds."""
    values, shares = points["value_ms"].to_numpy(float), points["share"].to_numpy(float)
    if values[0] > limit.limit_ms:
        return f"the {named(limit)} is passed below the median"
    if values[-1] <= limit.limit_ms:
        return f"the {named(limit)} holds as far as the curve goes"
    return f"the {named(limit)} holds up to {_percentile(float(np.interp(limit.limit_ms, values, shares)))}"


def _percentile(share: float) -> str:
    """`p94.8`, `p99.93`: as many digits as tell it from the next nine."""
    digits = max(1, math.ceil(-math.log10(1.0 - share)) - 1) if share < 1.0 else 0
    return f"p{share * 100.0:.{digits}f}"


def _starts(frame: pd.DataFrame) -> str:
    """How far the curves from the intended start lie above those from the sending."""
    apart = {metric: _apart(frame[frame["metric"] == metric]) for metric in METRICS}
    metric = max(apart, key=lambda name: apart[name])
    if apart[metric] <= SAME_WITHIN:
        return "Counted from the sending the curves are the same within 1 %: nothing waited to be sent."
    return (
        f"From the intended start {SPOKEN[metric]} is up to {percent(apart[metric])} longer than from the sending: "
        "that part was spent waiting to be sent."
    )
