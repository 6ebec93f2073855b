"""The prompt library: `prompts.json`, or a user's own file.

Two kinds of entries, either of which is enough: `small`, `medium`, `large` (default entries, which serve every query
type) and `query_types`, lists of prompts with size, language and complexity. docs/traffic.md shows both.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenarios.problems import ProblemsError, hint, kind, unknown_keys

SIZES = ("small", "medium", "large")
LANGUAGES = ("en", "ja")
COMPLEXITIES = ("simple", "complex")

#: The library that ships with the project.
DEFAULT_FILE = Path(__file__).parent.parent / "prompts.json"

SCHEMA_VERSION = 1

_TOP_KEYS = ("schema_version", "description", *SIZES, "query_types")
_ENTRY_KEYS = ("text", "description", "id", "language", "complexity")
_JAPANESE = re.compile(r"[\u3041-\u30ff\u3400-\u9fff]")  # kana and kanji


class PromptFileError(ProblemsError):
    """The prompt library cannot be used, or has not what was asked of it; the text says why in plain words."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt. `query_type` None marks a default entry; language and complexity None are not known."""

    id: str
    query_type: str | None
    size: str
    language: str | None
    complexity: str | None
    text: str


@dataclass(frozen=True, slots=True)
class PromptLibrary:
    """All prompts of a file, in its order; `source` is the file as the user named it."""

    source: str
    prompts: tuple[Prompt, ...]

    @property
    def sizes(self) -> tuple[str, ...]:
        """The sizes that the library has at least one prompt of, smallest first."""
        return tuple(size for size in SIZES if any(prompt.size == size for prompt in self.prompts))

    @property
    def query_types(self) -> tuple[str, ...]:
        """The query types with prompts of their own, in the order of the file."""
        return tuple(dict.fromkeys(prompt.query_type for prompt in self.prompts if prompt.query_type is not None))

    def select(self, size: str | None = None, query_type: str | None = None) -> tuple[Prompt, ...]:
        """The prompts to send for a size (None: any) and a query type (None: no particular one).

        A query type without prompts of its own in that size is served by the default entries. Without a query
        type the default entries are meant, or, if the file has none of that size, all its prompts of it.
        Never empty: PromptFileError names what there is instead.
        """
        if size is not None and size not in SIZES:
            raise PromptFileError(f"prompt size {size!r}", [f"there is no such size; {hint(size, SIZES)}"])
        sized = [prompt for prompt in self.prompts if size in (None, prompt.size)]
        own = [prompt for prompt in sized if prompt.query_type == query_type]
        default = [prompt for prompt in sized if prompt.query_type is None]
        chosen = own or default or (sized if query_type is None else [])
        if not chosen:
            raise PromptFileError(f"the prompts of {self.source}", [self._missing(size, query_type)])
        return tuple(chosen)

    def _missing(self, size: str | None, query_type: str | None) -> str:
        if size not in (None, *self.sizes):
            return f"it has no {size} prompt; it has: {', '.join(self.sizes)}"
        wanted = f"{size} prompt" if size else "prompt"
        return (
            f"it has no {wanted} for the query type {query_type!r} and no default entry to stand in for it; "
            f"its query types: {', '.join(self.query_types) or 'none'}"
        )


def load_prompts(path: Path | str = DEFAULT_FILE) -> PromptLibrary:
    """The library of a file; PromptFileError with every problem of the file, not just the first."""
    what = f"{path} as a prompt library"
    try:
        raw = _decode(Path(path).read_bytes())
    except OSError as error:
        raise PromptFileError(what, [f"the file cannot be read ({error.strerror or error})"]) from error
    except ValueError as error:
        raise PromptFileError(what, [str(error)]) from error
    reader = _Reader()
    prompts = tuple(reader.library(raw))
    if reader.problems:
        raise PromptFileError(what, reader.problems)
    return PromptLibrary(source=str(path), prompts=prompts)


def detect_language(text: str) -> str | None:
    """`ja` where there is kana or kanji, `en` where every letter is ASCII, otherwise None: a guess for bare texts."""
    if _JAPANESE.search(text):
        return "ja"
    letters = [character for character in text if character.isalpha()]
    return "en" if letters and all(letter.isascii() for letter in letters) else None


