"""YAML files as people write them: plain values, the line and column of each, every trap told in one sentence.

PyYAML reads YAML 1.1, in which `on` is true, `1:30` is 90 and `010` is 8, and it keeps the last of two equal keys.
Here all of these are problems, because nobody means them. Anchors, aliases and merge keys work as in YAML.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bedrock.yaml_syntax import Position, YamlProblem, syntax_problem

#: Where a value stands in a document: keys and list indexes (from 0) from the top.
KeyPath = tuple[str | int, ...]

#: Larger files are no configuration; PyYAML would take more than ten seconds for one.
MAX_BYTES = 1_000_000

#: Values of a document with its aliases expanded: a few lines of aliases of aliases can stand for millions.
MAX_VALUES = 100_000

_TAG = "tag:yaml.org,2002:"
_COLLECTIONS = (f"{_TAG}map", f"{_TAG}seq")
_SCALARS = tuple(f"{_TAG}{name}" for name in ("str", "int", "float", "bool", "null", "timestamp"))
_MERGE = f"{_TAG}merge"
#: It does not name the tag: a password may begin with an exclamation mark.
_TAGGED = "tags, which begin with an exclamation mark, are not supported; text needs quotes"


class YamlError(ValueError):
    """The text cannot be used at all; `problem` says where and why."""

    def __init__(self, problem: YamlProblem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """A document's plain values, their positions, and what is wrong with the way they are written.

    A value at a path in `spoiled` is the text that stands there: YAML reads it as something that nobody means.
    """

    values: Any
    positions: Mapping[KeyPath, Position]
    problems: tuple[YamlProblem, ...]
    spoiled: frozenset[KeyPath]

    def position(self, path: KeyPath) -> Position:
        """Of the key or item at a path, or of the innermost thing around it that the document has."""
        while path and path not in self.positions:
            path = path[:-1]
        return self.positions.get(path, Position(1, 1))


def read_yaml_file(path: Path) -> YamlDocument:
    """The document of a file; YamlError where it cannot be read or is no YAML."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise YamlError(YamlProblem(None, f"cannot be read: {error.strerror or error}")) from error
    if len(content) > MAX_BYTES:
        raise YamlError(YamlProblem(None, f"is larger than {MAX_BYTES // 1000:,} kB, which no configuration needs"))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise YamlError(YamlProblem(None, f"cannot be read: it is not UTF-8 text (byte {error.start})")) from error
    return read_yaml(text)


def read_yaml(text: str) -> YamlDocument:
    """The one document of a text, None where it is empty; YamlError where it is no YAML."""
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        reader = _Reader(loader)
        values = None if root is None else reader.read(root, ())
    except yaml.YAMLError as error:
        raise YamlError(syntax_problem(error, text)) from error
    except RecursionError as error:
        raise YamlError(YamlProblem(None, "is nested too deeply")) from error
    problems = sorted(reader.problems, key=lambda problem: problem.position or Position(1, 1))
    return YamlDocument(values, reader.positions, tuple(problems), frozenset(reader.spoiled))


def format_path(path: KeyPath) -> str:
    """`matrix.include[0].rate`."""
    return re.sub(r"\.\[", "[", ".".join(f"[{part}]" if isinstance(part, int) else part for part in path))


