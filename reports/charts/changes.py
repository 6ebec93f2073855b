"""Changes against a baseline with their intervals (forest plot): a row per cell and figure."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from analysis.comparison import DEFAULT_THRESHOLD, SHARE_THRESHOLD, Change, Comparison, Row, change_text
from reports import style
from reports.charts.chart import Chart
from reports.charts.rows import Rows, label_rows, legend_key, number_column
from reports.charts.wording import highest
from reports.style import Canvas
from reports.text import clean

#: More rows than this are not read; those that changed most are kept, and the caption says so.
MAX_ROWS = 40

#: Figure -> what its row is called.
NAMES: Mapping[str, str] = {
    "ttft_ms": "TTFT",
    "first_answer_ms": "first answer",
    "e2e_ms": "response",
    "tpot_ms": "TPOT",
    "throttle_rate": "throttled",
    "error_rate": "errors",
    "sla_compliance": "in SLA",
}
#: Rows of figures that are better when higher say so.
_UPWARD = {"in SLA": "in SLA (↑ better)"}
#: Verdict -> position of its colour in the palette (None: grey) and its marker.
_LOOKS: Mapping[Change, tuple[int | None, str]] = {
    Change.REGRESSED: (1, "D"),
    Change.IMPROVED: (2, "s"),
    Change.WITHIN_NOISE: (None, "o"),
}
_HEADING = 1.2
_FRAME_PX = 46
_EVEN_RATIO = 2.5
_WIDEST = 100.0
_STEPS = (1, 2, 2.5, 5, 10)
#: Ratios that have a tick where changes are many times as large as the baseline: the most that there is room for.
_RATIO_TICKS = (
    (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0),
    (0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 100.0),
    (0.01, 0.1, 1.0, 10.0, 100.0),
)


def changes_frame(found: Comparison) -> pd.DataFrame:
    """Every figure that has an interval: columns cell, figure, is_share, at, low, high, status, text.

    `at`, `low` and `high` are ratios to the baseline of a latency (1.1 is 10 % more), percentage points of a share.
    """
    rows = [
        {"cell": clean(cell.cell), "figure": figure_name(row), **_place(row), "status": row.status}
        for cell in found.cells
        for row in cell.rows
        if row.p_corrected is not None
    ]
    columns = ["cell", "figure", "is_share", "at", "low", "high", "text", "weight", "status"]
    return pd.DataFrame(rows, columns=columns)


def figure_name(row: Row) -> str:
    """`TTFT p95`, `errors`."""
    return " ".join(part for part in (NAMES.get(row.metric, row.metric), row.stat) if part)


def weight(row: Row) -> float:
    """How large a change is, in multiples of what counts by default; of a latency by its ratio to the baseline."""
    if row.is_share:
        return abs(row.delta or 0.0) / SHARE_THRESHOLD
    return abs(math.log1p(row.change or 0.0)) / DEFAULT_THRESHOLD


def _place(row: Row) -> dict[str, object]:
    size, ends = (row.delta, row.delta_ci95) if row.is_share else (row.change, row.change_ci95)
    at, low, high = (_on_axis(value, is_share=row.is_share) for value in (size or 0.0, *(ends or (0.0, 0.0))))
    texts = {"text": change_text(row), "weight": weight(row)}
    return {"is_share": row.is_share, "at": at, "low": low, "high": high, **texts}


def _on_axis(size: float, *, is_share: bool) -> float:
    """Percentage points of a share; of a latency the ratio, as far as a logarithmic axis can show one."""
    return size * 100.0 if is_share else min(max(1.0 + size, 1.0 / _WIDEST), _WIDEST)


def shown_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that are drawn, in the order of the frame: all, or those with the gravest verdict and largest change."""
    if len(frame) <= MAX_ROWS:
        return frame
    gravity = frame["status"].map(list(Change).index)
    ranked = frame.assign(gravity=gravity).sort_values(["gravity", "weight"], ascending=[True, False], kind="stable")
    return frame.loc[sorted(ranked.index[:MAX_ROWS])]


def change_charts(found: Comparison) -> list[Chart]:
    """The changes of latencies, then those of shares, whose unit is another; a chart less where there are none."""
    frame, charts = changes_frame(found), []
    for name, title, is_share, threshold in (
        ("changes", "Changes of latencies with their 95 % intervals", False, found.threshold),
        ("share-changes", "Changes of shares with their 95 % intervals", True, SHARE_THRESHOLD),
    ):
        part = frame[frame["is_share"] == is_share]
        if not part.empty:
            charts.append(_chart(name, title, part, threshold))
    return charts


def _chart(name: str, title: str, frame: pd.DataFrame, threshold: float) -> Chart:
    return Chart(
        name,
        title,
        finding(frame, threshold),
        "Forest plot: a row per cell and figure with its change and interval, a line at no change.",
        "figures",
        lambda canvas: changes(frame, threshold, canvas),
    )


def changes(frame: pd.DataFrame, threshold: float, canvas: Canvas) -> Figure:
    """Change and 95 % interval of each row; a band shows what `threshold` (0 to 1) leaves.

    `frame` has rows of `changes_frame`, either latencies or shares.
    """
    shown, is_share = shown_rows(frame), bool(frame["is_share"].iloc[0])
    rows = _rows(shown)
    figure = canvas.figure(rows.height_px + _FRAME_PX)
    axes = figure.subplots()
    limits = (-threshold * 100.0, threshold * 100.0) if is_share else (1.0 - threshold, 1.0 + threshold)
    label_rows(axes, rows, canvas)
    _draw(axes, rows.frame, limits, 0.0 if is_share else 1.0)
    low, high = min(limits[0], shown["low"].min()), max(limits[1], shown["high"].max())
    (_point_axis if is_share else _ratio_axis)(axes, low, high, 5 if canvas.narrow else 9)
    number_column(axes, rows, "change", list(rows.frame["text"]), 62)
    figure.legend(handles=_keys(shown), loc="outside upper left", ncols=2 if canvas.narrow else 6)
    return figure


