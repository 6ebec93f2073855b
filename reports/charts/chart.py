"""One chart of a report: what it shows in words, where it stands, and the function that draws it."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from reports import style
from reports.style import Canvas


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart: `name` is its file's, `caption` the finding, `alt` what kind of picture it is.

    `table` is the section of the page that has its numbers, `section` the one that shows the chart; the overview is
    shown on the first screen, wherever it says.
    """

    name: str
    title: str
    caption: str
    alt: str
    table: str
    draw: Callable[[Canvas], Figure]
    section: str = "charts"


def unless_empty(frame: pd.DataFrame, draw: Callable[[Canvas], Figure]) -> Callable[[Canvas], Figure]:
    """`draw`, or the note that there is nothing to draw where the frame has no row."""
    return nothing_to_draw if frame.empty else draw


def nothing_to_draw(canvas: Canvas) -> Figure:
    """What stands in place of a chart without data."""
    figure = canvas.figure(90)
    figure.text(0.5, 0.5, "no request was answered: nothing to draw", ha="center", va="center", color=style.LIGHT.muted)
    return figure
