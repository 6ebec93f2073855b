"""generator_health: was the generator itself late, busy, or miscounting?"""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports import style
from reports.charts.chart import Chart
from reports.charts.overview import shade_bands
from reports.charts.strips import head, limit_line
from reports.charts.wording import highest
from reports.generator import GeneratorHealth, generator_health
from reports.material import Material
from reports.numbers import clock, milliseconds, percent, significant
from reports.style import Canvas
from reports.timeline import Timeline

#: Lags below this are drawn here: a logarithmic axis has no zero, and nobody needs them finer.
LEAST_MS = 0.1
_MAX_MARKERS = 60


def charts(material: Material, time: Timeline) -> Iterator[Chart]:
    """The chart of a run whose generator left figures of itself for some time; none for others."""
    found = generator_health(material, time)
    if len(found.windows) > 1:
        yield Chart(
            "generator_health",
            "The load generator: lag, CPU, calls in flight",
            finding(found),
            "Strips over time: how late calls left, how late the event loop was, CPU of the busiest process, and calls "
            "in flight as counted and as recorded.",
            "validity",
            lambda canvas: draw(found, time, canvas),
            section="validity",
        )


@dataclass(frozen=True, slots=True)
class _Strip:
    """One strip: its title, its lines (column, name), the figure whose check limits it, whether it is logarithmic."""

    title: str
    lines: tuple[tuple[str, str], ...]
    judged_as: str | None
    is_log: bool


_STRIPS = (
    _Strip(
        "send lag, ms",
        (("send_lag_p50_ms", "p50"), ("send_lag_p95_ms", "p95"), ("send_lag_max_ms", "longest")),
        "send_lag_ms",
        is_log=True,
    ),
    _Strip("event loop lag, ms", (("hub_lag_ms", "longest"),), "hub_lag_ms", is_log=True),
    _Strip("CPU of the busiest process, % of a core", (("cpu_pct", "highest"),), "cpu_pct", is_log=False),
    _Strip("calls in flight", (("in_flight", "counted"), ("in_flight_recorded", "recorded")), None, is_log=False),
)


def draw(found: GeneratorHealth, time: Timeline, canvas: Canvas) -> Figure:
    """A strip per figure that is known, on the time axis of the overview, with the limits of its validity check."""
    strips = [strip for strip in _STRIPS if found.windows[strip.lines[0][0]].notna().any() or _is_sparse(found, strip)]
    figure = canvas.figure(len(strips) * (146 if canvas.narrow else 112) + 44)
    grid = figure.subplots(len(strips), 1, sharex=True, squeeze=False).ravel()
    for axes, strip in zip(grid, strips, strict=True):
        shade_bands(axes, time.bands)
        axes.grid(visible=False, axis="x")
        _draw(axes, strip, found, canvas)
    style.time_axis(grid[-1], time.span_s + time.width_s, 5 if canvas.narrow else 10)
    grid[-1].set_xlabel("elapsed since the first arrival, min:s")
    return figure


def _is_sparse(found: GeneratorHealth, strip: _Strip) -> bool:
    """Whether the windows have too few calls for the first line, but some for another."""
    return strip.judged_as == "send_lag_ms" and bool(found.windows["send_lag_max_ms"].notna().any())


def _draw(axes: Axes, strip: _Strip, found: GeneratorHealth, canvas: Canvas) -> None:
    handles: list[Artist] = []
    for position, (column, name) in enumerate(strip.lines):
        values = found.windows[column]
        if values.notna().any():
            look = style.series(position)
            shown = values.clip(lower=LEAST_MS) if strip.is_log else values
            handles += axes.plot(
                values.index, shown, color=look.color, linestyle=look.dash, linewidth=1.4, markersize=3.5, label=name,
                marker=look.marker if len(values) <= _MAX_MARKERS else "",
            )  # fmt: skip
    if strip.is_log:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, max(1.0, axes.get_ylim()[1]))
    handles += _limits(axes, found, strip)
    if strip.is_log:
        style.log_axis(axes, "y", 4)
    else:
        style.zero_axis(axes, "y", 4)
    head(axes, strip.title, handles, canvas, columns=3 if canvas.narrow else 5)


def _limits(axes: Axes, found: GeneratorHealth, strip: _Strip) -> list[Artist]:
    """Where the check of a figure warns and where it fails, unless that is far above all of it."""
    if strip.judged_as not in found.limits:
        return []
    warn, fail = found.limits[strip.judged_as or ""]
    lines = [(warn, f"warning {warn:g}"), *([] if fail is None else [(fail, f"invalid {fail:g}")])]
    drawn = [line for value, name in lines if (line := limit_line(axes, value, name)) is not None]
    for line in drawn[1:]:
        line.set_linestyle("-")
    return list(drawn)


def finding(found: GeneratorHealth) -> str:
    """The caption's sentence: the worst window of each figure, beside where its check warns."""
    parts = [
        text
        for column, name, unit in (
            ("send_lag_max_ms", "the latest call left", "ms after it was due"),
            ("hub_lag_ms", "the event loop was at most", "ms late"),
            ("cpu_pct", "the busiest process used at most", "% of a core"),
        )
        if (text := _worst(found.windows, column, name, unit))
    ]
    text = "; ".join(parts)
    share = found.little_share
    gap = "" if share is None else f" Calls in flight differ from rate x time by {percent(share)} more than by chance."
    return (
        f"{text[:1].upper()}{text[1:]}.{gap} Lag and CPU: lower is better; the two lines of calls in flight should be "
        f"one. Windows of {found.width_s:g} s, of each the highest value; the checks judge whether it spoils the run."
    )


def _worst(windows: pd.DataFrame, column: str, name: str, unit: str) -> str:
    known = windows[[column]].dropna().reset_index()
    if known.empty:
        return ""
    worst = highest(known, column)
    value = milliseconds(worst[column]) if unit.startswith("ms") else significant(worst[column])
    return f"{name} {value} {unit} (around {clock(worst['at_s'])})"
