"""Charts with one row per cell: where rows and group headings go, and the numbers written beside them."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from reports import style
from reports.cells import DIMENSIONS
from reports.frames import in_order
from reports.style import Canvas
from reports.text import shorten

#: More rows than this do not fit a chart that is read; the slowest are kept and the caption says so.
MAX_ROWS = 60
_ROW_PX = 20
_HEADING_PX = 24
_FRAME_PX = 64


@dataclass(frozen=True, slots=True)
class Rows:
    """Cells laid out from top to bottom; `frame` has `y`, `row` (label) and `hue` (series position) per cell."""

    frame: pd.DataFrame
    headings: tuple[tuple[float, str], ...]
    units: float

    @property
    def height_px(self) -> float:
        """Height a chart of these rows needs."""
        return self.units * _ROW_PX + _FRAME_PX


def plan_rows(frame: pd.DataFrame, dimensions: Sequence[str], slow_by: str = "e2e_ms_p95") -> Rows:
    """Group cells by all dimensions but the innermost, which names the rows and picks their colour."""
    kept = _slowest(frame, slow_by)
    inner = dimensions[-1] if dimensions else None
    outer = [name for name in DIMENSIONS if name in dimensions[:-1]]
    hues = in_order(kept[inner], inner) if inner else []
    headings: list[tuple[float, str]] = []
    places: list[float] = []
    y, previous = 0.0, None
    for _, cell in kept.iterrows():
        heading = " · ".join(str(cell[name]) for name in outer)
        if outer and heading != previous:
            headings.append((y + 0.1, heading))
            y, previous = y + _HEADING_PX / _ROW_PX, heading
        places.append(y)
        y += 1
    labels = kept[inner] if inner else kept["name"]
    hue = kept[inner].map(hues.index) if inner and len(hues) <= len(style.MARKERS) else 0
    return Rows(kept.assign(y=places, row=labels, hue=hue), tuple(headings), y)


def _slowest(frame: pd.DataFrame, slow_by: str) -> pd.DataFrame:
    if len(frame) <= MAX_ROWS:
        return frame
    slowest = frame[slow_by].astype(float).nlargest(MAX_ROWS, keep="first").index
    return frame.loc[sorted(slowest)]


def cut_note(frame: pd.DataFrame) -> str:
    """What a chart of many cells leaves out, as a sentence; empty where it shows all."""
    return (
        f" The {MAX_ROWS} slowest of {len(frame)} cells are drawn; the table has all." if len(frame) > MAX_ROWS else ""
    )


def label_rows(axes: Axes, rows: Rows, canvas: Canvas) -> None:
    """Name the rows at the axis and write the group headings above their rows."""
    axes.set_yticks(rows.frame["y"], [shorten(str(text), canvas.label_chars) for text in rows.frame["row"]])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(max(rows.units, 1) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    for y, text in rows.headings:
        axes.text(
            0, y, shorten(text, 36 if canvas.narrow else 64), transform=axes.get_yaxis_transform(),
            fontsize=style.SMALL_PT, fontweight="bold", color=style.LIGHT.ink, va="center", clip_on=False,
            zorder=6, in_layout=False,
            bbox={"facecolor": style.LIGHT.surface, "edgecolor": "none", "pad": 1.5},
        )  # fmt: skip


def number_column(axes: Axes, rows: Rows, heading: str, texts: Sequence[str], offset_pt: float) -> None:
    """Write one number per row to the right of the axes, right-aligned `offset_pt` from their edge."""
    places = [(-0.35, heading), *zip(rows.frame["y"], texts, strict=True)]
    for position, (y, text) in enumerate(places):
        axes.annotate(
            text, (1.0, y), xycoords=axes.get_yaxis_transform(), xytext=(offset_pt, 0), textcoords="offset points",
            ha="right", va="bottom" if position == 0 else "center_baseline", fontsize=style.SMALL_PT,
            color=style.LIGHT.muted if position == 0 else style.LIGHT.ink, annotation_clip=False,
        )  # fmt: skip


def points(
    axes: Axes,
    x: "pd.Series[float]",
    y: "pd.Series[float]",
    shape: style.SeriesStyle,
    firm: "pd.Series[bool]",
    *,
    size: float = 5.5,
) -> None:
    """Values of one series: filled where they are firm, hollow where the samples are too few, nothing where missing."""
    present = x.notna() & y.notna()
    for filled in (True, False):
        chosen = present & (firm.astype(bool) == filled)
        face = shape.color if filled else style.LIGHT.surface
        if chosen.any():
            axes.plot(
                x[chosen].astype(float), y[chosen].astype(float), linestyle="none", marker=shape.marker,
                markersize=size, color=shape.color, markerfacecolor=face, markeredgewidth=1.3, zorder=5, clip_on=False,
            )  # fmt: skip


def side_panel(axes: Axes) -> None:
    """Prepare a panel that shares its rows with the one to its left: no labels, and headings may reach into it."""
    axes.tick_params(axis="y", length=0, labelleft=False)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")
    axes.patch.set_visible(False)


def by_hue(rows: Rows) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each colour."""
    return [(style.series(int(str(hue))).color, part) for hue, part in rows.frame.groupby("hue", sort=True)]


def legend_key(label: str, marker: str, color: str, filled: bool = True) -> Line2D:
    """An entry of a legend, drawn like `mark`."""
    face = color if filled else style.LIGHT.surface
    return Line2D(
        [], [], linestyle="none", marker=marker, color=color, label=label, markerfacecolor=face, markeredgewidth=1.3
    )
