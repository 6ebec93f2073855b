"""Texts in tokens: nothing lost, as many pieces as the estimate says, and the language of a prompt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.tokens import estimate_tokens
from emulator.tokens import is_japanese, split_tokens

words = st.text("abcdefgXYZ019'-", min_size=1, max_size=9)
japanese = st.text("あいうカキク漢字本巻。、！", min_size=1, max_size=30)
texts = st.lists(st.one_of(words, japanese), min_size=1, max_size=30).map(" ".join)


@given(texts)
def test_the_pieces_joined_are_the_text(text: str) -> None:
    assert "".join(split_tokens(text)) == text


@given(st.text(max_size=60).filter(lambda text: text.strip()))
def test_no_visible_character_of_any_text_is_lost(text: str) -> None:
    assert "".join("".join(split_tokens(text)).split()) == "".join(text.split())


@given(texts)
def test_there_are_as_many_pieces_as_estimated_tokens_but_for_rounding(text: str) -> None:
    """The estimate rounds the whole up; the pieces round words and characters down, each for itself."""
    assert 0 <= estimate_tokens(text) - len(split_tokens(text)) <= 2


@given(st.integers(0, 40), st.integers(0, 40))
def test_whole_groups_of_words_and_characters_are_exact(word_triples: int, character_pairs: int) -> None:
    text = "one two three " * word_triples + "漢字" * character_pairs

    assert len(split_tokens(text)) == estimate_tokens(text) == 4 * word_triples + 3 * character_pairs


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        (" \n ", []),
        ("Hello", ["Hello"]),
        ("one two three four", ["one ", "two ", "thr", "ee ", "four"]),
        ("漫画を", ["漫", "", "画", "を"]),
        ("Vol. 3 を買う", ["Vol. ", "3 ", "を", "", "買", "う"]),
    ],
)
def test_texts_are_cut_where_the_rule_says(text: str, pieces: list[str]) -> None:
    assert split_tokens(text) == pieces


@given(texts)
def test_the_first_piece_is_never_empty(text: str) -> None:
    """The first token's time is the TTFT: there must be something to see."""
    assert split_tokens(text)[0].strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("おすすめの漫画はありますか？", True),
        ("「One Piece」の最新刊はありますか", True),
        ("ﾏﾝｶﾞを探しています", True),
        ("Do you have the latest volume of this series?", False),
        ("Is 漫 in stock at the moment?", False),
        ("Où est ma commande ?", False),
        ("1234567890", False),
        ("", False),
        ("  \n", False),
    ],
)
def test_the_language_of_a_prompt_is_that_of_its_characters(text: str, expected: bool) -> None:
    assert is_japanese(text) is expected


@given(st.integers(1, 30), st.integers(0, 200))
def test_a_fifth_of_japanese_characters_makes_a_text_japanese(characters: int, letters: int) -> None:
    text = "漢" * characters + " " * 50 + "a" * letters

    assert is_japanese(text) is (5 * characters >= characters + letters)
