"""What a page knows of its charts: plain text, so that a page without them needs no drawing library."""

from collections import defaultdict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PageFigure:
    """A chart as the page shows it: elements for desktop and phone, the words around them, and where it stands."""

    name: str
    title: str
    caption: str
    alt: str
    table: str
    section: str
    wide: str
    narrow: str


@dataclass(frozen=True, slots=True)
class PageFigures:
    """All charts of a page, the overview first, and the styles they share; none at all where they were left out."""

    figures: tuple[PageFigure, ...] = ()
    css: str = ""

    @property
    def overview(self) -> PageFigure | None:
        """The chart of the first screen; None on a page without charts."""
        return self.figures[0] if self.figures else None

    def by_section(self) -> dict[str, list[PageFigure]]:
        """The other charts; a section without one has an empty list."""
        found: dict[str, list[PageFigure]] = defaultdict(list)
        for figure in self.figures[1:]:
            found[figure.section].append(figure)
        return found
