"""One look for every chart: palettes, fonts, axes, and files whose bytes depend on the data alone.

A chart is drawn once, in the light palette. On the page each of its colours is a custom property, and the dark
palette has the same properties (`reports.inline_svg`), so the two can never show different data.
"""

import gc
import io
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from PIL import Image

mpl.use("Agg")

from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    MultipleLocator,
    NullFormatter,
    NullLocator,
)

from reports.numbers import clock

#: CSS pixels per inch; a figure of 8 inches is shown 768 px wide.
CSS_DPI = 96
#: Smallest text of a chart, in points (12 px).
SMALL_PT = 9.0
BASE_PT = 9.75
#: Pixels of a PNG per CSS pixel.
PNG_SCALE = 2
#: Of zlib's levels the one behind which files hardly shrink, but take twice the time.
_PNG_COMPRESSION = 3
#: Magnitudes: perceptually even, readable without colour vision and in grey.
MAGNITUDE_MAP = "cividis"

#: What browsers use to show a chart's text; the page uses the same.
FONT_STACK = (
    "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Hiragino Sans', 'Yu Gothic UI', "
    "'Noto Sans CJK JP', 'DejaVu Sans', sans-serif"
)
_JAPANESE_FONTS = ("Noto Sans CJK JP", "Noto Sans JP", "IPAexGothic", "Hiragino Sans", "Yu Gothic")

Layout = Literal["wide", "narrow"]


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours by role. Series are Okabe-Ito; the two palettes differ in every role, so that roles stay apart."""

    surface: str
    ink: str
    muted: str
    grid: str
    band: str
    band_strong: str
    limit: str
    series: tuple[str, ...]


LIGHT = Palette(
    surface="#ffffff",
    ink="#1b2027",
    muted="#57616d",
    grid="#dfe4ea",
    band="#f1f4f7",
    band_strong="#dde5ee",
    limit="#8a1f4d",
    series=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"),
)
DARK = Palette(
    surface="#171c23",
    ink="#e7ecf2",
    muted="#a3adb9",
    grid="#333b46",
    band="#1e252e",
    band_strong="#2a3645",
    limit="#f3a0c4",
    series=("#56b4e9", "#f0803c", "#1fc796", "#dd9dc3", "#f0e442", "#8fd0f5"),
)
#: Grey of single requests: visible on both surfaces, since pictures inside an SVG keep their colours.
DOT = "#7d8794"
_ROUND = [1.0, 2.0, 2.5, 5.0, 10.0]
_FEW_DECADES = 0.6
_CLOCK_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
#: Ink on light and on dark squares of a heat map, the same in both palettes.
ON_LIGHT, ON_DARK = "#0a0c0f", "#fcfdfe"

#: Markers and dashes beside the colours: series are told apart in grey too.
MARKERS = ("o", "D", "s", "^", "v", "P")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)), (0, (3, 1)))


@dataclass(frozen=True, slots=True)
class SeriesStyle:
    """How one series is drawn; equal positions look equal on every chart."""

    color: str
    marker: str
    dash: Any


def series(position: int) -> SeriesStyle:
    """Style of the series at `position`; they repeat after six."""
    return SeriesStyle(
        LIGHT.series[position % len(LIGHT.series)], MARKERS[position % len(MARKERS)], DASHES[position % len(DASHES)]
    )


@cache
def fonts() -> list[str]:
    """Chart fonts by preference: DejaVu Sans (ships with matplotlib), then a Japanese one where installed."""
    installed = set(font_manager.get_font_names())
    return ["DejaVu Sans", *[name for name in _JAPANESE_FONTS if name in installed][:1]]


@contextmanager
def chart_style() -> Iterator[None]:
    """matplotlib's settings for drawing and saving one chart; the previous ones return afterwards.

    No garbage is collected meanwhile. A chart is tens of thousands of objects that live until it is saved: to search
    them again and again took a tenth of the time. What is left of it is collected behind it.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        with mpl.rc_context(_settings()):  # type: ignore[arg-type] # its stub lists every key as a literal
            yield
    finally:
        if collects:
            gc.enable()


