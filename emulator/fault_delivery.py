"""What faults do to answers on their way: refusals in place of an answer, deliveries that hand over something else.

A fault that strikes after so many events strikes in place of the stream's last event at the latest, so that a request
that is counted as hit is hit. The truth log says what a correct client records: outcomes of `bedrock.outcome`.
"""

import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar, assert_never
from zlib import crc32

from bedrock.clock import now
from bedrock.eventstream import PRELUDE_BYTES, TRAILER_BYTES
from bedrock.outcome import Outcome, canonical_code, classify_stream_exception
from emulator.delivery import Delivery, Outbox
from emulator.dialect import Frames
from emulator.errors import ServiceError
from emulator.faults import (
    Action,
    BreakChecksum,
    Cut,
    CutAt,
    Delay,
    Disconnect,
    EndWithException,
    FramePart,
    Garble,
    Hit,
    Refuse,
    RepeatLastEvent,
    Stall,
    Trickle,
)
from emulator.frames import error_frame, exception_frame
from emulator.http import Exchange, HeaderFields, json_body, response_head
from emulator.ledger import Call
from emulator.modelled_errors import UNMODELLED, about_model
from emulator.schedule import Agenda
from emulator.truth import CLIENT_GONE

#: A trickle is cut into this many portions a second, or into single bytes where that is slower.
_PORTIONS_PER_S = 50
_SIZES_BYTES = PRELUDE_BYTES - TRAILER_BYTES
#: What a gateway sends that has its own idea of an answer.
NOT_JSON = b"<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>\n"


class MakeDelivery(Protocol):
    """What makes the delivery of one answer, as the class `Delivery` does."""

    def __call__(
        self, exchange: Exchange, call: Call, generated: Callable[[], int], outbox: Outbox, *, is_streamed: bool
    ) -> Delivery:
        """A delivery."""


def delivery_under(hit: Hit | None, agenda: Agenda) -> MakeDelivery:
    """What delivers the answer of a request that was hit so, or not at all."""
    faulty = None if hit is None else _faulty_delivery(hit.action)
    return Delivery if hit is None or faulty is None else partial(faulty, hit.action, seed=hit.seed, agenda=agenda)


def answered_by(
    hit: Hit, exchange: Exchange, call: Call, agenda: Agenda, refuse: Callable[[Exchange, Call, ServiceError], None]
) -> bool:
    """Whether the fault has taken the place of the answer, now or when it is due; `refuse` answers with an error."""
    match hit.action:
        case Refuse(error, delay_s):
            exchange.on_gone = lambda: call.end(CLIENT_GONE)
            error = about_model(error, call.entry.model_id or "")
            agenda.at(exchange.started_at + delay_s, lambda: refuse(exchange, call, error))
            return True
        case Disconnect():
            call.entry.input_tokens = None  # nothing was read, nothing will be billed
            call.end(Outcome.CONNECTION_ERROR)
            exchange.abort()
            return True
    return False


_Action = TypeVar("_Action")
_LaterAction = TypeVar("_LaterAction", bound=EndWithException | Cut | Stall | BreakChecksum | Garble)


class _FaultDelivery(Delivery, Generic[_Action]):
    """A delivery that knows its fault, and ways to end an answer that are not its own."""

    __slots__ = ("_action", "_agenda", "_seed")

    def __init__(
        self,
        action: _Action,
        exchange: Exchange,
        call: Call,
        generated: Callable[[], int],
        outbox: Outbox,
        *,
        is_streamed: bool,
        seed: str,
        agenda: Agenda,
    ) -> None:
        super().__init__(exchange, call, generated, outbox, is_streamed=is_streamed)
        self._action = action
        self._seed = seed
        self._agenda = agenda
        self._prepare()

    def _prepare(self) -> None:
        """Set up what it keeps beside its fault."""

    def content(self, frames: Frames, output_tokens: int) -> bool:
        """A content event, like all else by way of `hand_over`."""
        return self.hand_over(frames, output_tokens)

    def _finish(self, data: bytes, outcome: str) -> bool:
        """The last bytes and the end of the stream; nothing more is to be done."""
        if self._exchange.send(data + self._exchange.last_chunk):
            self.end(outcome)
            self._exchange.finish()
        return False

    def _abort(self, outcome: str) -> bool:
        """The end of the connection; nothing more is to be done."""
        self.end(outcome)
        self._exchange.abort()
        return False

    def _whole_head(self, fields: HeaderFields, body_bytes: int) -> bytes:
        content = [("Content-Type", "application/json"), *self._identified(fields), ("Content-Length", str(body_bytes))]
        return response_head(200, content, keep_alive=self._exchange.request.keep_alive)


