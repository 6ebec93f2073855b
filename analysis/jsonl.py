"""Record files to Arrow tables: at C speed where every line of a block is sound, line by line where one is not.

Record files are appended by processes that may be killed, and copied by people. A bad line must cost itself and
nothing else, so a block that the fast reader refuses is read again slowly, and what is skipped is counted by reason.
"""

import io
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pa_json

#: Lines are read in blocks of about this size: large enough for Arrow's speed, small enough for memory.
BLOCK_BYTES = 16 * 1024 * 1024

#: A record is about 1 kB; a line beyond this is no record.
MAX_LINE_BYTES = 1024 * 1024

_INT64 = range(-(2**63), 2**63)


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
    with path.open("rb") as file:
        while lines := file.readlines(BLOCK_BYTES):
            parsed = parse_lines(lines, schema)
            tables.append(parsed.table)
            skipped += parsed.skipped
    return ParsedLines(pa.concat_tables(tables), skipped)


def parse_lines(lines: Sequence[bytes], schema: pa.Schema) -> ParsedLines:
    """Rows of some lines, each with its newline (the last may lack it)."""
    table = _parse_fast(lines, schema)
    return ParsedLines(table, Counter()) if table is not None else _parse_slowly(lines, schema)


def _parse_fast(lines: Sequence[bytes], schema: pa.Schema) -> pa.Table | None:
    """The table, or None if the lines have to be looked at one by one."""
    # Arrow 26 crashes on a line `null`, accepts NaN, and reads `{}{}` as two rows: none of that gets to it.
    if not all(line.startswith(b"{") and line.endswith(b"}\n") and len(line) <= MAX_LINE_BYTES for line in lines):
        return None
    block = b"".join(lines)
    if b"NaN" in block or b"Inf" in block:
        return None
    options = pa_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    try:
        block.decode("utf-8")  # Arrow does not look at the encoding
        table = pa_json.read_json(io.BytesIO(block), parse_options=options)
    except (UnicodeDecodeError, pa.ArrowInvalid):
        return None
    if table.num_rows != len(lines) or _has_infinities(table):
        return None
    return table.select(schema.names)


def _has_infinities(table: pa.Table) -> bool:
    """Whether a number was too large for a float: Arrow takes some of them as infinite."""
    numbers = (column for column in table.itercolumns() if pa.types.is_floating(column.type))
    return any(pc.any(pc.is_inf(column)).as_py() for column in numbers)


def _parse_slowly(lines: Sequence[bytes], schema: pa.Schema) -> ParsedLines:
    kinds = {field.name: field.type for field in schema}
    rows: list[dict[str, Any]] = []
    skipped: Counter[str] = Counter()
    for line in lines:
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
