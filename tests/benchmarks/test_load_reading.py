"""The load client's reader: where an answer ends and how many chunks it has, however the bytes are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.emulator_load import AnswerReader, LoadPlan
from benchmarks.emulator_rig import shares

HEAD = b"HTTP/1.1 200 OK\r\nDate: x\r\nx-amzn-RequestId: 4711-ab\r\n"
payloads = st.lists(st.binary(min_size=1, max_size=300), max_size=20)


def chunked(contents: list[bytes]) -> bytes:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(content), content) for content in contents)
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[begin:end] for begin, end in pairwise(places)]


@given(payloads, st.lists(st.integers(0, 100_000)))
def test_every_chunk_is_counted_once_however_the_bytes_arrive(contents: list[bytes], cuts: list[int]) -> None:
    reader = AnswerReader()
    parts = pieces(chunked(contents), cuts)
    counts = []
    for part in parts:
        assert not reader.is_complete
        counts.append(reader.feed(part))

    assert sum(counts) == len(contents)
    assert reader.is_complete
    assert (reader.status, reader.request_id) == (200, "4711-ab")


@given(st.binary(max_size=500), st.lists(st.integers(0, 100_000)))
def test_an_answer_with_a_length_ends_with_its_last_byte(body: bytes, cuts: list[int]) -> None:
    reader = AnswerReader()
    for part in pieces(HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body), cuts):
        assert not reader.is_complete
        assert reader.feed(part) == 0

    assert reader.is_complete


def test_bytes_that_are_no_answer_are_noticed() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        AnswerReader().feed(b"SSH-2.0-something else\r\n\r\n")


@given(st.integers(1, 5_000), st.integers(1, 8), st.integers(0, 10_000))
def test_processes_share_the_load_without_losing_any(connections: int, processes: int, total: int) -> None:
    parts = shares(LoadPlan(("127.0.0.1", 1), connections, [b""], seed=3, total=total), processes)
    counts = [part.connections for part in parts]

    assert sum(counts) == connections
    assert sum(part.total or 0 for part in parts) == total
    assert max(counts) - min(counts) <= 1
    assert min(counts) > 0
    assert len({part.seed for part in parts}) == len(parts)
