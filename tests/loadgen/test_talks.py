"""How a conversation goes on after each answer, and how it ends."""

from collections import Counter
from dataclasses import replace

import pytest

from bedrock.invocation import InvocationRecord
from bedrock.outcome import Outcome
from loadgen.new_records import index_of, message_id
from loadgen.talks import Talk, conversation_counts
from scenarios.prompts import load_prompts
from scenarios.session_files import load_sessions
from scenarios.sessions import SessionSampler, SessionTurn
from scenarios.traffic import load_routing

MODEL = load_sessions("mangaassist")
SAMPLER = SessionSampler(MODEL, load_routing("nova"), load_prompts(), "small", 1)


def record(outcome: Outcome = Outcome.OK, ended_at: float = 100.0) -> InvocationRecord:
    return InvocationRecord("r", "c", "p", 0, "m", outcome=outcome, ended_at=ended_at)


def long_conversation() -> tuple[SessionTurn, ...]:
    return next(turns for turns in (tuple(SAMPLER.turns(number)) for number in range(100)) if len(turns) > 2)


def test_a_conversation_says_all_its_turns_each_a_think_time_after_the_answer() -> None:
    turns = long_conversation()
    talk = Talk(7, iter(turns), MODEL, 90.0)
    said = []
    while talk.end is None:
        said.append(talk.turn)
        assert talk.position == len(said)
        talk.hear(record(ended_at=100.0))
        if talk.end is None:
            assert talk.due_at == 100.0 + talk.turn.think_time_s

    assert tuple(said) == turns
    assert talk.end == "completed"


@pytest.mark.parametrize("outcome", [Outcome.THROTTLED, Outcome.TIMEOUT, Outcome.STREAM_ERROR])
def test_who_gets_no_answer_leaves(outcome: Outcome) -> None:
    talk = Talk(0, iter(long_conversation()), MODEL, 90.0)
    talk.hear(record(outcome))

    assert talk.end == "abandoned"


def test_a_patient_customer_asks_again_and_goes_on_when_answered() -> None:
    turns = long_conversation()
    talk = Talk(0, iter(turns), replace(MODEL, repeats_after_failure=1), 90.0)
    talk.hear(record(Outcome.THROTTLED, ended_at=50.0))
    again = talk.turn
    low_s, high_s = MODEL.intent(turns[0].intent).think_time_s

    assert (again.message, talk.position, talk.end) == (turns[0].message, 2, None)
    assert talk.due_at == 50.0 + (low_s + high_s) / 2
    talk.hear(record())
    assert (talk.turn, talk.position) == (turns[1], 3)
    talk.hear(record(Outcome.THROTTLED))
    assert talk.end is None, "an answer gives the patience back"
    talk.hear(record(Outcome.THROTTLED))
    assert talk.end == "abandoned"


def test_a_lost_process_leaves_its_conversations_by_their_first_messages() -> None:
    ids = [message_id("worker-1", 17, number) for number in (None, 1, 2)]

    assert ids == ["worker-1-m17", "worker-1-m17", "worker-1-m17-t2"]
    assert [index_of(each) for each in ids] == [17, 17, None]


def test_what_neither_completed_nor_was_abandoned_was_cut_short() -> None:
    ended = Counter(begun=10, completed=6, abandoned=1)

    assert conversation_counts(ended) == {"begun": 10, "completed": 6, "abandoned": 1, "cut_short": 3}
    assert conversation_counts(Counter()) is None
