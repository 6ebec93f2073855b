"""Everything known of one cell, side by side: what was planned, what was recorded, how the generator fared."""

from dataclasses import dataclass

import pandas as pd

from analysis.inputs import CellInfo, LoadInfo
from analysis.metrics import Metrics
from analysis.phases import CellWindow


@dataclass(frozen=True, slots=True)
class CellEvidence:
    """One cell; `records` are judged (`analysis.metrics.judge_messages`), `health` is one row a second and process."""

    info: CellInfo
    is_open_loop: bool
    records: pd.DataFrame
    load: LoadInfo
    window: CellWindow
    health: pd.DataFrame
    metrics: Metrics

    @property
    def name(self) -> str:
        """The cell's name."""
        return self.info.name

    @property
    def was_started(self) -> bool:
        """Whether anything was to be expected of it: not skipped, not still waiting."""
        return self.info.status not in ("skipped", "pending")

    @property
    def is_unfinished(self) -> bool:
        """Whether it broke off: not brought to its end, or its load generator could not close its books."""
        if self.info.status == "skipped":
            return False
        return self.books_unclosed or self.info.status not in ("finished", "unlisted")

    @property
    def books_unclosed(self) -> bool:
        """Whether it is said to have finished, but its load generator never wrote how it ended."""
        return self.info.status in ("finished", "unlisted") and self.window.estimated