def _decode(content: bytes) -> Any:
    """The JSON value; ValueError in plain words. A byte order mark, as Windows editors write it, is accepted."""
    try:
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=_without_duplicates)
    except UnicodeDecodeError as error:
        raise ValueError(f"the file is not UTF-8 text (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"the file is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise ValueError("the file is nested too deeply") from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs; a key given twice would silently lose the first prompts."""
    twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if twice:
        raise ValueError(f"the key {twice[0]!r} appears twice in the same object")
    return dict(pairs)


class _Reader:
    """Turns the decoded file into prompts and collects what is wrong with it."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._ids: set[str] = set()

    def library(self, raw: Any) -> Iterator[Prompt]:
        if not isinstance(raw, dict):
            self.problems.append(
                f"the file must hold an object with small, medium, large or query_types, not {kind(raw)}"
            )
            return
        self.problems += unknown_keys("", raw, _TOP_KEYS)
        if raw.get("schema_version", SCHEMA_VERSION) != SCHEMA_VERSION:
            self.problems.append(f"schema_version is {raw['schema_version']!r}, this program reads {SCHEMA_VERSION}")
        if not any(key in raw for key in (*SIZES, "query_types")):
            self.problems.append("the file has no prompts: give it small, medium, large or query_types")
        for size in SIZES:
            if size in raw:
                yield from self._default_entries(size, raw[size])
        if "query_types" in raw:
            yield from self._query_types(raw["query_types"])

    def _default_entries(self, size: str, raw: Any) -> Iterator[Prompt]:
        """One entry, or a list of them to cycle over."""
        entries = raw if isinstance(raw, list) else [raw]
        if not entries:
            self.problems.append(f"{size} is an empty list; leave it out or give it an entry with a text")
        for number, entry in enumerate(entries, start=1):
            where, default_id = (f"{size}[{number}]", f"{size}-{number}") if isinstance(raw, list) else (size, size)
            yield from self._prompt(entry, where, default_id, size=size, query_type=None)

    def _query_types(self, raw: Any) -> Iterator[Prompt]:
        if not isinstance(raw, dict) or not raw:
            given = "an empty one" if raw == {} else kind(raw)
            self.problems.append(f"query_types must be an object of lists of prompts by query type, not {given}")
            return
        for query_type, entries in raw.items():
            if not isinstance(entries, list) or not entries:
                self.problems.append(f"query_types.{query_type} must be a list of at least one prompt")
                continue
            for number, entry in enumerate(entries, start=1):
                where, default_id = f"query_types.{query_type}[{number}]", f"{query_type}-{number}"
                yield from self._prompt(entry, where, default_id, size=None, query_type=query_type)

    def _prompt(
        self, raw: Any, where: str, default_id: str, *, size: str | None, query_type: str | None
    ) -> Iterator[Prompt]:
        """The prompt of one entry, or nothing and its problems. `size` None: the entry says it itself."""
        if not isinstance(raw, dict):
            self.problems.append(f"{where} must be an object with a text, not {kind(raw)}")
            return
        before = len(self.problems)
        self.problems += unknown_keys(where, raw, _ENTRY_KEYS if size else (*_ENTRY_KEYS, "size"))
        text = self._text(raw, where)
        size = size or self._choice(raw, where, "size", SIZES, required=True)
        language = self._choice(raw, where, "language", LANGUAGES)
        complexity = self._choice(raw, where, "complexity", COMPLEXITIES)
        prompt_id = self._id(raw.get("id", default_id), where)
        if size is not None and len(self.problems) == before:
            yield Prompt(prompt_id, query_type, size, language or detect_language(text), complexity, text)

    def _text(self, raw: dict[str, Any], where: str) -> str:
        text = raw.get("text")
        if not isinstance(text, str):
            self.problems.append(f"{where}.text is missing" if text is None else f"{where}.text must be text")
            return ""
        if not text.strip():
            self.problems.append(f"{where}.text is empty")
        elif any("\ud800" <= character <= "\udfff" for character in text):
            self.problems.append(
                f"{where}.text has half of a surrogate pair (\\ud800 to \\udfff), which cannot be sent"
            )
        return text

    def _choice(
        self, raw: dict[str, Any], where: str, key: str, known: tuple[str, ...], *, required: bool = False
    ) -> str | None:
        value = raw.get(key)
        if value is None:
            if required:
                self.problems.append(f"{where}.{key} is missing; one of: {', '.join(known)}")
            return None
        if value not in known:
            self.problems.append(f"{where}.{key} is {value!r}; {hint(value, known)}")
            return None
        return str(value)

    def _id(self, value: Any, where: str) -> str:
        """Ids tell prompts apart in the records, so each may occur only once."""
        if not isinstance(value, str) or not value.strip():
            self.problems.append(f"{where}.id must be text that is not empty")
            return ""
        if value in self._ids:
            self.problems.append(f"{where}.id {value!r} is taken by another prompt")
        self._ids.add(value)
        return value
