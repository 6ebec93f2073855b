"""Scenario files: strict YAML in, a `Scenario` out, or every problem at once with its line and column."""

import copy
import difflib
import re
import typing
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bedrock.yaml_documents import KeyPath, YamlDocument, YamlError, format_path, read_yaml_file
from bedrock.yaml_syntax import Position, YamlProblem
from scenarios.checks import cross_check
from scenarios.model import Scenario, with_stages

#: Names the value at a path for a message: `scenarios/smoke.yaml:12:3: load.rate`, or the flag that gave it.
Places = Callable[[KeyPath], str]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration: where, and what, in one sentence."""

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"

    @property
    def position(self) -> Position | None:
        """Line and column of the file; None for what was given on the command line or concerns no line."""
        match = self._place_in_file
        return Position(int(match[2]), int(match[3])) if match else None

    @property
    def file(self) -> str:
        """The file that the position is in; empty where there is none."""
        match = self._place_in_file
        return match[1] if match else ""

    @property
    def _place_in_file(self) -> re.Match[str] | None:
        return re.match(r"(.*?):(\d+):(\d+)(?::|$)", self.place)


class ScenarioError(ValueError):
    """The configuration makes no test; `problems` holds all that is wrong with it."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: plain values, their positions, and what is wrong with the way they are written."""

    file: str
    values: dict[str, Any]
    yaml: YamlDocument

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Keys given twice, values that YAML reads as something else, and the like."""
        return tuple(_problem(self.file, problem) for problem in self.yaml.problems)

    def place(self, path: KeyPath) -> str:
        """`file:line:column: path` of a value, or of the innermost thing around it that the file has."""
        position = f"{self.file}:{self.yaml.position(path)}"
        return f"{position}: {format_path(path)}" if path else position

    def source(self, path: KeyPath) -> str:
        """`file:line` of a value."""
        return f"{self.file}:{self.yaml.position(path).line}"


def load_scenario(path: Path) -> Scenario:
    """The scenario of a file; ScenarioError with all problems."""
    document = read_document_and_problems(path)
    return build_scenario(document.values, document.place, document)


def read_load_document(path: Path) -> Document:
    """The section `load` of a scenario, in a file of its own; ScenarioError with everything wrong with its writing."""
    document = _read(path)
    inner = Document(str(path), {"load": {} if document.values is None else document.values}, _below_load(document))
    section = _with_load_section(inner)
    if not isinstance(section.values["load"], dict):
        raise ScenarioError(Problem(f"{path}:1:1", "must have stages, like `stages: [{rate: 5/s, duration: 30s}]`"))
    if section.problems:
        raise ScenarioError(*section.problems)
    return section


def _below_load(document: YamlDocument) -> YamlDocument:
    positions = {("load", *path): position for path, position in document.positions.items()}
    return replace(document, positions=positions, spoiled=frozenset(("load", *path) for path in document.spoiled))


def read_document_and_problems(path: Path) -> Document:
    """The values of a YAML file; ScenarioError for what is not a mapping or not YAML.

    Its `problems` are left to the caller, who may have more to tell together with them.
    """
    document = _read(path)
    values = {} if document.values is None else document.values
    if not isinstance(values, dict):
        raise ScenarioError(Problem(f"{path}:1:1", "a scenario is a mapping, like `name: smoke`"))
    return _with_load_section(Document(str(path), values, document))


def _read(path: Path) -> YamlDocument:
    try:
        return read_yaml_file(path)
    except YamlError as error:
        raise ScenarioError(_problem(str(path), error.problem)) from error


def _with_load_section(document: Document) -> Document:
    """The document with a `load` that is a list as a section, for flags to add to and for messages to point into."""
    load = document.values.get("load")
    if not isinstance(load, list):
        return document
    positions = {_in_stages(path): position for path, position in document.yaml.positions.items()}
    spoiled = frozenset(map(_in_stages, document.yaml.spoiled))
    moved = replace(document.yaml, positions=positions, spoiled=spoiled)
    return Document(document.file, document.values | {"load": with_stages(load)}, moved)


def _in_stages(path: KeyPath) -> KeyPath:
    """The path of a value in the section that a list of stages becomes."""
    return ("load", "stages", *path[1:]) if path[:1] == ("load",) and len(path) > 1 else path


def _problem(file: str, problem: YamlProblem) -> Problem:
    place = f"{file}:{problem.position}" if problem.position else file
    path = f": {format_path(problem.path)}" if problem.path else ""
    return Problem(f"{place}{path}", problem.text)


def build_scenario(values: Mapping[str, Any], places: Places, document: Document | None = None) -> Scenario:
    """The scenario of plain values; ScenarioError with all problems, each at the place `places` names.

    Those of the `document` that the values came from are among them.
    """
    written = [] if document is None else list(document.problems)
    spoiled = frozenset() if document is None else document.yaml.spoiled
    try:
        scenario = Scenario.model_validate(values)
    except ValidationError as error:
        details = _without_consequences(error.errors(), spoiled)
        problems = [Problem(places(tuple(detail["loc"])), _sentence(detail)) for detail in details]
        problems += written + _further_problems(values, error.errors(), places)
        raise ScenarioError(*in_order(problems)) from error
    findings = [Problem(places(path), text) for path, text in cross_check(scenario, is_partial=bool(written))]
    if findings or written:
        raise ScenarioError(*in_order([*written, *findings]))
    return scenario


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Problems in the order of each file, those of the command line first; files as they come."""
    found = list(problems)
    files = list(dict.fromkeys(["", *(problem.file for problem in found)]))
    return sorted(found, key=lambda problem: (files.index(problem.file), problem.position or Position(0, 0)))