def _rows(frame: pd.DataFrame) -> Rows:
    """The rows below the names of their cells; a single cell needs no name."""
    cells = list(dict.fromkeys(frame["cell"]))
    headings: list[tuple[float, str]] = []
    places: list[float] = []
    y = 0.0
    for cell in cells:
        if len(cells) > 1:
            headings.append((y + 0.1, cell))
            y += _HEADING
        own = int((frame["cell"] == cell).sum())
        places += [y + offset for offset in range(own)]
        y += own
    return Rows(
        frame.sort_values("cell", key=lambda names: names.map(cells.index), kind="stable").assign(
            y=places, row=frame["figure"].replace(_UPWARD)
        ),
        tuple(headings),
        y,
    )


def _draw(axes: Axes, frame: pd.DataFrame, limits: tuple[float, float], zero: float) -> None:
    axes.axvspan(*limits, color=style.LIGHT.band_strong, linewidth=0, zorder=0)
    axes.axvline(zero, color=style.LIGHT.ink, linewidth=1.1, zorder=2)
    for status, part in frame.groupby("status", sort=False):
        color, marker = _look(Change(str(status)))
        axes.hlines(part["y"], part["low"], part["high"], color=color, linewidth=1.6, zorder=4)
        axes.plot(part["at"], part["y"], linestyle="none", marker=marker, color=color, zorder=5, clip_on=False)


def _look(status: Change) -> tuple[str, str]:
    position, marker = _LOOKS[status]
    return (style.LIGHT.muted if position is None else style.LIGHT.series[position]), marker


def _point_axis(axes: Axes, low: float, high: float, most_ticks: int) -> None:
    margin = (high - low) * 0.04
    axes.set_xlim(low - margin, high + margin)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=most_ticks, steps=_STEPS))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _signed(value)))
    axes.set_xlabel("change, percentage points")


def _ratio_axis(axes: Axes, low: float, high: float, most_ticks: int) -> None:
    """Ratios on a logarithmic axis, where half and double are equally far; written as changes in percent."""
    margin = (high / low) ** 0.04
    axes.set_xscale("log")
    axes.set_xlim(low / margin, high * margin)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(FixedLocator(_ratio_ticks(low / margin, high * margin, most_ticks)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _signed((value - 1.0) * 100.0)))
    axes.set_xlabel("← better · change, % of the baseline · worse →")


def _ratio_ticks(low: float, high: float, most_ticks: int) -> Sequence[float]:
    """Ratios to write at an axis from `low` to `high`: round changes in %, or round factors where it spans many."""
    if high / low > _EVEN_RATIO:
        choices = [[ratio for ratio in ratios if low <= ratio <= high] for ratios in _RATIO_TICKS]
        return next((inside for inside in choices if len(inside) <= most_ticks), choices[-1])
    even = MaxNLocator(nbins=most_ticks, steps=_STEPS).tick_values((low - 1.0) * 100.0, (high - 1.0) * 100.0)
    return [ratio for ratio in (1.0 + float(tick) / 100.0 for tick in even) if low <= ratio <= high]


def _signed(value: float) -> str:
    rounded = round(value, 6)
    return f"{rounded:+g}" if rounded else "0"


def _keys(frame: pd.DataFrame) -> list[Artist]:
    keys: list[Artist] = []
    for status in _LOOKS:
        if (frame["status"] == status).any():
            color, marker = _look(status)
            keys.append(legend_key(str(status), marker, color))
    keys.append(Line2D([], [], color=style.LIGHT.muted, linewidth=1.6, label="95 % interval"))
    return [*keys, Patch(color=style.LIGHT.band_strong, label="below the threshold")]


def finding(frame: pd.DataFrame, threshold: float) -> str:
    """The caption's sentence: how many figures changed, the largest change, and how to read the rows."""
    is_share = bool(frame["is_share"].iloc[0])
    cut = len(frame) - len(shown_rows(frame))
    note = f" The {MAX_ROWS} that changed most are drawn, {cut} are not." if cut else ""
    better = "Lower is better, except for the share in SLA." if is_share else "Lower is better."
    said = tally(list(frame["status"]), "shares" if is_share else "latencies")
    return (
        f"{said}.{_largest(frame)} {better} The band is what "
        f"the threshold of {threshold * 100.0:g} {'percentage points' if is_share else '%'} leaves. Beyond it a change "
        f"counts where its interval leaves out zero and its corrected p is below 5 %.{note}"
    )


def tally(statuses: Sequence[str], noun: str) -> str:
    """`3 of 48 figures regressed, 45 within noise`: how many have which verdict; at least one has one."""
    counts = [(list(statuses).count(status), str(status)) for status in Change if status in statuses]
    (first, name), *others = counts
    return ", ".join([f"{first} of {len(statuses)} {noun} {name}", *(f"{n} {other}" for n, other in others)])


def _largest(frame: pd.DataFrame) -> str:
    """The largest change of the gravest verdict, where one changed."""
    for status in (Change.REGRESSED, Change.IMPROVED):
        part = frame[frame["status"] == status]
        if len(part):
            row = highest(part, "weight")
            return f" Most {status}: {row['figure']} of {row['cell']}, {row['text']}."
    return ""
