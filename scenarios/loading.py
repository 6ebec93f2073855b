"""Scenario files: strict YAML in, a `Scenario` out, or every problem at once with its line."""

import copy
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from scenarios.checks import cross_check
from scenarios.model import Scenario, did_you_mean, with_stages

#: Where a value stands in a document: keys and list indexes from the top.
KeyPath = tuple[str | int, ...]

#: Names the value at a path for a message: `scenarios/smoke.yaml:12: load.rate`, or the flag that gave it.
Places = Callable[[KeyPath], str]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration: where, and what, in one sentence."""

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


class ScenarioError(ValueError):
    """The configuration makes no test; `problems` holds all that is wrong with it."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: plain values, and the line (from 1) of each of them."""

    file: str
    values: dict[str, Any]
    lines: Mapping[KeyPath, int]

    def place(self, path: KeyPath) -> str:
        """`file:line: path` of a value; the line is that of the innermost thing around it that the file has."""
        line = self.source(path)
        return f"{line}: {format_path(path)}" if path else line

    def source(self, path: KeyPath) -> str:
        """`file:line` of a value."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.file}:{self.lines.get(path, 1)}"


def load_scenario(path: Path) -> Scenario:
    """The scenario of a file; ScenarioError with all problems."""
    document = read_document(path)
    return build_scenario(document.values, document.place)


def read_document(path: Path) -> Document:
    """The values and lines of a YAML file; ScenarioError for what is not a mapping or not YAML.

    Keys that occur twice are refused: YAML would silently keep the last.
    """
    name = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ScenarioError(Problem(name, f"cannot be read: {reason}")) from error
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        reader = _NodeReader(loader, name)
        values = reader.read(root, ()) if root is not None else {}
    except yaml.YAMLError as error:
        raise ScenarioError(_syntax_problem(name, error)) from error
    finally:
        loader.dispose()
    if not isinstance(values, dict):
        reader.problems.append(Problem(f"{name}:1", "a scenario is a mapping, like `name: smoke`"))
    if reader.problems:
        raise ScenarioError(*reader.problems)
    return _with_load_section(Document(name, values, reader.lines))


def _with_load_section(document: Document) -> Document:
    """The document with a `load` that is a list as a section, for flags to add to and for messages to point into."""
    load = document.values.get("load")
    if not isinstance(load, list):
        return document
    lines = {
        ("load", "stages", *path[1:]) if path[:1] == ("load",) and len(path) > 1 else path: line
        for path, line in document.lines.items()
    }
    return Document(document.file, document.values | {"load": with_stages(load)}, lines)


def build_scenario(values: Mapping[str, Any], places: Places) -> Scenario:
    """The scenario of plain values; ScenarioError with all problems, each at the place `places` names."""
    try:
        scenario = Scenario.model_validate(values)
    except ValidationError as error:
        details = _without_consequences(error.errors())
        problems = [Problem(places(tuple(detail["loc"])), _sentence(detail)) for detail in details]
        problems += _further_problems(values, details, places)
        raise ScenarioError(*sorted(problems, key=_line)) from error
    findings = cross_check(scenario)
    if findings:
        raise ScenarioError(*(Problem(places(path), text) for path, text in findings))
    return scenario


def _line(problem: Problem) -> int:
    """The line a problem is in; 0 for what was given on the command line, which comes first."""
    match = re.search(r":(\d+)(?::|$)", problem.place)
    return int(match[1]) if match else 0


def _without_consequences(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Without complaints about empty lists whose items were just refused one by one."""
    refused = {detail["loc"][:-1] for detail in details}
    return [detail for detail in details if detail["type"] != "too_short" or detail["loc"] not in refused]


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


_COLLECTION_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


@dataclass
class _NodeReader:
    """Turns YAML nodes into plain values and remembers the line of each."""

    loader: yaml.SafeLoader
    file: str
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    _open: set[int] = field(default_factory=set)

    def read(self, node: yaml.Node, path: KeyPath) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self.loader.construct_object(node)
        if id(node) in self._open:
            self._add(node, "an anchor contains itself")
            return None
        self._open.add(id(node))
        value = self._collection(node, path)
        self._open.discard(id(node))
        return value

    def _collection(self, node: yaml.Node, path: KeyPath) -> Any:
        if node.tag not in _COLLECTION_TAGS:
            self._add(node, f"the tag {node.tag} is not supported")
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.MappingNode)  # noqa: S101  # YAML has no fourth kind of node
        self._refuse_duplicates(node)
        self.loader.flatten_mapping(node)
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.loader.construct_object(key_node, deep=True)
            if isinstance(key, str):
                self.lines[(*path, key)] = key_node.start_mark.line + 1
                values[key] = self.read(value_node, (*path, key))
            else:
                self._add(key_node, f"the key {key!r} is not text")
        return values

    def _refuse_duplicates(self, node: yaml.MappingNode) -> None:
        first_line: dict[str, int] = {}
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in first_line:
                self._add(key_node, f"the key {key} is already given in line {first_line[key]}")
            first_line.setdefault(key, key_node.start_mark.line + 1)

    def _add(self, node: yaml.Node, text: str) -> None:
        self.problems.append(Problem(f"{self.file}:{node.start_mark.line + 1}", text))


def _syntax_problem(file: str, error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark else 1
    text = getattr(error, "problem", None) or str(error)
    return Problem(f"{file}:{line}", f"is not valid YAML: {text}")


def format_path(path: KeyPath) -> str:
    """`matrix.include[0].rate`."""
    return re.sub(r"\.\[", "[", ".".join(f"[{part}]" if isinstance(part, int) else part for part in path))


def _sentence(detail: ErrorDetails) -> str:
    path = detail["loc"]
    if detail["type"] == "extra_forbidden":
        return f"unknown key.{did_you_mean(str(path[-1]), _known_keys(path[:-1]))}"
    if detail["type"] == "missing":
        return "is missing"
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    return f"{_PLAIN.get(detail['type']) or _in_plain_words(detail['msg'])}, but is {detail['input']!r}"


_PLAIN = {
    "model_type": "must be a mapping of keys to values",
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
