"""Files of fixtures: JSON Lines, as a load test records them, or a YAML list (`.yaml`, `.yml`), as people write them.

What is wrong is told without the texts that were given: prompts and answers may be confidential.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bedrock.catalog import Catalog
from bedrock.yaml_documents import YamlError, read_yaml
from emulator.answer import StopReason
from emulator.config_sections import suggestion
from emulator.fixtures import STOP_REASONS, Fixture, Fixtures
from emulator.model_names import known_model_name

#: Version of the entries; one without it is of this version.
FIXTURE_SCHEMA_VERSION = 1
#: More than any model gives. Each token of an answer takes room in memory.
MOST_OUTPUT_TOKENS = 200_000

_KEYS = (
    "prompt", "pattern", "model", "system", "text", "reasoning", "stop_reason", "output_tokens", "schema_version",
)  # fmt: skip

#: One entry of a file, decoded: where it is, and what it holds.
Entry = tuple[str, Any]


class FixtureError(ValueError):
    """Fixtures cannot be used; `problems` has one sentence for each thing wrong in any of the files."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


def read_fixtures(paths: Sequence[Path], catalog: Catalog) -> Fixtures:
    """The fixtures of all files, in their order; FixtureError lists everything that is wrong with them."""
    problems: list[str] = []
    fixtures: list[Fixture] = []
    for path in paths:
        for where, raw in _entries(path, problems):
            fixture = _EntryReader(where, raw, problems).fixture(catalog)
            if fixture is not None:
                fixtures.append(fixture)
    if problems:
        raise FixtureError(problems)
    return Fixtures(fixtures)


def _entries(path: Path, problems: list[str]) -> Iterator[Entry]:
    """The entries of a file that are mappings; what else is in it is appended to `problems`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        problems.append(f"cannot read {path}: {error.strerror or error}")
        return
    except UnicodeDecodeError:
        problems.append(f"{path}: is not text in UTF-8")
        return
    before, is_empty = len(problems), True
    for entry in _READERS.get(path.suffix.lower(), _json_entries)(path, text, problems):
        is_empty = False
        yield entry
    if is_empty and len(problems) == before:
        problems.append(f"{path}: has no entries")


def _json_entries(path: Path, text: str, problems: list[str]) -> Iterator[Entry]:
    # Not splitlines(): a text in JSON may hold line separators of Unicode as they are.
    for number, line in enumerate(text.split("\n"), start=1):
        where = f"{path}:{number}"
        if not line.strip():
            continue
        try:
            raw = json.loads(line, object_pairs_hook=_once_each)
        except json.JSONDecodeError as error:
            problems.append(f"{where}: is not JSON: {error.msg} at column {error.colno}")
        except (ValueError, RecursionError) as error:
            problems.append(f"{where}: {error}")
        else:
            yield from _mapping(where, raw, problems)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; ValueError for a key given twice, of which JSON would silently keep the last."""
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"`{next(name for name in names if names.count(name) > 1)}` is given twice")
    return mapping


def _yaml_entries(path: Path, text: str, problems: list[str]) -> Iterator[Entry]:
    try:
        document = read_yaml(text)
    except YamlError as error:
        place = f":{error.problem.position}" if error.problem.position else ""
        problems.append(f"{path}{place}: {error.problem.text}")
        return
    if document.values is None:
        return
    if not isinstance(document.values, list):
        problems.append(f"{path}: must be a list of entries, like `- {{prompt: ..., text: ...}}`")
        return
    problems += [f"{path}:{problem}" for problem in document.problems]
    for index, raw in enumerate(document.values):
        yield from _mapping(f"{path}:{document.position((index,)).line}", raw, problems)


_READERS = {".yaml": _yaml_entries, ".yml": _yaml_entries}


def _mapping(where: str, raw: Any, problems: list[str]) -> Iterator[Entry]:
    if isinstance(raw, dict):
        yield where, raw
    else:
        problems.append(f"{where}: must be a mapping of `prompt` or `pattern`, `text` and so on")


class _EntryReader:
    """Reads the keys of one entry and notes what is wrong with each."""

    def __init__(self, where: str, raw: dict[Any, Any], problems: list[str]) -> None:
        self._where = where
        self._raw = raw
        self._problems = problems

    def fixture(self, catalog: Catalog) -> Fixture | None:
        """The entry's fixture, None where something is wrong with it."""
        before = len(self._problems)
        self._check_keys()
        reasoning = self._text("reasoning")
        prompt, pattern, model, system = (
            self._text("prompt"),
            self._pattern(),
            self._model(catalog),
            self._text("system"),
        )
        text = self._text("text")
        stop_reason, output_tokens = self._stop_reason(), self._output_tokens(has_reasoning=reasoning is not None)
        if len(self._problems) > before or text is None:
            return None
        return Fixture(text, prompt, pattern, model, system, reasoning, stop_reason, output_tokens)

    def _wrong(self, key: str, what: str) -> None:
        self._problems.append(f"{self._where}: {key}: {what}")

    def _check_keys(self) -> None:
        for key in self._raw:
            if key not in _KEYS:
                self._wrong(str(key), f"unknown key{suggestion(str(key), _KEYS)}")
        if ("prompt" in self._raw) == ("pattern" in self._raw):
            self._problems.append(f"{self._where}: give `prompt` or `pattern`, one of them and not both")
        if "text" not in self._raw:
            self._wrong("text", "is missing")
        version = self._raw.get("schema_version", FIXTURE_SCHEMA_VERSION)
        if version != FIXTURE_SCHEMA_VERSION or isinstance(version, bool):
            self._wrong("schema_version", f"must be {FIXTURE_SCHEMA_VERSION}, the version that this emulator reads")

    def _text(self, key: str) -> str | None:
        """A text with something to read in it."""
        if key not in self._raw:
            return None
        value = self._raw[key]
        if not isinstance(value, str):
            self._wrong(key, "must be text; put a number or a word like yes in quotes")
        elif not value.strip():
            self._wrong(key, "is empty")
        else:
            return value
        return None

    def _pattern(self) -> re.Pattern[str] | None:
        text = self._text("pattern")
        try:
            return None if text is None else re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            self._wrong("pattern", f"is not a regular expression of Python: {error}")
            return None

    def _model(self, catalog: Catalog) -> str | None:
        text = self._text("model")
        try:
            return None if text is None else known_model_name(text, catalog)
        except ValueError as error:
            self._wrong("model", str(error))
            return None

    def _stop_reason(self) -> StopReason:
        value = self._raw.get("stop_reason", StopReason.END_TURN)
        if value in STOP_REASONS:
            return StopReason(value)
        self._wrong("stop_reason", f"must be {' or '.join(STOP_REASONS)}")
        return StopReason.END_TURN

    def _output_tokens(self, *, has_reasoning: bool) -> int | None:
        if "output_tokens" not in self._raw:
            return None
        value = self._raw["output_tokens"]
        least = 2 if has_reasoning else 1
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= MOST_OUTPUT_TOKENS:
            return value
        self._wrong("output_tokens", f"must be a whole number from {least} to {MOST_OUTPUT_TOKENS:,}")
        return None