def _without_consequences(details: list[ErrorDetails], spoiled: Set[KeyPath]) -> list[ErrorDetails]:
    """Without complaints about empty lists whose items were just refused, and about values already complained of."""
    refused = {detail["loc"][:-1] for detail in details}
    return [
        detail
        for detail in details
        if (detail["type"] != "too_short" or detail["loc"] not in refused) and detail["loc"] not in spoiled
    ]


def _further_problems(values: Mapping[str, Any], details: list[ErrorDetails], places: Places) -> list[Problem]:
    """What the sound values contradict among themselves, so that one reading shows everything."""
    sound = copy.deepcopy(dict(values))
    for detail in details:
        path = tuple(detail["loc"])
        _remove(sound, path[:-1] if path and isinstance(path[-1], int) else path)
    try:
        scenario = Scenario.model_validate({"name": "unnamed"} | sound)
    except ValidationError:
        return []
    return [Problem(places(path), text) for path, text in cross_check(scenario, is_partial=True)]


def _remove(values: Any, path: KeyPath) -> None:
    """Delete the key at a path; nothing if a longer path took its mapping away before."""
    for key in path[:-1]:
        try:
            values = values[key]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(values, dict) and path:
        values.pop(path[-1], None)


def _sentence(detail: ErrorDetails) -> str:
    path = detail["loc"]
    if detail["type"] == "extra_forbidden":
        return f"unknown key.{_meant(path)}"
    if detail["type"] == "missing":
        return f"is missing: add `{path[-1]}: ...`"
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    if detail["type"] == "model_type":
        return (
            f"must be a mapping with keys such as {', '.join(_known_keys(path)[:3])}, but is {_shown(detail['input'])}"
        )
    if detail["type"] == "tuple_type" and isinstance(detail["input"], str | int | float):
        return f"must be a list: write [{detail['input']}]"
    return f"{_PLAIN.get(detail['type']) or _in_plain_words(detail['msg'])}, but is {_shown(detail['input'])}"


def _meant(path: KeyPath) -> str:
    """What an unknown key was probably meant to be: one of its section, one of another section, or what there is."""
    key, known = str(path[-1]), _known_keys(path[:-1])
    elsewhere = [(section, name) for section in _SECTIONS if path[0] != section for name in _known_keys((section,))]
    same = [f"{section}.{name}" for section, name in elsewhere if name == key]
    parts = [f"{section}.{name}" for section, name in elsewhere if key in name.split("_")]
    near = [*difflib.get_close_matches(key, known, n=1, cutoff=_NEAR), *same]
    options = near or difflib.get_close_matches(key, known, n=1) or parts
    return f" Did you mean {' or '.join(options)}?" if options else f" Known are {', '.join(known)}."


def _shown(value: Any) -> str:
    """A value of the file in a sentence: short, and not as Python writes it."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return f"{'a' if value else 'an empty'} {'mapping' if isinstance(value, dict) else 'list'}"
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


#: How alike two words are (`difflib`) when one is surely meant for the other.
_NEAR = 0.7

#: Characters of a wrong value that a message repeats.
_MAX_SHOWN = 60

#: Sections whose keys people look for at the top level, and the other way round.
_SECTIONS = ("load", "matrix", "budget")

_PLAIN = {
    "dict_type": "must be a mapping of keys to values",
    "tuple_type": "must be a list, like [a, b]",
    "string_pattern_mismatch": "must be letters, digits, - and _",
    "too_short": "must have at least one item",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be text",
}


def _in_plain_words(message: str) -> str:
    said = message.replace("Input should be", "must be")
    return said[:1].lower() + said[1:]


def _known_keys(path: KeyPath) -> list[str]:
    """Keys allowed in the mapping at `path`."""
    model: type[BaseModel] | None = Scenario
    for part in path:
        if model is not None and isinstance(part, str):
            model = next(
                (
                    _section_in(info.annotation)
                    for name, info in model.model_fields.items()
                    if (info.alias or name) == part
                ),
                None,
            )
    if model is None:
        return []
    return [info.alias or name for name, info in model.model_fields.items()]


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """The model a field holds, alone or in a tuple or union; None where it holds plain values."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_section_in, typing.get_args(annotation))), None)
