"""What the pages are made of: analysis results with every foreign string cleaned, once, for all writers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from reports.cells import CellResult, cell_results, varying
from reports.text import clean, clean_tree

#: A command line may be longer than a message before it is cut.
COMMAND_LIMIT = 2000

#: Columns of the records that reach an output file as text.
_TEXT_COLUMNS = (
    "cell", "process", "message_id", "phase", "query_type", "complexity", "language", "prompt_size", "model_id",
    "model", "requested_tier", "served_tier", "service_tier", "outcome", "error_code", "error_message", "stop_reason",
)  # fmt: skip

_HEALTH_COLUMNS = ["cell", "process", "at", "hub_lag_ms", "cpu_pct", "in_flight"]


@dataclass(frozen=True, slots=True)
class Material:
    """One run's results, fit to print. `dimensions` are those in which its cells differ.

    `health` is the load generator's, a row per cell, process and second (`analysis.summary.Analysis`).
    """

    run: Mapping[str, Any]
    summary: Mapping[str, Any]
    records: pd.DataFrame
    cells: tuple[CellResult, ...]
    dimensions: tuple[str, ...]
    health: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=_HEALTH_COLUMNS))

    @property
    def is_open(self) -> bool | None:
        """Whether arrivals were scheduled (open loop); None where cells differ or there is none."""
        kinds = {cell.is_open for cell in self.cells}
        return kinds.pop() if len(kinds) == 1 else None

    def label(self, cell: CellResult) -> str:
        """Name of a cell among its siblings."""
        return cell.label(self.dimensions)


def prepare(
    summary: Mapping[str, Any], run: Mapping[str, Any], records: pd.DataFrame, health: pd.DataFrame | None = None
) -> Material:
    """Clean all text of an analysis and name its cells; `health` is only needed for the chart of the generator's."""
    tidy_run = {**clean_tree(run), "command": clean(str(run.get("command") or ""), COMMAND_LIMIT)}
    tidy_summary = clean_tree(summary)
    cells = cell_results(tidy_run.get("cells") or [], tidy_summary.get("cells") or [])
    seen = _clean_columns(pd.DataFrame() if health is None else health)
    return Material(tidy_run, tidy_summary, _clean_columns(records), tuple(cells), tuple(varying(cells)), seen)


def _clean_columns(records: pd.DataFrame) -> pd.DataFrame:
    present = [name for name in _TEXT_COLUMNS if name in records.columns]
    return records.assign(**{name: _cleaned(records[name]) for name in present})


def _cleaned(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """The column with each distinct text cleaned once; missing stays missing.

    A category stays one, its texts in order: a million rows are then divided by numbers instead of by texts.
    """
    codes, texts = pd.factorize(column, use_na_sentinel=True)
    cleaned = [clean(str(text)) for text in texts]
    if not isinstance(column.dtype, pd.CategoricalDtype):
        taken = pd.Series([*cleaned, None], dtype=object).take(codes).to_numpy()
        return pd.Series(taken, index=column.index, dtype=object, name=column.name)
    ordered = pd.Index(sorted(set(cleaned)), dtype=object)
    numbers = np.append(ordered.get_indexer(pd.Index(cleaned, dtype=object)), -1)
    return pd.Series(pd.Categorical.from_codes(numbers[codes], ordered), index=column.index, name=column.name)
