"""overview: did it hold over time? Rate, latency and failures on one time axis, phases shaded."""

from collections.abc import Mapping, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from reports import style
from reports.charts.percentiles import METRICS
from reports.charts.strips import head, limit_line
from reports.charts.wording import highest
from reports.numbers import clock, count, milliseconds, percent, rate
from reports.style import Canvas
from reports.timeline import Band, Limit, Timeline

_STRIPS = ("rate", "ttft_ms", "e2e_ms", "failures")
_CHAR_PX = 6.4
_FEW_DOTS = 1500
#: More cells than this would make bands too narrow to see.
_MAX_BANDS = 120
#: Lines of more windows than this go without markers: those would touch, and weigh.
_MAX_MARKERS = 400
_FAILURES = (("throttled", "throttled", 4), ("errors", "errors", 1), ("dropped", "dropped by the generator", 3))


def overview(timeline: Timeline, limits: Mapping[str, Sequence[Limit]], canvas: Canvas) -> Figure:
    """Four strips over elapsed time: arrivals a second, TTFT, whole response, and what failed.

    Windows go by intended start; a percentile is drawn where its window has enough requests, single requests are
    dots. The grey bands are measured windows, the darker ones bursts of load.
    """
    figure = canvas.figure(600 if canvas.narrow else 400)
    strips = figure.subplots(4, 1, sharex=True, height_ratios=(9, 11, 11, 7))
    for axes in strips:
        shade_bands(axes, timeline.bands)
        axes.grid(visible=False, axis="x")
    _rates(strips[0], timeline, canvas)
    _latency(strips[1], timeline, "ttft_ms", limits.get("ttft_ms", ()), canvas)
    _latency(strips[2], timeline, "e2e_ms", limits.get("e2e_ms", ()), canvas)
    _failures(strips[3], timeline, canvas)
    name_bands(strips[0], timeline, canvas)
    _time_axis(strips[-1], timeline, canvas)
    return figure


def shade_bands(axes: Axes, bands: Sequence[Band]) -> None:
    """Shade the measured windows and, darker, the bursts; too many to see are left out."""
    wide_enough = [band for band in bands if band.strong or len(bands) <= _MAX_BANDS]
    for band in wide_enough:
        color = style.LIGHT.band_strong if band.strong else style.LIGHT.band
        axes.axvspan(band.start_s, band.end_s, facecolor=color, linewidth=0, zorder=0)


def name_bands(axes: Axes, timeline: Timeline, canvas: Canvas) -> None:
    """Write the name of each band inside its top where all names fit, else as many of the numbers as fit."""
    named = sorted((band for band in timeline.bands if band.label), key=lambda band: band.start_s)
    px_per_s = (canvas.width_px - 60) / max(timeline.span_s, 1e-9)
    fits = all(len(band.label) * _CHAR_PX < (band.end_s - band.start_s) * px_per_s for band in named)
    right_most = float("-inf")
    for band in named:
        text = band.label if fits else band.number
        middle, half = (band.start_s + band.end_s) / 2, len(text) * _CHAR_PX / px_per_s / 2
        if text and middle - half > right_most:
            right_most = middle + half + 3 / px_per_s
            axes.annotate(
                text, (middle, 1.0), xycoords=("data", "axes fraction"), xytext=(0, -2), textcoords="offset points",
                ha="center", va="top", fontsize=style.SMALL_PT, color=style.LIGHT.muted, zorder=6,
            )  # fmt: skip


def _rates(axes: Axes, timeline: Timeline, canvas: Canvas) -> None:
    windows = timeline.windows
    for position, (column, dash) in enumerate((("offered", (0, (3, 1.5))), ("started", "-"))):
        per_s = windows[column].astype(float) / timeline.width_s
        color = style.series(0).color if position else style.LIGHT.ink
        ends = [*windows.index, windows.index.max() + timeline.width_s]
        axes.step(
            ends, [*per_s, per_s.iloc[-1]], where="post", color=color, linestyle=dash, linewidth=1.4, label=column
        )
    style.zero_axis(axes, "y", 3)
    axes.set_ylim(0, max(axes.get_ylim()[1], 0.1) * 1.35)  # room for the names of the bands
    head(axes, "arrivals/s", axes.get_legend_handles_labels()[0], canvas)


