"""The token estimate."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.tokens import estimate_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("one two three", 4), ("こんにちは", 8), ("One Piece の 最新刊", 9), ("   ", 0)],
)
def test_tokens_are_estimated_by_words_and_characters(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


@given(st.lists(st.text("abc", min_size=1, max_size=8), max_size=60))
def test_three_english_words_are_four_tokens(words: list[str]) -> None:
    assert estimate_tokens(" ".join(words)) == math.ceil(len(words) * 4 / 3 - 1e-9)


@given(st.text(max_size=100), st.text(max_size=100))
def test_a_longer_text_has_no_fewer_tokens(text: str, more: str) -> None:
    assert estimate_tokens(f"{text} {more}") >= max(estimate_tokens(text), estimate_tokens(more))
