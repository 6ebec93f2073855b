"""latency_by_prompt_size: does the size of the prompt explain the latency, and is it so in every tier?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports import style
from reports.cells import CellResult
from reports.charts.percentiles import METRICS, SHORT_METRICS
from reports.charts.rows import legend_key, points
from reports.charts.wording import lower_is_better
from reports.frames import MIN_SAMPLES, in_order
from reports.numbers import count
from reports.style import Canvas
from reports.text import shorten

#: More sizes than this are not drawn; the table has them.
MAX_SIZES = 6
#: More panels than this are merged: their requests are pooled and the caption says so.
MAX_FACETS = 6
#: Medians that differ by less than this are called the same.
_SAME_PCT = 2


@dataclass(frozen=True, slots=True)
class SizeSplit:
    """How requests are split: a panel per value of `facets` (in the order of `facet_labels`), a colour per `hue`."""

    facets: tuple[str, ...]
    facet_labels: tuple[str, ...]
    hue: str | None

    @property
    def pooled(self) -> bool:
        """Whether cells that differ in more than size and hue share a panel."""
        return not self.facets


def split(cells: Sequence[CellResult], dimensions: Sequence[str]) -> SizeSplit:
    """Colour by tier (or what else varies innermost), panels by the rest, unless that is too many panels."""
    rest = [name for name in dimensions if name != "size"]
    hue = rest[-1] if rest and len({cell.dims[rest[-1]] for cell in cells}) <= len(style.MARKERS) else None
    facets = tuple(name for name in rest if name != hue)
    labels = tuple(dict.fromkeys(cell.label(facets) for cell in sorted(cells, key=lambda c: c.order))) if facets else ()
    return SizeSplit(facets, labels, hue) if len(labels) <= MAX_FACETS else SizeSplit((), (), hue)


def latency_by_prompt_size(frame: pd.DataFrame, how: SizeSplit, canvas: Canvas) -> Figure:
    """p50 to p95 by prompt size, a row of panels per metric; `frame` is `frames.sizes_frame` of the same split."""
    labels = how.facet_labels or ("",)
    sizes = in_order(frame["size"], "size")[:MAX_SIZES]
    frame = frame[frame["size"].isin(sizes)]
    side_by_side = canvas.narrow or len(labels) == 1
    shape = (len(labels), 2) if side_by_side else (2, len(labels))
    figure = canvas.figure(64 + (200 if canvas.narrow else 225) * shape[0])
    grid = figure.subplots(*shape, squeeze=False, sharey="col" if side_by_side else "row")
    hues = in_order(frame["hue"], how.hue or "")
    for column, label in enumerate(labels):
        for row, (metric, title) in enumerate(METRICS.items()):
            axes = grid[column][row] if side_by_side else grid[row][column]
            part = frame[(frame["metric"] == metric) & (frame["facet"] == label)]
            _panel(axes, part, hues, sizes, canvas)
            if canvas.narrow:  # no room for a label at the axis
                axes.set_title(
                    "\n".join([*([shorten(label, 20) if row == 0 else ""] if label else []), SHORT_METRICS[metric]])
                )
                continue
            if side_by_side or column == 0:
                axes.set_ylabel(title)
            if label and (row == 0 or side_by_side):
                axes.set_title(shorten(label, max(14, canvas.width_px // len(labels) // 9)))
    _legend(figure, frame, hues, how, canvas)
    if canvas.narrow:
        figure.supxlabel("prompt size and fewest requests (n)", fontsize=style.SMALL_PT, color=style.LIGHT.muted)
    return figure


def _panel(axes: Axes, part: pd.DataFrame, hues: Sequence[str], sizes: Sequence[str], canvas: Canvas) -> None:
    spread = 0.62 / max(len(hues), 1)
    for position, hue in enumerate(hues):
        look, mine = style.series(position), part[part["hue"] == hue]
        x = mine["size"].map(sizes.index).astype(float) + (position - (len(hues) - 1) / 2) * spread
        cap = style.SeriesStyle(look.color, "_", "-")
        axes.vlines(x, mine["p50"], mine["p95"], color=look.color, linewidth=2.2, zorder=3)
        points(axes, x, mine["p50"], look, mine["n"] >= MIN_SAMPLES["p50"])
        points(axes, x, mine["p95"], cap, mine["n"] >= 0, size=11)
        rough = mine["n"] < MIN_SAMPLES["p95"]
        points(axes, x[rough], mine["p95"][rough], style.SeriesStyle(look.color, "o", "-"), mine["n"][rough] < 0)
    _sizes_axis(axes, part, sizes, "" if canvas.narrow else "n ≥ " if len(hues) > 1 else "n ")
    style.log_axis(axes, "y", 6)


def _sizes_axis(axes: Axes, part: pd.DataFrame, sizes: Sequence[str], before: str) -> None:
    fewest = part.groupby("size")["n"].min()
    names = [
        f"{shorten(size, 8)}\n{before}{count(fewest[size])}" if size in fewest else f"{shorten(size, 8)}\n—"
        for size in sizes
    ]
    axes.set_xticks(range(len(sizes)), names)
    axes.set_xlim(-0.55, len(sizes) - 0.45)
    axes.tick_params(axis="x", length=0)
    axes.grid(visible=False, axis="x")


def _legend(figure: Figure, frame: pd.DataFrame, hues: Sequence[str], how: SizeSplit, canvas: Canvas) -> None:
    keys = []
    if how.hue:
        looks = [style.series(position) for position in range(len(hues))]
        keys = [legend_key(shorten(h, 24), s.marker, s.color) for h, s in zip(hues, looks, strict=True)]
    grey = style.LIGHT.muted
    keys.append(Line2D([], [], color=grey, linewidth=2.2, label="from p50 (marker) to p95 (end)"))
    if (frame["n"] < MIN_SAMPLES["p95"]).any():
        keys.append(legend_key("fewer requests than needed (p50: 6, p95: 72)", "o", grey, filled=False))
    figure.legend(handles=keys, loc="outside upper left", ncols=1 if canvas.narrow else 4)


def finding(frame: pd.DataFrame, how: SizeSplit) -> str:
    """The caption's sentence: TTFT p50 and response p50 of the largest size against the smallest."""
    sizes = in_order(frame["size"], "size")
    if not sizes:
        return "No request was answered, so nothing can be said about prompt sizes."
    if len(sizes) == 1:
        return f"Only {sizes[0]} prompts were sent, so size explains nothing here. {lower_is_better()}"
    ratios = _ratios(frame, sizes[0], sizes[-1])
    text = _growth(ratios, sizes[0], sizes[-1]) if ratios else f"No setting has both {sizes[0]} and {sizes[-1]} prompts"
    pooled = " Requests of all other settings are pooled." if how.pooled and how.hue is not None else ""
    fewest = " n is that of the setting with the fewest requests." if frame["hue"].nunique() > 1 else ""
    return f"{text}. {lower_is_better()} Log axis; the bar runs from p50 to p95.{fewest}{pooled}"


