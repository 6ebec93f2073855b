"""latency_over_time_heatmap: bands, drift, bursts? Requests by when they were due and how long they took."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports import style
from reports.charts import mesh
from reports.charts.overview import name_bands, say, shade_bands
from reports.charts.panels import SPOKEN, widen
from reports.charts.percentiles import METRICS
from reports.charts.wording import highest
from reports.course import Course
from reports.frames import MIN_SAMPLES
from reports.grids import ratio_of
from reports.numbers import count, milliseconds
from reports.style import Canvas
from reports.text import shorten
from reports.timeline import Timeline

#: A p50 that changes by less than this ratio over a run has hardly moved.
_STEADY = 1.25
_LINES = (("p50", 0), ("upper", 1))


def latency_over_time_heatmap(found: Course, time: Timeline, canvas: Canvas) -> Figure:
    """A panel per metric over elapsed time, bins of latency coloured by their requests, percentiles on top."""
    figure = canvas.figure(520 if canvas.narrow else 470)
    panels = figure.subplots(2, 1, sharex=True)
    norm = mesh.norm_of(list(found.grids.values()))
    for axes, (metric, title) in zip(panels, METRICS.items(), strict=True):
        axes.set_title(title)
        shade_bands(axes, time.bands)
        axes.grid(visible=False, axis="x")
        grid = found.grids.get(metric)
        if grid is None:
            say(axes, "no answer has this latency")
            axes.set_yticks([])
            continue
        mesh.draw(axes, grid, norm)
        _percentiles(axes, found.lines[found.lines["metric"] == metric])
        low, high = float(grid.y_edges[0]), float(grid.y_edges[-1])
        widen(axes, "y", low, high * (high / low) ** (0.12 if metric == "ttft_ms" else 0.0))
        style.log_axis(axes, "y", 5)
    name_bands(panels[0], time, canvas)
    style.time_axis(panels[-1], time.span_s + time.width_s, 5 if canvas.narrow else 10)
    panels[-1].set_xlabel("elapsed since the first arrival, min:s")
    mesh.colour_bar(figure, list(panels), norm, canvas)
    _legend(figure, found)
    return figure


def _percentiles(axes: Axes, lines: pd.DataFrame) -> None:
    for column, position in _LINES:
        look = style.series(position)
        for color, width in ((style.LIGHT.surface, 3.2), (_ink(position), 1.5)):
            dash = "-" if width > 2 else look.dash
            is_lone = lines[column].shift().isna() & lines[column].shift(-1).isna()
            axes.plot(
                lines["at_s"][is_lone],
                lines[column][is_lone],
                color=color,
                marker=".",
                markersize=width * 4,
                linestyle="none",
                zorder=4,
            )
            axes.plot(lines["at_s"], lines[column], color=color, linewidth=width, linestyle=dash, zorder=4)


def _ink(position: int) -> str:
    return style.LIGHT.ink if position == 0 else style.series(position).color


def _legend(figure: Figure, found: Course) -> None:
    names = {"p50": "p50", "upper": found.upper}
    keys = [
        Line2D([], [], color=_ink(position), linestyle=style.series(position).dash, linewidth=1.5, label=names[column])
        for column, position in _LINES
        if found.lines[column].notna().any()
    ]
    if keys:
        figure.legend(handles=keys, loc="outside upper left", ncols=2)


def finding(found: Course, cells: Mapping[str, str]) -> str:
    """The caption's sentence: how far the median moved within a cell, and the stated widths of the bins.

    `cells` are the labels of the cells by name.
    """
    if not found.grids:
        return "No request was answered, so there is no latency over time."
    moved = [_moved(found.lines[found.lines["metric"] == metric], metric, cells) for metric in found.grids]
    bins = " and ".join(
        f"{ratio_of(grid.y_edges) * 100:.0f} % of {SPOKEN[metric]}" for metric, grid in found.grids.items()
    )
    return (
        f"{' '.join(dict.fromkeys(moved))} n = {count(found.n)}, warm-up and ramp included (unshaded). Each bin is "
        f"{found.width_s:g} s of intended starts wide and {bins} high; lines: windows of {found.window_s:g} s. "
        "Lower is better."
    )


def _moved(lines: pd.DataFrame, metric: str, cells: Mapping[str, str]) -> str:
    """The cell whose median moved most between windows, of windows that are not ruled by chance."""
    known = lines[lines["n"] >= MIN_SAMPLES["p90"]]
    medians = known.groupby("cell", sort=False)["p50"].agg(["min", "max", "size"])
    medians = medians[medians["size"] > 1]
    if medians.empty:
        return f"No cell has two windows of {MIN_SAMPLES['p90']} answers, so drift cannot be told from chance."
    most = highest(medians.assign(ratio=medians["max"] / medians["min"]).reset_index(), "ratio")
    values = f"between {milliseconds(most['min'])} and {milliseconds(most['max'])} ms"
    if most["ratio"] < _STEADY:
        if lines["cell"].nunique() > 1:
            return f"The median {SPOKEN[metric]} is steady within each cell: {values} where it moves most."
        return f"The median {SPOKEN[metric]} is steady: {values}."
    name = shorten(cells.get(str(most["cell"]), str(most["cell"])), 40)
    where = f"most in {name}: " if lines["cell"].nunique() > 1 else ""
    return f"The median {SPOKEN[metric]} moves {where}{values}."