def _settings() -> dict[str, Any]:
    return {
        "font.family": fonts(),
        "text.parse_math": False,
        "font.size": BASE_PT,
        "axes.titlesize": BASE_PT,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titley": 1.0,  # where it stands anyway; left to itself, matplotlib measures all tick labels again
        "axes.labelsize": SMALL_PT,
        "xtick.labelsize": SMALL_PT,
        "ytick.labelsize": SMALL_PT,
        "legend.fontsize": SMALL_PT,
        "figure.facecolor": LIGHT.surface,
        "axes.facecolor": LIGHT.surface,
        "savefig.facecolor": LIGHT.surface,
        "text.color": LIGHT.ink,
        "axes.titlecolor": LIGHT.ink,
        "axes.labelcolor": LIGHT.muted,
        "axes.edgecolor": LIGHT.grid,
        "xtick.color": LIGHT.grid,
        "ytick.color": LIGHT.grid,
        "xtick.labelcolor": LIGHT.muted,
        "ytick.labelcolor": LIGHT.muted,
        "grid.color": LIGHT.grid,
        "grid.linewidth": 0.8,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.unicode_minus": False,
        "legend.frameon": False,
        "legend.handlelength": 2.2,
        "legend.columnspacing": 1.4,
        "lines.linewidth": 1.6,
        "lines.markersize": 5.5,
        "svg.fonttype": "none",
        "svg.hashsalt": "bedrock-loadtest",
        "figure.dpi": CSS_DPI,
    }


@dataclass(frozen=True, slots=True)
class Canvas:
    """The place a chart is drawn for: a desktop page or a phone."""

    layout: Layout

    @property
    def width_px(self) -> int:
        """Width in CSS pixels."""
        return 384 if self.narrow else 864

    @property
    def narrow(self) -> bool:
        """Whether this is the phone's variant."""
        return self.layout == "narrow"

    @property
    def label_chars(self) -> int:
        """Longest label of a row that leaves room for the data."""
        return 18 if self.narrow else 34

    def figure(self, height_px: float, width_px: float | None = None) -> Figure:
        """An empty figure of this width, or of `width_px` where that is less."""
        size = (min(width_px or self.width_px, self.width_px) / CSS_DPI, height_px / CSS_DPI)
        figure = Figure(figsize=size, layout="constrained")
        figure.get_layout_engine().set(w_pad=0.04, h_pad=0.04, wspace=0.03, hspace=0.03)  # type: ignore[union-attr,call-arg]
        return figure


WIDE = Canvas("wide")
NARROW = Canvas("narrow")


def log_axis(axes: Axes, which: Literal["x", "y"], most_ticks: int = 8) -> None:
    """A logarithmic axis with ticks at round numbers written out in full (`2,000`), at most about `most_ticks`."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    _log_ticks(axis, low, high, most_ticks)


def plain_log_ticks(axis: Axis, most_ticks: int) -> None:
    """Ticks like those of `log_axis` for an axis that is logarithmic already, such as a colour bar's."""
    low, high = axis.get_view_interval()
    _log_ticks(axis, low, high, most_ticks)


def _log_ticks(axis: Axis, low: float, high: float, most_ticks: int) -> None:
    decades = math.log10(high / low) if 0 < low < high else 1.0
    choices = ((1.0, 2.0, 3.0, 5.0, 7.0), (1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))
    subs = next((choice for choice in choices if len(choice) * decades <= most_ticks), (1.0,))
    axis.set_major_locator(LogLocator(base=10, subs=subs, numticks=max(most_ticks, 3)))
    if decades < _FEW_DECADES:  # too few round powers: evenly spaced numbers say more
        axis.set_major_locator(FixedLocator(MaxNLocator(nbins=most_ticks, steps=_ROUND).tick_values(low, high)))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(FuncFormatter(_tick))


def zero_axis(axes: Axes, which: Literal["x", "y"], most_ticks: int = 6) -> None:
    """A linear axis from zero, with at most `most_ticks` round ticks."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xlim if which == "x" else axes.set_ylim)(0, None)
    axis.set_major_locator(MaxNLocator(nbins=most_ticks, steps=_ROUND, min_n_ticks=2))
    axis.set_major_formatter(FuncFormatter(_tick))


def _tick(value: float, _position: int | None = None) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def plain_ticks(axis: Axis, most_ticks: int) -> None:
    """At most `most_ticks` round ticks on a linear axis that need not begin at zero."""
    axis.set_major_locator(MaxNLocator(nbins=most_ticks, steps=_ROUND))
    axis.set_major_formatter(FuncFormatter(_tick))


def time_axis(axes: Axes, span_s: float, most_ticks: int) -> None:
    """Elapsed time from 0 to `span_s` seconds as `min:s` (`h:min:s`), ticks at steps a clock has."""
    step_s = next((step for step in _CLOCK_STEPS_S if span_s / step <= most_ticks), _CLOCK_STEPS_S[-1])
    axes.set_xlim(0, span_s)
    axes.xaxis.set_major_locator(MultipleLocator(step_s))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: clock(value)))


def readable_on(color: tuple[float, float, float, float]) -> str:
    """Dark or light ink, whichever has more contrast on an RGB colour (WCAG 2.2, relative luminance)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return ON_LIGHT if (luminance + 0.05) ** 2 > 1.05 * 0.05 else ON_DARK