class _StrikingDelivery(_FaultDelivery[_LaterAction], ABC):
    """Hands over so many events and then strikes, once."""

    __slots__ = ("_is_struck", "_spared")

    def _prepare(self) -> None:
        self._spared = self._action.after_events
        self._is_struck = False

    def hand_over(self, frames: Frames, output_tokens: int | None, *, head: bytes = b"", is_last: bool = False) -> bool:
        """Spare frames as long as there are some to spare."""
        if self.is_over:
            return False
        if self._is_struck:
            return self.follow(frames, output_tokens, is_last=is_last)
        spared = min(self._spared, len(frames) - 1) if is_last else self._spared
        is_content = output_tokens is not None and not is_last
        # Frames of content that belong together stay together: which of them has the tokens, the writer alone knows.
        if len(frames) <= spared or (is_content and spared):
            self._spared = max(0, spared - len(frames))
            return self.put(frames, output_tokens, head=head)
        self._is_struck = True
        if head or spared:
            if not self.put(frames[:spared], None, head=head):
                return False
            self._call.entry.status = 200
        return self.strike(frames[spared:], output_tokens, is_last=is_last)

    @abstractmethod
    def strike(self, frames: Frames, output_tokens: int | None, *, is_last: bool) -> bool:
        """Do it, in place of these frames, of which there is at least one."""

    def follow(self, frames: Frames, output_tokens: int | None, *, is_last: bool) -> bool:
        """What comes afterwards, if the answer goes on at all."""
        return self.put(frames, output_tokens, is_last=is_last)


class _ExceptionDelivery(_StrikingDelivery[EndWithException]):
    """An exception frame, and the end."""

    __slots__ = ()

    def strike(self, frames: Frames, output_tokens: int | None, *, is_last: bool) -> bool:  # noqa: ARG002 - base's
        """The frame is not counted as an event: SDKs raise it."""
        action, entry = self._action, self._call.entry
        error = about_model(ServiceError(action.code, 200, action.message, action.members), entry.model_id or "")
        if action.exception == UNMODELLED:
            frame = error_frame(error.code, error.message)
        else:
            frame = exception_frame(action.exception, {"message": error.message, **error.members})
        entry.error_code = canonical_code(action.code)
        return self._finish(self._exchange.chunk(frame), classify_stream_exception(action.code))


