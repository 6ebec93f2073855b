"""latency_heatmap: the permutation matrix at a glance, a square per tier and prompt size, a panel per load level."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from reports import style
from reports.charts.wording import cell_name, highest, lower_is_better, lowest
from reports.frames import MIN_SAMPLES, in_order
from reports.numbers import count, milliseconds
from reports.style import Canvas
from reports.text import shorten

#: More panels than this are not drawn; the caption says so.
MAX_PANELS = 12
#: More tiers or sizes than this are no real ones.
MAX_LINES = 8
_METRIC = "e2e_ms"
_TITLE_CHAR_PX = 8
_ROW_PX, _SQUARE_PX, _LABEL_PX, _PANEL_FRAME_PX, _BAR_PX = 48, 130, 90, 62, 70
#: Narrower charts have room for few ticks below them.
_ROOMY_PX = 600
#: How a square says whether its cell alone meets the objectives.
_SIGNS = {"PASS": " ✓", "FAIL": " ✗", "INCONCLUSIVE": " ?"}


def shown_stat(frame: pd.DataFrame) -> str:
    """p95 where at least half of the cells have the 72 requests it needs, else p50: one for the whole chart."""
    return "p95" if frame.empty or frame[f"{_METRIC}_p95_firm"].astype(float).mean() >= 0.5 else "p50"


def panel_names(frame: pd.DataFrame, dimensions: Sequence[str]) -> "pd.Series[str]":
    """The panel of each cell: all that varies beside tier and size."""
    outer = [name for name in dimensions if name not in ("tier", "size")]
    return frame[outer].astype(str).agg(" · ".join, axis=1) if outer else pd.Series("", index=frame.index)


def latency_heatmap(frame: pd.DataFrame, dimensions: Sequence[str], canvas: Canvas) -> Figure:
    """Whole-response p95 (or p50, see `shown_stat`) in ms with n in every square; `frame` is `frames.cells_frame`.

    Colour is logarithmic. A square whose n is too small for the statistic is hatched and has no colour.
    """
    named = frame.assign(panel=panel_names(frame, dimensions))
    panels = in_order(named["panel"], "load")[:MAX_PANELS]
    tiers, sizes = in_order(named["tier"], "tier")[:MAX_LINES], in_order(named["size"], "size")[:MAX_LINES]
    named = named[named["tier"].isin(tiers) & named["size"].isin(sizes)]
    columns = 1 if canvas.narrow else min(3, len(panels))
    lines = -(-len(panels) // columns)
    width_px = max(_LABEL_PX + columns * len(sizes) * _SQUARE_PX, 420)
    figure = canvas.figure(lines * (len(tiers) * _ROW_PX + _PANEL_FRAME_PX) + _BAR_PX, width_px)
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    stat = shown_stat(named)
    norm = _norm(named, stat)
    for position, axes in enumerate(grid):
        if position >= len(panels):
            axes.set_visible(False)
            continue
        _panel(axes, named[named["panel"] == panels[position]], (tiers, sizes), stat, norm)
        axes.set_title(shorten(panels[position], max(16, len(sizes) * _SQUARE_PX // _TITLE_CHAR_PX)))
        axes.tick_params(axis="y", labelleft=position % columns == 0)
    bar = figure.colorbar(
        ScalarMappable(norm, style.MAGNITUDE_MAP),
        ax=list(grid[: len(panels)]),
        location="bottom",
        shrink=0.9 if canvas.narrow else 0.6,
        aspect=34,
    )
    bar.set_label(f"whole response {stat}, ms (log colour)")
    style.plain_log_ticks(bar.ax.xaxis, 3 if canvas.narrow or width_px < _ROOMY_PX else 5)
    bar.outline.set_visible(False)
    return figure


def _norm(frame: pd.DataFrame, stat: str) -> Normalize:
    firm = frame[frame[f"{_METRIC}_{stat}_firm"].astype(bool)][f"{_METRIC}_{stat}"].astype(float).dropna()
    firm = firm[firm > 0]
    if firm.empty:
        return LogNorm(1, 10)
    low, high = float(firm.min()), float(firm.max())
    return LogNorm(low, high) if high > low * 1.05 else LogNorm(low / 1.5, high * 1.5)


def _panel(axes: Axes, part: pd.DataFrame, grid: tuple[list[str], list[str]], stat: str, norm: Normalize) -> None:
    tiers, sizes = grid
    values = np.full((len(tiers), len(sizes)), np.nan)
    for _, cell in part.iterrows():
        row, column = tiers.index(str(cell["tier"])), sizes.index(str(cell["size"]))
        if cell[f"{_METRIC}_{stat}_firm"]:
            values[row, column] = cell[f"{_METRIC}_{stat}"]
        _write(axes, (column, row), cell, stat, norm)
    table = pd.DataFrame(values, index=[shorten(t, 12) for t in tiers], columns=[shorten(s, 12) for s in sizes])
    sns.heatmap(
        table,
        ax=axes,
        norm=norm,
        vmin=norm.vmin,
        vmax=norm.vmax,
        cmap=style.MAGNITUDE_MAP,
        cbar=False,
        linewidths=2,
        linecolor=style.LIGHT.surface,
    )
    for row, column in zip(*np.nonzero(np.isnan(values)), strict=True):
        axes.add_patch(
            Rectangle((column + 0.02, row + 0.03), 0.96, 0.94, fill=False, hatch="///", linewidth=0,
                      edgecolor=style.LIGHT.grid, zorder=0)
        )  # fmt: skip
    axes.grid(visible=False)
    axes.tick_params(length=0, rotation=0)
    axes.set_xlabel("")
    axes.set_ylabel("")


def _write(axes: Axes, at: tuple[int, int], cell: "pd.Series[Any]", stat: str, norm: Normalize) -> None:
    value, firm = cell[f"{_METRIC}_{stat}"], bool(cell[f"{_METRIC}_{stat}_firm"])
    ink = style.LIGHT.ink
    if firm:
        ink = style.readable_on(colormaps[style.MAGNITUDE_MAP](norm(float(value))))
    number = milliseconds(float(value)) if firm else "too few"
    note = f"n {count(cell['n'])}{_SIGNS.get(str(cell['verdict']), '')}"
    for text, down, weight in ((number, 0.36, "bold"), (note, 0.70, "normal")):
        axes.text(
            at[0] + 0.5, at[1] + down, text, fontweight=weight, ha="center", va="center", color=ink,
            fontsize=style.SMALL_PT, zorder=5,
        )  # fmt: skip


def finding(frame: pd.DataFrame, dimensions: Sequence[str]) -> str:
    """The caption's sentence: the slowest and the fastest square."""
    if frame.empty:
        return "No cell has results."
    stat = shown_stat(frame)
    firm = frame[frame[f"{_METRIC}_{stat}_firm"].astype(bool)]
    rest = (
        f" {len(frame) - len(firm)} of {len(frame)} squares have fewer than {MIN_SAMPLES[stat]} requests and no colour."
    )
    few = rest if len(firm) < len(frame) else ""
    cut = f" The first {MAX_PANELS} panels are drawn." if panel_names(frame, dimensions).nunique() > MAX_PANELS else ""
    if firm.empty:
        return f"No cell has the {MIN_SAMPLES[stat]} requests that a {stat} needs.{cut}"
    column = f"{_METRIC}_{stat}"
    slow, fast = highest(firm, column), lowest(firm, column)
    text = f"Whole response {stat} is {milliseconds(slow[column])} ms"
    if len(firm) > 1 and fast[column] > 0:
        text = (
            f"Whole response {stat} is highest in {cell_name(slow, dimensions)}: {milliseconds(slow[column])} ms, "
            f"{slow[column] / fast[column]:.1f} times {cell_name(fast, dimensions)}"
        )
    signs = (
        " ✓ the cell alone meets all objectives, ✗ it misses one, ? too little data." if frame["verdict"].any() else ""
    )
    return f"{text}.{few}{cut}{signs} {lower_is_better()}"
