"""latency_by_load: where latency bends, where the promise breaks, whether throughput keeps up with the load."""

from collections.abc import Iterator, Sequence

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports import style
from reports.charts.chart import Chart
from reports.charts.rows import legend_key, points
from reports.charts.strips import limit_key, limit_line
from reports.load_series import LoadSeries, load_series
from reports.material import Material
from reports.numbers import count
from reports.style import Canvas, SeriesStyle
from reports.text import shorten

#: More families than this are not drawn; those that break first are kept, and the caption says so.
MAX_SERIES = 6
_CHAR_PX = 7.0
#: Column, name, look.
_LATENCIES = (
    ("e2e_ms_p50", "whole response p50", style.series(0)),
    ("e2e_ms_p95", "whole response p95", style.series(1)),
    ("ttft_ms_p95", "TTFT p95", style.series(2)),
)
_RATES = (("throughput_rps", "answered", style.series(5)), ("goodput_rps", "met every objective", style.series(3)))
#: Coloured as in the overview.
_LOSSES = (
    ("throttle_rate", "throttled", style.series(4)),
    ("error_rate", "failed", SeriesStyle(style.series(1).color, "X", (0, (1, 1)))),
)
_IDEAL = (0, (3, 1.5))


def charts(material: Material) -> Iterator[Chart]:
    """The chart of a run that tried several loads; none for others."""
    series = load_series(material)
    if series:
        sla_s = float(material.run.get("sla_s") or 0.0)
        yield Chart(
            "latency_by_load",
            "Latency and throughput by offered load",
            finding(series, sla_s),
            "Per family of cells that differ in load alone: latency percentiles over the load on a log axis, below it "
            "answered requests and goodput a second, and the share that was throttled or failed.",
            "load",
            lambda canvas: latency_by_load(series, sla_s, canvas),
            section="load",
        )


