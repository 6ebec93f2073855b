"""Conversations in requests: every API and family carries the earlier turns, as many as the context holds."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.bodies import APIS, converse_body, invoke_body
from bedrock.catalog import default_catalog
from bedrock.client import TRANSPORTS, BedrockClient, make_transport
from bedrock.endpoint import Endpoint
from bedrock.history import Dialogue, room_for_history
from bedrock.invocation import Exchange, Invocation, InvocationRecord
from bedrock.outcome import Outcome
from bedrock.tokens import estimate_tokens
from emulator.process import EmulatorProcess

FAMILIES = {
    "anthropic": "anthropic.claude-haiku-4-5-20251001-v1:0",
    "nova": "amazon.nova-pro-v1:0",
    "llama": "meta.llama3-3-70b-instruct-v1:0",
    "mistral": "mistral.mistral-large-2407-v1:0",
    "titan": "amazon.titan-text-express-v1",
}
HISTORY = (Exchange("Any new manga?", "Yes, four of them."), Exchange("Which one is best?", "The second one."))
FAST = {
    "default": {
        "latency": {
            "ttft_ms": {"distribution": "fixed", "median": 1},
            "tokens_per_second": {"distribution": "fixed", "median": 20_000},
        },
        "output_tokens": {"distribution": "fixed", "median": 8},
    }
}


def asked(api: str, family: str, history: tuple[Exchange, ...] = HISTORY) -> Invocation:
    return Invocation(api, FAMILIES[family], "And the price?", 50, system="You sell manga.", history=history)


@pytest.fixture(scope="module")
def emulator() -> Iterator[EmulatorProcess]:
    with EmulatorProcess(FAST, seed=1) as running:
        yield running


def called(emulator: EmulatorProcess, transport_name: str, invocation: Invocation) -> InvocationRecord:
    transport = make_transport(transport_name, Endpoint("us-east-1", emulator.url), pool_size=1, read_timeout_s=10.0)
    record = InvocationRecord("run", "cell", "local", 0, "m")
    BedrockClient(transport).invoke(invocation, record)
    return record


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("api", APIS)
def test_the_service_reads_the_whole_conversation_whatever_the_transport(
    emulator: EmulatorProcess, api: str, family: str
) -> None:
    records = [called(emulator, name, asked(api, family)) for name in TRANSPORTS]
    alone = called(emulator, "wire", asked(api, family, history=()))
    said = estimate_tokens(" ".join(text for exchange in HISTORY for text in exchange))

    assert {record.outcome for record in records} == {Outcome.OK}
    assert len({record.input_tokens for record in records}) == 1
    grown = (records[0].input_tokens or 0) - (alone.input_tokens or 0)
    # Titan's dialogue names its speakers, three times `User:` and `Bot:`.
    names = estimate_tokens("User: Bot: " * 3) if family == "titan" and api.startswith("invoke") else 0
    assert grown == pytest.approx(said + names, abs=1), "counts are rounded up once a prompt"


def test_messages_alternate_and_end_with_the_question() -> None:
    messages = converse_body(asked("converse", "nova"))["messages"]

    assert [message["role"] for message in messages] == ["user", "assistant", "user", "assistant", "user"]
    assert [message["content"][0]["text"] for message in messages] == [*HISTORY[0], *HISTORY[1], "And the price?"]


def test_families_with_one_prompt_take_the_conversation_in_their_template() -> None:
    bodies = {name: invoke_body(asked("invoke_model", name), name) for name in ("llama", "mistral", "titan")}

    assert bodies["mistral"]["prompt"] == (
        "<s>[INST] You sell manga.\n\nAny new manga? [/INST] Yes, four of them.</s>"
        "[INST] Which one is best? [/INST] The second one.</s>[INST] And the price? [/INST]"
    )
    assert bodies["titan"]["inputText"] == (
        "You sell manga.\n\nUser: Any new manga?\nBot: Yes, four of them.\nUser: Which one is best?\n"
        "Bot: The second one.\nUser: And the price?\nBot:"
    )
    assert bodies["llama"]["prompt"].count("<|start_header_id|>assistant<|end_header_id|>") == 3
    assert "assistant<|end_header_id|>\n\nThe second one.<|eot_id|>" in bodies["llama"]["prompt"]


def test_without_a_history_the_prompt_stands_alone() -> None:
    bodies = {name: invoke_body(asked("invoke_model", name, history=()), name) for name in ("mistral", "titan")}

    assert bodies["mistral"]["prompt"] == "<s>[INST] You sell manga.\n\nAnd the price? [/INST]"
    assert bodies["titan"]["inputText"] == "You sell manga.\n\nAnd the price?"


@given(st.lists(st.integers(1, 40), max_size=12), st.integers(-5, 300))
def test_the_latest_turns_that_fit_are_kept(lengths: list[int], room: int) -> None:
    dialogue = Dialogue()
    for number, length in enumerate(lengths):
        dialogue.add(f"turn {number}", "word " * length)
    exchanges = dialogue.history(None)
    kept = dialogue.history(room)

    def tokens(some: tuple[Exchange, ...]) -> int:
        return sum(estimate_tokens(text) for exchange in some for text in exchange)

    assert len(exchanges) == len(lengths)
    assert kept == exchanges[len(exchanges) - len(kept) :]
    assert tokens(kept) <= max(room, 0)
    assert len(kept) == len(exchanges) or tokens(exchanges[len(exchanges) - len(kept) - 1 :]) > room


def test_the_services_own_count_of_an_answer_is_preferred() -> None:
    dialogue = Dialogue()
    dialogue.add("one", "a short answer", answer_tokens=500)

    assert dialogue.history(501) == ()
    assert len(dialogue.history(502)) == 1


def test_a_blank_answer_is_no_part_of_the_conversation() -> None:
    dialogue = Dialogue()
    dialogue.add("Hello?", " \n")

    assert dialogue.history(None) == ()


def test_the_room_is_what_prompt_system_and_the_longest_answer_leave() -> None:
    titan = default_catalog().resolve(FAMILIES["titan"])

    assert room_for_history(titan, 1000, 100, 92) == 8192 - 1000 - 100 - 92
    assert room_for_history(titan, 1_000_000, 0, 10) < 0
