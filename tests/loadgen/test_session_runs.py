"""Real Locust processes that hold conversations with the emulator."""

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bedrock.invocation import InvocationRecord
from bedrock.outcome import Outcome
from scenarios.prompts import load_prompts
from scenarios.session_files import load_sessions
from scenarios.sessions import SessionSampler
from scenarios.traffic import load_routing
from tests.support.locust_process import LocustProcess

pytestmark = pytest.mark.e2e

FAST = {
    "default": {
        "latency": {
            "ttft_ms": {"distribution": "fixed", "median": 20},
            "tokens_per_second": {"distribution": "fixed", "median": 2000},
        },
        "output_tokens": {"distribution": "fixed", "median": 30},
    }
}
QUICK = """
languages: {en: 50%, ja: 50%}
think_time: 0.1s-0.3s
intents:
  look:
    first: 100%
    query_types: {product_lookup: 100%}
    next: {look: 40%, buy: 40%}
  buy:
    first: 0%
    query_types: {price_check: 100%}
"""


def start(url: str, folder: Path, *options: str) -> LocustProcess:
    conversations = folder / "quick.yaml"
    conversations.write_text(QUICK, encoding="utf-8")
    given = ("--routing", "nova", "--prompt-size", "small", "--sessions", str(conversations))
    return LocustProcess("mangaassist_sessions", url, folder / "results", *given, *options)


def by_conversation(records: list[InvocationRecord]) -> dict[str, list[InvocationRecord]]:
    found: dict[str, list[InvocationRecord]] = {}
    for record in sorted(records, key=lambda record: record.turn or 0):
        found.setdefault(record.session_id or "", []).append(record)
    return found


def assert_each_carries_what_was_said_before(turns: list[InvocationRecord]) -> None:
    """Prompts grow by each question and by each answer (30 tokens, give or take the rounding of its text)."""
    own = {prompt.id: prompt for prompt in load_prompts().prompts}
    assert [record.turn for record in turns] == list(range(1, len(turns) + 1))
    for before, after in itertools.pairwise(turns):
        assert own[after.prompt_id or ""].language == own[before.prompt_id or ""].language
        assert (after.input_tokens or 0) > (before.input_tokens or 0) + 20


@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["local", "two-processes"])
def test_arrivals_are_conversations_whose_later_turns_are_due_a_think_time_after_the_answer(
    processes: tuple[str, ...], start_emulator: Any, tmp_path: Path
) -> None:
    emulator = start_emulator(config=FAST)
    options = ("-u", "40", "-r", "40", "--rate", "10/s", "--arrival-process", "constant", "--test-duration", "3s")
    locust = start(emulator.url, tmp_path, *options, *processes)
    output = locust.finish()
    records, load = locust.records(), locust.load()
    conversations = by_conversation(records)
    model = load_sessions(tmp_path / "quick.yaml")
    sampler = SessionSampler(model, load_routing("nova"), load_prompts(), "small", 1)

    assert locust.process.returncode == 0, output
    assert {record.outcome for record in records} == {Outcome.OK}
    assert len(records) == len({record.message_id for record in records}) == len(emulator.truth())
    assert len(conversations) == load["arrivals_offered"] == load["conversations"]["begun"] == 30
    completed = 0
    for name, turns in conversations.items():
        planned = tuple(sampler.turns(int(name.rpartition("-c")[2])))
        assert [turn.prompt_id for turn in turns] == [turn.message.prompt_id for turn in planned[: len(turns)]]
        assert_each_carries_what_was_said_before(turns)
        completed += len(turns) == len(planned)
        for before, after, plan in zip(turns, turns[1:], planned[1:], strict=False):
            # Unix seconds in a float resolve 0.24 us.
            assert after.intended_at == pytest.approx((before.ended_at or 0.0) + plan.think_time_s, abs=1e-5)
            assert (after.started_at or 0.0) >= (after.intended_at or 0.0)
            assert after.process == before.process
    assert sorted(int(name.rpartition("-c")[2]) for name in conversations) == list(range(30))
    assert load["conversations"] == {"begun": 30, "completed": completed, "abandoned": 0, "cut_short": 30 - completed}
    assert max(map(len, conversations.values())) > 2


def test_in_the_closed_loop_a_user_holds_one_conversation_after_the_other(start_emulator: Any, tmp_path: Path) -> None:
    emulator = start_emulator(config=FAST)
    locust = start(emulator.url, tmp_path, "-u", "5", "-r", "5", "--think-time", "0.1s-0.2s", "--test-duration", "3s")
    output = locust.finish()
    records, counts = locust.records(), locust.load()["conversations"]
    conversations = by_conversation(records)

    assert locust.process.returncode == 0, output
    assert {record.outcome for record in records} == {Outcome.OK}
    assert counts["begun"] == len(conversations) > 5
    assert counts["begun"] == counts["completed"] + counts["cut_short"]
    assert counts["cut_short"] <= 5
    assert all(record.intended_at == record.started_at for record in records)
    assert Counter(record.query_type for record in records).keys() == {"product_lookup", "price_check"}
    for turns in conversations.values():
        assert_each_carries_what_was_said_before(turns)
