"""Answers given in advance: which prompt gets which, in how many tokens, and what still cuts them short."""

import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bedrock.tokens import estimate_tokens
from emulator.answer import StopReason
from emulator.composition import Said, compose
from emulator.fixtures import Fixture, Fixtures, share, spread
from emulator.model_request import ModelRequest
from emulator.text import read_responses
from emulator.timing import NO_TAIL, UNCHANGED, Distribution, Draw, Kind, Profile

LIBRARY = read_responses()
NOVA, HAIKU = "amazon.nova-pro-v1:0", "anthropic.claude-3-haiku-20240307-v1:0"
ARN = f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{NOVA}"
PROMPT = "Where is my order?"
ANSWER = "Your order left our warehouse this morning. It arrives on Friday."
DRAW = Draw(ttft=0.5, speed=0.5, length=0.5, tail_chance=0.5, tail_size=0.5, reasoning=0.5)
PROFILE = Profile(
    ttft_ms=Distribution(Kind.FIXED, median=10.0),
    prefill_ms_per_token=0.0,
    tokens_per_second=Distribution(Kind.FIXED, median=100.0),
    tokens_per_event=4,
    output_tokens=Distribution(Kind.FIXED, median=80.0),
    tail=NO_TAIL,
    tiers={"default": UNCHANGED},
)

visible_texts = st.text(min_size=1, max_size=300).filter(lambda text: text.strip() != "")
token_counts = st.integers(1, 400)


def asked(prompt: str = PROMPT, **how: object) -> ModelRequest:
    return replace(ModelRequest(prompt=prompt, input_tokens=5, max_tokens=10_000), **how)  # type: ignore[arg-type]


def reply(request: ModelRequest, fixture: Fixture) -> Said:
    return compose(request, PROFILE, DRAW, LIBRARY, 1, fixture=fixture)


def found(request: ModelRequest, *fixtures: Fixture, model_id: str = NOVA) -> str | None:
    fixture = Fixtures(fixtures).find(model_id, request)
    return None if fixture is None else fixture.text


def exactly(text: str, prompt: str = PROMPT, **rest: str) -> Fixture:
    return Fixture(text, prompt=prompt, **rest)  # type: ignore[arg-type]


def matching(text: str, pattern: str, **rest: str) -> Fixture:
    return Fixture(text, pattern=re.compile(pattern), **rest)  # type: ignore[arg-type]


# --- which fixture answers -----------------------------------------------------------------------------------


def test_a_prompt_is_matched_as_a_whole_and_to_the_letter() -> None:
    assert found(asked(), exactly("A")) == "A"
    for other in ("Where is my order", "where is my order?", f"{PROMPT} ", f"Hello. {PROMPT}"):
        assert found(asked(other), exactly("A")) is None


@pytest.mark.parametrize(
    ("pattern", "prompt", "fits"),
    [
        ("order", PROMPT, True),
        ("^order", PROMPT, False),
        ("ORDER", PROMPT, False),
        ("(?i)ORDER", PROMPT, True),
        (r"\d+\s*巻", "３巻はありますか。第 12 巻は?", True),
        ("(?s)first.*last", "first\nlast", True),
    ],
)
def test_a_pattern_is_searched_in_the_prompt(pattern: str, prompt: str, fits: bool) -> None:
    assert (found(asked(prompt), matching("A", pattern)) == "A") is fits


def test_exact_prompts_come_before_patterns_and_earlier_entries_before_later_ones() -> None:
    assert found(asked(), matching("any", ""), exactly("exact"), exactly("again")) == "exact"
    assert found(asked("Hello"), matching("one", "H"), matching("two", "Hello")) == "one"
    assert found(asked("Bye"), matching("one", "H"), exactly("exact")) is None


@pytest.mark.parametrize(
    ("name", "fits"),
    [(NOVA, True), (f"us.{NOVA}", True), (f"eu.{NOVA}", False), (HAIKU, False), ("amazon.*", True), ("us.*", True)],
)
@pytest.mark.parametrize(
    "sent", [f"us.{NOVA}", ARN, f"us.{NOVA}".replace(":", "%3A")], ids=["profile", "arn", "quoted"]
)
def test_a_model_is_named_by_base_id_profile_id_or_pattern_in_whatever_form_it_is_sent(
    name: str, fits: bool, sent: str
) -> None:
    assert (found(asked(), exactly("A", model=name), model_id=sent) == "A") is fits


def test_one_prompt_can_have_an_answer_for_each_model_and_one_for_all_others() -> None:
    fixtures = (exactly("haiku", model=HAIKU), exactly("nova", model="amazon.nova-*"), exactly("others"))

    assert found(asked(), *fixtures, model_id=HAIKU) == "haiku"
    assert found(asked(), *fixtures, model_id=f"us.{NOVA}") == "nova"
    assert found(asked(), *fixtures, model_id="meta.llama3-8b-instruct-v1:0") == "others"


def test_a_system_prompt_is_looked_at_only_where_the_fixture_names_one() -> None:
    fixtures = (exactly("strict", system="Be brief."), exactly("any"))

    assert found(asked(system="Be brief."), *fixtures) == "strict"
    assert found(asked(system="Be brief"), *fixtures) == "any"
    assert found(asked(), *fixtures) == "any"
    assert found(asked(), fixtures[0]) is None


