"""Arrow tables of records to one DataFrame, a column at a time: no moment holds them twice."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from analysis.record_schema import KEPT

#: Columns of the records by name: Categorical, integer, string or float64 arrays of one length.
Columns = dict[str, Any]
Positions = NDArray[np.intp]

#: Columns that are compared with each other.
_TIERS = ("requested_tier", "served_tier")


def to_columns(tables: list[pa.Table]) -> Columns:
    """The kept fields of some tables, at least one, as arrays; empties the list, to give back its memory."""
    table = pa.concat_tables([each.select(KEPT) for each in tables])
    tables.clear()
    chunked = {name: table[name] for name in KEPT}
    del table
    tiers = sorted({text for name in _TIERS for text in _texts(chunked[name])} | {"default"})
    columns = {name: _to_array(chunked.pop(name), tiers if name in _TIERS else None) for name in KEPT}
    pa.default_memory_pool().release_unused()
    return columns


def _texts(column: pa.ChunkedArray) -> set[str]:
    return {text for chunk in column.chunks for text in chunk.dictionary.to_pylist()}


def _to_array(column: pa.ChunkedArray, categories: Sequence[str] | None) -> Any:
    if pa.types.is_dictionary(column.type):
        return _to_categorical(column, sorted(_texts(column)) if categories is None else categories)
    if pa.types.is_integer(column.type):
        return pd.arrays.IntegerArray(column.fill_null(0).to_numpy(), np.array(column.is_null().to_numpy()))
    if pa.types.is_floating(column.type):
        return column.to_numpy()
    return column.to_pandas().array


def _to_categorical(column: pa.ChunkedArray, categories: Sequence[str]) -> pd.Categorical:
    place = {text: position for position, text in enumerate(categories)}
    kind = np.min_scalar_type(-max(len(categories), 1))
    codes = [np.zeros(0, dtype=kind)]
    for chunk in column.chunks:
        places = np.array([*(place[text] for text in chunk.dictionary.to_pylist()), -1], dtype=kind)
        # The last of the places stands for missing.
        codes.append(places[chunk.indices.fill_null(len(places) - 1).to_numpy(zero_copy_only=False)])
    return pd.Categorical.from_codes(np.concatenate(codes), categories=pd.Index(list(categories), dtype="str"))


def to_frame(columns: Columns, order: Positions) -> pd.DataFrame:
    """The columns in another order; empties `columns`, to give back their memory.

    `attempt` is 1 where a record does not say it.
    """
    as_it_is = len(order) == len(columns["seq"]) and bool((np.diff(order) == 1).all())
    ordered = {}
    for name in list(columns):
        column = columns.pop(name)
        ordered[name] = column if as_it_is else column.take(order)
    ordered["attempt"] = ordered["attempt"].fillna(1)
    return pd.DataFrame(ordered, copy=False)
