"""Bins coloured by how many requests they hold, and the bar that says which colour is how many."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from reports import style
from reports.grids import Grid
from reports.numbers import count
from reports.style import Canvas

#: The lowest part of the colour map is too dark to be seen on a dark page, and a picture keeps its colours there.
_FROM = 0.22
_ROUND_COUNTS = [first * 10**power for power in range(9) for first in (1, 3)]
_FEW, _MANY = 6, 3_000


def colours() -> ListedColormap:
    """The part of the magnitude map that is visible on light and dark surfaces."""
    return ListedColormap(colormaps[style.MAGNITUDE_MAP](np.linspace(_FROM, 1.0, 256)))


def norm_of(grids: Sequence[Grid]) -> Normalize:
    """Logarithmic colours from one request to the fullest bin, the same for all grids."""
    fullest = max((float(grid.counts.max()) for grid in grids), default=1.0)
    return LogNorm(1.0, max(fullest, 2.0))


def draw(axes: Axes, grid: Grid, norm: Normalize) -> None:
    """Colour the bins that hold a request; empty ones stay empty. The picture is one of pixels, not of shapes."""
    counts = np.ma.masked_equal(grid.counts, 0.0)
    axes.pcolormesh(
        grid.x_edges, grid.y_edges, counts, norm=norm, cmap=colours(), rasterized=True, zorder=2, linewidth=0,
        antialiased=False,
    )  # fmt: skip


def colour_bar(figure: Figure, panels: Sequence[Axes], norm: Normalize, canvas: Canvas) -> None:
    """A bar below the panels in requests per bin."""
    bar = figure.colorbar(
        ScalarMappable(norm, colours()), ax=list(panels), location="bottom", shrink=0.9 if canvas.narrow else 0.5,
        aspect=40, pad=0.02,
    )  # fmt: skip
    bar.set_label("requests per bin (log colour)")
    most = float(norm.vmax or 1.0)
    ticks = range(1, _FEW + 1) if most <= _FEW else _ROUND_COUNTS
    bar.set_ticks([tick for tick in ticks if tick <= most][:: 2 if most > _MANY else 1])
    bar.ax.xaxis.set_major_formatter(lambda value, _: count(value))
    bar.ax.xaxis.set_minor_locator(NullLocator())
    bar.outline.set_visible(False)
