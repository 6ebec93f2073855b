"""A bad line costs itself and nothing else, and the fast reader agrees with the slow one."""

import json
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.jsonl import MAX_LINE_BYTES, parse_lines, read_jsonl

SCHEMA = pa.schema([("seq", pa.int64()), ("at", pa.float64()), ("text", pa.string())])

GOOD = b'{"seq":1,"at":2,"text":"a"}\n'

HOSTILE = {
    b"null\n": "not a JSON object",  # crashes pyarrow 26 where it gets to it
    b"[]\n": "not a JSON object",
    b"17\n": "not a JSON object",
    b"{}{}\n": "not JSON",
    b"{}null\n": "not JSON",
    b'{"seq":1,}\n': "not JSON",
    b'{"seq":1\n': "not JSON",
    b'{"at":NaN}\n': "not JSON",
    b'{"at":-Infinity}\n': "not JSON",
    b'{"seq":' + b"9" * 5000 + b"}\n": "not JSON",
    b'{"seq":' + b"[" * 200_000 + b"]" * 200_000 + b"}\n": "not JSON",
    b'\xef\xbb\xbf{"seq":1}\n': "not JSON",
    b'{"text":"\xff"}\n': "invalid UTF-8",
    b'{"te\xffxt":"a"}\n': "invalid UTF-8",
    b'{"seq":1.5}\n': "wrong type",
    b'{"seq":true}\n': "wrong type",
    b'{"seq":"1"}\n': "wrong type",
    b'{"seq":99999999999999999999}\n': "wrong type",
    b'{"at":"2"}\n': "wrong type",
    b'{"at":false}\n': "wrong type",
    b'{"at":1e400}\n': "wrong type",
    b'{"at":' + b"9" * 400 + b"}\n": "wrong type",
    b'{"text":1}\n': "wrong type",
    b'{"text":{"a":1}}\n': "wrong type",
    b'{"text":"\\ud800"}\n': "wrong type",
    b'{"text":"' + b"x" * MAX_LINE_BYTES + b'"}\n': "line too long",
}


@pytest.mark.parametrize(("line", "reason"), HOSTILE.items(), ids=lambda value: str(value)[:30])
def test_a_hostile_line_is_skipped_by_name_and_its_neighbours_are_kept(line: bytes, reason: str) -> None:
    parsed = parse_lines([GOOD, line, GOOD], SCHEMA)

    assert parsed.skipped == Counter({reason: 1})
    assert parsed.table.to_pylist() == [{"seq": 1, "at": 2.0, "text": "a"}] * 2


def test_blank_lines_are_nothing_and_unknown_keys_are_ignored() -> None:
    parsed = parse_lines([GOOD, b"\n", b"  \r\n", b'{"seq":2,"later":{"x":[1,null]}}\r\n'], SCHEMA)

    assert parsed.skipped == Counter()
    assert parsed.table["seq"].to_pylist() == [1, 2]
    assert parsed.table["text"].to_pylist() == ["a", None]


def test_a_torn_last_line_is_counted_and_a_whole_one_without_newline_is_kept(tmp_path: Any) -> None:
    torn, whole = tmp_path / "torn.jsonl", tmp_path / "whole.jsonl"
    torn.write_bytes(GOOD * 3 + GOOD[:9])
    whole.write_bytes(GOOD * 3 + GOOD.rstrip(b"\n"))

    assert read_jsonl(torn, SCHEMA).skipped == Counter({"torn last line": 1})
    assert read_jsonl(torn, SCHEMA).table.num_rows == 3
    assert read_jsonl(whole, SCHEMA).skipped == Counter()
    assert read_jsonl(whole, SCHEMA).table.num_rows == 4


def test_an_empty_file_gives_an_empty_typed_table(tmp_path: Any) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_bytes(b"")

    assert read_jsonl(path, SCHEMA).table.schema == SCHEMA
    assert read_jsonl(path, SCHEMA).table.num_rows == 0


texts = st.text(st.characters(codec="utf-8"), max_size=20)
values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts)
rows = st.fixed_dictionaries({}, optional={"seq": values, "at": values, "text": values, "other": values})


@settings(max_examples=200, deadline=None)
@given(st.lists(rows, max_size=6), st.booleans())
def test_lines_read_alone_and_in_one_block_give_the_same(given_rows: list[dict[str, Any]], escape: bool) -> None:
    lines = [json.dumps(row, ensure_ascii=escape).encode() + b"\n" for row in given_rows]

    together = parse_lines(lines, SCHEMA)
    # A blank line keeps the fast reader away from the block.
    slowly = parse_lines([b"\n", *lines], SCHEMA)

    assert together.table.to_pylist() == slowly.table.to_pylist()
    assert together.skipped == slowly.skipped
    assert together.table.num_rows + together.skipped.total() == len(lines)
