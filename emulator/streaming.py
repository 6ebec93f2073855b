"""Answers on their way: each holds to its plan and hands its parts to the delivery when they are due."""

from collections.abc import Iterator
from dataclasses import dataclass

from bedrock.clock import now
from emulator.answer import Ending, ServedAs, Usage, WholeReply
from emulator.composition import Said
from emulator.delivery import Delivery
from emulator.dialect import Dialect, StreamWriter
from emulator.model_request import ModelRequest
from emulator.schedule import Agenda
from emulator.timing import AnswerPlan


@dataclass(frozen=True, slots=True)
class Script:
    """All that an answer needs: what was asked, what is said, how it is written, and when. Times are Unix seconds."""

    request: ModelRequest
    served: ServedAs
    dialect: Dialect
    said: Said
    plan: AnswerPlan
    usage: Usage
    #: When the request had been read.
    read_at: float
    #: When work on it began: at once, unless it had to wait for its turn.
    started_at: float

    def due_at(self, offset_s: float) -> float:
        """Unix seconds of a moment of the plan."""
        return self.started_at + offset_s

    def ending(self) -> Ending:
        """How the answer ends, if it ends now."""
        return Ending(
            stop_reason=self.said.stop_reason,
            stop_sequence=self.said.stop_sequence,
            usage=self.usage,
            latency_ms=round((now() - self.read_at) * 1000.0),
            first_byte_ms=round((self.due_at(self.plan.ttft_s) - self.read_at) * 1000.0),
        )

    def tokens_generated(self) -> int:
        """Tokens that the model has decoded by now, whether or not anybody could read them."""
        return self.plan.tokens_by(now() - self.started_at)


class WholeAnswer:
    """Nothing, and then all of it at once."""

    def __init__(self, script: Script, agenda: Agenda, delivery: Delivery) -> None:
        self._script = script
        self._delivery = delivery
        agenda.at(script.due_at(script.plan.end_s), delivery.guarded(self._answer))

    def _answer(self) -> None:
        if self._delivery.is_over:
            return
        script = self._script
        reply = WholeReply(
            request=script.request,
            served=script.served,
            reasoning="".join(script.said.reasoning),
            text="".join(script.said.answer),
            ending=script.ending(),
        )
        fields, document = script.dialect.whole(reply)
        self._delivery.whole(fields, document, script.plan.output_tokens)


class StreamedAnswer:
    """Event frames, each in a chunk of its own, each at its time."""

    __slots__ = (
        "_agenda",
        "_delivery",
        "_ends",
        "_first_token_at",
        "_interval_s",
        "_reasoning_tokens",
        "_script",
        "_sent_tokens",
        "_tokens",
        "_upcoming",
        "_writer",
    )

    def __init__(self, script: Script, agenda: Agenda, delivery: Delivery) -> None:
        self._script = script
        self._agenda = agenda
        self._delivery = delivery
        self._writer: StreamWriter = script.dialect.writer(
            script.request, script.served, script.usage, thinks=script.plan.reasoning_tokens > 0
        )
        self._tokens = [*script.said.reasoning, *script.said.answer]
        # What every event asks for is kept at hand: at 60,000 events a second each look-up counts.
        self._reasoning_tokens = script.plan.reasoning_tokens
        self._first_token_at = script.due_at(script.plan.ttft_s)
        self._interval_s = script.plan.decode_interval_s
        self._ends: Iterator[int] = script.plan.event_ends()
        self._upcoming = next(self._ends)
        self._sent_tokens = 0
        agenda.at(script.due_at(script.plan.open_s), delivery.guarded(self._open))

    def _open(self) -> None:
        fields = self._script.dialect.stream_fields(self._script.served)
        if not self._delivery.is_over and self._delivery.open(fields, self._writer.opening()):
            self._agenda.at(self._due_at(self._upcoming), self._delivery.guarded(self._say))

    def _due_at(self, token: int) -> float:
        return self._first_token_at + (token - 1) * self._interval_s

    def _say(self) -> float | None:
        """Send the event that is due; when the next one is, None when there is none."""
        delivery, end, sent = self._delivery, self._upcoming, self._sent_tokens
        if delivery.is_over:
            return None
        text = self._tokens[sent] if end == sent + 1 else "".join(self._tokens[sent:end])
        if text:
            writer = self._writer
            frames = writer.text(text, end) if end > self._reasoning_tokens else writer.reasoning(text, end)
            if not delivery.content(frames, end):
                return None
            self._sent_tokens = end
        following = next(self._ends, None)
        if following is None:
            delivery.close(self._writer.closing(self._script.ending()), self._script.plan.output_tokens)
            return None
        self._upcoming = following
        return self._due_at(following)
