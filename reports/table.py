"""A table as the page shows it: every cell is text by now, with the reason where it is a dash."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from reports.numbers import MISSING

#: Rows beyond this are left to the CSV, and the table says so: browsers stall on huge pages.
MAX_ROWS = 150

#: Rows of one page of a long table; the pages after the first are folded.
PAGE_ROWS = 50

#: What a status means, whatever room it comes from: its colour and its shape.
_TONES = {
    "PASS": "pass", "OK": "pass", "VALID": "pass", "finished": "pass",
    "FAIL": "fail", "INVALID": "fail", "failed": "fail",
    "INCONCLUSIVE": "unclear", "WARN": "unclear", "SUSPECT": "unclear", "interrupted": "unclear",
    "improved": "pass", "regressed": "fail", "not comparable": "unclear",
}  # fmt: skip


def tone_of(status: str) -> str:
    """`pass`, `fail`, `unclear`, or `none` for a status that judges nothing."""
    return _TONES.get(status, "none")


@dataclass(frozen=True, slots=True)
class Entry:
    """One cell of a table.

    `why` is the reason if there is no number, `detail` a tooltip if there is one. `tone` makes it a status, `bar` (0
    to 1) draws its share of the column's largest value, `small` is a line below.
    """

    text: str
    why: str | None = None
    detail: str | None = None
    tone: str | None = None
    bar: float | None = None
    small: str | None = None

    @property
    def is_missing(self) -> bool:
        """Whether there is nothing to show."""
        return self.text == MISSING


def status_entry(status: str | None, small: str | None = None) -> Entry:
    """A status: word, shape and colour."""
    if status is None:
        return Entry(MISSING, small)
    return Entry(status.replace("_", " "), tone=tone_of(status), small=small)


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading with its unit; numbers are right-aligned, `long` texts get room."""

    label: str
    unit: str = ""
    numeric: bool = True
    long: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A captioned table; the first entry of each row is its heading. `rest` counts rows left out."""

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Entry]]
    note: str = ""
    rest: int = 0
    wide: bool = False
    stacks: bool = False


def cut(rows: Sequence[Sequence[Entry]], limit: int = MAX_ROWS) -> tuple[Sequence[Sequence[Entry]], int]:
    """The first rows, and how many more there are."""
    return rows[:limit], max(0, len(rows) - limit)


def paged(table: Table, size: int = PAGE_ROWS) -> list[Table]:
    """A long table as several of at most `size` rows, the note under the last."""
    starts = range(0, max(len(table.rows), 1), size)
    return [
        replace(
            table,
            name=table.name if start == 0 else f"{table.name}-{start + 1}",
            caption=table.caption if len(starts) == 1 else f"{table.caption}, {_span(start, size, table)}",
            rows=table.rows[start : start + size],
            note=table.note if start == starts[-1] else "",
            rest=table.rest if start == starts[-1] else 0,
        )
        for start in starts
    ]


def _span(start: int, size: int, table: Table) -> str:
    return f"{start + 1} to {min(start + size, len(table.rows))} of {len(table.rows) + table.rest}"


def text_column(label: str, long: bool = False) -> Column:
    """A column of words; `long` for sentences."""
    return Column(label, numeric=False, long=long)
