"""Charts made of strips or panels: their heads and limit lines."""

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from reports import style
from reports.style import Canvas

_LIMIT_DASH = (0, (4, 3))


def head(axes: Axes, title: str, handles: Sequence[Artist], canvas: Canvas, columns: int = 5) -> None:
    """Title and legend of a strip on one line; on a phone the legend has lines of its own, of so many columns."""
    lines = -(-len(handles) // columns)
    axes.set_title(title, pad=3 + 15 * lines if canvas.narrow else 3)
    if handles:
        axes.legend(
            handles=list(handles), loc="lower left" if canvas.narrow else "lower right",
            bbox_to_anchor=(0.0 if canvas.narrow else 1.0, 1.0), ncols=columns, borderaxespad=0.0,
            borderpad=0.1, handlelength=1.6, handletextpad=0.4, columnspacing=0.9,
        )  # fmt: skip


def limit_line(axes: Axes, value: float, name: str) -> Line2D | None:
    """A promise or a quota as a line, unless all values lie so far below it that it would flatten them."""
    low, high = axes.get_ylim()
    if value > high * 4:
        return None
    axes.set_ylim(min(low, value / 1.25), max(high, value * 1.25))
    return axes.axhline(value, color=style.LIGHT.limit, linewidth=1.2, linestyle=_LIMIT_DASH, zorder=3, label=name)


def limit_key(name: str) -> Line2D:
    """The entry of a legend for limit lines."""
    return Line2D([], [], color=style.LIGHT.limit, linewidth=1.2, linestyle=_LIMIT_DASH, label=name)
