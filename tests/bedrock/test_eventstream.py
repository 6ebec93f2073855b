"""The event stream's frames: read back from any portions, never misread, and the same as botocore's."""

import itertools
import struct
import uuid
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.eventstream as botocore_stream
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedrock.eventstream import (
    MAX_HEADERS_BYTES,
    MAX_PAYLOAD_BYTES,
    EventStreamError,
    Frame,
    FrameDecoder,
    FrameLengthError,
    HeaderError,
    HeaderValue,
    IncompleteFrameError,
    MessageChecksumError,
    PreludeChecksumError,
    decode_frame,
    encode_frame,
    encode_frame_raw,
    encode_headers,
)
from tests.support import scripted_server

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EVENT = {":event-type": "contentBlockDelta", ":content-type": "application/json", ":message-type": "event"}

names = st.text(min_size=1, max_size=60).filter(lambda name: 0 < len(name.encode()) <= 255)
timestamps = st.integers(0, 4_000_000_000_000).map(lambda unix_ms: EPOCH + timedelta(milliseconds=unix_ms))
values: st.SearchStrategy[HeaderValue] = st.one_of(
    st.text(max_size=40),
    st.binary(max_size=40),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    timestamps,
    st.uuids(),
)
frames = st.builds(Frame, st.dictionaries(names, values, max_size=6), st.binary(max_size=200))


def encoded(frame: Frame) -> bytes:
    return encode_frame(frame.headers, frame.payload)


def frame_of(header_block: bytes, payload: bytes = b"") -> bytes:
    """A frame with correct checksums around any header block, written from the format's description."""
    sizes = struct.pack(">II", len(header_block) + len(payload) + 16, len(header_block))
    message = sizes + struct.pack(">I", zlib.crc32(sizes)) + header_block + payload
    return message + struct.pack(">I", zlib.crc32(message))


def prelude_of(total: int, headers: int) -> bytes:
    sizes = struct.pack(">II", total, headers)
    return sizes + struct.pack(">I", zlib.crc32(sizes))


def portions(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def read_with_botocore(data: bytes) -> list[Any]:
    buffer = botocore_stream.EventStreamBuffer()
    buffer.add_data(data)
    return list(buffer)


@given(st.lists(frames, max_size=5), st.lists(st.integers(0, 10_000), max_size=12))
def test_frames_are_the_same_however_the_bytes_are_portioned(sent: list[Frame], cuts: list[int]) -> None:
    decoder = FrameDecoder()
    received = [frame for part in portions(b"".join(map(encoded, sent)), cuts) for frame in decoder.feed(part)]
    decoder.close()

    assert received == sent
    assert [list(frame.headers) for frame in received] == [list(frame.headers) for frame in sent], "in their order"


@given(st.lists(frames, min_size=1, max_size=3))
@settings(max_examples=25)
def test_frames_are_the_same_byte_by_byte(sent: list[Frame]) -> None:
    data = b"".join(map(encoded, sent))
    decoder = FrameDecoder()
    received = []
    for at in range(len(data)):
        received += decoder.feed(data[at : at + 1])

    assert received == sent
    assert decoder.pending_bytes == 0


@given(st.lists(frames, min_size=1, max_size=3), st.data())
def test_a_changed_byte_is_an_error_and_never_another_frame(sent: list[Frame], data: st.DataObject) -> None:
    """Frames ahead of the damage are delivered; the damaged one and what follows it are not."""
    stream = bytearray(b"".join(map(encoded, sent)))
    at = data.draw(st.integers(0, len(stream) - 1))
    stream[at] ^= data.draw(st.integers(1, 255))
    received: list[Frame] = []
    with pytest.raises((PreludeChecksumError, MessageChecksumError)):
        received.extend(FrameDecoder().frames(bytes(stream)))

    intact, end = 0, 0
    for frame in sent:
        end += len(encoded(frame))
        intact += end <= at
    assert received == sent[:intact]


@pytest.mark.parametrize("at", range(12))
def test_a_changed_prelude_is_noticed_before_its_length_is_believed(at: int) -> None:
    stream = bytearray(encode_frame(EVENT, b"{}"))
    stream[at] ^= 0x40

    with pytest.raises(PreludeChecksumError):
        FrameDecoder().feed(bytes(stream[:12]))


@given(frames, st.data())
def test_a_stream_that_ends_inside_a_frame_is_an_error_at_its_end(frame: Frame, data: st.DataObject) -> None:
    raw = encoded(frame)
    decoder = FrameDecoder()
    kept = data.draw(st.integers(1, len(raw) - 1))

    assert decoder.feed(raw[:kept]) == []
    assert decoder.pending_bytes == kept
    with pytest.raises(IncompleteFrameError, match=f"{kept} bytes into it"):
        decoder.close()


@given(frames)
def test_botocore_reads_what_is_encoded(frame: Frame) -> None:
    (message,) = read_with_botocore(encoded(frame))

    assert message.payload == frame.payload
    expected = {name: as_botocore_has_it(value) for name, value in frame.headers.items()}
    assert message.headers == expected
    assert [type(value) for value in message.headers.values()] == [type(value) for value in expected.values()]


def as_botocore_has_it(value: HeaderValue) -> bool | int | bytes | str:
    """Botocore leaves timestamps as milliseconds and UUIDs as bytes."""
    if isinstance(value, datetime):
        return (value - EPOCH) // timedelta(milliseconds=1)
    return value.bytes if isinstance(value, uuid.UUID) else value


@given(
    st.dictionaries(st.text("abc:-", min_size=1, max_size=20), st.text("xyz/. ", max_size=30), max_size=5),
    st.binary(max_size=300),
)
def test_frames_written_from_the_description_are_read(headers: dict[str, str], payload: bytes) -> None:
    raw = scripted_server.frame(headers, payload)

    assert decode_frame(raw) == Frame(headers, payload)
    assert encode_frame(headers, payload) == raw


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        (0, b"", True),
        (1, b"", False),
        (2, b"\xfe", -2),
        (3, b"\x01\x02", 258),
        (4, b"\xff\xff\xff\xff", -1),
        (5, b"\x00\x00\x00\x01\x00\x00\x00\x00", 2**32),
        (6, b"\x00\x02\xff\x00", b"\xff\x00"),
        (7, b"\x00\x03\xe6\xbc\xab", "漫"),
        (8, b"\x00\x00\x00\x00\x00\x00\x03\xe8", EPOCH + timedelta(seconds=1)),
        (9, bytes(range(16)), uuid.UUID(bytes=bytes(range(16)))),
    ],
)
def test_every_type_of_header_value_is_read(kind: int, raw: bytes, value: HeaderValue) -> None:
    headers = decode_frame(frame_of(bytes((4,)) + b"name" + bytes((kind,)) + raw)).headers

    assert headers == {"name": value}
    assert type(headers["name"]) is type(value)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (b"\x04name\x0a\x00", "unknown value type 10"),
        (b"\x04na", "cut off"),
        (b"\x04name", "cut off"),
        (b"\x04name\x07\x00\x09abc", "cut off"),
        (b"\x04name\x04\x00\x00", "cut off"),
        (b"\x04name\x09\x00\x00", "cut off"),
        (b"\x01a\x00\x01a\x01", "'a' occurs twice"),
        (b"\x02\xff\xfe\x00", "not UTF-8"),
        (b"\x01a\x07\x00\x01\xff", "not UTF-8"),
        (b"\x01a\x08\x7f\xff\xff\xff\xff\xff\xff\xff", "out of range"),
    ],
)
def test_headers_that_cannot_be_read_are_an_error(block: bytes, message: str) -> None:
    with pytest.raises(HeaderError, match=message):
        FrameDecoder().feed(frame_of(block))


