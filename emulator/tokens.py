"""Texts cut into the tokens of the project's estimate (`bedrock.tokens`), and the language of a prompt."""

import re

from bedrock.tokens import CJK, CJK_CLASS

_UNIT = re.compile(rf"\s*[{CJK_CLASS}]\s*|\s*[^\s{CJK_CLASS}]+\s*")

#: Above this share of CJK characters among all but white space, a text counts as Japanese.
_JAPANESE_SHARE = 0.2


def is_japanese(text: str) -> bool:
    """Whether a prompt is answered in Japanese: at least a fifth of its visible characters are Japanese."""
    visible = sum(not character.isspace() for character in text)
    return visible > 0 and len(CJK.findall(text)) >= _JAPANESE_SHARE * visible


def split_tokens(text: str) -> list[str]:
    """The text cut into pieces, one per token of the estimate; joined they are the text again.

    Every third word is cut in two, so that 3 words are 4 tokens. Every second Japanese character takes two
    tokens, the first of them empty: real tokenizers also need several tokens for one character and an API shows
    it when it is complete. A text without visible characters has no tokens.
    """
    pieces: list[str] = []
    words = characters = 0
    for unit in _UNIT.findall(text):
        if CJK.search(unit):
            characters += 1
            pieces += [unit] if characters % 2 else ["", unit]
        else:
            words += 1
            pieces += [unit] if words % 3 else _halves(unit)
    return pieces


def _halves(word: str) -> list[str]:
    middle = (len(word.rstrip()) + 1) // 2
    return [word[:middle], word[middle:]]
