"""Event-stream frames as a load generator reads them: checked in full, decoded as little as possible.

A stream repeats a handful of header blocks thousands of times, so a block is decoded once and looked up afterwards.
`bedrock.eventstream` has the frame's layout and the errors.
"""

import struct
from dataclasses import dataclass
from zlib import crc32

from bedrock.eventstream import (
    MAX_HEADERS_BYTES,
    MAX_PAYLOAD_BYTES,
    PRELUDE_BYTES,
    TRAILER_BYTES,
    Frame,
    FrameLengthError,
    IncompleteFrameError,
    MessageChecksumError,
    PreludeChecksumError,
    decode_headers,
)

_SIZES = struct.Struct(">II")
_CRC = struct.Struct(">I")
_OVERHEAD_BYTES = PRELUDE_BYTES + TRAILER_BYTES
#: Header blocks remembered; errors carry texts in theirs, so their number has no other bound.
_REMEMBERED_BLOCKS = 256


@dataclass(frozen=True, slots=True)
class FrameKind:
    """What the headers of a frame say: `name` is the event's, the exception's or the error's, `message` an error's."""

    message_type: str
    name: str
    message: str = ""


_kinds: dict[bytes, FrameKind] = {}


class FrameScanner:
    """Frames out of bytes that arrive in any portions; after an error it must not be fed again."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[FrameKind, bytes]]:
        """Kind and payload of each frame completed by `data`; EventStreamError where the bytes are invalid.

        Frames ahead of an invalid one in the same portion are lost with it; `InvalidFramesError` carries them.
        """
        buffer = self._rest + data if self._rest else data
        frames: list[tuple[FrameKind, bytes]] = []
        at, size = 0, len(buffer)
        try:
            while size - at >= PRELUDE_BYTES:
                total, headers = _SIZES.unpack_from(buffer, at)
                prelude_crc = crc32(buffer[at : at + 8])
                if prelude_crc != _CRC.unpack_from(buffer, at + 8)[0]:
                    raise PreludeChecksumError("the checksum of a frame's prelude does not match")
                payload_at = at + PRELUDE_BYTES + headers
                payload_end = at + total - TRAILER_BYTES
                _check_lengths(total, headers)
                if size - at < total:
                    break
                # The CRC-32 of all continues from that of the prelude, so nothing is summed twice.
                if crc32(buffer[at + 8 : payload_end], prelude_crc) != _CRC.unpack_from(buffer, payload_end)[0]:
                    raise MessageChecksumError("the checksum of a frame does not match")
                block = buffer[at + PRELUDE_BYTES : payload_at]
                frames.append((_kinds.get(block) or _learn(block), buffer[payload_at:payload_end]))
                at += total
        except ValueError as error:
            raise InvalidFramesError(frames, error) from error
        self._rest = buffer[at:] if at < size else b""
        return frames

    def close(self) -> None:
        """Say that the stream has ended; IncompleteFrameError if it did so inside a frame."""
        if self._rest:
            raise IncompleteFrameError(f"the stream ended inside a frame, {len(self._rest)} bytes into it")


class InvalidFramesError(ValueError):
    """Bytes that are no frame; `frames` are the valid ones ahead of them in the same portion."""

    def __init__(self, frames: list[tuple[FrameKind, bytes]], reason: ValueError) -> None:
        super().__init__(str(reason))
        self.frames = frames


def _check_lengths(total: int, headers: int) -> None:
    payload = total - headers - _OVERHEAD_BYTES
    if payload < 0 or headers > MAX_HEADERS_BYTES or payload > MAX_PAYLOAD_BYTES:
        raise FrameLengthError(f"a frame of {total} bytes cannot have {headers} bytes of headers")


def _learn(block: bytes) -> FrameKind:
    kind = _kind_of(Frame(decode_headers(block), b""))
    if len(_kinds) < _REMEMBERED_BLOCKS:
        _kinds[block] = kind
    return kind


def _kind_of(frame: Frame) -> FrameKind:
    match frame.message_type:
        case "exception":
            return FrameKind("exception", frame.header_text(":exception-type") or "")
        case "error":
            return FrameKind("error", frame.header_text(":error-code") or "", frame.header_text(":error-message") or "")
    return FrameKind(frame.message_type or "", frame.event_type or "")
