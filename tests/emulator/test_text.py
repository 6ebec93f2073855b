"""What the emulated models say: the prompt's language and topic, the wanted number of tokens, always the same."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.tokens import estimate_tokens
from emulator.text import ResponseFileError, ResponseLibrary, parse_responses, read_responses
from emulator.tokens import is_japanese

LIBRARY = read_responses()
ENGLISH, JAPANESE = "Where is my parcel?", "おすすめの漫画はありますか？"

prompts = st.one_of(st.text(max_size=80), st.sampled_from([ENGLISH, JAPANESE, "How much is volume 3?"]))
counts = st.integers(1, 600)


def small_library(**topics: dict[str, list[str]]) -> ResponseLibrary:
    general = {"en": ["This is a general sentence."], "ja": ["これは一般的な文です。"]}
    return parse_responses({"schema_version": 1, "responses": {"general": general, **topics}})


def say(prompt: str, count: int, seed: int = 1, *, complete: bool = True, library: ResponseLibrary = LIBRARY) -> str:
    return "".join(library.answer_tokens(prompt, seed, count, complete=complete))


@given(prompts, st.integers(0, 2**32), counts, st.booleans())
def test_an_answer_has_exactly_the_wanted_tokens(prompt: str, seed: int, count: int, complete: bool) -> None:
    tokens = LIBRARY.answer_tokens(prompt, seed, count, complete=complete)

    assert len(tokens) == count
    assert tokens[0], "the first token can be seen"
    assert tokens[-1], "and so can the last"


@given(prompts, st.integers(0, 2**32), counts, st.booleans())
def test_the_same_seed_and_prompt_get_the_same_answer(prompt: str, seed: int, count: int, complete: bool) -> None:
    again = read_responses()

    assert say(prompt, count, seed, complete=complete) == say(prompt, count, seed, complete=complete, library=again)


@given(st.sampled_from([ENGLISH, JAPANESE]), counts)
def test_a_cut_answer_is_the_beginning_of_a_longer_one(prompt: str, count: int) -> None:
    shorter = LIBRARY.answer_tokens(prompt, 1, count, complete=False)[:-1]

    assert LIBRARY.answer_tokens(prompt, 1, count + 50, complete=False)[: count - 1] == shorter


def test_seeds_and_prompts_vary_the_answer() -> None:
    assert len({say(ENGLISH, 80, seed) for seed in range(20)}) > 5
    assert len({say(f"Where is my parcel {number}?", 80) for number in range(20)}) > 5


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [(ENGLISH, False), (JAPANESE, True), ("「One Piece」の最新刊は？", True), ("Bonjour", False), ("", False)],
)
def test_the_answer_is_in_the_language_of_the_prompt(prompt: str, expected: bool) -> None:
    assert is_japanese(say(prompt, 200)) is expected


@given(prompts, st.integers(1, 600))
def test_a_complete_answer_ends_with_a_full_stop(prompt: str, count: int) -> None:
    assert say(prompt, count).endswith("。" if is_japanese(prompt) else ".")


@given(st.integers(3, 600))
def test_a_cut_answer_does_not_pretend_to_be_complete(count: int) -> None:
    text = say(ENGLISH, count, complete=False)

    assert say(ENGLISH, count + 400, complete=False).startswith(text)


@given(st.sampled_from([ENGLISH, JAPANESE]), st.integers(40, 1500))
def test_the_token_count_is_close_to_the_estimate_of_the_text(prompt: str, count: int) -> None:
    """Sentences round one by one, so the estimate of the whole is a few percent above."""
    assert count - 3 <= estimate_tokens(say(prompt, count)) <= 1.15 * count + 3


@pytest.mark.parametrize(
    ("prompt", "topic"),
    [
        ("Where is my ORDER?", "order_status"),
        ("注文した本はいつ届きますか", "order_status"),
        ("How much is it?", "price_check"),
        ("この本の価格は", "price_check"),
        ("Hello there", "greeting"),
        ("What is the meaning of life?", "general"),
    ],
)
def test_the_words_of_the_prompt_choose_the_topic(prompt: str, topic: str) -> None:
    names = ("order_status", "price_check", "greeting")
    library = small_library(**{name: {"en": [f"About {name}."], "ja": [f"{name}について。"]} for name in names})

    for name in names:
        assert (name in say(prompt, 20, library=library)) is (name == topic)


def test_a_topic_without_sentences_in_the_language_falls_back_to_the_general_ones() -> None:
    library = small_library(order_status={"en": ["Your order is on its way."]}, price_check={"en": []})

    assert "これは一般的な文です" in say("注文はどこですか", 30, library=library)
    assert "general sentence" in say("What does it cost?", 30, library=library)


def test_every_sentence_is_said_before_one_is_repeated() -> None:
    sentences = [f"Sentence number {word} ends here." for word in "abcdefg"]
    library = small_library(greeting={"en": sentences})
    once = sum(estimate_tokens(sentence) for sentence in sentences)
    text = say("Hello", once, library=library)

    assert all(text.count(f" {word} ") >= 1 for word in "abcdefg")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("responses: [", "Cannot read"),
        ("", "no mapping `responses`"),
        ("responses: []", "no mapping `responses`"),
        ("responses: {general: {en: [Hi.]}}", "needs sentences in: ja"),
        ("responses: {general: {en: ['  '], ja: [はい。]}}", "needs sentences in: en"),
        ("responses: {greeting: [Hi.]}", "`responses.greeting` is not a mapping of languages"),
        ("responses: {greeting: {en: Hi.}}", "`responses.greeting.en` is not a list"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "responses.yaml"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(ResponseFileError, match=message) as caught:
        read_responses(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResponseFileError, match=r"none\.yaml"):
        read_responses(tmp_path / "none.yaml")
