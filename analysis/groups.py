"""Metrics of every group of the records, on all cores: numbers of groups instead of copies of records."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.metrics import Metrics, RecordArrays, combine, measure_with
from analysis.percentiles import Distribution, describe

#: Selecting and partitioning hold no lock of Python's. Each thread needs room for some columns of the records.
_THREADS = min(2, os.cpu_count() or 1)

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Grouping:
    """One way of dividing records: the number of each record's group (-1: in none), and the groups' names."""

    codes: NDArray[np.integer[Any]]
    keys: tuple[str, ...]

    def rows(self) -> dict[str, Rows]:
        """Positions of each group's records, ascending; the groups that have any, by name."""
        # numpy sorts 16-bit numbers in linear time.
        codes = self.codes.astype(np.min_scalar_type(-len(self.keys) - 1), copy=False)
        order = np.argsort(codes, kind="stable")
        ends = np.cumsum(np.bincount(codes + 1, minlength=len(self.keys) + 1))
        found = {key: order[ends[code] : ends[code + 1]] for code, key in enumerate(self.keys)}
        return {key: found[key] for key in sorted(found) if len(found[key])}


def grouping_of(column: "pd.Series[Any]") -> Grouping:
    """The records by the values of a column; those without a value are in no group."""
    categories = column.astype("category").cat
    return Grouping(categories.codes.to_numpy(), tuple(map(str, categories.categories)))


def measure_groups(
    records: RecordArrays, groupings: Mapping[str, Grouping], duration_s: Callable[[str, str], float | None]
) -> dict[str, dict[str, Metrics]]:
    """Metrics by grouping and group; `duration_s` says how long a group was measured."""
    covered = np.flatnonzero(records.covered)
    with ThreadPoolExecutor(_THREADS) as threads:
        whole = _describe(threads, records, covered)

        def of_rows(rows: Rows, seconds: float | None) -> Metrics:
            own = rows[records.covered[rows]]
            described = whole if len(own) == len(covered) else _describe(threads, records, own)
            return measure_with(records.part(rows), seconds, described)

        return {
            name: {key: of_rows(rows, duration_s(name, key)) for key, rows in grouping.rows().items()}
            for name, grouping in groupings.items()
        }


def _describe(threads: ThreadPoolExecutor, records: RecordArrays, rows: Rows) -> dict[str, Distribution]:
    """Distributions of the latency metrics of some records."""
    described = threads.map(lambda values: describe(values[rows]), records.latencies.values())
    return combine(dict(zip(records.latencies, described, strict=True)))
