"""What a scenario names without holding it: routings, the prompt library, the emulator's configuration."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from bedrock.yaml_documents import KeyPath
from emulator.config import ConfigError, locate, parse_config
from scenarios.loading import Places, Problem
from scenarios.problems import ProblemsError
from scenarios.prompts import load_prompts
from scenarios.request_values import RequestValueError
from scenarios.traffic import absolute_routing, load_routing

T = TypeVar("T")

#: The folder at which a relative path begins: that of the scenario, or where the command runs for a flag's value.
Folders = Callable[[KeyPath], Path]


def attempt(problems: list[Problem], place: str, read: Callable[[], T]) -> T | None:
    """What `read` returns; None where the file cannot be used, which is then among the problems."""
    try:
        return read()
    except (ProblemsError, RequestValueError) as error:
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
    for path, name in _routings(values):
        attempt(problems, places(path), partial(load_routing, absolute_routing(name, folders(path))))
    prompts_file = values.get("prompts_file")
    if isinstance(prompts_file, str):
        path = ("prompts_file",)
        attempt(problems, places(path), partial(load_prompts, folders(path) / prompts_file))
    yield from problems
    yield from emulator_problems(values.get("emulator"), places)


def _routings(values: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(values.get("routing"), str):
        yield ("routing",), values["routing"]
    matrix = values.get("matrix")
    include = matrix.get("include") if isinstance(matrix, dict) else None
    for index, extra in enumerate(include if isinstance(include, list) else ()):
        if isinstance(extra, dict) and isinstance(extra.get("routing"), str):
            yield ("matrix", "include", index, "routing"), extra["routing"]
