"""Where every value of a run comes from: flag > environment > scenario > default.

Flags and environment variables are written into the scenario's plain values before these are validated, so a
value is checked by the same rules wherever it was given, and a message names the place where that was.
"""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bedrock.endpoint import Endpoint
from bedrock.outcome import mask_accounts
from orchestrator.flags import RUN_ONLY, SCENARIO_FLAGS, Flag
from scenarios.loading import Document, KeyPath, Problem, ScenarioError, build_scenario, format_path, read_document
from scenarios.model import NO_LIMIT, Matrix, Scenario, to_document
from scenarios.session_files import absolute_sessions
from scenarios.stages import with_absolute_trace, with_absolute_traces
from scenarios.traffic import absolute_routing

#: What the source of a value begins with that an environment variable gave; its name follows.
_ENVIRONMENT = "environment "

#: Values of flags as argparse leaves them: text, True for a switch, None where not given.
Arguments = Mapping[str, str | bool | None]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Settings of a run that are no part of its scenario."""

    endpoint_url: str | None
    region: str
    results_dir: Path | None
    include_failures: bool
    record_responses: bool
    fail_on: str
    force: bool
    output_format: str
    assume_yes: bool
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """One value in force and where it came from."""

    name: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Settings:
    """A validated run: the scenario with everything merged into it, the options, and the source of every value."""

    scenario: Scenario
    scenario_file: Path
    options: RunOptions
    sources: Mapping[str, str]
    #: Environment variables that set a value in force.
    environment: Mapping[str, str]

    @property
    def is_paid(self) -> bool:
        """Whether requests may cost money: they leave this machine."""
        if self.options.endpoint_url is None:
            return self.scenario.target == "aws"
        return not self.endpoint.is_loopback

    @property
    def endpoint(self) -> Endpoint:
        """Where calls go; without a URL that is AWS, or the emulator that is yet to be started."""
        return Endpoint(self.options.region, self.options.endpoint_url)

    @property
    def starts_emulator(self) -> bool:
        """Whether this run starts an emulator of its own."""
        return self.scenario.target == "emulator" and self.options.endpoint_url is None

    def source(self, name: str) -> str:
        """Where the value `name` (a path like `load.duration`) came from."""
        return self.sources.get(name, "default")

    def listing(self) -> list[Setting]:
        """Every value in force, defaults too, in the order of the scenario's sections."""
        rows = [
            Setting(name, _shown(value), self.source(name))
            for name, value in _leaves(to_document(self.scenario), ())
            if name not in ("name", "description")
        ]
        options = [
            Setting(flag.name, _shown(self._option(flag)), self.source(flag.name))
            for flag in RUN_ONLY
            if flag.in_listing
        ]
        return rows + options

    def _option(self, flag: Flag) -> Any:
        return getattr(self.options, flag.name)

    def effective_yaml(self, notes: Sequence[str] = ()) -> str:
        """The merged configuration: a scenario file by itself, with the source of each value as a comment.

        `notes` are more comments, a line each.
        """
        rows = self.listing()
        width = max(len(row.name) for row in rows)
        sources = "".join(f"#   {row.name:<{width}}  {row.source}\n" for row in rows if row.source != "default")
        options = "".join(
            f"#   {flag.name:<{width}}  {_shown(self._option(flag))}\n" for flag in RUN_ONLY if flag.in_listing
        )
        remarks = "".join(f"# {' '.join(note.split())}\n" for note in notes)
        body = yaml.safe_dump(to_document(self.scenario), sort_keys=False, allow_unicode=True, width=110)
        return mask_accounts(
            "# The configuration of this run with everything merged; it can be run again as a scenario.\n"
            f"# Options of the command:\n{options}"
            f"# Where values came from (all others are defaults):\n{sources or '#   all are defaults'}\n{remarks}{body}"
        )


@dataclass(frozen=True, slots=True)
class _Given:
    """A flag's value and where it was given."""

    flag: Flag
    value: Any
    source: str


