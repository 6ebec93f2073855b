"""The binary event stream of Bedrock's streaming operations (`application/vnd.amazon.eventstream`).

One frame, all integers big-endian:

    u32 total length | u32 headers length | u32 CRC-32 of these 8 bytes | headers | payload | u32 CRC-32 of all before

and one header: `u8 name length, name, u8 value type, value`; a string value is `u16 length, bytes`.
Limits are those of botocore's reader: headers up to 128 KiB, payload up to 24 MiB.
"""

import struct
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zlib import crc32

#: Value types a header can have; a timestamp is an aware datetime with milliseconds.
HeaderValue = bool | int | bytes | str | datetime | uuid.UUID

MAX_HEADERS_BYTES = 128 * 1024
MAX_PAYLOAD_BYTES = 24 * 1024 * 1024

PRELUDE_BYTES = 12
TRAILER_BYTES = 4
_OVERHEAD_BYTES = PRELUDE_BYTES + TRAILER_BYTES

_PRELUDE = struct.Struct(">II")
_CRC = struct.Struct(">I")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_TYPE_TRUE, _TYPE_FALSE, _TYPE_BYTES, _TYPE_STRING, _TYPE_TIMESTAMP, _TYPE_UUID = 0, 1, 6, 7, 8, 9
_INTEGERS = {2: struct.Struct(">b"), 3: struct.Struct(">h"), 4: struct.Struct(">i"), 5: struct.Struct(">q")}
_INT32 = range(-(2**31), 2**31)
_INT64 = range(-(2**63), 2**63)


class EventStreamError(ValueError):
    """The bytes are not a valid event stream; nothing after them can be trusted."""


class PreludeChecksumError(EventStreamError):
    """The CRC of a frame's first 8 bytes does not match: its length cannot be trusted."""


class MessageChecksumError(EventStreamError):
    """The CRC of a whole frame does not match."""


class FrameLengthError(EventStreamError):
    """A frame's lengths contradict each other or exceed the protocol's limits."""


class HeaderError(EventStreamError):
    """A frame's headers cannot be read: unknown value type, duplicate name, or cut off."""


class IncompleteFrameError(EventStreamError):
    """The stream ended inside a frame."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message of the stream: its headers by name and its payload, undecoded."""

    headers: Mapping[str, HeaderValue]
    payload: bytes

    def header_text(self, name: str) -> str | None:
        """A header's value if it is there and a string."""
        value = self.headers.get(name)
        return value if isinstance(value, str) else None

    @property
    def message_type(self) -> str | None:
        """`event`, `exception` (modelled) or `error` (unmodelled)."""
        return self.header_text(":message-type")

    @property
    def event_type(self) -> str | None:
        """Name of the event, as `contentBlockDelta`; None for exceptions and errors."""
        return self.header_text(":event-type")


def encode_headers(headers: Mapping[str, HeaderValue]) -> bytes:
    """The header block of a frame, in the mapping's order; HeaderError if one cannot be expressed."""
    return b"".join(_encode_header(name, value) for name, value in headers.items())


def encode_frame(headers: Mapping[str, HeaderValue], payload: bytes) -> bytes:
    """One complete frame."""
    return encode_frame_raw(encode_headers(headers), payload)


def encode_frame_raw(header_block: bytes, payload: bytes) -> bytes:
    """One complete frame from a header block that `encode_headers` made; for callers that reuse the block."""
    if len(header_block) > MAX_HEADERS_BYTES or len(payload) > MAX_PAYLOAD_BYTES:
        raise FrameLengthError(f"{len(header_block)} bytes of headers and {len(payload)} of payload exceed the limits")
    sizes = _PRELUDE.pack(_OVERHEAD_BYTES + len(header_block) + len(payload), len(header_block))
    # The CRC-32 of a concatenation continues from the CRC-32 of its first part, so nothing is summed twice.
    sizes_crc = crc32(sizes)
    prelude_crc = _CRC.pack(sizes_crc)
    message_crc = crc32(payload, crc32(header_block, crc32(prelude_crc, sizes_crc)))
    return b"".join((sizes, prelude_crc, header_block, payload, _CRC.pack(message_crc)))


