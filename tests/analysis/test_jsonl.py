"""A bad line costs itself and nothing else, and the fast reader agrees with the slow one."""

import json
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.jsonl import MAX_LINE_BYTES, parse_block, read_blocks, read_jsonl

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
    parsed = parse_block(b"".join([GOOD, line, GOOD]), SCHEMA)

    assert parsed.skipped == Counter({reason: 1})
    assert parsed.table.to_pylist() == [{"seq": 1, "at": 2.0, "text": "a"}] * 2


def test_blank_lines_are_nothing_and_unknown_keys_are_ignored() -> None:
    parsed = parse_block(b"".join([GOOD, b"\n", b"  \r\n", b'{"seq":2,"later":{"x":[1,null]}}\r\n']), SCHEMA)

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


@given(st.lists(rows, max_size=6), st.booleans())
def test_lines_read_alone_and_in_one_block_give_the_same(given_rows: list[dict[str, Any]], escape: bool) -> None:
    lines = [json.dumps(row, ensure_ascii=escape).encode() + b"\n" for row in given_rows]

    together = parse_block(b"".join(lines), SCHEMA)
    # A blank line keeps the fast reader away from the block.
    slowly = parse_block(b"\n" + b"".join(lines), SCHEMA)

    assert together.table.to_pylist() == slowly.table.to_pylist()
    assert together.skipped == slowly.skipped
    assert together.table.num_rows + together.skipped.total() == len(lines)


def test_a_bad_line_in_a_large_block_costs_itself_alone() -> None:
    many = [b'{"seq":%d,"at":0.5,"text":"a"}\n' % seq for seq in range(20_000)]
    many[7_777:7_778] = [b'{"seq":\n', b"\n", b'{"seq":"x"}\n']

    parsed = parse_block(b"".join(many), SCHEMA)

    assert parsed.skipped == Counter({"not JSON": 1, "wrong type": 1})
    assert parsed.table["seq"].to_pylist() == [seq for seq in range(20_000) if seq != 7_777]


def test_words_that_begin_like_constants_are_text() -> None:
    line = b'{"seq":1,"text":"Inform NaN: Information, Inf"}\n'

    assert parse_block(line * 3, SCHEMA).table["seq"].to_pylist() == [1, 1, 1]


@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_line_of_any_length_is_one_bad_line(tmp_path: Any, end: bytes) -> None:
    path = tmp_path / "long.jsonl"
    path.write_bytes(GOOD + b'{"text":"' + b"x" * 10_000_000 + b'"}' + end + (GOOD * 2 if end else b""))

    assert max(map(len, read_blocks(path))) < 6_000_000
    parsed = read_jsonl(path, SCHEMA)

    assert parsed.skipped == Counter({"line too long": 1})
    assert parsed.table["seq"].to_pylist() == ([1, 1, 1] if end else [1])


@pytest.mark.parametrize("size", [1, 7, 30, 1000])
def test_blocks_are_whole_lines_of_the_file(tmp_path: Any, size: int) -> None:
    path = tmp_path / "file.jsonl"
    content = GOOD * 5 + b"\n" + GOOD + GOOD[:-1]
    path.write_bytes(content)

    blocks = list(read_blocks(path, size))

    assert b"".join(blocks) == content
    assert all(block.endswith(b"\n") for block in blocks[:-1])
