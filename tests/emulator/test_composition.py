"""What cuts an answer short: max_tokens, stop sequences, the budget of thought."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from emulator.answer import StopReason
from emulator.composition import Said, compose
from emulator.model_request import ModelRequest
from emulator.text import read_responses
from emulator.timing import NO_TAIL, UNCHANGED, Distribution, Draw, Kind, Profile

LIBRARY = read_responses()
MIDDLE = Draw(ttft=0.5, speed=0.5, length=0.5, tail_chance=0.5, tail_size=0.5, reasoning=0.5)

prompts = st.sampled_from(["Where is my parcel?", "おすすめの漫画はありますか？", "How much is volume 3?"])


def profile(answer: int = 80, thought: int = 30, *, always: bool = False) -> Profile:
    return Profile(
        ttft_ms=Distribution(Kind.FIXED, median=10.0),
        prefill_ms_per_token=0.0,
        tokens_per_second=Distribution(Kind.FIXED, median=100.0),
        tokens_per_event=4,
        output_tokens=Distribution(Kind.FIXED, median=answer),
        tail=NO_TAIL,
        tiers={"default": UNCHANGED},
        reasoning_tokens=Distribution(Kind.FIXED, median=thought),
        always_reasons=always,
    )


def asked(prompt: str = "Where is my parcel?", max_tokens: int = 10_000) -> ModelRequest:
    return ModelRequest(prompt=prompt, input_tokens=5, max_tokens=max_tokens)


def answer_to(request: ModelRequest, model: Profile, seed: int = 1) -> Said:
    return compose(request, model, MIDDLE, LIBRARY, seed)


@given(prompts, st.integers(1, 300), st.integers(1, 300))
def test_max_tokens_caps_the_answer_and_is_named_as_the_reason(prompt: str, wanted: int, max_tokens: int) -> None:
    said = answer_to(asked(prompt, max_tokens), profile(wanted))

    assert said.sizes == (0, min(wanted, max_tokens))
    assert said.stop_reason == (StopReason.MAX_TOKENS if wanted > max_tokens else StopReason.END_TURN)


def test_an_answer_has_at_least_one_token() -> None:
    model = replace(profile(), output_tokens=Distribution(Kind.FIXED, median=0.2))

    assert answer_to(asked(), model).sizes == (0, 1)


@given(prompts, st.integers(1, 200), st.data())
def test_a_stop_sequence_ends_the_answer_before_it(prompt: str, wanted: int, data: st.DataObject) -> None:
    whole = "".join(answer_to(asked(prompt), profile(wanted)).answer)
    at = data.draw(st.integers(0, len(whole) - 1))
    stop = whole[at : at + data.draw(st.integers(1, 6))]
    said = answer_to(replace(asked(prompt), stop_sequences=("\0never", stop)), profile(wanted))

    assert "".join(said.answer) == whole[: whole.index(stop)]
    assert (said.stop_reason, said.stop_sequence) == (StopReason.STOP_SEQUENCE, stop)
    assert 1 <= len(said.answer) <= wanted, "the tokens up to the stop, one at least"


def stopped_by(*sequences: str) -> str | None:
    return answer_to(replace(asked(), stop_sequences=sequences), profile()).stop_sequence


def test_the_stop_sequence_that_comes_first_counts_and_the_longer_of_two_at_one_place() -> None:
    whole = "".join(answer_to(asked(), profile()).answer)
    early, late = whole[:8], whole[-8:]

    assert stopped_by(late, early) == stopped_by(early, late) == early
    assert stopped_by(early[:2], early, early[:5]) == early


@given(prompts, st.text(min_size=1, max_size=5))
def test_a_stop_sequence_that_does_not_occur_changes_nothing(prompt: str, stop: str) -> None:
    plain = answer_to(asked(prompt), profile())
    assume(stop not in "".join(plain.answer))

    assert answer_to(replace(asked(prompt), stop_sequences=(stop,)), profile()) == plain


@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 200), st.integers(1, 200))
def test_thought_and_answer_share_max_tokens(answer: int, thought: int, budget: int, max_tokens: int) -> None:
    request = replace(asked(max_tokens=max_tokens), reasoning_budget=budget)
    said = answer_to(request, profile(answer, thought))
    reasoning_tokens, answer_tokens = said.sizes

    assert reasoning_tokens == min(thought, budget, max_tokens)
    assert answer_tokens == min(answer, max_tokens - reasoning_tokens)
    assert said.stop_reason == (StopReason.END_TURN if answer_tokens == answer else StopReason.MAX_TOKENS)


@pytest.mark.parametrize(("always", "budget", "thinks"), [(False, None, False), (True, None, True), (False, 99, True)])
def test_a_model_thinks_when_asked_to_or_when_configured_to(always: bool, budget: int | None, thinks: bool) -> None:
    said = answer_to(replace(asked(), reasoning_budget=budget), profile(always=always))

    assert bool(said.reasoning) is thinks
    assert said.answer


def test_thoughts_are_in_the_language_of_the_prompt_and_not_the_answer() -> None:
    said = answer_to(asked("おすすめの漫画はありますか？"), profile(thought=200, always=True))

    assert any("ぁ" <= character <= "ヿ" for character in "".join(said.reasoning))
    assert "".join(said.answer) not in "".join(said.reasoning)