@given(st.binary(max_size=40))
def test_any_header_block_is_read_or_refused(block: bytes) -> None:
    """Random blocks under correct checksums: a server with another encoder, or a hostile one."""
    try:
        headers = decode_frame(frame_of(block)).headers
    except HeaderError:
        return
    (message,) = read_with_botocore(frame_of(block))
    assert message.headers == {name: as_botocore_has_it(value) for name, value in headers.items()}


@pytest.mark.parametrize(
    ("total", "headers"),
    [
        (15, 0),
        (0, 0),
        (16, 1),
        (MAX_HEADERS_BYTES + 17, MAX_HEADERS_BYTES + 1),
        (MAX_PAYLOAD_BYTES + 17, 0),
        (2**32 - 1, 2**32 - 1),
    ],
)
def test_impossible_lengths_are_refused_without_waiting_for_the_rest(total: int, headers: int) -> None:
    with pytest.raises(FrameLengthError):
        FrameDecoder().feed(prelude_of(total, headers))


def test_the_largest_frame_is_waited_for() -> None:
    decoder = FrameDecoder()

    assert decoder.feed(prelude_of(MAX_PAYLOAD_BYTES + MAX_HEADERS_BYTES + 16, MAX_HEADERS_BYTES)) == []
    assert decoder.pending_bytes == 12


def test_the_limits_of_the_encoder_are_those_of_the_decoder() -> None:
    payload = b"x" * MAX_PAYLOAD_BYTES

    assert decode_frame(encode_frame({}, payload)).payload == payload
    with pytest.raises(FrameLengthError):
        encode_frame({}, payload + b"x")
    with pytest.raises(FrameLengthError):
        encode_frame_raw(b"x" * (MAX_HEADERS_BYTES + 1), b"")


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"": "x"}, "1 to 255 bytes"),
        ({"n" * 256: "x"}, "1 to 255 bytes"),
        ({"漫" * 86: "x"}, "1 to 255 bytes"),
        ({"name": "x" * 65536}, "up to 65535 bytes"),
        ({"name": 2**63}, "up to 64 bits"),
    ],
)
def test_headers_that_cannot_be_expressed_are_refused(headers: dict[str, HeaderValue], message: str) -> None:
    with pytest.raises(HeaderError, match=message):
        encode_headers(headers)


def test_a_frame_must_be_there_exactly() -> None:
    raw = encode_frame(EVENT, b"{}")

    with pytest.raises(IncompleteFrameError):
        decode_frame(raw[:15])
    for wrong in (raw[:-1], raw + b"\x00"):
        with pytest.raises(FrameLengthError):
            decode_frame(wrong)


def test_a_frame_says_what_it_is() -> None:
    event = decode_frame(scripted_server.delta("漫画"))
    failure = decode_frame(scripted_server.exception("throttlingException", "Too many tokens"))

    assert (event.message_type, event.event_type) == ("event", "contentBlockDelta")
    assert (failure.message_type, failure.event_type) == ("exception", None)
    assert failure.header_text(":exception-type") == "throttlingException"
    assert Frame({":event-type": 5}, b"").event_type is None


def test_every_kind_of_damage_is_one_family_of_errors() -> None:
    kinds = (PreludeChecksumError, MessageChecksumError, FrameLengthError, HeaderError, IncompleteFrameError)

    assert all(issubclass(kind, EventStreamError) for kind in kinds)
