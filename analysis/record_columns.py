"""Arrow tables of records to one DataFrame, compactly: what is read is put behind what was read before it.

Small tables kept until the end would hold every value twice when they are joined, and would leave memory in pieces.
Here each column grows by itself, and repeated texts are numbers from the beginning.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from analysis.record_schema import SCHEMA, UNIQUE_TEXT

#: Columns of the records by name: Categorical, integer, string or float64 arrays of one length.
Columns = dict[str, Any]
Positions = NDArray[np.intp]

#: Columns that are compared with each other: they have their categories in common.
_TIERS = ("requested_tier", "served_tier")
_DEFAULT_TIER = "default"

_MISSING = -1

#: Counts up to this are held in 32 bits: the sum of two of them still has room, and a sum of all is taken in 64.
_LARGEST_IN_32_BITS = 2**30 - 1


class ColumnBuilder:
    """Takes the same fields of one table after the other."""

    def __init__(self, names: Sequence[str]) -> None:
        tiers = _Categories([_DEFAULT_TIER])
        self._columns = {name: _column_of(name, tiers if name in _TIERS else _Categories()) for name in names}

    def add(self, table: pa.Table) -> None:
        """Append the rows of a table; texts that repeat are dictionaries in it."""
        for name, column in self._columns.items():
            column.add(table[name])

    def finish(self) -> Columns:
        """The columns; the builder is empty afterwards."""
        names = list(self._columns)
        return {name: self._columns.pop(name).finish() for name in names}


class _Growing:
    """An array that doubles its room; what is not filled yet takes no memory."""

    def __init__(self, kind: Any) -> None:
        self._room = np.empty(0, dtype=kind)
        self._length = 0

    def add(self, values: NDArray[Any]) -> None:
        needed = self._length + len(values)
        if needed > len(self._room):
            room = np.empty(max(needed, 2 * len(self._room)), dtype=self._room.dtype)
            room[: self._length] = self._room[: self._length]
            self._room = room
        self._room[self._length : needed] = values
        self._length = needed

    def filled(self) -> NDArray[Any]:
        return self._room[: self._length]


class _Floats:
    def __init__(self) -> None:
        self._values = _Growing(np.float64)

    def add(self, column: pa.ChunkedArray) -> None:
        self._values.add(column.to_numpy())

    def finish(self) -> NDArray[np.float64]:
        return self._values.filled()


class _Integers:
    def __init__(self) -> None:
        self._values, self._missing = _Growing(np.int64), _Growing(np.bool_)

    def add(self, column: pa.ChunkedArray) -> None:
        self._values.add(column.fill_null(0).to_numpy())
        self._missing.add(column.is_null().to_numpy())

    def finish(self) -> Any:
        values, self._values = self._values.filled(), _Growing(np.int64)
        if len(values) and values.max() <= _LARGEST_IN_32_BITS:
            values = values.astype(np.int32)
        return pd.arrays.IntegerArray(values, self._missing.filled())


class _Categories:
    """Numbers of texts in the order of their first appearance; several columns may share them."""

    def __init__(self, first: list[str] | None = None) -> None:
        self._numbers = {text: number for number, text in enumerate(first or [])}

    def numbers_of(self, texts: list[str]) -> list[int]:
        return [self._numbers.setdefault(text, len(self._numbers)) for text in texts]

    def ordered(self) -> tuple[list[str], NDArray[np.int32]]:
        """The texts in order, and the place of each number in it; the last place stands for missing."""
        texts = sorted(self._numbers)
        places = np.full(len(texts) + 1, _MISSING, dtype=np.int32)
        for place, text in enumerate(texts):
            places[self._numbers[text]] = place
        return texts, places


class _Repeated:
    def __init__(self, categories: _Categories) -> None:
        self._categories = categories
        self._numbers = _Growing(np.int32)

    def add(self, column: pa.ChunkedArray) -> None:
        for chunk in column.chunks:
            numbers = np.array([*self._categories.numbers_of(chunk.dictionary.to_pylist()), _MISSING], dtype=np.int32)
            own = chunk.indices.fill_null(len(numbers) - 1).to_numpy(zero_copy_only=False)
            self._numbers.add(numbers[own])

    def finish(self) -> pd.Categorical:
        texts, places = self._categories.ordered()
        kind = np.min_scalar_type(-max(len(texts), 1))
        codes = places.astype(kind)[self._numbers.filled()]
        return pd.Categorical.from_codes(codes, categories=pd.Index(texts, dtype="str"))


class _Texts:
    def __init__(self) -> None:
        self._chunks: list[pa.Array] = []

    def add(self, column: pa.ChunkedArray) -> None:
        self._chunks += column.chunks

    def finish(self) -> Any:
        return pa.chunked_array(self._chunks, pa.string()).to_pandas().array


def _column_of(name: str, categories: _Categories) -> "_Floats | _Integers | _Repeated | _Texts":
    kind = SCHEMA.field(name).type
    if pa.types.is_string(kind):
        return _Texts() if name in UNIQUE_TEXT else _Repeated(categories)
    return _Integers() if pa.types.is_integer(kind) else _Floats()


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


def with_columns(frame: pd.DataFrame, columns: Mapping[str, Any], without: Collection[str] = ()) -> pd.DataFrame:
    """The frame with more columns and without some, which shares its arrays with the given ones: nothing is copied."""
    kept = {name: _array_of(frame[name]) for name in frame if name not in without}
    return pd.DataFrame(
        kept | {name: _array_of(column) for name, column in columns.items()}, index=frame.index, copy=False
    )


def _array_of(column: Any) -> Any:
    if not isinstance(column, pd.Series):
        return column
    return column.to_numpy() if isinstance(column.dtype, np.dtype) else column.array