# --- what it says --------------------------------------------------------------------------------------------


@given(visible_texts, visible_texts, token_counts.filter(lambda count: count > 1))
def test_the_texts_are_said_as_they_are_in_as_many_tokens_as_were_counted(
    text: str, reasoning: str, count: int
) -> None:
    said = reply(asked(), Fixture(text, prompt=PROMPT, reasoning=reasoning, output_tokens=count))

    assert ("".join(said.reasoning), "".join(said.answer)) == (reasoning, text)
    assert sum(said.sizes) == count
    assert said.reasoning[0], "the first token can be seen"
    assert said.answer[0], "and so can the first of the answer"
    assert said.stop_reason is StopReason.END_TURN


@given(visible_texts, st.none() | visible_texts)
def test_without_a_count_the_tokens_are_those_of_the_estimate_and_not_of_the_draw(
    text: str, reasoning: str | None
) -> None:
    said = reply(asked(), Fixture(text, prompt=PROMPT, reasoning=reasoning))

    assert said.sizes == (estimate_tokens(reasoning or ""), estimate_tokens(text))
    assert "".join(said.answer) == text


@given(visible_texts, token_counts)
def test_an_answer_that_was_recorded_as_cut_says_so_again(text: str, count: int) -> None:
    cut = Fixture(text, prompt=PROMPT, stop_reason=StopReason.MAX_TOKENS, output_tokens=count)

    assert reply(asked(max_tokens=count), cut).stop_reason is StopReason.MAX_TOKENS
    assert reply(asked(max_tokens=count + 1), cut).stop_reason is StopReason.MAX_TOKENS
    assert "".join(reply(asked(max_tokens=count), cut).answer) == text


@given(visible_texts, st.none() | visible_texts, token_counts.filter(lambda count: count > 1), st.integers(1, 400))
def test_max_tokens_cuts_thought_and_answer(text: str, reasoning: str | None, count: int, max_tokens: int) -> None:
    fixture = Fixture(text, prompt=PROMPT, reasoning=reasoning, output_tokens=count)
    whole, said = reply(asked(), fixture), reply(asked(max_tokens=max_tokens), fixture)

    assert sum(said.sizes) == min(count, max_tokens)
    assert list(said.reasoning) == list(whole.reasoning)[:max_tokens]
    assert text.startswith("".join(said.answer))
    assert said.stop_reason is (StopReason.MAX_TOKENS if count > max_tokens else StopReason.END_TURN)


@given(visible_texts, token_counts, st.data())
def test_a_stop_sequence_ends_the_answer_before_it(text: str, count: int, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text) - 1))
    stop = text[at : at + data.draw(st.integers(1, 4))]
    said = reply(asked(stop_sequences=(stop,)), Fixture(text, prompt=PROMPT, output_tokens=count))

    assert "".join(said.answer) == text[: text.index(stop)]
    assert (said.stop_reason, said.stop_sequence) == (StopReason.STOP_SEQUENCE, stop)


def test_a_request_to_think_does_not_change_what_was_given() -> None:
    said = reply(asked(reasoning_budget=2000), exactly(ANSWER))

    assert said == reply(asked(), exactly(ANSWER))
    assert not said.reasoning


# --- how a text is cut into tokens ---------------------------------------------------------------------------


@given(visible_texts, token_counts)
def test_a_text_is_spread_over_exactly_so_many_tokens(text: str, count: int) -> None:
    tokens = spread(text, count)

    assert len(tokens) == count
    assert "".join(tokens) == text
    assert tokens[0]


@given(st.lists(st.sampled_from(["order", "is", "a", "漫画", "unread,"]), min_size=2, max_size=80), token_counts)
def test_the_last_token_shows_something_too(words: list[str], count: int) -> None:
    assert spread(" ".join(words), count)[-1]


@given(st.integers(2, 60), st.integers(1, 5))
def test_pieces_that_are_fewer_than_the_tokens_are_spread_evenly(words: int, times: int) -> None:
    """Nothing comes in a burst: between two pieces there are never two more empty tokens than elsewhere."""
    text = "漫 " * words
    pieces = sum(1 for token in spread(text, 10_000) if token)
    count = (pieces - 1) * times + 1
    shown = [place for place, token in enumerate(spread(text, count)) if token]

    assert {later - earlier for earlier, later in pairwise(shown)} <= {times}


@given(st.integers(2, 1000), st.integers(0, 500), st.integers(1, 500))
def test_thought_and_answer_share_the_count_and_each_gets_something(count: int, part: int, rest: int) -> None:
    of_part = share(count, part, rest)

    assert (of_part == 0) is (part == 0)
    assert 1 <= count - of_part <= count


@given(visible_texts, visible_texts)
def test_other_prompts_are_answered_as_if_there_were_no_fixtures(prompt: str, other: str) -> None:
    assume(prompt != other)
    library = replace(LIBRARY, fixtures=Fixtures([Fixture(ANSWER, prompt=prompt)]))

    assert library.fixtures.find(NOVA, asked(other)) is None
    assert compose(asked(other), PROFILE, DRAW, library, 1) == compose(asked(other), PROFILE, DRAW, LIBRARY, 1)
