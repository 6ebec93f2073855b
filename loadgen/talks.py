"""A conversation that a user is having: what was said, what comes next and when, and how it ends."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from statistics import fmean

from bedrock.clock import now
from bedrock.history import Dialogue
from bedrock.invocation import InvocationRecord
from bedrock.outcome import Outcome
from scenarios.sessions import SessionModel, SessionTurn

BEGUN, COMPLETED, ABANDONED, CUT_SHORT = "begun", "completed", "abandoned", "cut_short"


class Talk:
    """One conversation: `number` is its place among all, `turn` the message to send, `position` its place, from 1.

    `end` is None while it goes on.
    """

    def __init__(self, number: int, turns: Iterator[SessionTurn], model: SessionModel, due_at: float) -> None:
        self.number = number
        self.position = 1
        self.dialogue = Dialogue()
        self.end: str | None = None
        #: When the message is due, in Unix seconds.
        self.due_at = due_at
        self._turns = turns
        self._model = model
        self._repeats_left = model.repeats_after_failure
        self.turn = next(turns)

    def hear(self, record: InvocationRecord) -> None:
        """Take the answer: go on, ask again after a failure, or leave."""
        following = self._following() if record.outcome is Outcome.OK else self._repetition()
        if following is None:
            self.end = COMPLETED if record.outcome is Outcome.OK else ABANDONED
            return
        self.turn = following
        self.position += 1
        self.due_at = (record.ended_at or now()) + following.think_time_s

    def _following(self) -> SessionTurn | None:
        self._repeats_left = self._model.repeats_after_failure
        return next(self._turns, None)

    def _repetition(self) -> SessionTurn | None:
        """The same message after the mean pause before such a one."""
        if self._repeats_left == 0:
            return None
        self._repeats_left -= 1
        return replace(self.turn, think_time_s=fmean(self._model.intent(self.turn.intent).think_time_s))


def conversation_counts(ended: Mapping[str, int]) -> dict[str, int] | None:
    """Conversations by what became of them at the end of the test; None where none has begun.

    Those that are neither completed nor abandoned were cut short: the test ended, or their user was taken away.
    """
    begun = ended.get(BEGUN, 0)
    if begun == 0:
        return None
    counts = {BEGUN: begun, COMPLETED: ended.get(COMPLETED, 0), ABANDONED: ended.get(ABANDONED, 0)}
    return counts | {CUT_SHORT: begun - counts[COMPLETED] - counts[ABANDONED]}