def resolve(scenario_file: Path, arguments: Arguments, environ: Mapping[str, str]) -> Settings:
    """Merge a scenario file, the environment and the flags; ScenarioError with everything wrong in them."""
    from_environment, from_flags = _from_environment(environ), _from_arguments(arguments)
    problems = [*from_environment.problems, *from_flags.problems, *_conflicts(from_environment, from_flags)]
    try:
        document = read_document(scenario_file)
    except ScenarioError as error:
        raise ScenarioError(*problems, *error.problems) from error
    merged = _Merged(document)
    for given in (*from_environment.values, *from_flags.values):
        if given.flag.path:
            merged.override(given)
    try:
        scenario = build_scenario(merged.values, merged.place)
    except ScenarioError as error:
        raise ScenarioError(*problems, *error.problems) from error
    if problems:
        raise ScenarioError(*problems)
    run_only = {
        given.flag.name: given for given in (*from_environment.values, *from_flags.values) if not given.flag.path
    }
    options = RunOptions(
        **{flag.name: run_only[flag.name].value if flag.name in run_only else flag.default for flag in RUN_ONLY}
    )
    sources = merged.sources() | {name: given.source for name, given in run_only.items()}
    variables = {source.removeprefix(_ENVIRONMENT) for source in sources.values() if source.startswith(_ENVIRONMENT)}
    return Settings(
        _with_absolute_paths(scenario, document, merged),
        scenario_file,
        options,
        sources,
        {name: environ[name] for name in sorted(variables)},
    )


@dataclass(frozen=True, slots=True)
class _Layer:
    values: list[_Given]
    problems: list[Problem]

    @property
    def flags(self) -> dict[str, str]:
        return {given.flag.name: given.source for given in self.values}


def _from_arguments(arguments: Arguments) -> _Layer:
    given = ((flag, arguments.get(flag.name), flag.text) for flag in _all_flags())
    return _parse((flag, value, source) for flag, value, source in given if value is not None)


def _from_environment(environ: Mapping[str, str]) -> _Layer:
    """Values of environment variables; an empty one counts as not set."""
    found = []
    for flag in _all_flags():
        name = next((name for name in flag.env_vars if environ.get(name)), None)
        if name is not None:
            found.append((flag, environ[name], f"{_ENVIRONMENT}{name}"))
    return _parse(iter(found))


def _all_flags() -> tuple[Flag, ...]:
    return (*SCENARIO_FLAGS, *RUN_ONLY)


def _parse(given: Iterator[tuple[Flag, str | bool, str]]) -> _Layer:
    layer = _Layer([], [])
    for flag, value, source in given:
        try:
            layer.values.append(_Given(flag, flag.parse(value) if isinstance(value, str) else value, source))
        except ValueError as error:
            layer.problems.append(Problem(source, str(error)))
    return layer


def _conflicts(*layers: _Layer) -> Iterator[Problem]:
    """Flags that exclude each other, given in the same layer; in different layers the higher one wins."""
    for layer in layers:
        for one, other in (("user_counts", "rates"), ("model_id", "routing")):
            if one in layer.flags and other in layer.flags:
                yield Problem(
                    layer.flags[one], f"cannot be combined with {layer.flags[other]}; give one of them, not both"
                )