def _latency(axes: Axes, timeline: Timeline, metric: str, limits: Sequence[Limit], canvas: Canvas) -> None:
    dots = timeline.dots[metric].dropna()
    axes.plot(
        timeline.dots.loc[dots.index, "at_s"], dots, linestyle="none", marker=".", zorder=2,
        markersize=5 if len(dots) < _FEW_DOTS else 3, alpha=0.6 if len(dots) < _FEW_DOTS else 0.4,
        markeredgewidth=0, color=style.DOT, rasterized=True,
    )  # fmt: skip
    handles: list[Artist] = [Line2D([], [], linestyle="none", marker=".", color=style.DOT, label=timeline.dot_name)]
    windows, name = timeline.percentiles, metric.removesuffix("_ms")
    for position, stat in enumerate(("p50", "p95")):
        values, look = windows[f"{name}_{stat}_ms"], style.series(position)
        line = axes.plot(
            windows["at_s"], values, color=look.color, linestyle=look.dash, markersize=3.5, zorder=4, label=stat,
            marker=look.marker if len(windows) <= _MAX_MARKERS else "",
        )  # fmt: skip
        handles += line if values.notna().any() else []
    if dots.empty:
        say(axes, "no request was answered")
    axes.set_yscale("log")
    handles += [promise for limit in limits if (promise := limit_line(axes, limit.value, limit.name)) is not None]
    style.log_axis(axes, "y", 5)
    head(axes, METRICS[metric], handles, canvas)


def _failures(axes: Axes, timeline: Timeline, canvas: Canvas) -> None:
    windows = timeline.windows
    handles: list[Artist] = []
    below = windows["offered"].astype(float) * 0.0
    for column, name, position in _FAILURES:
        per_s = windows[column].astype(float) / timeline.width_s
        if per_s.sum() > 0:
            color = style.series(position).color
            axes.bar(windows.index, per_s, width=timeline.width_s, bottom=below, align="edge", color=color, linewidth=0)
            handles.append(Patch(color=color, label=name))
            below = below + per_s
    if handles:
        style.zero_axis(axes, "y", 3)
    else:
        axes.set_ylim(0, 1)
        axes.set_yticks([0])
        say(axes, "none throttled, failed or dropped")
    head(axes, "failures/s", handles, canvas)


def say(axes: Axes, text: str) -> None:
    """Write in the middle of a panel why it is empty."""
    axes.text(
        0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=style.SMALL_PT,
        color=style.LIGHT.muted,
    )  # fmt: skip


def _time_axis(axes: Axes, timeline: Timeline, canvas: Canvas) -> None:
    style.time_axis(axes, timeline.span_s + timeline.width_s, 5 if canvas.narrow else 10)
    axes.set_xlabel("elapsed since the first arrival, min:s")


def finding(timeline: Timeline) -> str:
    """The caption's sentence: the worst window for TTFT, the first throttle, how much was not answered."""
    windows = timeline.windows
    if windows.empty:
        return "No request was sent, so there is nothing to show over time."
    parts = [_worst_window(timeline)]
    throttled = windows[windows["throttled"] > 0]
    if not throttled.empty:
        share = windows["throttled"].sum() / max(windows["started"].sum(), 1)
        first = clock(float(throttled.index[0]))
        parts.append(f"First throttles in the window from {first}; {percent(share)} of all attempts throttled.")
    peak = windows["offered"].astype(float) / timeline.width_s
    parts.append(f"Offered rate peaks at {rate(float(peak.max()))}/s.")
    parts.append(_method(timeline))
    return " ".join(part for part in parts if part)


def _worst_window(timeline: Timeline) -> str:
    for stat in ("p95", "p50"):
        known = timeline.percentiles.dropna(subset=[f"ttft_{stat}_ms"])
        if not known.empty:
            worst = highest(known, f"ttft_{stat}_ms")
            value, n = milliseconds(worst[f"ttft_{stat}_ms"]), count(worst["n"])
            return f"TTFT {stat} is worst after {clock(worst['at_s'])}: {value} ms (n = {n})."
    if timeline.dots.empty:
        return "No request was answered."
    return "No window has enough requests for a percentile; the dots are single requests."


def _method(timeline: Timeline) -> str:
    counts, percentiles = timeline.width_s, timeline.percentile_width_s
    widths = f"{counts:g} s" if counts == percentiles else f"{counts:g} s, for percentiles {percentiles:g} s"
    return f"Windows of {widths}, by intended start; shaded: measured. Latency: lower is better."
