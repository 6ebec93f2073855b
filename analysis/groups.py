"""Metrics of every group of the records, on all cores: numbers of groups instead of copies of records."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
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
    whole, covered = _whole(records), int(records.covered.sum())

    def distributions(rows: Rows) -> Mapping[str, Distribution]:
        if len(rows) == covered:
            return whole
        return {column: describe(values[rows]) for column, values in records.latencies.items()}

    def measured(name: str, key: str, rows: Rows) -> Metrics:
        described = combine(distributions(rows[records.covered[rows]]))
        return measure_with(records.part(rows), duration_s(name, key), described)

    found = {}
    with ThreadPoolExecutor(_THREADS) as threads:
        for name, grouping in groupings.items():
            groups = grouping.rows()
            metrics = threads.map(partial(measured, name), groups.keys(), groups.values())
            found[name] = dict(zip(groups, metrics, strict=True))
    return found


def _whole(records: RecordArrays) -> dict[str, Distribution]:
    """Distributions of all records by column: of many groups, too, because they have all records in them."""
    rows = np.flatnonzero(records.covered)
    with ThreadPoolExecutor(_THREADS) as threads:
        described = threads.map(lambda values: describe(values[rows]), records.latencies.values())
        return dict(zip(records.latencies, described, strict=True))
