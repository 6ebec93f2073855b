"""Calls as the reference readers see them: an answer is bytes in which two places matter. Only the emulator's fit."""

from dataclasses import dataclass
from pathlib import Path

_HEAD_END = b"\r\n\r\n"
_OK = b"HTTP/1.1 200 "
_REQUEST_ID = b"\r\nx-amzn-requestid: "
#: In the headers of the first event frame that has content.
_CONTENT = b"contentBlockDelta"
#: The last chunk. A frame's payload ends with a brace, so that its checksum cannot complete these bytes by chance.
_END = b"\r\n0\r\n\r\n"
_KEPT = max(len(_CONTENT), len(_END)) - 1


class RawAnswer:
    """Stamps the first content and the end of an answer. Anything but a stream with status 200 is not ok."""

    __slots__ = ("_is_head", "_tail", "ended_at", "first_content_at", "is_ok", "request_id")

    def __init__(self) -> None:
        self.request_id: str | None = None
        self.first_content_at: float | None = None
        self.ended_at: float | None = None
        self.is_ok = False
        self._is_head = True
        self._tail = b""

    def feed(self, data: bytes, at: float) -> bool:
        """Look at bytes that arrived `at`; whether the answer is over. ValueError if it is not one of a stream."""
        if self._is_head:
            data = self._tail + data
            if _HEAD_END not in data:
                self._tail = data
                return False
            self._read_head(data)
        if self.first_content_at is None and _CONTENT in self._tail + data:
            self.first_content_at = at
        last = data if len(data) >= _KEPT else self._tail + data
        self._tail = last[-_KEPT:]
        if not last.endswith(_END):
            return False
        self.ended_at = at
        self.is_ok = self.first_content_at is not None
        return True

    def fail(self, at: float) -> None:
        """Nothing more will come."""
        self.ended_at = at
        self.is_ok = False

    def _read_head(self, data: bytes) -> None:
        if not data.startswith(_OK):
            raise ValueError(f"an answer begins with {data[:40]!r}")
        start = data.lower().index(_REQUEST_ID) + len(_REQUEST_ID)
        self.request_id = data[start : data.index(b"\r\n", start)].decode("latin-1")
        self._is_head, self._tail = False, b""


@dataclass(slots=True)
class RawCall:
    """One call: when it was due, when it began, and its answer. Unix seconds."""

    due_at: float
    started_at: float
    answer: RawAnswer


@dataclass(frozen=True, slots=True)
class RawPlan:
    """What a reader needs: where to send which bytes, again and again. `ca` None is plain HTTP.

    `connections` are opened ahead of time, and more where they do not suffice.
    """

    address: tuple[str, int]
    ca: Path | None
    connections: int
    request: bytes
