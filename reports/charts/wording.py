"""Sentences that captions share."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from reports.messages import Messages
from reports.numbers import count, percent
from reports.text import shorten


def highest(frame: pd.DataFrame, column: str) -> "pd.Series[Any]":
    """The first row with the largest value; the frame has one at least."""
    return frame.iloc[int(frame[column].astype(float).to_numpy().argmax())]


def lowest(frame: pd.DataFrame, column: str) -> "pd.Series[Any]":
    """The first row with the smallest value; the frame has one at least."""
    return frame.iloc[int(frame[column].astype(float).to_numpy().argmin())]


def cell_name(cell: "pd.Series[Any]", dimensions: Sequence[str]) -> str:
    """What a caption calls a cell: the values that tell it apart, or its name."""
    name = " · ".join(shorten(str(cell[dimension]), 40) for dimension in dimensions)
    return shorten(name, 100) or shorten(str(cell["name"]), 48)


def lower_is_better() -> str:
    """Direction and population of every latency chart."""
    return "Lower is better. Measured window only: warm-up and ramp excluded."


def left_out(found: Messages) -> str:
    """The messages that have no latency, so that nobody takes the rest for all."""
    parts = []
    if len(found.unanswered):
        parts.append(f"{count(len(found.unanswered))} unanswered ({percent(found.unanswered_share)})")
    if found.cut_off:
        parts.append(f"{count(found.cut_off)} cut off by the end")
    return f"Not shown, for want of a latency: {' and '.join(parts)}." if parts else ""
