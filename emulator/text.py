"""What the emulated models say where no fixture answers: sentences of a data file, by seed and prompt.

The prompt's language decides the language of the answer, its words the topic, and its checksum with the seed the
order of the sentences; the timing model decides how many tokens of them are said.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import yaml

from emulator.fixtures import NO_FIXTURES, Fixtures
from emulator.tokens import is_japanese, split_tokens

DATA_FILE = Path(__file__).parent / "data" / "responses.yaml"

#: The topic for prompts that no other topic's words are found in.
GENERAL = "general"

#: The topic of what models think before they answer.
REASONING = "reasoning"

#: Words that give a topic away. The first topic with a hit wins; topics the file does not have are passed over.
_TOPIC_WORDS: Mapping[str, tuple[str, ...]] = {
    "order_status": ("order", "deliver", "shipp", "tracking", "注文", "配送", "届"),
    "price_check": ("price", "cost", "how much", "yen", "値段", "価格", "いくら"),
    "manga_summary": ("summar", "plot", "story", "あらすじ", "要約", "まとめ"),
    "recommendation": ("recommend", "suggest", "similar", "おすすめ", "お勧め", "推薦"),
    "product_lookup": ("stock", "volume", "edition", "isbn", "find", "在庫", "巻", "探し"),
    "greeting": ("hello", "good morning", "hey", "thanks", "こんにちは", "おはよう", "ありがとう"),
}

_FULL_STOP = {"en": ".", "ja": "。"}

Sentence = tuple[str, ...]


class ResponseFileError(ValueError):
    """The file of sentences cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class ResponseLibrary:
    """Sentences by topic and language, each already split into tokens; and the answers given in advance."""

    topics: Mapping[str, Mapping[str, tuple[Sentence, ...]]]
    fixtures: Fixtures = NO_FIXTURES

    def answer_tokens(self, prompt: str, seed: int, count: int, *, complete: bool) -> list[str]:
        """Exactly `count` tokens of answer to a prompt; `complete` answers end with a full stop, others are cut."""
        language = _language(prompt)
        end = _FULL_STOP[language] if complete else None
        return self._tokens(self._sentences(prompt, language), f"{seed}/{prompt}", count, end)

    def reasoning_tokens(self, prompt: str, seed: int, count: int) -> list[str]:
        """Exactly `count` tokens of thought about a prompt."""
        language = _language(prompt)
        topic = REASONING if REASONING in self.topics else GENERAL
        return self._tokens(self._in_language(topic, language), f"{seed}/{prompt}", count, None)

    @staticmethod
    def _tokens(sentences: Sequence[Sentence], origin: str, count: int, end: str | None) -> list[str]:
        choice = crc32(origin.encode("utf-8", "replace"))
        strides = _strides(len(sentences))
        position, stride = choice % len(sentences), strides[choice // len(sentences) % len(strides)]
        tokens: list[str] = []
        while len(tokens) <= count:
            tokens += sentences[position]
            position = (position + stride) % len(sentences)
        if end is not None:
            tokens[count - 1] = tokens[count - 1].rstrip(" ,.、。") + end
        elif not tokens[count - 1]:
            tokens[count - 1] = tokens[count]  # never end on half a character, which shows nothing
        return tokens[:count]

    def _sentences(self, prompt: str, language: str) -> tuple[Sentence, ...]:
        lowered = prompt.lower()
        for topic, words in _TOPIC_WORDS.items():
            if topic in self.topics and any(word in lowered for word in words):
                return self._in_language(topic, language)
        return self._in_language(GENERAL, language)

    def _in_language(self, topic: str, language: str) -> tuple[Sentence, ...]:
        return self.topics[topic].get(language) or self.topics[GENERAL][language]


def _language(prompt: str) -> str:
    return "ja" if is_japanese(prompt) else "en"


@cache
def _strides(length: int) -> tuple[int, ...]:
    """Steps that visit every one of `length` places before they repeat one."""
    return tuple(step for step in range(1, length + 1) if math.gcd(step, length) == 1)


def read_responses(path: Path = DATA_FILE) -> ResponseLibrary:
    """The sentences of a file; ResponseFileError says what is wrong with it."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ResponseFileError(f"Cannot read the answers' sentences from {path}: {error}") from error
    try:
        return parse_responses(raw)
    except ResponseFileError as error:
        raise ResponseFileError(f"Cannot use {path}: {error}") from error


def parse_responses(raw: Any) -> ResponseLibrary:
    """The library of a decoded file: `{schema_version: 1, responses: {topic: {en: [...], ja: [...]}}}`."""
    responses = raw.get("responses") if isinstance(raw, dict) else None
    if not isinstance(responses, dict):
        raise ResponseFileError("it has no mapping `responses`")
    topics = {str(topic): _languages(str(topic), entry) for topic, entry in responses.items()}
    missing = [language for language in _FULL_STOP if not topics.get(GENERAL, {}).get(language)]
    if missing:
        raise ResponseFileError(f"`responses.{GENERAL}` needs sentences in: {', '.join(missing)}")
    return ResponseLibrary(topics)


def _languages(topic: str, entry: Any) -> dict[str, tuple[Sentence, ...]]:
    if not isinstance(entry, dict):
        raise ResponseFileError(f"`responses.{topic}` is not a mapping of languages to sentences")
    return {str(language): _sentences(f"{topic}.{language}", lines) for language, lines in entry.items()}


def _sentences(where: str, lines: Any) -> tuple[Sentence, ...]:
    if not isinstance(lines, Sequence) or isinstance(lines, str):
        raise ResponseFileError(f"`responses.{where}` is not a list of sentences")
    space = "" if where.endswith(".ja") else " "
    sentences = (tuple(split_tokens(str(line).strip() + space)) for line in lines if str(line).strip())
    return tuple(sentences)
