"""recovery: how long after a spike the service was itself again."""

from collections.abc import Iterator, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis.recovery import TOLERANCE
from reports import style
from reports.charts.chart import Chart
from reports.charts.percentiles import METRICS, SHORT_METRICS
from reports.charts.rows import legend_key, points
from reports.charts.strips import limit_key
from reports.material import Material
from reports.numbers import count, milliseconds
from reports.spikes import Spike, spikes
from reports.style import Canvas
from reports.text import shorten

#: More cells than this are not drawn; the first ones are.
MAX_CELLS = 4
_RECOVERED_DASH = (0, (1, 2))


def charts(material: Material) -> Iterator[Chart]:
    """The chart of a run with a spike; none for others."""
    found = spikes(material)
    if found:
        yield Chart(
            "recovery",
            "After the spike: p95 by window",
            finding(found),
            "Per cell with a spike two lines over time, the p95 of time to first token and of the whole response by "
            "window, with the baseline plus 10 % as a line and a mark where the cell was back within it.",
            "load",
            lambda canvas: recovery(found, canvas),
            section="load",
        )


def recovery(found: Sequence[Spike], canvas: Canvas) -> Figure:
    """A row per cell and a panel per metric; seconds count from the end of the spike."""
    cells = list(dict.fromkeys(spike.cell for spike in found))[:MAX_CELLS]
    drawn = [spike for spike in found if spike.cell in cells]
    figure = canvas.figure(len(cells) * (200 if canvas.narrow else 230) + (110 if canvas.narrow else 56))
    grid = figure.subplots(len(cells), 2, squeeze=False)
    for spike in drawn:
        axes = grid[cells.index(spike.cell)][list(METRICS).index(spike.metric)]
        _panel(axes, spike)
        style.log_axis(axes, "y", 6)
        titles = SHORT_METRICS if canvas.narrow else METRICS
        is_first = spike.metric == next(iter(METRICS))
        name = shorten(spike.cell, 20 if canvas.narrow else 52) if is_first and len(cells) > 1 else ""
        axes.set_title(f"{name}\np95 {titles[spike.metric]}" if len(cells) > 1 else f"p95 {titles[spike.metric]}")
        axes.tick_params(axis="x", rotation=0)
        style.plain_ticks(axes.xaxis, 3 if canvas.narrow else 7)
    figure.supxlabel("seconds since the end of the spike", fontsize=style.SMALL_PT, color=style.LIGHT.muted)
    figure.legend(handles=_keys(drawn), loc="outside upper left", ncols=2 if canvas.narrow else 6)
    return figure


def _panel(axes: Axes, spike: Spike) -> None:
    look, windows = style.series(1), spike.windows
    axes.axvspan(spike.started_s, 0.0, facecolor=style.LIGHT.band_strong, linewidth=0, zorder=0)
    axes.plot(windows["at_s"], windows["p95"], color=look.color, linewidth=1.3, zorder=3)
    points(axes, windows["at_s"], windows["p95"], look, windows["firm"], size=4.5)
    axes.set_yscale("log")
    if spike.baseline_ms is not None:
        key = limit_key("")
        axes.axhline(spike.baseline_ms, color=style.LIGHT.muted, linewidth=1.0, zorder=2)
        axes.axhline(
            spike.baseline_ms * (1.0 + TOLERANCE), color=key.get_color(), linewidth=1.2, linestyle=key.get_linestyle()
        )
    if spike.recovery_s is not None:
        axes.axvline(spike.recovery_s, color=style.LIGHT.ink, linewidth=1.2, linestyle=_RECOVERED_DASH, zorder=4)
    axes.grid(visible=False, axis="x")


def _keys(drawn: Sequence[Spike]) -> list[Artist]:
    look = style.series(1)
    keys: list[Artist] = [
        Line2D([], [], color=look.color, marker=look.marker, markersize=4.5, linewidth=1.3, label="p95 of a window"),
        Patch(facecolor=style.LIGHT.band_strong, label="spike"),
    ]
    if not all(spike.windows["firm"].all() for spike in drawn):
        keys.insert(1, legend_key("fewer than 72 requests", "D", look.color, filled=False))
    if any(spike.baseline_ms is not None for spike in drawn):
        keys.append(Line2D([], [], color=style.LIGHT.muted, linewidth=1.0, label="baseline p95"))
        keys.append(limit_key(f"+ {TOLERANCE * 100.0:g} %"))
    if any(spike.recovery_s is not None for spike in drawn):
        keys.append(Line2D([], [], color=style.LIGHT.ink, linewidth=1.2, linestyle=_RECOVERED_DASH, label="recovered"))
    return keys


def finding(found: Sequence[Spike]) -> str:
    """The caption's sentences: how long the recovery of each metric took, of several cells that of the slowest."""
    cells = list(dict.fromkeys(spike.cell for spike in found))
    texts = [_of_metric([spike for spike in found if spike.metric == metric], name, len(cells))
             for metric, name in (("e2e_ms", "Whole response"), ("ttft_ms", "TTFT"))]  # fmt: skip
    cut = f" The first {MAX_CELLS} of {len(cells)} cells are drawn." if len(cells) > MAX_CELLS else ""
    widths = " or ".join(dict.fromkeys(f"{spike.width_s:g} s" for spike in found))
    n = [int(value) for spike in found for value in spike.windows["n"]]
    return (
        f"{' '.join(filter(None, texts))}{cut} Windows of {widths} by intended start, n = {count(min(n))} to "
        f"{count(max(n))} answers each: the recovery is no finer than a window. Lower is better."
    )


def _of_metric(of_metric: Sequence[Spike], name: str, cells: int) -> str:
    if not of_metric:
        return ""
    never = [spike for spike in of_metric if spike.recovery_s is None]
    spike = never[0] if never else max(of_metric, key=lambda each: each.recovery_s or 0.0)
    where = f" in {shorten(spike.cell, 60)}" if cells > 1 else ""
    if spike.recovery_s is None:
        return f"{name} p95: no time of recovery{where}, {spike.reason}."
    return (
        f"{name} p95 was back within {TOLERANCE * 100.0:g} % of its baseline of {milliseconds(spike.baseline_ms)} ms "
        f"{spike.recovery_s:g} s after the spike{where}."
    )
