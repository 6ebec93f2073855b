"""ttft_by_input_tokens, e2e_by_output_tokens: does size explain latency, and what does a token cost in time?"""

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.relation import Line
from reports import style
from reports.charts import mesh
from reports.charts.panels import SPOKEN, widen
from reports.charts.percentiles import METRICS
from reports.charts.rows import legend_key, points
from reports.charts.wording import left_out, lower_is_better
from reports.frames import MIN_SAMPLES
from reports.grids import ratio_of
from reports.messages import Messages
from reports.numbers import count, milliseconds, significant
from reports.style import Canvas
from reports.token_effect import Series, TokenEffect

_LINE_POINTS = 24


def latency_by_tokens(found: TokenEffect, canvas: Canvas) -> Figure:
    """Latency over tokens, both log: every request (or bins coloured by their number), medians, lines."""
    figure = canvas.figure((360 if canvas.narrow else 330) + (60 if found.grid else 0))
    axes = figure.subplots()
    if found.grid is None:
        axes.plot(
            found.dots["tokens"], found.dots["ms"], linestyle="none", marker=".", markersize=5, alpha=0.6,
            markeredgewidth=0, color=style.DOT, rasterized=True, zorder=2,
        )  # fmt: skip
        ends = found.dots
    else:
        norm = mesh.norm_of([found.grid])
        mesh.draw(axes, found.grid, norm)
        mesh.colour_bar(figure, [axes], norm, canvas)
        ends = pd.DataFrame({"tokens": found.grid.x_edges[[0, -1]], "ms": found.grid.y_edges[[0, -1]]})
    widen(axes, "x", float(ends["tokens"].min()), float(ends["tokens"].max()))
    widen(axes, "y", float(ends["ms"].min()), float(ends["ms"].max()))
    for position, series in enumerate(found.series):
        _draw(axes, series, style.series(position))
    style.log_axis(axes, "x", 5 if canvas.narrow else 10)
    style.log_axis(axes, "y", 7)
    axes.set_xlabel(found.tokens_of.replace("_", " "))
    axes.set_title(METRICS[found.metric])
    figure.legend(handles=_keys(found), loc="outside upper left", ncols=1 if canvas.narrow else 3)
    return figure


def _draw(axes: Axes, series: Series, look: style.SeriesStyle) -> None:
    bins = series.bins
    for color, width in ((style.LIGHT.surface, 4.0), (look.color, 1.6)):
        axes.vlines(bins["tokens"], bins["p10"], bins["p90"], color=color, linewidth=width, zorder=3)
        if series.line is not None:
            x = np.geomspace(bins["tokens"].min(), bins["tokens"].max(), _LINE_POINTS)
            dash = look.dash if width < 2 else "-"
            axes.plot(x, series.line.at(x), color=color, linewidth=width, linestyle=dash, zorder=4)
    points(axes, bins["tokens"], bins["p50"], look, bins["n"] >= MIN_SAMPLES["p90"], size=6)


def _keys(found: TokenEffect) -> list[Artist]:
    keys: list[Artist] = []
    for position, series in enumerate(found.series):
        look, name = style.series(position), f"{series.name}, n = {count(series.n)}" if series.name else "p50 by size"
        key = Line2D([], [], color=look.color, marker=look.marker, linestyle=look.dash, markersize=6, label=name)
        key.set_linestyle(look.dash if series.line is not None else "none")
        keys.append(key)
    grey = style.LIGHT.muted
    if any(series.bins["p10"].notna().any() for series in found.series):
        keys.append(
            Line2D(
                [],
                [],
                color=grey,
                marker="|",
                markersize=12,
                markeredgewidth=1.6,
                linestyle="none",
                label="p10 to p90 by size",
            )
        )
    if any((series.bins["n"] < MIN_SAMPLES["p90"]).any() for series in found.series):
        keys.append(legend_key(f"fewer than {MIN_SAMPLES['p90']} requests", "o", grey, filled=False))
    if found.grid is None:
        keys.append(legend_key("each request", ".", style.DOT))
    return keys


def finding(found: TokenEffect, everything: Messages) -> str:
    """The caption's sentence: ms per 1,000 tokens with interval and spread, or that there is no relation."""
    what = found.tokens_of.replace("_", " ")
    if not found.n:
        return f"No answered request reported its {what}. {left_out(everything)}".strip()
    metric = SPOKEN[found.metric]
    parts = [_relations(found, metric, what), _no_relations(found, metric, what)]
    parts += [_ends(series, metric, what) for series in found.series if series.line is None]
    parts.append(f"n = {count(found.n)}; marks: medians by size with p10 to p90.")
    if any(series.line is not None for series in found.series):
        parts.append("Lines: Theil-Sen through the medians.")
    if found.grid is not None:
        parts.append(f"Coloured bins are {ratio_of(found.grid.y_edges) * 100:.0f} % high.")
    return " ".join(part for part in [*parts, left_out(everything), lower_is_better()] if part)


def _relations(found: TokenEffect, metric: str, tokens: str) -> str:
    """What 1,000 tokens cost where they cost anything, and how far requests lie from the lines."""
    known = [(series, series.line) for series in found.series if series.line is not None and series.line.is_relation]
    if not known:
        return ""
    slopes = [
        f"{significant(line.slope_ms * 1000.0)} ms{_of(series)} (99 % interval {_interval(line)})"
        for series, line in known
    ]
    low, high = min(line.spread_low for _, line in known), max(line.spread_high for _, line in known)
    return (
        f"{metric[0].upper()}{metric[1:]} per 1,000 {tokens}: {', '.join(slopes)}. 8 of 10 requests take {low:.2f} to "
        f"{high:.2f} times what the line says."
    )


def _no_relations(found: TokenEffect, metric: str, tokens: str) -> str:
    none = [(s, s.line) for s in found.series if s.line is not None and not s.line.is_relation]
    slopes = ", ".join(f"{_interval(line)} ms per 1,000{_of(series)}" for series, line in none)
    return f"No relation of {metric} to {tokens} is visible: its slope lies within {slopes} (99 %)." if none else ""


def _ends(series: Series, metric: str, tokens: str) -> str:
    """Where no line can be drawn: the medians of the smallest and the largest size."""
    known = series.bins.dropna(subset=["tokens", "p50"])
    if len(known) < 2:
        return f"Too few sizes or requests to tell whether {tokens} explain {metric}{_of(series)}."
    first, last = known.iloc[0], known.iloc[-1]
    return (
        f"Median {metric}{_of(series)} is {milliseconds(first['p50'])} ms at {count(first['tokens'])} {tokens} and "
        f"{milliseconds(last['p50'])} ms at {count(last['tokens'])}."
    )


def _of(series: Series) -> str:
    return f" for {series.name}" if series.name else ""


def _interval(line: Line) -> str:
    return f"{significant(line.slope_low * 1000.0)} to {significant(line.slope_high * 1000.0)}"
