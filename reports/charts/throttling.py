"""throttling_over_time: what got throttled, when, and how near the quota was."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from reports import style
from reports.cells import model_name
from reports.charts.chart import Chart
from reports.charts.overview import say
from reports.charts.strips import limit_key, limit_line
from reports.material import Material
from reports.minutes import busiest, first_throttles, minutes_frame
from reports.numbers import clock, count, percent
from reports.style import Canvas
from reports.text import shorten

#: More models than this are not drawn; those that refused most, and were asked most, are kept.
MAX_MODELS = 4
#: More minutes than this, of all models drawn together, share their bars: the picture has to stay small.
MAX_BARS = 90


@dataclass(frozen=True, slots=True)
class _Use:
    """What a strip is about: its bars from below (column, name, position of the colour, hatch) and their quota."""

    title: str
    quota: str
    parts: tuple[tuple[str, str, int, str], ...]


#: What was refused is hatched: in grey, too, it is not what was accepted.
_REQUESTS = _Use(
    "requests/min",
    "rpm",
    (
        ("requests_accepted", "accepted", 0, ""),
        ("throttled", "throttled", 4, "////"),
        ("overloaded", "overloaded", 1, "xxxx"),
    ),
)
_TOKENS = _Use(
    "quota tokens/min",
    "tpm",
    (("tokens_accepted", "accepted", 0, ""), ("tokens_refused", "refused, estimated", 4, "////")),
)


def charts(material: Material) -> Iterator[Chart]:
    """The chart of a run in which something was throttled or a quota is known; none for others."""
    frame = minutes_frame(material)
    refused, quotas = frame[["throttled", "overloaded"]].sum().sum(), frame[["rpm", "tpm"]].notna().sum().sum()
    if not refused and not quotas:
        return
    first = first_throttles(material)
    drawn, minutes = busiest(frame, MAX_BARS // min(frame["model"].nunique(), MAX_MODELS))
    yield Chart(
        "throttling_over_time",
        "Requests and tokens a minute against the quota",
        finding(material.summary["throttling"], frame, first, minutes),
        "Per model two strips of bars over time: requests and quota tokens of each minute, what was accepted and what "
        "was refused above it, with the quota as a line.",
        "throttling",
        lambda canvas: throttling_over_time(drawn, first, canvas),
        section="throttling",
    )


def throttling_over_time(frame: pd.DataFrame, first: Mapping[str, float], canvas: Canvas) -> Figure:
    """Two strips per model on one time axis; `frame` is `minutes.minutes_frame`, `first` its `first_throttles`."""
    models = _drawn(frame)
    figure = canvas.figure(len(models) * (2 * 118 + 36 * canvas.narrow) + 60 + 40 * canvas.narrow)
    strips = figure.subplots(2 * len(models), 1, sharex=True, squeeze=False).ravel()
    keys: dict[str, Artist] = {}
    for position, model in enumerate(models):
        own, at = frame[frame["model"] == model], first.get(model)
        for axes, use in ((strips[2 * position], _REQUESTS), (strips[2 * position + 1], _TOKENS)):
            keys |= _strip(axes, own, use, at)
            name = f"{shorten(model_name(model, None), 20 if canvas.narrow else 48)}: {use.title}"
            quota = _quota(axes, own[use.quota])
            axes.set_title(f"{name}{(chr(10) if canvas.narrow else ', ') if quota else ''}{quota}")
            style.zero_axis(axes, "y", 4)
    if frame[["rpm", "tpm"]].notna().any(axis=None):
        keys["default quota"] = limit_key("default quota")
    style.time_axis(strips[-1], float(frame["end_s"].max()), 5 if canvas.narrow else 10)
    strips[-1].set_xlabel("elapsed since the first arrival, min:s")
    figure.legend(handles=list(keys.values()), loc="outside upper left", ncols=2 if canvas.narrow else 6)
    return figure


def _drawn(frame: pd.DataFrame) -> list[str]:
    """Models by what they refused, then by what they were asked for."""
    sums = frame.groupby("model", sort=True)[["throttled", "overloaded", "requests_accepted"]].sum()
    sums = sums.assign(refused=sums["throttled"] + sums["overloaded"])
    return [str(model) for model in sums.sort_values(["refused", "requests_accepted"], ascending=False).index][
        :MAX_MODELS
    ]


def _strip(axes: Axes, own: pd.DataFrame, use: _Use, first_s: float | None) -> dict[str, Artist]:
    """Draw the bars of one model; the entries of the legend by name."""
    keys: dict[str, Artist] = {}
    below = own["start_s"] * 0.0
    for column, name, position, hatch in use.parts:
        values = own[column].fillna(0.0)
        if values.sum() <= 0:
            continue
        look: dict[str, Any] = {
            "facecolor": style.series(position).color, "edgecolor": style.LIGHT.surface, "linewidth": 0.6,
            "hatch": hatch,
        }  # fmt: skip
        axes.bar(own["start_s"], values, width=own["end_s"] - own["start_s"], bottom=below, align="edge", **look)
        keys[name] = Patch(label=name, **look)
        below = below + values
    if not keys:
        say(axes, "not known: no call was answered")
    axes.set_ylim(0, max(1.0, float(below.max()) * 1.08))
    axes.grid(visible=False, axis="x")
    if first_s is not None:
        look = {"color": style.LIGHT.ink, "linewidth": 1.0, "linestyle": (0, (1, 2))}
        axes.axvline(first_s, **look)
        keys["first throttle"] = Line2D([], [], label="first throttle of the model", **look)
    return keys


def _quota(axes: Axes, quotas: "pd.Series[Any]") -> str:
    """Draw the quota; what the title says of it, empty where none is known."""
    known = quotas.dropna()
    if known.empty:
        return ""
    is_drawn = limit_line(axes, float(known.iloc[0]), "") is not None
    return f"quota {count(float(known.iloc[0]))}{'' if is_drawn else ' is far above'}"


def finding(throttling: Mapping[str, Any], frame: pd.DataFrame, first: Mapping[str, float], minutes: int = 1) -> str:
    """The caption's sentences: the model that throttled most and since when, and the quota that was nearest."""
    models = [row for row in throttling.get("by_model") or [] if row.get("throttled")]
    text = "Nothing was throttled."
    if models:
        worst = max(models, key=lambda row: int(row["throttled"]))
        since = f", first at {clock(first[str(worst['model'])])}" if str(worst["model"]) in first else ""
        text = (
            f"{model_name(worst['model'], None)} throttled {percent(worst['rate'])} of its {count(worst['attempts'])} "
            f"attempts{since}."
        )
    overloaded = int((throttling.get("kinds") or {}).get("overloaded") or 0)
    text += f" {count(overloaded)} attempts were turned away as overloaded (503)." if overloaded else ""
    cut = (
        f" {MAX_MODELS} of {frame['model'].nunique()} models are drawn."
        if frame["model"].nunique() > MAX_MODELS
        else ""
    )
    what = "a minute" if minutes == 1 else f"the busiest of {minutes} minutes"
    return (
        f"{text}{_nearest(throttling)}{cut} A bar is {what} of a cell, counted from its first call, as wide as "
        "it lasted: all attempts, the refused (hatched) on top of the accepted; fewer refused is better. The quota is "
        "the account's default by the catalogue: accounts and emulators may have others."
    )


def _nearest(throttling: Mapping[str, Any]) -> str:
    known = [row for row in throttling.get("quota") or [] if row.get("used_pct") is not None]
    if not known:
        return ""
    top = max(known, key=lambda row: float(row["used_pct"]))
    return (
        f" Nearest to its default quota, or furthest above, was {model_name(top['model'], None)}: "
        f"{count(top['offered'])} of {count(top['default_quota'])} {top['of']} in its busiest minute "
        f"({percent(top['used_pct'] / 100.0)})."
    )
