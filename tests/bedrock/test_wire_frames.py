"""Frames as the wire transport reads them: any split into reads gives the same, any corruption is found."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.eventstream import FrameDecoder, encode_frame
from bedrock.wire.frames import FrameKind, FrameScanner, InvalidFramesError

KINDS = {
    "event": {":event-type": "contentBlockDelta", ":content-type": "application/json", ":message-type": "event"},
    "exception": {":exception-type": "throttlingException", ":message-type": "exception"},
    "error": {":error-code": "Unmodelled", ":error-message": "went wrong", ":message-type": "error"},
}
frames = st.tuples(st.sampled_from(sorted(KINDS)), st.binary(max_size=300)).map(
    lambda kind_payload: encode_frame(KINDS[kind_payload[0]], kind_payload[1])
)
streams = st.lists(frames, min_size=1, max_size=8)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places)]


@given(streams, st.lists(st.integers(0, 10_000), max_size=12))
def test_any_split_into_reads_gives_the_same_frames(stream: list[bytes], cuts: list[int]) -> None:
    data = b"".join(stream)
    scanner = FrameScanner()
    scanned = [frame for piece in pieces(data, cuts) for frame in scanner.feed(piece)]
    scanner.close()
    decoded = FrameDecoder().feed(data)

    assert [payload for _, payload in scanned] == [frame.payload for frame in decoded]
    assert [kind.message_type for kind, _ in scanned] == [frame.message_type for frame in decoded]


@given(streams, st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_never_taken_for_a_frame(stream: list[bytes], at: int, change: int) -> None:
    data = bytearray(b"".join(stream))
    at %= len(data)
    data[at] ^= change
    intact = next(number for number, end in enumerate(itertools.accumulate(map(len, stream))) if at < end)
    scanner = FrameScanner()
    with pytest.raises(ValueError, match=r"checksum|cannot have"):
        scanner.feed(bytes(data) + bytes(2**16))

    with pytest.raises(InvalidFramesError) as caught:
        FrameScanner().feed(bytes(data) + bytes(2**16))
    assert len(caught.value.frames) == intact, "those ahead of it are told"


@given(streams, st.integers(1, 10_000))
def test_a_stream_that_ends_inside_a_frame_is_noticed(stream: list[bytes], missing: int) -> None:
    data = b"".join(stream)[: -(missing % len(stream[-1])) or None]
    scanner = FrameScanner()
    count = len(scanner.feed(data))

    if count == len(stream):
        scanner.close()
    else:
        with pytest.raises(ValueError, match="inside a frame"):
            scanner.close()


def test_the_kind_of_a_frame_is_what_its_headers_say() -> None:
    kinds = [kind for kind, _ in FrameScanner().feed(b"".join(encode_frame(KINDS[name], b"{}") for name in KINDS))]

    assert kinds == [
        FrameKind("event", "contentBlockDelta"),
        FrameKind("exception", "throttlingException"),
        FrameKind("error", "Unmodelled", "went wrong"),
    ]


def test_more_kinds_than_are_remembered_are_still_read() -> None:
    scanner = FrameScanner()
    names = [f"kind-{number}" for number in range(600)]
    found = [scanner.feed(encode_frame({":event-type": name, ":message-type": "event"}, b""))[0] for name in names * 2]

    assert [kind.name for kind, _ in found] == names * 2