def _position(node: yaml.Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


@dataclass
class _Reader:
    """Turns nodes into plain values and remembers where each stands."""

    loader: yaml.SafeLoader
    positions: dict[KeyPath, Position] = field(default_factory=dict)
    problems: list[YamlProblem] = field(default_factory=list)
    spoiled: set[KeyPath] = field(default_factory=set)
    _open: set[int] = field(default_factory=set)
    _values: int = 0

    def read(self, node: yaml.Node, path: KeyPath) -> Any:
        self._values += 1
        if self._values > MAX_VALUES:
            text = f"stands for more than {MAX_VALUES:,} values: aliases of aliases multiply"
            raise YamlError(YamlProblem(_position(node), text))
        self.positions.setdefault(path, _position(node))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            self._add(node, "an anchor contains itself", path)
            return None
        if node.tag not in _COLLECTIONS:
            self._add(node, _TAGGED, path)
            return None
        self._open.add(id(node))
        value = self._collection(node, path)
        self._open.discard(id(node))
        return value

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        if node.tag not in _SCALARS:
            self._add(node, _TAGGED, path)
            return None
        trap = _trap(node)
        if trap is not None:
            self._add(node, f"{trap}; text needs quotes", path)
            return node.value
        try:
            return self.loader.construct_object(node)
        except ValueError:  # a number of thousands of digits, `!!int x`
            self._add(node, "is no number that can be read", path)
            return node.value

    def _collection(self, node: yaml.Node, path: KeyPath) -> Any:
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.MappingNode)  # noqa: S101  # YAML has no fourth kind of node
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                values = self._merged(value_node, path) | values
        for key, key_node, value_node in self._entries(node):
            self._forget(key, path)
            self.positions[(*path, key)] = _position(key_node)
            values[key] = self.read(value_node, (*path, key))
        return values

    def _merged(self, node: yaml.Node, path: KeyPath) -> dict[str, Any]:
        """What `<<` brings in: of several mappings the first that has a key wins."""
        mappings = node.value if isinstance(node, yaml.SequenceNode) else [node]
        values: dict[str, Any] = {}
        for mapping in reversed(mappings):
            if isinstance(mapping, yaml.MappingNode):
                values |= self.read(mapping, path) or {}
            else:
                self._add(mapping, "`<<` takes in a mapping or a list of mappings, like `<<: *base`", path)
        return values

    def _entries(self, node: yaml.MappingNode) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        """Keys that are text, each with its node and that of its value; the last of those given twice."""
        entries: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                continue
            if key_node.tag != f"{_TAG}str" or not isinstance(key_node, yaml.ScalarNode):
                self._add(key_node, _no_text_key(key_node))
                continue
            key = str(key_node.value)
            if key in entries:
                self._add(key_node, f"the key {key} is already given in line {_position(entries[key][0]).line}")
            entries[key] = (key_node, value_node)
        return ((key, key_node, value_node) for key, (key_node, value_node) in entries.items())

    def _forget(self, key: str, path: KeyPath) -> None:
        """Drop the positions that a merge gave to a key which the mapping has itself."""
        start = (*path, key)
        if start in self.positions:
            for old in [old for old in self.positions if old[: len(start)] == start]:
                del self.positions[old]

    def _add(self, node: yaml.Node, text: str, path: KeyPath | None = None) -> None:
        problem = YamlProblem(_position(node), text, path or ())
        if problem not in self.problems:  # an alias is read wherever it stands
            self.problems.append(problem)
        if path is not None:
            self.spoiled.add(path)


def _trap(node: yaml.ScalarNode) -> str | None:
    """What YAML 1.1 makes of a value without quotes that surely means something else, and what to write instead.

    The value itself is not repeated: it may be a secret.
    """
    text, kind = str(node.value).lower(), node.tag.removeprefix(_TAG)
    if node.style is not None:
        return None
    if kind == "bool" and text not in ("true", "false"):
        meant = "true" if text in ("on", "yes") else "false"
        return f"YAML reads this as {meant}: write {meant}"
    if kind in ("int", "float") and ":" in text:
        return "YAML reads this as a number in base 60: write a duration with units, like 1m30s"
    digits = text.lstrip("+-")
    if kind == "int" and len(digits) > 1 and digits.startswith("0") and digits.replace("_", "").isdigit():
        return "YAML reads a number that begins with 0 as octal: leave the 0 out"
    return "YAML reads this as a date" if kind == "timestamp" else None


def _no_text_key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        return "a list or a mapping cannot be a key"
    how = {"bool": "true or false", "null": "nothing"}.get(node.tag.removeprefix(_TAG), "a number")
    return f"the key {node.value or '(empty)'} is not text: YAML reads it as {how}; put it in quotes"
