"""Where every value of a run comes from: flag > `--set` > environment > scenario > default.

Flags and environment variables are written into the scenario's plain values before these are validated, so a
value is checked by the same rules wherever it was given, and a message names the place where that was.
"""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from bedrock.catalog import Catalog
from bedrock.endpoint import Endpoint
from bedrock.outcome import mask_accounts
from bedrock.prices import catalog_with
from bedrock.yaml_documents import KeyPath, format_path
from orchestrator.assignments import FLAG as ASSIGN
from orchestrator.assignments import Assignment, applied, parse_assignments, source_of
from orchestrator.command_line import meant_scenario
from orchestrator.flags import RUN_ONLY, SCENARIO_FLAGS, Flag
from orchestrator.references import reference_problems
from scenarios.field_types import NO_LIMIT
from scenarios.loading import (
    Document,
    Places,
    Problem,
    ScenarioError,
    build_scenario,
    in_order,
    read_document_and_problems,
)
from scenarios.model import Matrix, Scenario, to_document
from scenarios.run_directory import RunDirectory
from scenarios.session_files import absolute_sessions
from scenarios.stages import with_absolute_trace, with_absolute_traces
from scenarios.traffic import absolute_routing
from scenarios.units import parse_share

#: What the source of a value begins with that an environment variable gave; its name follows.
_ENVIRONMENT = "environment "

#: The SDK's own variables name a region where nothing else does: they do not take the place of a scenario's regions.
_SDK_VARIABLES = tuple(f"{_ENVIRONMENT}{variable}" for flag in RUN_ONLY for variable in flag.more_env_vars)

#: Names of settings that are recorded nowhere.
_SECRETS = frozenset(flag.name for flag in RUN_ONLY if flag.is_secret)

