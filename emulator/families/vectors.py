"""Vectors for texts: not a model's, but close to each other for texts that share words or parts of words.

Words and pieces of words are counted, weighted and added up at places of the vector that a hash chooses, so that
nothing is learned or stored. Japanese has no spaces: there the pieces are one to three neighbouring characters. The
same text has the same vector everywhere, whatever the emulator's seed.
"""

import hashlib
import math
import re
import struct
import unicodedata
from collections import Counter
from collections.abc import Iterator

from bedrock.tokens import CJK_CLASS

_WORD = re.compile(rf"[^\W_{CJK_CLASS}]+")
_CJK_RUN = re.compile(r"[\u3005\u30a1-\u30fa\u30fc\u4e00-\u9fff\u3400-\u4dbf\u3041-\u3096\uac00-\ud7af]+")
_HIRAGANA = re.compile(r"[\u3041-\u3096]+")

#: How much a feature counts. Endings and particles say less than what they are attached to.
_WORD_WEIGHT = 1.0
_SHORT_WORD_WEIGHT = 0.2
_PIECE_WEIGHT = 0.3
_CJK_WEIGHTS = {1: 0.4, 2: 1.0, 3: 0.7}
_HIRAGANA_WEIGHT = 0.15

#: Words of up to so many letters are mostly the, of, is; and these are like them.
_SHORT_WORD = 3
_COMMON_WORDS = frozenset(
    (
        *("about", "does", "from", "have", "much", "please", "that", "there", "they", "this"),
        *("what", "when", "where", "which", "will", "with", "would", "your"),
    )
)
#: Every feature is added at so many places, so that two features rarely fall on the same ones.
_PLACES = 8
_numbers = struct.Struct(f">{_PLACES}H").unpack


def embed(text: str, dimensions: int, *, is_normalized: bool) -> list[float]:
    """The vector of a text, of length 1 if it is normalized; never all zeros."""
    vector = [0.0] * dimensions
    for feature, weight in _weighted_features(text):
        digest = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=2 * _PLACES).digest()
        for number in _numbers(digest):
            vector[(number >> 1) % dimensions] += weight if number & 1 else -weight
    length = math.hypot(*vector)
    if length == 0.0:  # features that cancel each other out
        return [1.0, *vector[1:]]
    scale = length if is_normalized else math.sqrt(_PLACES)
    return [value / scale for value in vector]


def signs(vector: list[float]) -> list[int]:
    """The vector in one bit per dimension."""
    return [int(value > 0.0) for value in vector]


def _weighted_features(text: str) -> Iterator[tuple[str, float]]:
    """Every feature once; its weight grows slowly with how often it occurs."""
    counts: Counter[tuple[str, float]] = Counter(_features(unicodedata.normalize("NFKC", text).lower()))
    if not counts:
        yield text, _WORD_WEIGHT
    for (feature, weight), count in counts.items():
        yield feature, weight * (1.0 + math.log(count))


def _features(text: str) -> Iterator[tuple[str, float]]:
    for match in _WORD.finditer(text):
        yield from _word_features(match[0])
    for match in _CJK_RUN.finditer(text):
        yield from _run_features(match[0])


def _word_features(word: str) -> Iterator[tuple[str, float]]:
    """The word itself, and its pieces of three letters, so that `order` and `orders` are close."""
    if len(word) <= _SHORT_WORD or word in _COMMON_WORDS:
        yield word, _SHORT_WORD_WEIGHT
        return
    yield word, _WORD_WEIGHT
    bounded = f"^{word}$"
    for start in range(len(bounded) - 2):
        yield bounded[start : start + 3], _PIECE_WEIGHT


def _run_features(run: str) -> Iterator[tuple[str, float]]:
    """All pieces of one to three characters; those of hiragana alone are mostly grammar."""
    for size, weight in _CJK_WEIGHTS.items():
        for start in range(len(run) - size + 1):
            piece = run[start : start + size]
            yield piece, weight * (_HIRAGANA_WEIGHT if _HIRAGANA.fullmatch(piece) else 1.0)
