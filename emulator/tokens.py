"""How many tokens a text has: a documented estimate, the same for what is read and for what is written.

    Japanese (and Chinese, Korean)   1.5 tokens per character
    everything else                  4 tokens per 3 words, that is 0.75 words per token

Real tokenizers differ by model and are not public for Bedrock's; the estimate is close enough for quotas, cost
and prefill time, and both sides of a test see the same numbers because usage reports them.
"""

import math
import re

TOKENS_PER_CJK_CHARACTER = 1.5
WORDS_PER_TOKEN = 0.75

#: Hiragana, katakana, CJK ideographs, Hangul, and their punctuation and full-width forms.
_CJK_CLASS = r"\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"
_CJK = re.compile(f"[{_CJK_CLASS}]")
_WORD = re.compile(rf"[^\s{_CJK_CLASS}]+")
_UNIT = re.compile(rf"\s*[{_CJK_CLASS}]\s*|\s*[^\s{_CJK_CLASS}]+\s*")

#: Above this share of CJK characters among all but white space, a text counts as Japanese.
_JAPANESE_SHARE = 0.2


def estimate_tokens(text: str) -> int:
    """Tokens of a text by the rule above, rounded up; 0 for a text without visible characters."""
    characters = len(_CJK.findall(text))
    words = len(_WORD.findall(text))
    return math.ceil(characters * TOKENS_PER_CJK_CHARACTER + words / WORDS_PER_TOKEN - 1e-9)


def is_japanese(text: str) -> bool:
    """Whether a prompt is answered in Japanese: at least a fifth of its visible characters are Japanese."""
    visible = sum(not character.isspace() for character in text)
    return visible > 0 and len(_CJK.findall(text)) >= _JAPANESE_SHARE * visible


def split_tokens(text: str) -> list[str]:
    """The text cut into pieces, one per token of the estimate; joined they are the text again.

    Every third word is cut in two, so that 3 words are 4 tokens. Every second Japanese character takes two
    tokens, the first of them empty: real tokenizers also need several tokens for one character and an API shows
    it when it is complete. A text without visible characters has no tokens.
    """
    pieces: list[str] = []
    words = characters = 0
    for unit in _UNIT.findall(text):
        if _CJK.search(unit):
            characters += 1
            pieces += [unit] if characters % 2 else ["", unit]
        else:
            words += 1
            pieces += [unit] if words % 3 else _halves(unit)
    return pieces


def _halves(word: str) -> list[str]:
    middle = (len(word.rstrip()) + 1) // 2
    return [word[:middle], word[middle:]]