#: Values of flags as argparse leaves them: text, True for a switch, None where not given; a list for `--set`.
Arguments = Mapping[str, str | bool | list[str] | None]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Settings of a run that are no part of its scenario."""

    endpoint_url: str | None
    region: str
    prices_file: Path | None
    results_dir: Path | None
    include_failures: bool
    record_responses: bool
    baseline: Path | None
    fail_on: str
    regression_threshold: str
    no_charts: bool
    resume: bool
    force: bool
    output_format: str
    assume_yes: bool
    dry_run: bool
    #: Whoever knows it can write to somebody's chat.
    webhook_url: str | None = field(repr=False)


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
    #: Environment variables that set a value in force, but secrets.
    environment: Mapping[str, str]
    #: Names the place of a value for a message.
    places: Places

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
    def regions(self) -> tuple[str, ...]:
        """The AWS regions that cells call, in their order."""
        matrix, own = self.scenario.matrix, self.options.region
        return tuple(
            dict.fromkeys([*(matrix.regions or (own,)), *(extra.region for extra in matrix.include if extra.region)])
        )

    @property
    def catalog(self) -> Catalog:
        """The models, with the prices of `--prices-file`; PricesError, which preflight turns into a problem."""
        return catalog_with(self.options.prices_file)

    @property
    def starts_emulator(self) -> bool:
        """Whether this run starts an emulator of its own."""
        return self.scenario.target == "emulator" and self.options.endpoint_url is None

    def source(self, name: str) -> str:
        """Where the value `name` (a path like `load.duration`) came from."""
        return self.sources.get(name, "default")

    def place(self, path: KeyPath) -> str:
        """The place of a value for a message: a flag, a variable, or file, line and column."""
        return "configuration" if self.source(format_path(path)) == "default" else self.places(path)

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
    given_sets = arguments.get("set_values")
    assignments, not_read = parse_assignments(given_sets if isinstance(given_sets, list) else ())
    problems = [*from_environment.problems, *not_read, *from_flags.problems, *_conflicts(from_environment, from_flags)]
    try:
        document = read_document_and_problems(scenario_file)
    except ScenarioError as error:
        meant = meant_scenario(scenario_file)
        told = [
            replace(problem, text=f"{problem.text}.{meant}" if meant else problem.text) for problem in error.problems
        ]
        raise ScenarioError(*problems, *told) from error
    merged = _Merged(document)
    merged.override_all(from_environment.values)
    problems += merged.assign(assignments)
    merged.override_all(from_flags.values)
    try:
        scenario = build_scenario(merged.values, merged.place, document)
    except ScenarioError as error:
        further = reference_problems(merged.values, merged.place, merged.folder)
        raise ScenarioError(*problems, *in_order([*error.problems, *further])) from error
    if problems:
        raise ScenarioError(*problems, *reference_problems(merged.values, merged.place, merged.folder))
    run_only = {
        given.flag.name: given for given in (*from_environment.values, *from_flags.values) if not given.flag.path
    }
    options = RunOptions(
        **{flag.name: run_only[flag.name].value if flag.name in run_only else flag.default for flag in RUN_ONLY}
    )
    sources = merged.sources() | {name: given.source for name, given in run_only.items()}
    shown = {name: source for name, source in sources.items() if name not in _SECRETS}
    variables = {source.removeprefix(_ENVIRONMENT) for source in shown.values() if source.startswith(_ENVIRONMENT)}
    return Settings(
        _with_absolute_paths(scenario, merged),
        scenario_file,
        options,
        sources,
        {name: environ[name] for name in sorted(variables)},
        merged.place,
    )


#: Flags of a run that `report` takes as well: they change what is made of the records.
REPORT_FLAGS = tuple(
    flag
    for flag in RUN_ONLY
    if flag.name in ("baseline", "fail_on", "regression_threshold", "prices_file", "no_charts")
)


def report_settings(arguments: Arguments, environ: Mapping[str, str]) -> tuple[dict[str, Any], bool]:
    """Values of run.json that the flags of `report` (or their variables) replace, and whether charts are drawn.

    ScenarioError for wrong ones.
    """
    layers = (_from_environment(environ, REPORT_FLAGS), _from_arguments(arguments))
    problems = [problem for layer in layers for problem in layer.problems]
    if problems:
        raise ScenarioError(*problems)
    found = {given.flag.name: given.value for layer in layers for given in layer.values}
    if "prices_file" in found:
        found["prices_file"] = str(found["prices_file"])
    if "baseline" in found:
        RunDirectory(found["baseline"]).read_run()
        found["baseline"] = str(found["baseline"])
    if "regression_threshold" in found:
        found["regression_threshold"] = parse_share(found["regression_threshold"])
    no_charts = found.pop("no_charts", False)
    return found, not no_charts


@dataclass(frozen=True, slots=True)
class _Layer:
    values: list[_Given]
    problems: list[Problem]

    @property
    def flags(self) -> dict[str, str]:
        return {given.flag.name: given.source for given in self.values}


def _from_arguments(arguments: Arguments) -> _Layer:
    given = ((flag, arguments.get(flag.name), flag.text) for flag in _all_flags())
    return _parse((flag, value, source) for flag, value, source in given if isinstance(value, str | bool))


def _from_environment(environ: Mapping[str, str], flags: Sequence[Flag] | None = None) -> _Layer:
    """Values of environment variables; an empty one counts as not set."""
    found = []
    for flag in _all_flags() if flags is None else flags:
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

    def override_all(self, values: Sequence[_Given]) -> None:
        """Set what flags or variables give of the scenario."""
        for given in values:
            if given.flag.path:
                self.override(given)
            elif given.source not in _SDK_VARIABLES:
                self._displace(given.flag)

    def assign(self, assignments: Sequence[Assignment]) -> list[Problem]:
        """Set the values of `--set`; what is wrong with their paths."""
        done, problems = applied(assignments, self.values)
        for assignment in done:
            self._forget(assignment.path)
            self._overrides[assignment.path] = assignment.source
        return problems

    def override(self, given: _Given) -> None:
        """Set the flag's value, after removing what it takes the place of."""
        self._displace(given.flag)
        self._forget(given.flag.path)
        section: Any = self.values
        for key in given.flag.path[:-1]:
            if not isinstance(section.get(key), dict):
                section[key] = {}
            section = section[key]
        section[given.flag.path[-1]] = given.value
        self._overrides[given.flag.path] = given.source

    def _displace(self, flag: Flag) -> None:
        for path in flag.displaces:
            _remove(self.values, path)
            self._forget(path)

    def _forget(self, path: KeyPath) -> None:
        """Nothing given earlier at a path or inside it is in force any more."""
        self._overrides = {old: source for old, source in self._overrides.items() if old[: len(path)] != path}

    def place(self, path: KeyPath) -> str:
        inside = None if path in self._document.yaml.positions else self._inside(path)
        return self._given_by(path) or inside or self._document.place(path)

    def _given_by(self, path: KeyPath) -> str | None:
        """What of the command gave the value at a path; of `--set` with a value inside it, which one is meant."""
        source = source_of(path, self._overrides)
        is_inside = source is not None and source.startswith(ASSIGN) and path not in self._overrides
        return f"{source}: {format_path(path)}" if is_inside else source

    def folder(self, path: KeyPath) -> Path:
        """Where a relative path begins: the scenario's folder, or where the command runs for a value given there."""
        return Path.cwd() if source_of(path, self._overrides) else Path(self._document.file).parent

    def _inside(self, path: KeyPath) -> str | None:
        """The sources of what was set inside the value at a path."""
        found = [source for old, source in self._overrides.items() if path and old[: len(path)] == path]
        return ", ".join(dict.fromkeys(found)) or None

    def sources(self) -> dict[str, str]:
        """Source of each value that is not a default, by its path as text."""
        found = {}
        for name, _ in _leaves(self.values, ()):
            path = tuple(name.split("."))
            has_line = path in self._document.yaml.positions
            written = (self._document.source(path) if has_line else None, self._inside(path))
            found[name] = source_of(path, self._overrides) or ", ".join(filter(None, written))
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


