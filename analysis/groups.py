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
from analysis.record_schema import Flags, Floats

#: Selecting and partitioning hold no lock of Python's. Each thread needs room for some columns of the records.
_THREADS = min(2, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Grouping:
    """One way of dividing records: the number of each record's group (-1: in none), and the groups' names."""

    codes: NDArray[np.integer[Any]]
    keys: tuple[str, ...]

    def present(self) -> list[tuple[int, str]]:
        """Number and name of the groups that have a record, by name."""
        counts = np.bincount(self.codes[self.codes >= 0], minlength=len(self.keys))
        return sorted(((code, key) for code, key in enumerate(self.keys) if counts[code]), key=lambda pair: pair[1])


def grouping_of(column: "pd.Series[Any]") -> Grouping:
    """The records by the values of a column; those without a value are in no group."""
    categories = column.astype("category").cat
    return Grouping(categories.codes.to_numpy(), tuple(map(str, categories.categories)))


def measure_groups(
    records: RecordArrays, groupings: Mapping[str, Grouping], duration_s: Callable[[str, str], float | None]
) -> dict[str, dict[str, Metrics]]:
    """Metrics by grouping and group; `duration_s` says how long a group was measured."""
    present = {name: grouping.present() for name, grouping in groupings.items()}
    described = _describe(records, groupings, present)
    return {
        name: {
            key: measure_with(
                records.part(np.flatnonzero(grouping.codes == code)),
                duration_s(name, key),
                combine({column: found[name, key] for column, found in described.items()}),
            )
            for code, key in present[name]
        }
        for name, grouping in groupings.items()
    }


Present = Mapping[str, list[tuple[int, str]]]
Found = dict[tuple[str, str], Distribution]


def _describe(records: RecordArrays, groupings: Mapping[str, Grouping], present: Present) -> dict[str, Found]:
    """Distributions by column, and by grouping and group."""

    def describe_column(values: Floats) -> Found:
        return _describe_column(values, records.covered, groupings, present)

    with ThreadPoolExecutor(_THREADS) as threads:
        return dict(zip(records.latencies, threads.map(describe_column, records.latencies.values()), strict=True))


def _describe_column(values: Floats, covered: Flags, groupings: Mapping[str, Grouping], present: Present) -> Found:
    known = covered & ~np.isnan(values)
    present_values = values[known]
    whole = describe(present_values)
    found = {}
    for name, grouping in groupings.items():
        codes = grouping.codes[known]
        for code, key in present[name]:
            own = codes == code
            found[name, key] = whole if own.all() else describe(present_values[own])
    return found
