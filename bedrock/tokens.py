"""How many tokens a text has: a documented estimate, the same for planning, for prompts and for emulated answers.

    Japanese (and Chinese, Korean)   1.5 tokens per character
    everything else                  4 tokens per 3 words, that is 0.75 words per token

Real tokenizers differ by model and are not public for Bedrock's; the estimate is close enough for quotas, cost
and prefill time, and both sides of a test see the same numbers because usage reports them.
"""

import math
import re

TOKENS_PER_CJK_CHARACTER = 1.5
WORDS_PER_TOKEN = 0.75

#: Hiragana, katakana, CJK ideographs, Hangul, and their punctuation and full-width forms, as a character class.
CJK_CLASS = r"\u3001-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"
CJK = re.compile(f"[{CJK_CLASS}]")
_WORD = re.compile(rf"[^\s{CJK_CLASS}]+")


def estimate_tokens(text: str) -> int:
    """Tokens of a text by the rule above, rounded up; 0 for a text without visible characters."""
    tally = TokenTally()
    tally.add(text)
    return tally.tokens


class TokenTally:
    """The estimate for a text that comes in parts, between which words end."""

    def __init__(self) -> None:
        self._characters = 0
        self._words = 0

    def add(self, text: str) -> None:
        """Text that comes next."""
        self._characters += len(CJK.findall(text))
        self._words += len(_WORD.findall(text))

    @property
    def tokens(self) -> int:
        """Tokens of all the text so far, rounded up once."""
        return math.ceil(self._characters * TOKENS_PER_CJK_CHARACTER + self._words / WORDS_PER_TOKEN - 1e-9)