def latency_by_load(series: Sequence[LoadSeries], sla_s: float, canvas: Canvas) -> Figure:
    """A column of panels per family, joined in order of load: latencies, rates, and losses where there are any."""
    drawn = _worst(series)
    losses = [entry for entry in _LOSSES if any((one.points[entry[0]].astype(float) > 0).any() for one in drawn)]
    columns = 1 if canvas.narrow else min(3, len(drawn))
    lines, panels = -(-len(drawn) // columns), 3 if losses else 2
    heights = (180, 120, 80)[:panels]
    keys = _keys(drawn, losses, sla_s)
    key_columns = 2 if canvas.narrow else 5
    figure = canvas.figure(lines * (sum(heights) + 58 + 22 * panels) + 20 * -(-len(keys) // key_columns) + 12)
    grid = figure.subplots(lines * panels, columns, squeeze=False, height_ratios=heights * lines)
    latencies = []
    for position in range(lines * columns):
        row, column = divmod(position, columns)
        axes = [grid[row * panels + panel][column] for panel in range(panels)]
        if position >= len(drawn):
            for each in axes:
                each.set_visible(False)
            continue
        one, width_px = drawn[position], canvas.width_px / columns - 70
        _latency(axes[0], one)
        _rates(axes[1], one)
        if losses:
            _losses(axes[2], one, losses)
        latencies.append(axes[0])
        _load_axis(axes, one, width_px)
        if column == 0:
            for each, title in zip(axes, ("latency, ms", "requests/s", "% of attempts"), strict=False):
                each.set_ylabel(title)
    _same_scale(latencies, sla_s)
    figure.legend(handles=keys, loc="outside upper left", ncols=key_columns)
    return figure


def _worst(series: Sequence[LoadSeries]) -> list[LoadSeries]:
    if len(series) <= MAX_SERIES:
        return list(series)
    order = sorted(series, key=lambda one: float("inf") if one.first_bad is None else one.first_bad)[:MAX_SERIES]
    return [one for one in series if one in order]


def _latency(axes: Axes, one: LoadSeries) -> None:
    frame = one.points
    for column, _, look in _LATENCIES:
        low, high = (frame[f"{column}_{end}"].astype(float) for end in ("low", "high"))
        axes.vlines(frame["load"], low, high, color=look.color, linewidth=4, alpha=0.3, zorder=2.5)
        _line(axes, one, column, look, frame[f"{column}_firm"])
    axes.set_yscale("log")


def _line(axes: Axes, one: LoadSeries, column: str, look: SeriesStyle, firm: "pd.Series[bool]") -> None:
    """Points joined in order of load, never of value: where the curve folds back, it is seen to. Repeats by median."""
    values = one.points[column].astype(float)
    joined = values.groupby(one.points["load"]).median()
    axes.plot(joined.index, joined, color=look.color, linestyle=look.dash, linewidth=1.4, zorder=3)
    points(axes, one.points["load"], values, look, firm)


def _rates(axes: Axes, one: LoadSeries) -> None:
    loads = one.points["load"]
    first = one.points.dropna(subset=["throughput_rps"]).head(1)
    per_load = 1.0 if one.unit == "rate_rps" else None
    if per_load is None and len(first):
        per_load = float(first["throughput_rps"].iloc[0] / max(float(first["load"].iloc[0]), 1e-9))
    for column, _, look in _RATES:
        _line(axes, one, column, look, loads.notna())
    if per_load is not None:
        ends = (0.0, float(loads.max()))
        axes.plot(ends, [end * per_load for end in ends], color=style.LIGHT.ink, linestyle=_IDEAL, linewidth=1.2)
    style.zero_axis(axes, "y", 4)


def _losses(axes: Axes, one: LoadSeries, losses: Sequence[tuple[str, str, SeriesStyle]]) -> None:
    percents = one.points.assign(**{column: one.points[column].astype(float) * 100.0 for column, _, _ in losses})
    for column, _, look in losses:
        values = percents.groupby("load")[column].median()
        axes.plot(values.index, values, color=look.color, linestyle=look.dash, linewidth=1.4)
        points(axes, percents["load"], percents[column], look, percents[column].notna())
    axes.set_ylim(0, max(1.0, axes.get_ylim()[1]))
    style.zero_axis(axes, "y", 3)


def _load_axis(axes: Sequence[Axes], one: LoadSeries, width_px: float) -> None:
    """The same load axis for all panels, marks of the knee and of the promise in all, loads and n below the last."""
    top = float(one.points["load"].max()) * 1.06 or 1.0
    words: dict[float, list[str]] = {}
    for load, word in ((one.knee, "knee"), (one.last_good, "✓"), (one.first_bad, "✗")):
        if load is not None:
            words.setdefault(load, []).append(word)
    for each in axes:
        each.set_xlim(0, top)
        each.grid(visible=False, axis="x")
        for load, marks in words.items():
            color = style.LIGHT.limit if "✗" in marks else style.LIGHT.muted
            each.axvline(load, color=color, linewidth=1.0, linestyle=(0, (1, 2)), zorder=1)
        each.tick_params(axis="x", labelbottom=each is axes[-1])
    for load, marks in words.items():
        axes[0].annotate(
            " ".join(marks), (load, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 2),
            textcoords="offset points", ha="center", fontsize=style.SMALL_PT, annotation_clip=False,
            color=style.LIGHT.limit if "✗" in marks else style.LIGHT.ink,
        )  # fmt: skip
    axes[0].set_title(shorten(one.label, max(20, int(width_px / _CHAR_PX))), pad=18)
    _ticks(axes, one, width_px / top)
    axes[-1].set_xlabel("offered load, arrivals/s" if one.unit == "rate_rps" else "users")


def _ticks(axes: Sequence[Axes], one: LoadSeries, px_per_load: float) -> None:
    """Ticks at the loads themselves, with the number of answers, as many as have room."""
    answers = one.points.groupby("load")["n"].sum()
    shown: list[tuple[float, str]] = []
    free = float("-inf")
    for load, n in answers.items():
        at, text = float(str(load)), f"n {count(float(n))}"
        half = (len(text) + 1) * _CHAR_PX / 2
        if at * px_per_load - half >= free:
            shown.append((at, f"{at:g}\n{text}"))
            free = at * px_per_load + half
    for each in axes:
        each.set_xticks([at for at, _ in shown], [text for _, text in shown])


def _same_scale(axes: Sequence[Axes], sla_s: float) -> None:
    """One latency scale for all families, or they could not be compared."""
    low, high = min(each.get_ylim()[0] for each in axes), max(each.get_ylim()[1] for each in axes)
    for each in axes:
        each.set_ylim(low, high)
        if sla_s > 0:
            limit_line(each, sla_s * 1000.0, "SLA")
        style.log_axis(each, "y", 6)


def _keys(drawn: Sequence[LoadSeries], losses: Sequence[tuple[str, str, SeriesStyle]], sla_s: float) -> list[Artist]:
    grey = style.LIGHT.muted
    keys: list[Artist] = []
    for _, name, look in (*_LATENCIES, *_RATES, *losses):
        keys.append(Line2D([], [], color=look.color, marker=look.marker, linestyle=look.dash, label=name))
    keys.append(Line2D([], [], color=style.LIGHT.ink, linestyle=_IDEAL, linewidth=1.2, label="in step with the load"))
    keys.append(Line2D([], [], color=grey, linewidth=4, alpha=0.3, label="95 % interval"))
    if sla_s > 0:
        keys.append(limit_key(f"SLA {sla_s:g} s"))
    if not all(one.points[f"{column}_firm"].all() for one in drawn for column, _, _ in _LATENCIES):
        keys.append(legend_key("too few requests", "D", grey, filled=False))
    return keys


def finding(series: Sequence[LoadSeries], sla_s: float) -> str:
    """The caption's sentences: where the promise breaks and where the curve bends, or why neither is known."""
    text = _of_one(series[0], sla_s) if len(series) == 1 else _of_many(series, sla_s)
    marks = "✓ is the highest load below it that kept the SLA, ✗ the lowest that missed it. "
    shown = marks if any(one.first_bad is not None or one.last_good is not None for one in series) else ""
    cut = f"The {MAX_SERIES} of {len(series)} families that break first are drawn. " if len(series) > MAX_SERIES else ""
    return (
        f"{text} {shown}{cut}Points in order of load, n answers each; measured window only. Latency: lower is better; "
        "throughput: higher is better."
    )


def _of_one(one: LoadSeries, sla_s: float) -> str:
    bends = f"The whole response p95 bends upwards at {one.at(one.knee)}." if one.knee is not None else ""
    return f"{_break(one, sla_s)} {bends or f'No knee: {one.no_knee}.'}"


def _break(one: LoadSeries, sla_s: float) -> str:
    promise = f"99 % within {sla_s:g} s" if sla_s > 0 else "the SLA"
    if one.first_bad is None:
        return f"No breaking point for {promise}: {one.no_break}."
    kept = f", and last kept at {one.at(one.last_good)}" if one.last_good is not None else ": the lowest load tried"
    return f"The SLA ({promise}) is first missed at {one.at(one.first_bad)}{kept}."


def _of_many(series: Sequence[LoadSeries], sla_s: float) -> str:
    broken = [one for one in series if one.first_bad is not None]
    bent = sum(one.knee is not None for one in series)
    knees = f"{bent} of {len(series)} families have a knee."
    if not broken:
        reasons = dict.fromkeys(str(one.no_break) for one in series)
        return f"No family has a breaking point: {'; '.join(reasons)}. {knees}"
    worst = min(broken, key=lambda one: one.first_bad or 0.0)
    return (
        f"{shorten(worst.label, 80)} breaks first. {_break(worst, sla_s)} {len(broken)} of {len(series)} break. {knees}"
    )
