"""p50_p95_comparison: the typical request and the slow one, side by side for every cell."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports import style
from reports.charts.rows import (
    Rows,
    by_hue,
    cut_note,
    label_rows,
    legend_key,
    number_column,
    plan_rows,
    points,
    side_panel,
)
from reports.charts.wording import cell_name, highest, lower_is_better
from reports.frames import MIN_SAMPLES
from reports.numbers import count, milliseconds
from reports.style import Canvas

METRICS = {"ttft_ms": "time to first token, ms", "e2e_ms": "whole response, ms"}
#: The same for a phone.
SHORT_METRICS = {"ttft_ms": "TTFT, ms", "e2e_ms": "response, ms"}

#: Longer labels of the rows leave a phone's panels less room for ticks.
_SHORT_LABEL_CHARS = 10


def p50_p95_comparison(
    frame: pd.DataFrame, dimensions: Sequence[str], limits: Mapping[str, float], canvas: Canvas
) -> Figure:
    """One row per cell and a panel per metric: p50 and p95 with their 95 % intervals on a log axis.

    `frame` is `frames.cells_frame`; `limits` are objectives' limits by metric, in ms, drawn as lines.
    """
    rows = plan_rows(frame, dimensions)
    figure = canvas.figure(rows.height_px + 46)
    panels = figure.subplots(1, 2, sharey=True)
    label_rows(panels[0], rows, canvas)
    names = SHORT_METRICS if canvas.narrow else METRICS
    has_long_labels = rows.frame["row"].astype(str).str.len().max() > _SHORT_LABEL_CHARS
    ticks = (2 if has_long_labels else 3) if canvas.narrow else 5 if has_long_labels else 7
    for axes, (metric, title) in zip(panels, names.items(), strict=True):
        _panel(axes, rows, metric, limits.get(metric))
        style.log_axis(axes, "x", ticks)
        axes.set_xlabel(title)
    side_panel(panels[1])
    number_column(panels[1], rows, "n", [count(n) for n in rows.frame["n"]], 38)
    figure.legend(handles=_keys(rows, limits), loc="outside upper left", ncols=2 if canvas.narrow else 5)
    return figure


def _panel(axes: Axes, rows: Rows, metric: str, limit: float | None) -> None:
    for color, part in by_hue(rows):
        y, p50, p95 = part["y"], part[f"{metric}_p50"].astype(float), part[f"{metric}_p95"].astype(float)
        axes.hlines(y, p50, p95, color=color, linewidth=1.2, zorder=3)
        for stat, marker, value in (("p50", "o", p50), ("p95", "D", p95)):
            low, high = (part[f"{metric}_{stat}_{end}"].astype(float) for end in ("low", "high"))
            axes.hlines(y, low, high, color=color, linewidth=5, alpha=0.35, zorder=2.5)
            points(axes, value, y, style.SeriesStyle(color, marker, "-"), part[f"{metric}_{stat}_firm"])
    if limit is not None:
        axes.axvline(limit, color=style.LIGHT.limit, linewidth=1.2, linestyle=(0, (4, 3)), zorder=2)


def _keys(rows: Rows, limits: Mapping[str, float]) -> list[Artist]:
    grey = style.LIGHT.muted
    keys: list[Artist] = [legend_key("p50", "o", grey), legend_key("p95", "D", grey)]
    if rows.frame[[f"{metric}_p50_low" for metric in METRICS]].notna().any(axis=None):
        keys.append(Line2D([], [], color=grey, linewidth=5, alpha=0.35, label="95 % interval"))
    if not rows.frame[[f"{metric}_p95_firm" for metric in METRICS]].all(axis=None):
        keys.append(legend_key("too few requests", "D", grey, filled=False))
    if limits:
        keys.append(Line2D([], [], color=style.LIGHT.limit, linewidth=1.2, linestyle=(0, (4, 3)), label="p95 limit"))
    return keys


def finding(frame: pd.DataFrame, dimensions: Sequence[str], limits: Mapping[str, float]) -> str:
    """The caption's sentence: the slowest firm TTFT p95 and how far above its p50; the slowest p50 if none is firm."""
    known = frame.dropna(subset=["ttft_ms_p50"])
    firm = known[known["ttft_ms_p95_firm"].astype(bool)]
    if known.empty:
        return "No request was answered, so there are no percentiles."
    stat = "p50" if firm.empty else "p95"
    slow = highest(known if firm.empty else firm, f"ttft_ms_{stat}")
    value = f"{milliseconds(slow[f'ttft_ms_{stat}'])} ms"
    text = (
        f"TTFT {stat} is highest in {cell_name(slow, dimensions)}: {value}"
        if len(known) > 1
        else f"TTFT {stat} is {value}"
    )
    if stat == "p95" and slow["ttft_ms_p50"] > 0:
        text += f", {slow['ttft_ms_p95'] / slow['ttft_ms_p50']:.1f} times its p50"
    rest = "" if stat == "p95" else f" No cell has the {MIN_SAMPLES['p95']} requests that a firm p95 needs."
    return f"{text} (n = {count(slow['n'])}).{rest}{_misses(known, limits)} {lower_is_better()}{cut_note(frame)}"


def _misses(known: pd.DataFrame, limits: Mapping[str, float]) -> str:
    parts = []
    for metric, name in (("ttft_ms", "TTFT"), ("e2e_ms", "whole response")):
        firm = known[known[f"{metric}_p95_firm"].astype(bool)]
        if metric in limits and len(firm):
            over = int((firm[f"{metric}_p95"].astype(float) > limits[metric]).sum())
            cells = f"{len(firm)} {'cell' if len(firm) == 1 else 'cells'} with a firm p95"
            parts.append(f"{name} p95 exceeds {milliseconds(limits[metric])} ms in {over} of {cells}")
    return f" {'; '.join(parts)}." if parts else ""
