"""What a scenario names without holding it: routings, the prompt library, the emulator's configuration."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from bedrock.yaml_documents import KeyPath
from emulator.config import ConfigError, locate, parse_config
from orchestrator.command_line import from_here
from scenarios.loading import Places, Problem
from scenarios.problems import ProblemsError
from scenarios.prompts import load_prompts
from scenarios.request_values import RequestValueError, read_system_prompt
from scenarios.session_files import absolute_sessions, load_sessions
from scenarios.trace import read_trace
from scenarios.traffic import absolute_routing, load_routing

T = TypeVar("T")

#: The folder at which a relative path begins: that of the scenario, or where the command runs for a flag's value.
Folders = Callable[[KeyPath], Path]


def attempt(problems: list[Problem], place: str, read: Callable[[], T]) -> T | None:
    """What `read` returns; None where the file cannot be used, which is then among the problems."""
    try:
        return read()
    except ProblemsError as error:
        placed = [
            Problem(f"{from_here(Path(fault.file or place))}:{fault.position}", fault.text)
            for fault in error.faults
            if fault.position is not None
        ]
        problems += placed or [Problem(place, str(error))]
    except RequestValueError as error:
        problems.append(Problem(place, str(error)))
    return None


def emulator_problems(config: Any, places: Places) -> Iterator[Problem]:
    """What is wrong with the emulator section of a scenario, each where it stands."""
    if not isinstance(config, Mapping):
        return
    try:
        parse_config(config)
    except ConfigError as error:
        for problem in error.problems:
            path, said = locate(problem, config)
            yield Problem(places(("emulator", *path)), said)


def reference_problems(values: Mapping[str, Any], places: Places, folders: Folders) -> Iterator[Problem]:
    """What is wrong with everything that the plain values of a scenario name, whatever else is wrong with them."""
    problems: list[Problem] = []
    for path, name in _named(values, ("routing",), (*_INCLUDED, "routing")):
        attempt(problems, places(path), partial(load_routing, absolute_routing(name, folders(path))))
    for path, name in _named(values, ("sessions",)):
        attempt(problems, places(path), partial(load_sessions, absolute_sessions(name, folders(path))))
    for path, name in _named(values, ("prompts_file",)):
        attempt(problems, places(path), partial(load_prompts, folders(path) / name))
    for path, name in _named(values, ("request", "system_file")):
        attempt(problems, places(path), partial(read_system_prompt, folders(path) / Path(name).expanduser()))
    for path, name in _named(values, ("load", "trace"), ("load", "stages", "*", "trace"), (*_INCLUDED, "trace")):
        attempt(problems, places(path), partial(read_trace, folders(path) / name))
    yield from problems
    yield from emulator_problems(values.get("emulator"), places)


#: Each of the cells beside the cross product.
_INCLUDED = ("matrix", "include", "*")


def _named(values: Any, *patterns: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """The texts at some paths, in which `*` stands for every item of a list."""
    for pattern in patterns:
        yield from _texts(values, pattern, ())


def _texts(values: Any, pattern: KeyPath, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if not pattern:
        if isinstance(values, str):
            yield path, values
    elif pattern[0] == "*" and isinstance(values, list):
        for index, item in enumerate(values):
            yield from _texts(item, pattern[1:], (*path, index))
    elif isinstance(values, dict) and pattern[0] in values:
        yield from _texts(values[pattern[0]], pattern[1:], (*path, pattern[0]))