class FrameDecoder:
    """Frames out of bytes that arrive in any portions.

    Both checksums are verified. After an error the decoder must not be fed again: frames have no marker to
    resynchronise on.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def pending_bytes(self) -> int:
        """Bytes of a frame not yet complete."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames completed by `data`, in order; EventStreamError where the bytes are invalid.

        Frames complete before the invalid one in the same portion are lost with it; use `frames` to get them.
        """
        return list(self.frames(data))

    def frames(self, data: bytes) -> Iterator[Frame]:
        """Like `feed`, one frame at a time, so that those ahead of an invalid one are seen."""
        self._buffer += data
        while True:
            length = self._next_length()
            if length is None:
                return
            raw = bytes(memoryview(self._buffer)[:length])
            del self._buffer[:length]
            yield decode_frame(raw)

    def close(self) -> None:
        """Say that the stream has ended; IncompleteFrameError if it did so inside a frame."""
        if self._buffer:
            raise IncompleteFrameError(f"the stream ended inside a frame, {len(self._buffer)} bytes into it")

    def _next_length(self) -> int | None:
        """Length of the first frame once it is complete, else None; its prelude is checked as soon as it is here."""
        if len(self._buffer) < PRELUDE_BYTES:
            return None
        total, _ = read_prelude(self._buffer)
        return total if len(self._buffer) >= total else None


def read_prelude(data: bytes | bytearray) -> tuple[int, int]:
    """Total and headers length of the frame at the start of `data`, which holds at least its 12-byte prelude."""
    if crc32(data[:8]) != _CRC.unpack_from(data, 8)[0]:
        raise PreludeChecksumError("the checksum of a frame's prelude does not match")
    total, headers = _PRELUDE.unpack_from(data)
    payload = total - headers - _OVERHEAD_BYTES
    if payload < 0 or headers > MAX_HEADERS_BYTES or payload > MAX_PAYLOAD_BYTES:
        raise FrameLengthError(f"a frame of {total} bytes cannot have {headers} bytes of headers")
    return total, headers


def decode_frame(raw: bytes) -> Frame:
    """The frame that `raw` holds exactly; EventStreamError if it is invalid."""
    if len(raw) < _OVERHEAD_BYTES:
        raise IncompleteFrameError(f"a frame has at least {_OVERHEAD_BYTES} bytes, here are {len(raw)}")
    total, headers_length = read_prelude(raw)
    if total != len(raw):
        raise FrameLengthError(f"the frame says {total} bytes and has {len(raw)}")
    if crc32(memoryview(raw)[:-TRAILER_BYTES]) != _CRC.unpack_from(raw, total - TRAILER_BYTES)[0]:
        raise MessageChecksumError("the checksum of a frame does not match")
    payload_at = PRELUDE_BYTES + headers_length
    return Frame(decode_headers(raw[PRELUDE_BYTES:payload_at]), raw[payload_at : total - TRAILER_BYTES])


def decode_headers(block: bytes) -> dict[str, HeaderValue]:
    """The headers of a block in their order; HeaderError if it is not one."""
    headers: dict[str, HeaderValue] = {}
    position = 0
    try:
        while position < len(block):
            name_end = position + 1 + block[position]
            name = block[position + 1 : name_end].decode("utf-8")
            if name in headers:
                raise HeaderError(f"the header {name!r} occurs twice in one frame")
            headers[name], position = _decode_value(block, block[name_end], name_end + 1)
    except (IndexError, struct.error) as error:
        raise HeaderError("the headers of a frame are cut off") from error
    except UnicodeDecodeError as error:
        raise HeaderError("a header of a frame is not UTF-8") from error
    return headers


def _encode_header(name: str, value: HeaderValue) -> bytes:
    raw_name = name.encode("utf-8")
    if not 0 < len(raw_name) <= 255:
        raise HeaderError(f"a header name has 1 to 255 bytes, {name[:40]!r} has {len(raw_name)}")
    return bytes((len(raw_name),)) + raw_name + _encode_value(value)


def _encode_value(value: HeaderValue) -> bytes:
    match value:
        case bool():
            return bytes((_TYPE_TRUE if value else _TYPE_FALSE,))
        case int():
            return _encode_integer(value)
        case bytes():
            return _encode_sized(_TYPE_BYTES, value)
        case str():
            return _encode_sized(_TYPE_STRING, value.encode("utf-8"))
        case datetime():
            return bytes((_TYPE_TIMESTAMP,)) + _INTEGERS[5].pack((value - _EPOCH) // timedelta(milliseconds=1))
        case uuid.UUID():
            return bytes((_TYPE_UUID,)) + value.bytes


def _encode_integer(value: int) -> bytes:
    if value in _INT32:
        return b"\x04" + _INTEGERS[4].pack(value)
    if value in _INT64:
        return b"\x05" + _INTEGERS[5].pack(value)
    raise HeaderError(f"{value} does not fit a header: integers have up to 64 bits")


def _encode_sized(kind: int, raw: bytes) -> bytes:
    if len(raw) > 0xFFFF:
        raise HeaderError(f"a header value has up to 65535 bytes, here are {len(raw)}")
    return struct.pack(">BH", kind, len(raw)) + raw


def _decode_value(block: bytes, kind: int, at: int) -> tuple[HeaderValue, int]:
    """The value of type `kind` at position `at`, and the position behind it."""
    if kind in (_TYPE_TRUE, _TYPE_FALSE):
        return kind == _TYPE_TRUE, at
    if kind in _INTEGERS:
        return _INTEGERS[kind].unpack_from(block, at)[0], at + _INTEGERS[kind].size
    if kind in (_TYPE_BYTES, _TYPE_STRING):
        (length,) = struct.unpack_from(">H", block, at)
        raw = _slice(block, at + 2, length)
        return (raw if kind == _TYPE_BYTES else raw.decode("utf-8")), at + 2 + length
    if kind == _TYPE_TIMESTAMP:
        return _timestamp(_INTEGERS[5].unpack_from(block, at)[0]), at + 8
    if kind == _TYPE_UUID:
        return uuid.UUID(bytes=_slice(block, at, 16)), at + 16
    raise HeaderError(f"a header has the unknown value type {kind}")


def _timestamp(unix_ms: int) -> datetime:
    try:
        return _EPOCH + timedelta(milliseconds=unix_ms)
    except OverflowError as error:
        raise HeaderError(f"a header's timestamp of {unix_ms} ms is out of range") from error


def _slice(block: bytes, at: int, length: int) -> bytes:
    if at + length > len(block):
        raise HeaderError("the headers of a frame are cut off")
    return block[at : at + length]
