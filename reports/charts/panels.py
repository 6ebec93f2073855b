"""What charts of two panels share, time to first token and whole response: panels, limits, notes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports import style
from reports.charts.percentiles import METRICS
from reports.numbers import milliseconds
from reports.promises import Promise
from reports.style import Canvas

LIMIT_DASH = (0, (4, 3))
#: A limit so many times beyond all values is named, not drawn: it would flatten them.
_TOO_FAR = 6.0
#: Names of the metrics in sentences.
SPOKEN = {"ttft_ms": "TTFT", "e2e_ms": "whole response"}


@dataclass(frozen=True, slots=True)
class Panels:
    """A figure with a panel for each latency metric: side by side, on a phone one below the other."""

    figure: Figure
    by_metric: dict[str, Axes]


def latency_panels(canvas: Canvas, height_px: float, **sharing: Any) -> Panels:
    """Titled panels for time to first token and whole response, each `height_px` high."""
    shape = (2, 1) if canvas.narrow else (1, 2)
    figure = canvas.figure(height_px * shape[0] + 40)
    grid = figure.subplots(*shape, squeeze=False, **sharing).ravel()
    for axes, title in zip(grid, METRICS.values(), strict=True):
        axes.set_title(title)
    return Panels(figure, dict(zip(METRICS, grid, strict=True)))


def within_reach(limits: Sequence[Promise], low: float, high: float) -> list[Promise]:
    """The limits that can be drawn beside values from `low` to `high` ms without flattening them."""
    return [limit for limit in limits if low / _TOO_FAR <= limit.limit_ms <= high * _TOO_FAR]


def beyond_reach(limits: Sequence[Promise], drawn: Sequence[Promise]) -> list[Artist]:
    """Legend entries that name the limits that are not drawn."""
    return [limit_key(f"{in_full(limit)}, off the axis") for limit in limits if limit not in drawn]


def named(limit: Promise) -> str:
    """`p95 limit 400 ms`, `SLA 3 s`."""
    return limit.name if limit.name.startswith("SLA") else f"{limit.name} {milliseconds(limit.limit_ms)} ms"


def in_full(limit: Promise) -> str:
    """`TTFT p95 limit 400 ms`, `SLA 3 s`."""
    return named(limit) if limit.name.startswith("SLA") else f"{SPOKEN[limit.metric]} {named(limit)}"


def limit_key(label: str) -> Line2D:
    """The legend's entry of a limit."""
    return Line2D([], [], color=style.LIGHT.limit, linewidth=1.2, linestyle=LIMIT_DASH, label=label)


def widen(axes: Axes, which: Literal["x", "y"], low: float, high: float) -> None:
    """Let a logarithmic axis show `low` to `high` with some room; a single value gets a third of a decade."""
    margin = max((high / low) ** 0.04, 1.06) if high > low * 1.5 else 1.5
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    (axes.set_xlim if which == "x" else axes.set_ylim)(low / margin, high * margin)