def freeze(figure: Figure) -> None:
    """Lay the figure out and fix its axes, rounded: the layout solver's last digits vary from one call to the next."""
    engine = figure.get_layout_engine()
    if engine is None:
        return
    if figure.axes:
        engine.execute(figure)
    figure.set_layout_engine(None)  # with any other engine, "none" as well, matplotlib draws twice to save once
    for axes in figure.axes:
        left, bottom, width, height = (round(float(part), 5) for part in axes.get_position().bounds)
        axes.set_position((left, bottom, width, height))


def svg_bytes(figure: Figure) -> bytes:
    """The figure as SVG: text stays text, no date, no program name, so equal data give equal bytes."""
    freeze(figure)
    buffer = io.StringIO()
    figure.dpi = CSS_DPI * 1.5  # of the pictures in it
    # `savefig` would draw twice, the first time for the layout alone, which is frozen.
    backend: Any = FigureCanvasSVG(figure)
    backend.print_svg(buffer, metadata={"Date": None, "Creator": None})
    return _portable(buffer.getvalue()).encode("utf-8")


def png_bytes(figure: Figure) -> bytes:
    """The figure as PNG, two pixels per CSS pixel."""
    freeze(figure)
    figure.dpi = CSS_DPI * PNG_SCALE
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    # What `print_png` does, without a channel for transparency that no chart has, and packed in half the time.
    opaque = Image.fromarray(np.asarray(canvas.buffer_rgba())[:, :, :3])
    buffer = io.BytesIO()
    opaque.save(buffer, format="png", compress_level=_PNG_COMPRESSION, dpi=(figure.dpi, figure.dpi))
    return buffer.getvalue()


def _portable(svg: str) -> str:
    """The same picture in about a third of the bytes, asking for fonts that readers' machines have.

    Drops the prologue, metadata and comments, writes coordinates to a hundredth of a point, and moves styles that
    repeat into classes. Only tags are touched: between them stands text, which may be anybody's.
    """
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    body = re.sub(r">\s+<", "><", body)
    classes: dict[str, str] = {}
    body = re.sub(r"<[^>]*>", lambda tag: _shorter_tag(tag[0], classes), body)
    rules = "".join(f".{name}{{{css}}}" for css, name in classes.items())
    return _short_ids(body.replace("</style>", f"text{{font-family:{FONT_STACK}}}{rules}</style>", 1))


def _short_ids(body: str) -> str:
    """Number the ids: those of matplotlib are hashes of full-precision coordinates."""
    names = {raw: f"i{number}" for number, raw in enumerate(dict.fromkeys(re.findall(r'<[^>]* id="([^"]*)"', body)))}
    pattern = re.compile(r'(<[^>]*? id="|url\(#|href="#)([^")]*)')
    return pattern.sub(lambda found: found[1] + names.get(found[2], found[2]), body)


def _shorter_tag(tag: str, classes: dict[str, str]) -> str:
    if tag.startswith("<image") or "base64," in tag:
        return tag
    tag = re.sub(r' id="[a-z]+[a-z.]*_\d+"| transform="rotate\(-0 [^)]*\)"', "", tag)
    tag = re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), tag)
    tag = re.sub(r" ?\n ?", " ", tag)
    return re.sub(r'style="([^"]*)"', lambda found: _as_class(found[1], classes), tag)


def _as_class(css: str, classes: dict[str, str]) -> str:
    plain = re.sub(r"font-family: [^;]*;? ?", "", css).replace(": ", ":").replace("; ", ";").rstrip(";")
    return f'class="{classes.setdefault(plain, f"s{len(classes)}")}"'


def roles(palette: Palette) -> list[tuple[str, str]]:
    """Names of a palette's roles, the same in the same order for each palette, with their colours."""
    single = [(field.name.replace("_", "-"), getattr(palette, field.name)) for field in fields(palette)[:-1]]
    return [*single, *((f"series-{position}", color) for position, color in enumerate(palette.series))]
