"""Paired distributions: how many requests took at most how long, in a run and in its baseline, on the same axes."""

from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.curves import MAX_RELATIVE_ERROR, Curve
from analysis.percentiles import QUANTILES
from reports import style
from reports.charts.chart import nothing_to_draw
from reports.charts.percentiles import METRICS
from reports.frames import MIN_SAMPLES
from reports.numbers import count, signed_percent
from reports.style import Canvas

#: What is marked on each curve where it has enough values.
MARKED = ("p50", "p95", "p99")
_TICKS = (0.0, 0.25, 0.5, 0.75, 0.95)
_PANEL_PX = 270


@dataclass(frozen=True, slots=True)
class PairedCurves:
    """Both distributions of each metric of `METRICS`, this run's first; `labels` name the sides in that order."""

    labels: tuple[str, str]
    curves: Mapping[str, tuple[Curve, Curve]]

    @property
    def is_empty(self) -> bool:
        """Whether neither side has a value."""
        return not any(curve.n for pair in self.curves.values() for curve in pair)


def paired_ecdf(paired: PairedCurves, canvas: Canvas) -> Figure:
    """A panel per metric with both curves; beside each other for the desktop, one below the other on a phone."""
    if paired.is_empty:
        return nothing_to_draw(canvas)
    rows, columns = (len(paired.curves), 1) if canvas.narrow else (1, len(paired.curves))
    figure = canvas.figure(rows * _PANEL_PX + 30 * (rows + 1))
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).flat
    for axes, (metric, pair) in zip(panels, paired.curves.items(), strict=True):
        for position, curve in reversed(list(enumerate(pair))):
            _draw(axes, curve, style.series(position))
        _finish(axes, METRICS[metric], pair, 4 if canvas.narrow else 6)
    figure.axes[0].set_ylabel("requests at most this slow")
    figure.legend(handles=_keys(paired), loc="outside upper left", ncols=1 if canvas.narrow else 3)
    return figure


def _draw(axes: Axes, curve: Curve, shape: style.SeriesStyle) -> None:
    """One curve with a mark at each percentile that it has enough values for."""
    axes.plot(curve.value, curve.share, color=shape.color, linestyle=shape.dash, linewidth=1.8)
    shares = [QUANTILES[stat] for stat in MARKED if curve.n >= MIN_SAMPLES[stat]]
    axes.plot(
        [curve.at(share) for share in shares], shares, linestyle="none", marker=shape.marker, color=shape.color,
        markersize=6, zorder=5,
    )  # fmt: skip


def _finish(axes: Axes, title: str, pair: tuple[Curve, Curve], most_ticks: int) -> None:
    axes.set_ylim(0.0, 1.01)
    axes.set_yticks(_TICKS, [f"{share * 100:g} %" for share in _TICKS])
    axes.set_xlabel(title)
    if any((curve.value > 0).any() for curve in pair):
        style.log_axis(axes, "x", most_ticks)
    else:
        axes.set_xticks([])
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color=style.LIGHT.muted)


def _keys(paired: PairedCurves) -> list[Artist]:
    keys: list[Artist] = []
    for position, label in enumerate(paired.labels):
        shape = style.series(position)
        n = max(pair[position].n for pair in paired.curves.values())
        keys.append(
            Line2D([], [], color=shape.color, linestyle=shape.dash, marker=shape.marker, label=f"{label}, n {count(n)}")
        )
    grey = style.LIGHT.muted
    return [*keys, Line2D([], [], linestyle="none", marker="o", color=grey, label=f"marked: {', '.join(MARKED)}")]


def reading() -> str:
    """How to read the curves, and how exact they are; the end of every caption."""
    return (
        "Further left is better. The axis of time is logarithmic. "
        f"Each curve is within {MAX_RELATIVE_ERROR * 100.0:g} % of its requests; warm-up and ramp are excluded."
    )


def mix_note(shift: float) -> str:
    """Where pooled cells have other shares of the requests on either side, as a sentence; `shift` is 0 to 1."""
    if shift < 0.05:
        return ""
    moved = signed_percent(shift * 100.0).removeprefix("+")
    return f" Careful: {moved} of the requests belong to other cells than in the baseline, which moves the curve too."