class _CutDelivery(_StrikingDelivery[Cut]):
    """An answer without its end: none at all, half a frame or body, or no more frames."""

    __slots__ = ()

    def open(self, fields: HeaderFields, frames: Frames) -> bool:
        """Nothing at all, where the cut comes before the headers."""
        if self._action.at is CutAt.BEFORE_HEADERS and not self.is_over:
            return self._abort(Outcome.CONNECTION_ERROR)
        return super().open(fields, frames)

    def whole(self, fields: HeaderFields, document: Any, output_tokens: int | None) -> bool:  # noqa: ARG002 - they are not sent
        """Half of the body, or nothing. To a client it is a lost connection: only streams can be truncated."""
        if self.is_over:
            return False
        if self._action.at is CutAt.MID_FRAME:
            body = json_body(document)
            if not self._exchange.send(self._whole_head(fields, len(body)) + body[: len(body) // 2]):
                return False
            self._call.entry.status = 200
        return self._abort(Outcome.CONNECTION_ERROR)

    def strike(self, frames: Frames, output_tokens: int | None, *, is_last: bool) -> bool:  # noqa: ARG002 - base's
        """Half of the next frame in a chunk that promises all of it, or a clean end."""
        if self._action.at is CutAt.FRAME_BORDER:
            return self._finish(b"", Outcome.TRUNCATED)
        chunk = self._exchange.chunk(frames[0])
        return self._exchange.send(chunk[: len(chunk) // 2]) and self._abort(Outcome.TRUNCATED)


class _StallDelivery(_StrikingDelivery[Stall]):
    """Silence; then all that fell due meanwhile, and the rest at its times."""

    __slots__ = ("_held",)

    def _prepare(self) -> None:
        super()._prepare()
        self._held: list[tuple[Frames, int | None, bool]] | None = []

    def strike(self, frames: Frames, output_tokens: int | None, *, is_last: bool) -> bool:
        """The silence begins where the next event is due, so that it is seen also between slow events."""
        if self._action.stall_s is not None:
            self._agenda.at(now() + self._action.stall_s, self.guarded(self._go_on))
        return self.follow(frames, output_tokens, is_last=is_last)

    def follow(self, frames: Frames, output_tokens: int | None, *, is_last: bool) -> bool:
        """Hold back during the silence."""
        if self._held is None:
            return self.put(frames, output_tokens, is_last=is_last)
        self._held.append((frames, output_tokens, is_last))
        return True

    def _go_on(self) -> None:
        held, self._held = self._held or [], None
        for frames, output_tokens, is_last in held:
            if not self.put(frames, output_tokens, is_last=is_last):
                return


class _BadChecksumDelivery(_StrikingDelivery[BreakChecksum]):
    """A frame with one wrong checksum, and the end: nothing after it can be trusted."""

    __slots__ = ()

    def strike(self, frames: Frames, output_tokens: int | None, *, is_last: bool) -> bool:  # noqa: ARG002 - base's
        """The frame as it should be but for the checksum."""
        frame = with_bad_checksum(frames[0], self._action.part)
        return self._finish(self._exchange.chunk(frame), Outcome.STREAM_ERROR)


class _GarbageDelivery(_StrikingDelivery[Garble]):
    """Random bytes as long as the frame they stand for, and the end; or a body that is no JSON."""

    __slots__ = ()

    def strike(self, frames: Frames, output_tokens: int | None, *, is_last: bool) -> bool:  # noqa: ARG002 - base's
        """They pass for a frame with a chance of one in four thousand million: the prelude has a checksum."""
        garbage = random.Random(self._seed).randbytes(len(frames[0]))
        return self._finish(self._exchange.chunk(garbage), Outcome.STREAM_ERROR)

    def whole(self, fields: HeaderFields, document: Any, output_tokens: int | None) -> bool:  # noqa: ARG002 - they are not sent
        """It says that it is JSON, and is not."""
        if not self.is_over and self._exchange.send(self._whole_head(fields, len(NOT_JSON)) + NOT_JSON):
            self._call.entry.status = 200
            self.end(Outcome.SERVER_ERROR)
            self._exchange.finish()
        return False


class _RepeatDelivery(_FaultDelivery[RepeatLastEvent]):
    """The last event twice, or not at all."""

    __slots__ = ()

    def hand_over(self, frames: Frames, output_tokens: int | None, *, head: bytes = b"", is_last: bool = False) -> bool:
        """Nothing is different before the end."""
        if not is_last:
            return self.put(frames, output_tokens, head=head)
        if self._action.times:
            return self.put([*frames, *[frames[-1]] * (self._action.times - 1)], output_tokens, is_last=True)
        return self.put(frames[:-1], None) and self._finish(b"", Outcome.TRUNCATED)


@dataclass(frozen=True, slots=True)
class _Parcel:
    """Bytes that belong together; `events` is None for a whole answer."""

    data: bytes
    events: int | None
    output_tokens: int | None
    is_last: bool


class _TrickleDelivery(_FaultDelivery[Trickle]):
    """Every byte at its time, never more a second than the rate; an event is sent when its last byte is."""

    __slots__ = ("_is_flowing", "_parcels", "_portion_bytes", "_sent_bytes")

    def _prepare(self) -> None:
        self._portion_bytes = max(1, int(self._action.bytes_per_s / _PORTIONS_PER_S))
        self._parcels: deque[_Parcel] = deque()
        self._sent_bytes = 0
        self._is_flowing = False

    def put(self, frames: Frames, output_tokens: int | None, *, head: bytes = b"", is_last: bool = False) -> bool:
        """Put frames behind what is still to be sent."""
        exchange = self._exchange
        data = head + b"".join(map(exchange.chunk, frames)) + (exchange.last_chunk if is_last else b"")
        return self._enqueue(_Parcel(data, len(frames), output_tokens, is_last))

    def whole(self, fields: HeaderFields, document: Any, output_tokens: int | None) -> bool:
        """The answer in many pieces."""
        body = json_body(document)
        return self._enqueue(_Parcel(self._whole_head(fields, len(body)) + body, None, output_tokens, is_last=True))

    def _enqueue(self, parcel: _Parcel) -> bool:
        if self.is_over:
            return False
        self._parcels.append(parcel)
        if not self._is_flowing:
            self._flow()
        return not self.is_over

    def _flow(self) -> None:
        """Send a portion, and come back when the line has room for the next."""
        self._is_flowing = bool(self._parcels) and not self.is_over
        if not self._is_flowing:
            return
        parcel = self._parcels[0]
        portion = parcel.data[self._sent_bytes : self._sent_bytes + self._portion_bytes]
        at = now()
        if not self._exchange.send(portion):
            return
        self._call.entry.status = 200
        self._sent_bytes += len(portion)
        self._agenda.at(at + len(portion) / self._action.bytes_per_s, self.guarded(self._flow))
        if self._sent_bytes >= len(parcel.data):
            self._parcels.popleft()
            self._sent_bytes = 0
            self._arrived(parcel, at)

    def _arrived(self, parcel: _Parcel, at: float) -> None:
        """The last byte of a parcel has been handed over at `at`."""
        if parcel.events is None:
            self._call.entry.output_tokens = parcel.output_tokens
        else:
            self.note(at, parcel.events, parcel.output_tokens, is_content=not parcel.is_last)
        if parcel.is_last:
            self.end(Outcome.OK)
            self._exchange.finish()


def _faulty_delivery(action: Action) -> type[_FaultDelivery[Any]] | None:
    """What delivers an answer with this fault; None where the answer itself is whole, or there is none."""
    kind: type[_FaultDelivery[Any]] | None
    match action:
        case EndWithException():
            kind = _ExceptionDelivery
        case Cut():
            kind = _CutDelivery
        case Stall():
            kind = _StallDelivery
        case Trickle():
            kind = _TrickleDelivery
        case BreakChecksum():
            kind = _BadChecksumDelivery
        case Garble():
            kind = _GarbageDelivery
        case RepeatLastEvent():
            kind = _RepeatDelivery
        case Refuse() | Disconnect() | Delay():
            kind = None
        case _:
            assert_never(action)
    return kind


def with_bad_checksum(frame: bytes, part: FramePart) -> bytes:
    """The frame with one of its checksums wrong and the other right."""
    if part is FramePart.MESSAGE:
        return frame[:-TRAILER_BYTES] + _inverted(frame[-TRAILER_BYTES:])
    prelude = frame[:_SIZES_BYTES] + _inverted(frame[_SIZES_BYTES:PRELUDE_BYTES])
    covered = prelude + frame[PRELUDE_BYTES:-TRAILER_BYTES]
    return covered + crc32(covered).to_bytes(TRAILER_BYTES, "big")


def _inverted(data: bytes) -> bytes:
    return bytes(byte ^ 0xFF for byte in data)
