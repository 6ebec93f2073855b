"""Answers on their way: each holds to its plan and hands its bytes to the socket when they are due."""

from collections.abc import Iterator
from dataclasses import dataclass

from bedrock.clock import now
from bedrock.outcome import Outcome
from emulator.converse import ConverseRequest, EventFrames, Usage, response_body
from emulator.http import Exchange
from emulator.ledger import Call
from emulator.schedule import Agenda
from emulator.timing import AnswerPlan
from emulator.truth import CLIENT_GONE

EVENT_STREAM = "application/vnd.amazon.eventstream"


@dataclass(frozen=True, slots=True)
class Script:
    """All that an answer needs: who asked for what, what is said, and when."""

    exchange: Exchange
    call: Call
    request: ConverseRequest
    plan: AnswerPlan
    tokens: list[str]

    @property
    def usage(self) -> Usage:
        """Token counts; the output tokens are those of the plan."""
        return Usage(self.request.input_tokens, self.plan.output_tokens)

    @property
    def stop_reason(self) -> str:
        """Why the answer ends."""
        return "max_tokens" if self.plan.hit_max_tokens else "end_turn"

    def due_at(self, offset_s: float) -> float:
        """Unix seconds of a moment of the plan."""
        return self.exchange.started_at + offset_s

    def elapsed_ms(self) -> int:
        """Milliseconds since work on the request began."""
        return round((now() - self.exchange.started_at) * 1000.0)

    def tokens_generated(self) -> int:
        """Tokens that the model has decoded by now, whether or not anybody could read them."""
        return self.plan.tokens_by(now() - self.exchange.started_at)


class WholeAnswer:
    """The answer of Converse: nothing, and then all of it at once."""

    def __init__(self, script: Script, agenda: Agenda) -> None:
        self._script = script
        self._is_over = False
        script.exchange.on_gone = self._gone
        agenda.at(script.due_at(script.plan.end_s), self._answer)

    def _answer(self) -> None:
        if self._is_over:
            return
        script, entry = self._script, self._script.call.entry
        body = response_body(
            script.request, "".join(script.tokens), script.stop_reason, script.usage, script.elapsed_ms()
        )
        if script.exchange.respond_json(200, body, [("x-amzn-RequestId", script.call.request_id)]):
            self._is_over = True
            entry.status = 200
            entry.output_tokens = script.plan.output_tokens
            script.call.end(Outcome.OK, generated_tokens=script.plan.output_tokens)

    def _gone(self) -> None:
        self._is_over = True
        self._script.call.end(CLIENT_GONE, generated_tokens=self._script.tokens_generated())


class StreamedAnswer:
    """The answer of ConverseStream: event frames, each in a chunk of its own, each at its time."""

    __slots__ = ("_agenda", "_ends", "_frames", "_is_over", "_script", "_sent_tokens", "_upcoming")

    def __init__(self, script: Script, agenda: Agenda, frames: EventFrames) -> None:
        self._script = script
        self._agenda = agenda
        self._frames = frames
        self._ends: Iterator[int] = script.plan.event_ends()
        self._upcoming = next(self._ends)
        self._sent_tokens = 0
        self._is_over = False
        script.call.entry.events = 0
        script.call.entry.output_tokens = 0
        script.exchange.on_gone = self._gone
        agenda.at(script.due_at(script.plan.open_s), self._open)

    def _open(self) -> None:
        script, entry = self._script, self._script.call.entry
        fields = [("Content-Type", EVENT_STREAM), ("x-amzn-RequestId", script.call.request_id)]
        opening = script.exchange.stream_head(fields) + script.exchange.chunk(self._frames.message_start())
        at = now()
        if self._hand_over(opening):
            entry.status = 200
            entry.first_event_at = at
            entry.events = 1
            self._schedule_upcoming()

    def _schedule_upcoming(self) -> None:
        self._agenda.at(self._script.due_at(self._script.plan.token_due_s(self._upcoming)), self._say)

    def _say(self) -> None:
        script, entry, end = self._script, self._script.call.entry, self._upcoming
        text = "".join(script.tokens[self._sent_tokens : end])
        following = next(self._ends, None)
        if text or following is None:
            data = script.exchange.chunk(self._frames.text_delta(text))
            at = now()
            if not self._hand_over(data):
                return
            self._sent_tokens = entry.output_tokens = end
            entry.events = (entry.events or 0) + 1
            entry.last_token_at = at
            if entry.first_token_at is None:
                entry.first_token_at = at
        if following is None:
            self._close()
        else:
            self._upcoming = following
            self._schedule_upcoming()

    def _close(self) -> None:
        script, frames, chunk = self._script, self._frames, self._script.exchange.chunk
        closing = (
            frames.block_stop(),
            frames.message_stop(script.stop_reason),
            frames.metadata(script.request, script.usage, script.elapsed_ms()),
        )
        if self._hand_over(b"".join(map(chunk, closing)) + script.exchange.last_chunk):
            self._is_over = True
            script.call.entry.events = (script.call.entry.events or 0) + len(closing)
            script.call.end(Outcome.OK, generated_tokens=script.plan.output_tokens)
            script.exchange.finish()

    def _hand_over(self, data: bytes) -> bool:
        return not self._is_over and self._script.exchange.send(data)

    def _gone(self) -> None:
        self._is_over = True
        self._script.call.end(CLIENT_GONE, generated_tokens=self._script.tokens_generated())