class _Merged:
    """The scenario's plain values with flags and variables written over them."""

    def __init__(self, document: Document) -> None:
        self.values: dict[str, Any] = copy.deepcopy(document.values)
        self._document = document
        self._overrides: dict[KeyPath, str] = {}

    def override(self, given: _Given) -> None:
        """Set the flag's value, after removing what it takes the place of."""
        for path in given.flag.displaces:
            _remove(self.values, path)
            self._overrides.pop(path, None)
        section: Any = self.values
        for key in given.flag.path[:-1]:
            if not isinstance(section.get(key), dict):
                section[key] = {}
            section = section[key]
        section[given.flag.path[-1]] = given.value
        self._overrides[given.flag.path] = given.source

    def place(self, path: KeyPath) -> str:
        return self._override_of(path) or self._document.place(path)

    def is_overridden(self, path: KeyPath) -> bool:
        return self._override_of(path) is not None

    def _override_of(self, path: KeyPath) -> str | None:
        return next((self._overrides[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self._overrides), None)

    def sources(self) -> dict[str, str]:
        """Source of each value that is not a default, by its path as text."""
        found = {}
        for name, _ in _leaves(self.values, ()):
            path = tuple(name.split("."))
            found[name] = self._override_of(path) or self._document.source(path)
        return found


def _remove(values: Any, path: KeyPath) -> None:
    """Delete the value at a path, where `*` stands for every item of a list; nothing if there is none."""
    key, rest = path[0], path[1:]
    if key == "*" and isinstance(values, list):
        for item in values:
            _remove(item, rest)
    elif isinstance(values, dict) and key in values:
        if rest:
            _remove(values[str(key)], rest)
        else:
            del values[str(key)]


def _leaves(values: Mapping[str, Any], path: KeyPath) -> Iterator[tuple[str, Any]]:
    """Values by their path; lists are values, and so are mappings whose keys are the user's own."""
    for key, value in values.items():
        if isinstance(value, dict) and key not in ("emulator", "metadata"):
            yield from _leaves(value, (*path, key))
        else:
            yield format_path((*path, key)), value


def _with_absolute_paths(scenario: Scenario, document: Document, merged: _Merged) -> Scenario:
    """Relative paths of the scenario file start at its folder, those of flags where the command runs."""
    folder, update = Path(document.file).parent, dict[str, Any]()
    if scenario.routing is not None:
        base = Path.cwd() if merged.is_overridden(("routing",)) else folder
        update["routing"] = absolute_routing(scenario.routing, base)
    if scenario.sessions is not None:
        base = Path.cwd() if merged.is_overridden(("sessions",)) else folder
        update["sessions"] = absolute_sessions(scenario.sessions, base)
    if scenario.matrix.include:
        update["matrix"] = _with_absolute_extras(scenario.matrix, folder)
    if scenario.prompts_file is not None:
        base = Path.cwd() if merged.is_overridden(("prompts_file",)) else folder
        update["prompts_file"] = str((base / scenario.prompts_file).resolve())
    base = Path.cwd() if merged.is_overridden(("load", "trace")) else folder
    update["load"] = with_absolute_traces(scenario.load, base)
    if scenario.request.system_file is not None:
        base = Path.cwd() if merged.is_overridden(("request", "system_file")) else folder
        file = str((base / Path(scenario.request.system_file).expanduser()).resolve())
        update["request"] = scenario.request.model_copy(update={"system_file": file})
    responses = (scenario.emulator or {}).get("responses")
    if isinstance(responses, list):  # the emulator's own check says what else is wrong with it
        files = [str((folder / file).resolve()) if isinstance(file, str) and file else file for file in responses]
        update["emulator"] = {**(scenario.emulator or {}), "responses": files}
    return scenario.model_copy(update=update)


def _with_absolute_extras(matrix: Matrix, folder: Path) -> Matrix:
    """Cells beside the cross product are always the file's own."""
    traced = (with_absolute_trace(extra, folder) for extra in matrix.include)
    extras = (
        extra.model_copy(update={"routing": absolute_routing(extra.routing, folder)}) if extra.routing else extra
        for extra in traced
    )
    return matrix.model_copy(update={"include": tuple(extras)})


def _shown(value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_shown(item) for item in value) or "—"
    if isinstance(value, Mapping):
        return ", ".join(f"{_shown(key)} {_shown(item)}" for key, item in value.items()) or "—"
    text = mask_accounts(str(value))
    return text if text.isprintable() else json.dumps(text, ensure_ascii=False)


def cost_limit_usd(scenario: Scenario) -> float | None:
    """The budget in USD; None where there is no limit, refused or never set."""
    limit = scenario.budget.max_cost_usd
    return None if limit in (None, NO_LIMIT) else float(limit)
