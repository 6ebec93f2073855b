"""Record files to Arrow tables: at C speed where every line of a block is sound, line by line where one is not.

Record files are appended by processes that may be killed, and copied by people. A bad line must cost itself and
nothing else: a block that the fast reader refuses is halved until what it refuses is small, and that is read line by
line. What is skipped is counted by reason. No file is held in memory as a whole, nor is a line of any length.
"""

import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pa_json
from numpy.typing import NDArray

#: Lines are read in blocks of this size: so large that little is done block by block, small enough to have several
#: under way.
BLOCK_BYTES = 4 * 1024 * 1024

#: A record is about 1 kB; a line beyond this is no record.
MAX_LINE_BYTES = 1024 * 1024

#: A block that is refused and not larger than this is read line by line.
_SMALL_BYTES = 64 * 1024

_NEWLINE, _OPENING, _CLOSING = b"\n{}"

_CONSTANT = re.compile(rb"[:,\[]\s*-?(?:NaN|Inf)")

_INT64 = range(-(2**63), 2**63)


Bytes = NDArray[np.uint8]
Positions = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class ParsedLines:
    """Sound lines as a table, and how many lines were skipped for which reason."""

    table: pa.Table
    skipped: Counter[str]


class _BadLineError(ValueError):
    """The line is not a row of the schema; the text is the reason it is counted under."""


def read_jsonl(path: Path, schema: pa.Schema) -> ParsedLines:
    """Rows of a JSON-lines file, in file order. Unknown keys are ignored, missing ones null, blank lines nothing."""
    tables = [schema.empty_table()]
    skipped: Counter[str] = Counter()
    for block in read_blocks(path):
        parsed = parse_block(block, schema)
        tables.append(parsed.table)
        skipped += parsed.skipped
    return ParsedLines(pa.concat_tables(tables), skipped)


def read_blocks(path: Path, size: int = BLOCK_BYTES) -> Iterator[bytes]:
    """The file in pieces of whole lines, about `size` bytes each; only the last line may lack its newline.

    A line that is too long comes cut to more than a line may have, and is refused like any other.
    """
    with path.open("rb") as file:
        while piece := file.read(size):
            # To the end of the last line, which may be as long as it likes.
            block = piece if piece.endswith(b"\n") else piece + file.readline(MAX_LINE_BYTES + 1)
            yield block
            if not block.endswith(b"\n"):
                _skip_line(file, size)


def _skip_line(file: BinaryIO, size: int) -> None:
    """Go on behind the next newline, or to the end of the file."""
    while (piece := file.readline(size)) and not piece.endswith(b"\n"):
        pass


def parse_block(block: bytes, schema: pa.Schema) -> ParsedLines:
    """Rows of some lines, each with its newline (the last may lack it)."""
    table = _parse_fast(block, schema)
    if table is not None:
        return ParsedLines(table, Counter())
    middle = block.find(b"\n", len(block) // 2) + 1
    if len(block) <= _SMALL_BYTES or not 0 < middle < len(block):
        return _parse_slowly(block, schema)
    first, second = parse_block(block[:middle], schema), parse_block(block[middle:], schema)
    return ParsedLines(pa.concat_tables([first.table, second.table]), first.skipped + second.skipped)


def _parse_fast(block: bytes, schema: pa.Schema) -> pa.Table | None:
    """The table, or None if the lines have to be looked at one by one."""
    content = np.frombuffer(block, dtype=np.uint8)
    ends = np.flatnonzero(content == _NEWLINE)
    # Arrow 26 crashes on a line `null`, accepts NaN, and reads `{}{}` as two rows: none of that gets to it.
    if not _has_objects_only(content, ends) or _has_constants(block, content):
        return None
    options = pa_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    # One thread a block: whoever has many blocks reads several of them at a time.
    reading = pa_json.ReadOptions(use_threads=False, block_size=len(block) + 1)
    try:
        _check_encoding(block)  # Arrow does not
        table = pa_json.read_json(pa.BufferReader(block), read_options=reading, parse_options=options)
    except (UnicodeDecodeError, pa.ArrowInvalid):
        return None
    if table.num_rows != len(ends) or _has_infinities(table):
        return None
    return table.select(schema.names)


def _has_objects_only(content: Bytes, ends: Positions) -> bool:
    """Whether each line is `{...}`, none too long, the last with its newline too."""
    if not len(ends) or ends[-1] != len(content) - 1 or ends[0] == 0 or content[0] != _OPENING:
        return False
    return bool(
        (content[ends - 1] == _CLOSING).all()
        and (content[ends[:-1] + 1] == _OPENING).all()
        and np.diff(ends, prepend=-1).max() <= MAX_LINE_BYTES
    )


def _has_constants(block: bytes, content: Bytes) -> bool:
    """Whether NaN or an infinity may stand for a value: the words alone are parts of many a message."""
    return any(_contains(content, word) for word in (b"NaN", b"Inf")) and _CONSTANT.search(block) is not None


def _contains(content: Bytes, word: bytes) -> bool:
    """`word in content`, several times as fast where its first letter is rare."""
    found = np.flatnonzero(content[: -len(word)] == word[0])
    for offset, letter in enumerate(word[1:], start=1):
        found = found[content[found + offset] == letter]
    return len(found) > 0


def _check_encoding(block: bytes) -> None:
    if not block.isascii():
        block.decode("utf-8")


def _has_infinities(table: pa.Table) -> bool:
    """Whether a number was too large for a float: Arrow takes some of them as infinite."""
    numbers = (column for column in table.itercolumns() if pa.types.is_floating(column.type))
    return any(pc.any(pc.is_inf(column)).as_py() for column in numbers)


def _parse_slowly(block: bytes, schema: pa.Schema) -> ParsedLines:
    kinds = {field.name: field.type for field in schema}
    rows: list[dict[str, Any]] = []
    skipped: Counter[str] = Counter()
    for line in io.BytesIO(block):
        if not line.strip():
            continue
        try:
            rows.append(_parse_line(line, kinds))
        except _BadLineError as error:
            skipped[str(error)] += 1
    return ParsedLines(pa.Table.from_pylist(rows, schema=schema), skipped)


def _parse_line(line: bytes, kinds: dict[str, pa.DataType]) -> dict[str, Any]:
    if len(line) > MAX_LINE_BYTES:
        raise _BadLineError("line too long")
    try:
        raw = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise _BadLineError("invalid UTF-8") from None
    except (ValueError, RecursionError):
        raise _BadLineError("not JSON" if line.endswith(b"\n") else "torn last line") from None
    if not isinstance(raw, dict):
        raise _BadLineError("not a JSON object")
    return {name: _checked(raw[name], kind) for name, kind in kinds.items() if raw.get(name) is not None}


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _checked(value: Any, kind: pa.DataType) -> Any:
    """`value` in the type of its column; an integer is a float too, a boolean is neither."""
    if pa.types.is_string(kind) and _is_text(value):
        return value
    if pa.types.is_integer(kind) and _is_integer(value):
        return value
    if pa.types.is_floating(kind) and _is_finite_number(value):
        return float(value)
    raise _BadLineError("wrong type")


def _is_text(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate, written as an escape
        return False
    return True


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in _INT64


def _is_finite_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond any float
        return False
