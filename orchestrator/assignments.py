"""`--set PATH=VALUE`: one value of the scenario, by its path; the value is read as YAML."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bedrock.yaml_documents import KeyPath, YamlError, format_path, read_yaml
from scenarios.loading import Problem

FLAG = "--set"
METAVAR = "PATH=VALUE"
HELP = (
    "set a value of the scenario, like load.rate=5/s, objectives[0]='ttft_ms p95 < 400ms' or matrix.rates=null, "
    "which removes it; may be given several times"
)

#: A key, a key in quotes (model ids have dots), or an index in brackets or as a part of its own.
_PART = re.compile(r'(?:^|\.)"(?P<quoted>[^"]*)"|\[(?P<index>\d+)\]|(?:^|\.)(?P<key>[^.\[\]"]+)')


@dataclass(frozen=True, slots=True)
class Assignment:
    """A value for a path; None removes what stands there."""

    path: KeyPath
    value: Any

    @property
    def source(self) -> str:
        """How the value's origin is shown: `--set load.rate`."""
        return f"{FLAG} {format_path(self.path)}"

    def apply(self, values: dict[str, Any]) -> None:
        """Write the value into a scenario's plain values; ValueError where the path leads nowhere."""
        section: Any = values
        for depth, key in enumerate(self.path[:-1]):
            section = self._step(section, key, depth)
        self._put(section, self.path[-1])

    def _step(self, section: Any, key: str | int, depth: int) -> Any:
        if isinstance(section, list):
            return section[self._index(section, key, depth)]
        if not isinstance(section, dict):
            raise ValueError(f"{format_path(self.path[:depth])} is a value, with nothing inside it")
        name = self._key(key, depth)
        if section.get(name) is None:
            section[name] = {}
        return section[name]

    def _key(self, key: str | int, depth: int) -> str:
        if isinstance(key, int):
            where = format_path(self.path[:depth]) or "the scenario"
            raise ValueError(f"{where} is no list: name one of its keys instead of [{key}]")
        return key

    def _put(self, section: Any, key: str | int) -> None:
        depth = len(self.path) - 1
        if isinstance(section, list):
            index = self._index(section, key, depth, may_append=self.value is not None)
            section[index : index + 1] = [] if self.value is None else [self.value]
        elif not isinstance(section, dict):
            raise ValueError(f"{format_path(self.path[:depth])} is a value, with nothing inside it")
        elif self.value is None:
            section.pop(self._key(key, depth), None)
        else:
            section[self._key(key, depth)] = self.value

    def _index(self, items: list[Any], key: str | int, depth: int, *, may_append: bool = False) -> int:
        name = format_path(self.path[:depth])
        if not str(key).isdigit():
            raise ValueError(f"{name} is a list: name an item by its number, like {name}[0]")
        if int(key) >= len(items) + may_append:
            last = f"the last is {name}[{len(items) - 1}]" if items else "it is empty"
            raise ValueError(f"{name} has no item {key}: {last}")
        return int(key)


def parse_assignments(texts: Iterable[str]) -> tuple[list[Assignment], list[Problem]]:
    """The assignments of the command line in their order, and what is wrong with the others."""
    assignments, problems = list[Assignment](), list[Problem]()
    for text in texts:
        try:
            assignments.append(_parse(text))
        except ValueError as error:
            problems.append(Problem(FLAG, str(error)))
    return assignments, problems


def _parse(text: str) -> Assignment:
    name, equals, written = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is not {METAVAR}: write it like load.rate=5/s")
    path = _parse_path(name.strip())
    try:
        document = read_yaml(written)
    except YamlError as error:
        raise ValueError(f"the value of {name} {error.problem.text}") from error
    if document.problems:
        raise ValueError(f"the value of {name}: {document.problems[0].text}")
    return Assignment(path, document.values)


def _parse_path(name: str) -> KeyPath:
    parts = list(_PART.finditer(name))
    if not parts or "".join(part.group(0) for part in parts) != name:
        raise ValueError(f"{name!r} is no path into a scenario: write it like load.rate or objectives[0]")
    return tuple(int(part["index"]) if part["index"] else part["quoted"] or part["key"] for part in parts)


def applied(assignments: Iterable[Assignment], values: dict[str, Any]) -> tuple[list[Assignment], list[Problem]]:
    """Write the assignments into a scenario's plain values; those that fit, and what is wrong with the others."""
    done, problems = list[Assignment](), list[Problem]()
    for assignment in assignments:
        try:
            assignment.apply(values)
            done.append(assignment)
        except ValueError as error:
            problems.append(Problem(assignment.source, str(error)))
    return done, problems


def source_of(path: KeyPath, overrides: Mapping[KeyPath, str]) -> str | None:
    """The source that gave the value at a path: its own, or that of something around it; None for the file's."""
    return next((overrides[path[:n]] for n in range(len(path), 0, -1) if path[:n] in overrides), None)
