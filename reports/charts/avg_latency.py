"""avg_latency_by_config: the mean of the whole response, never without the p95 beside it."""

from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from reports import style
from reports.charts.rows import Rows, by_hue, cut_note, label_rows, legend_key, number_column, plan_rows, points
from reports.charts.wording import cell_name, highest, lower_is_better, lowest
from reports.numbers import count, milliseconds
from reports.style import Canvas


def avg_latency_by_config(frame: pd.DataFrame, dimensions: list[str], canvas: Canvas) -> Figure:
    """One bar per cell from zero to the mean, a marker at its p95; `frame` is `frames.cells_frame`."""
    rows = plan_rows(frame, dimensions)
    figure = canvas.figure(rows.height_px + 26)
    axes = figure.subplots()
    label_rows(axes, rows, canvas)
    for color, part in by_hue(rows):
        _bars(axes, part, color)
    style.zero_axis(axes, "x", 4 if canvas.narrow else 7)
    axes.set_xlabel("whole response, ms")
    _numbers(axes, rows, canvas)
    figure.legend(handles=_keys(rows), loc="outside upper left", ncols=3)
    return figure


def _keys(rows: Rows) -> list[Artist]:
    grey, firm = style.LIGHT.muted, rows.frame["e2e_ms_p95_firm"]
    keys: list[Artist] = [Patch(color=grey, label="mean")]
    if firm.any():
        keys.append(legend_key("p95", "D", grey))
    if not firm.all():
        keys.append(legend_key("p95, fewer than 72 requests", "D", grey, filled=False))
    return keys


def _bars(axes: Axes, part: pd.DataFrame, color: str) -> None:
    mean, p95 = part["e2e_ms_mean"].astype(float), part["e2e_ms_p95"].astype(float)
    axes.barh(part["y"], mean, height=0.62, color=color, linewidth=0)
    axes.hlines(part["y"], mean, p95, color=color, linewidth=1.2, zorder=4)
    points(axes, p95, part["y"], style.SeriesStyle(color, "D", "-"), part["e2e_ms_p95_firm"])


def _numbers(axes: Axes, rows: Rows, canvas: Canvas) -> None:
    frame = rows.frame
    if canvas.narrow:
        number_column(axes, rows, "n", [count(n) for n in frame["n"]], 36)
        return
    number_column(axes, rows, "mean", [milliseconds(value) for value in frame["e2e_ms_mean"]], 50)
    firm = zip(frame["e2e_ms_p95"], frame["e2e_ms_p95_firm"], strict=True)
    number_column(axes, rows, "p95", [milliseconds(v) if ok else f"({milliseconds(v)})" for v, ok in firm], 100)
    number_column(axes, rows, "n", [count(n) for n in frame["n"]], 146)


def finding(frame: pd.DataFrame, dimensions: list[str]) -> str:
    """The caption's sentence: slowest and fastest cell by mean, and the p95 beside each."""
    known = frame.dropna(subset=["e2e_ms_mean"])
    if known.empty:
        return "No request was answered, so there is no latency to average."
    slow = highest(known, "e2e_ms_mean")
    text = f"The mean whole response takes {_described(slow)}"
    if len(known) > 1:
        fast = lowest(known, "e2e_ms_mean")
        text = (
            f"The mean whole response is longest in {cell_name(slow, dimensions)}: {_described(slow)}; "
            f"shortest in {cell_name(fast, dimensions)}: {_described(fast)}"
        )
    return f"{text}. {lower_is_better()}{cut_note(frame)}"


def _described(cell: "pd.Series[Any]") -> str:
    mean, p95 = milliseconds(cell["e2e_ms_mean"]), milliseconds(cell["e2e_ms_p95"])
    rough = "" if cell["e2e_ms_p95_firm"] else ", too few requests for a firm p95"
    return f"{mean} ms (p95 {p95} ms, n = {count(cell['n'])}{rough})"
