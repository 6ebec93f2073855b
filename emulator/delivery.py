"""How an answer's bytes get to the client, with the truth noted as they go."""

from collections.abc import Callable
from typing import Any

from bedrock.clock import now
from bedrock.outcome import Outcome
from emulator.dialect import Frames
from emulator.http import Exchange, HeaderFields
from emulator.ledger import Call
from emulator.truth import CLIENT_GONE

EVENT_STREAM = "application/vnd.amazon.eventstream"


class Delivery:
    """Hands over one answer: `whole`, or `open`, `content` as often as needed, and `close`.

    Each returns False when there is nothing more to do: the client has gone, or a fault has ended the answer. It ends
    the call in any case; `generated` tells how many tokens the model had decoded by then, which is what the quota is
    charged for. Time stamps are taken just before the bytes are handed to the socket.
    """

    __slots__ = ("_call", "_exchange", "_generated", "_is_over")

    def __init__(self, exchange: Exchange, call: Call, generated: Callable[[], int], *, is_streamed: bool) -> None:
        self._exchange = exchange
        self._call = call
        self._generated = generated
        self._is_over = False
        exchange.on_gone = self._gone
        if is_streamed:
            call.entry.events = call.entry.output_tokens = 0

    @property
    def is_over(self) -> bool:
        """Whether the answer has ended, one way or another."""
        return self._is_over

    def whole(self, fields: HeaderFields, document: Any, output_tokens: int | None) -> bool:
        """The answer in one piece; `output_tokens` None where nothing is generated."""
        if self._is_over:
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
        """A content event; `output_tokens` are out when it is."""
        return self.hand_over(frames, output_tokens)

    def close(self, frames: Frames, output_tokens: int) -> bool:
        """The closing frames and the end of the stream."""
        return self.hand_over(frames, output_tokens, is_last=True)

    def hand_over(self, frames: Frames, output_tokens: int | None, *, head: bytes = b"", is_last: bool = False) -> bool:
        """Send frames, each in a chunk of its own; faults do something else here."""
        return self.put(frames, output_tokens, head=head, is_last=is_last)

    def put(self, frames: Frames, output_tokens: int | None, *, head: bytes = b"", is_last: bool = False) -> bool:
        """Send frames and note them."""
        if self._is_over:
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

    def end(self, outcome: str) -> None:
        """The call is over."""
        self._is_over = True
        self._call.end(outcome, generated_tokens=max(self._generated(), self._call.entry.output_tokens or 0))

    def _identified(self, fields: HeaderFields) -> list[tuple[str, str]]:
        return [*fields, ("x-amzn-RequestId", self._call.request_id)]

    def _gone(self) -> None:
        if not self._is_over:
            self.end(CLIENT_GONE)