def _growth(ratios: Mapping[str, float], smallest: str, largest: str) -> str:
    parts = [f"the median {name} {_compared(ratio)}" for name, ratio in ratios.items()]
    return f"Of {largest} prompts, against {smallest} ones, {' and '.join(parts)}"


def _compared(ratio: float) -> str:
    """`takes as long, within 2 %`, `is 8 % longer`, `is 3.1 times as long`."""
    percent = round((ratio - 1.0) * 100.0)
    if abs(percent) <= _SAME_PCT:
        return f"takes as long, within {_SAME_PCT} %"
    if ratio >= 2.0:
        return f"is {ratio:.1f} times as long"
    return f"is {abs(percent)} % {'longer' if percent > 0 else 'shorter'}"


def _ratios(frame: pd.DataFrame, smallest: str, largest: str) -> dict[str, float]:
    """Median over panels and colours of p50(largest) / p50(smallest), by metric."""
    found = {}
    for metric, name in (("ttft_ms", "TTFT"), ("e2e_ms", "whole response")):
        part = frame[frame["metric"] == metric].set_index(["facet", "hue", "size"])["p50"].unstack("size")
        both = part.reindex(columns=[smallest, largest]).dropna()
        if not both.empty and (both[smallest] > 0).all():
            found[name] = float((both[largest] / both[smallest]).median())
    return found