def _with_absolute_paths(scenario: Scenario, merged: _Merged) -> Scenario:
    """Relative paths of the scenario file start at its folder, those of flags where the command runs."""
    update = dict[str, Any]()
    if scenario.routing is not None:
        update["routing"] = absolute_routing(scenario.routing, merged.folder(("routing",)))
    if scenario.sessions is not None:
        update["sessions"] = absolute_sessions(scenario.sessions, merged.folder(("sessions",)))
    if scenario.matrix.include:
        update["matrix"] = _with_absolute_extras(scenario.matrix, merged)
    if scenario.prompts_file is not None:
        update["prompts_file"] = str((merged.folder(("prompts_file",)) / scenario.prompts_file).resolve())
    update["load"] = with_absolute_traces(scenario.load, merged.folder(("load", "trace")))
    if scenario.request.system_file is not None:
        base = merged.folder(("request", "system_file"))
        file = str((base / Path(scenario.request.system_file).expanduser()).resolve())
        update["request"] = scenario.request.model_copy(update={"system_file": file})
    responses = (scenario.emulator or {}).get("responses")
    folder = merged.folder(("emulator", "responses"))
    if isinstance(responses, list):  # the emulator's own check says what else is wrong with it
        files = [str((folder / file).resolve()) if isinstance(file, str) and file else file for file in responses]
        update["emulator"] = {**(scenario.emulator or {}), "responses": files}
    return scenario.model_copy(update=update)


def _with_absolute_extras(matrix: Matrix, merged: _Merged) -> Matrix:
    extras = []
    for index, extra in enumerate(matrix.include):
        path = ("matrix", "include", index)
        traced = with_absolute_trace(extra, merged.folder((*path, "trace")))
        folder = merged.folder((*path, "routing"))
        update = {"routing": absolute_routing(extra.routing, folder)} if extra.routing else {}
        extras.append(traced.model_copy(update=update))
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
