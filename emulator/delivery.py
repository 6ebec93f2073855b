"""How an answer's bytes get to the client, with the truth noted as they go."""

import sys
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any

from bedrock.clock import now
from bedrock.outcome import Outcome
from emulator.dialect import Frames
from emulator.http import Exchange, HeaderFields
from emulator.ledger import Call
from emulator.schedule import Action, Agenda
from emulator.truth import CLIENT_GONE

EVENT_STREAM = "application/vnd.amazon.eventstream"


#: More than these and the first of them would leave later than the loop's own millisecond.
_MOST_TOGETHER = 64


class Outbox:
    """Content events that are written and wait, for the rest of a turn of the agenda, to be sent together.

    Sending is more than half of the work, and is the kernel's. Done in one go it costs a seventh less of all processor
    time than done in turns with the emulator's own part, because neither has to find its code and data again.
    """

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda
        self._waiting: deque[tuple[Delivery, bytes, int, int]] = deque()

    def put(self, delivery: "Delivery", data: bytes, events: int, output_tokens: int) -> None:
        """Have `delivery` send `data`, which is so many events, the last with so many tokens in all."""
        waiting = self._waiting
        if not waiting:
            self._agenda.afterwards(self.send_all)
        waiting.append((delivery, data, events, output_tokens))
        if len(waiting) >= _MOST_TOGETHER:
            self.send_all()

    def send_all(self) -> None:
        """Send what waits, in its order."""
        waiting = self._waiting
        try:
            while waiting:
                delivery, data, events, output_tokens = waiting.popleft()
                delivery.send_content(data, events, output_tokens)
        finally:
            if waiting:  # one of them has failed; the others must still have their turn
                self._agenda.afterwards(self.send_all)


class Delivery:
    """Hands over one answer: `whole`, or `open`, `content` as often as needed, and `close`.

    Each returns False when it is known that there is nothing more to do: the client has gone, or a fault has ended the
    answer. Content goes by way of the outbox, so that it is known at the next step only. The delivery ends the call in
    any case; `generated` tells how many tokens the model had decoded by then, which is what the quota is charged for.
    Time stamps are taken just before the bytes are handed to the socket.
    """

    __slots__ = ("_call", "_exchange", "_generated", "_outbox", "is_over")

    def __init__(
        self, exchange: Exchange, call: Call, generated: Callable[[], int], outbox: Outbox, *, is_streamed: bool
    ) -> None:
        self._exchange = exchange
        self._call = call
        self._generated = generated
        self._outbox = outbox
        #: Whether the answer has ended, one way or another.
        self.is_over = False
        exchange.on_gone = self._gone
        if is_streamed:
            call.entry.events = call.entry.output_tokens = 0

    def whole(self, fields: HeaderFields, document: Any, output_tokens: int | None) -> bool:
        """The answer in one piece; `output_tokens` None where nothing is generated."""
        if self.is_over:
            return False
        entry = self._call.entry
        sent = self._exchange.respond_json(200, document, self._identified(fields))
        if sent:
            entry.status = 200
            entry.output_tokens = output_tokens
            self.end(Outcome.OK)
        return sent

    def open(self, fields: HeaderFields, frames: Frames) -> bool:
        """The head of a stream and its opening frames."""
        head = self._exchange.stream_head([("Content-Type", EVENT_STREAM), *self._identified(fields)])
        if not self.hand_over(frames, None, head=head):
            return False
        self._call.entry.status = 200
        return True

    def content(self, frames: Frames, output_tokens: int) -> bool:
        """A content event; `output_tokens` are out when it is. It leaves at the end of the agenda's turn."""
        if self.is_over:
            return False
        chunk = self._exchange.chunk
        data = chunk(frames[0]) if len(frames) == 1 else b"".join(map(chunk, frames))
        self._outbox.put(self, data, len(frames), output_tokens)
        return True

    def send_content(self, data: bytes, events: int, output_tokens: int) -> None:
        """Send content events and note them."""
        if self.is_over:
            return
        at = now()
        if self._exchange.send(data):
            self.note(at, events, output_tokens, is_content=True)

    def close(self, frames: Frames, output_tokens: int) -> bool:
        """The closing frames and the end of the stream."""
        return self.hand_over(frames, output_tokens, is_last=True)

    def hand_over(self, frames: Frames, output_tokens: int | None, *, head: bytes = b"", is_last: bool = False) -> bool:
        """Send frames, each in a chunk of its own; faults do something else here."""
        return self.put(frames, output_tokens, head=head, is_last=is_last)

    def put(self, frames: Frames, output_tokens: int | None, *, head: bytes = b"", is_last: bool = False) -> bool:
        """Send frames and note them, behind the content that waits."""
        self._outbox.send_all()
        if self.is_over:
            return False
        exchange = self._exchange
        data = head + b"".join(map(exchange.chunk, frames))
        if is_last:
            data += exchange.last_chunk
        at = now()
        if not exchange.send(data):
            return False
        self.note(at, len(frames), output_tokens, is_content=not is_last)
        if is_last:
            self.end(Outcome.OK)
            exchange.finish()
        return True

    def note(self, at: float, events: int, output_tokens: int | None, *, is_content: bool) -> None:
        """Write down what went out: so many frames, and with them so many tokens in all, None for the opening."""
        entry = self._call.entry
        entry.events = (entry.events or 0) + events
        if events and entry.first_event_at is None:
            entry.first_event_at = at
        if output_tokens is None:
            return
        entry.output_tokens = output_tokens
        if is_content:
            entry.last_token_at = at
            if entry.first_token_at is None:
                entry.first_token_at = at

    def guarded(self, step: Action) -> Action:
        """`step`, such that an error in it ends the call and the connection: nobody must wait for an answer then."""

        def take() -> float | None:
            try:
                return step()
            except Exception:  # noqa: BLE001 - whatever it is, it is this emulator's fault
                traceback.print_exc(file=sys.stderr)
                if not self.is_over:
                    self.end(Outcome.SERVER_ERROR)
                    self._exchange.abort()
                return None

        return take

    def end(self, outcome: str) -> None:
        """The call is over."""
        self.is_over = True
        self._exchange.on_gone = None  # it holds on to this delivery, which holds on to the exchange
        self._call.end(outcome, generated_tokens=max(self._generated(), self._call.entry.output_tokens or 0))

    def _identified(self, fields: HeaderFields) -> list[tuple[str, str]]:
        return [*fields, ("x-amzn-RequestId", self._call.request_id)]

    def _gone(self) -> None:
        if not self.is_over:
            self.end(CLIENT_GONE)
