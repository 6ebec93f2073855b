"""The emulator's configuration: a YAML file, checked strictly, all problems at once.

Top-level keys are `seed`, `auth`, `default` (settings for every model) and model ids; a mapping `models` holding
model ids is accepted as well. A model's settings are, in rising order: assumptions of the catalogue, `default`, its
base id, the id exactly as a client sends it (`us.amazon.nova-pro-v1:0`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bedrock.catalog import Catalog, default_catalog, profile_id, split_model_id
from bedrock.yaml_documents import KeyPath, YamlError, read_yaml_file
from bedrock.yaml_syntax import Position
from emulator.capacity import CapacityLimits
from emulator.config_auth import AuthSettings, check_auth
from emulator.config_faults import parse_rules
from emulator.config_sections import (
    ConcurrencySection,
    ConfigError,
    ModelSection,
    QuotaSection,
    check_section,
    suggestion,
)
from emulator.faults import Rule
from emulator.model_settings import (
    assumed_settings,
    concurrency_of,
    merged,
    profile_of,
    quota_of,
    reserved_of,
)
from emulator.quotas import QuotaLimits, ReservedLimits
from emulator.timing import Profile

_TOP_LEVEL = ("seed", "auth", "default", "models", "aliases", "responses", "faults")


@dataclass(frozen=True)
class EmulatorConfig:
    """What the emulator does for each model; `EmulatorConfig()` is its behaviour without a file."""

    seed: int | None = None
    auth: AuthSettings = field(default_factory=AuthSettings)
    #: Files of answers given in advance (`emulator.fixture_files`).
    responses: tuple[Path, ...] = ()
    sections: Mapping[str, ModelSection] = field(default_factory=dict)
    faults: tuple[Rule, ...] = ()
    #: Ids that the catalogue does not know, as ARNs of application profiles, and the model ids they stand for.
    aliases: Mapping[str, str] = field(default_factory=dict)
    catalog: Catalog = field(default_factory=default_catalog)

    def profile(self, model_id: str) -> Profile:
        """How the model behind an id of the catalogue answers."""
        return profile_of(self._settings(model_id), self.catalog.resolve(model_id))

    def quota(self, model_id: str) -> QuotaLimits | None:
        """The quota of the model behind an id, None where it has none."""
        quota: QuotaSection | None = None
        for section in self._sections_for(model_id):
            if "quota" in section.model_fields_set:
                quota = section.quota  # a quota replaces the one below it as a whole, and `quota: null` removes it
        return self._limits(quota, model_id)

    def optimized_quota(self, model_id: str) -> QuotaLimits | None:
        """The quota of latency-optimised calls of an id, None where they have none of their own."""
        quota: QuotaSection | None = None
        for section in self._sections_for(model_id):
            if section.optimized is not None and "quota" in section.optimized.model_fields_set:
                quota = section.optimized.quota
        return self._limits(quota, model_id)

    def concurrency(self, base_id: str) -> CapacityLimits:
        """How many calls the model of a base id serves at once; without a setting, load has no effect."""
        concurrency: ConcurrencySection | None = None
        for section in self._sections_for(base_id):
            if "concurrency" in section.model_fields_set:
                concurrency = section.concurrency  # it is replaced as a whole, like a quota
        if concurrency is None:
            return CapacityLimits()
        return concurrency_of(concurrency.given(), self.catalog.resolve(base_id))

    def reserved(self, model_id: str) -> ReservedLimits | None:
        """The reserved capacity of the model behind an id."""
        return reserved_of(self._settings(model_id))

    def _settings(self, model_id: str) -> dict[str, Any]:
        settings = assumed_settings(self.catalog.resolve(model_id))
        for section in self._sections_for(model_id):
            settings = merged(settings, section.given())
        return settings

    def _limits(self, quota: QuotaSection | None, model_id: str) -> QuotaLimits | None:
        if quota is None:
            return None
        is_regional = split_model_id(model_id).prefix is None
        return quota_of(quota.given(), self.catalog.resolve(model_id), is_regional=is_regional)

    def _sections_for(self, model_id: str) -> Iterator[ModelSection]:
        parts = split_model_id(model_id)
        for name in dict.fromkeys(("default", parts.base, profile_id(parts.base, parts.prefix))):
            if name in self.sections:
                yield self.sections[name]


def read_config(path: Path, catalog: Catalog | None = None) -> EmulatorConfig:
    """The configuration of a file; ConfigError lists everything that is wrong with it."""
    try:
        document = read_yaml_file(path)
    except YamlError as error:
        place = f"{path}:{error.problem.position}" if error.problem.position else str(path)
        raise ConfigError([f"{place}: {error.problem.text}"]) from error
    told = [(problem.position or Position(1, 1), problem.text) for problem in document.problems]
    config = EmulatorConfig()
    try:
        config = parse_config({} if document.values is None else document.values, catalog, path.parent)
    except ConfigError as error:
        paths = ((locate(problem, document.values)[0], problem) for problem in error.problems)
        told += [(document.position(at), problem) for at, problem in paths if at not in document.spoiled]
    if told:
        raise ConfigError([f"{path}:{position}: {text}" for position, text in sorted(told)])
    return config


def locate(problem: str, raw: Any) -> tuple[KeyPath, str]:
    """What a problem of `parse_config` is about and what it says of it, in the values that were given.

    A problem begins with the name of the value: keys with dots between, items of `faults` numbered from 1. The path
    counts from 0. Where the named value itself is missing, the path is that of what should hold it, and the problem
    says everything.
    """
    path: KeyPath = ()
    name, value = "", raw
    while True:
        first = 1 if path == ("faults",) else 0
        inner: list[tuple[str | int, Any]] = list(value.items()) if isinstance(value, dict) else []
        inner += list(enumerate(value)) if isinstance(value, list) else []
        names = [(key, f"{name}{key if isinstance(key, str) else key + first}", item) for key, item in inner]
        found = [entry for entry in names if problem.startswith((f"{entry[1]}:", f"{entry[1]}."))]
        if not found:
            return path, problem.removeprefix(f"{name[:-1]}: ") if path else problem
        key, name, value = max(found, key=lambda entry: len(entry[1]))  # ids have dots: `a.b` is not `a`
        path, name = (*path, key), f"{name}."


def parse_config(raw: Any, catalog: Catalog | None = None, folder: Path = Path()) -> EmulatorConfig:
    """The configuration of a decoded file in `folder`; ConfigError lists everything that is wrong with it."""
    catalog = catalog or default_catalog()
    if not isinstance(raw, dict):
        raise ConfigError(["the configuration must be a mapping of `default`, model ids and settings"])
    problems: list[str] = []
    sections: dict[str, ModelSection] = {}
    for name, where, entry in _model_entries(raw, problems):
        if name != "default" and catalog.find(name) is None:
            problems.append(f"{where}: unknown key or model{suggestion(name, [*_TOP_LEVEL, *catalog.models])}")
            continue
        parts = split_model_id(name)
        key = "default" if name == "default" else profile_id(parts.base, parts.prefix)
        if key in sections:
            problems.append(f"{where}: {key} is configured twice")
        section = check_section(where, entry, problems)
        if section is not None:
            problems.extend(f"{where}.{problem}" for problem in _unfit(section, name, catalog))
            sections[key] = section
    seed = _seed(raw.get("seed"), problems)
    auth = check_auth(raw.get("auth", "accept"), problems)
    responses = _files(raw.get("responses", []), "responses", folder, problems)
    faults = parse_rules(raw.get("faults", []), catalog, problems)
    aliases = _aliases(raw.get("aliases", {}), catalog, problems)
    if problems:
        raise ConfigError(problems)
    return EmulatorConfig(
        seed=seed,
        auth=auth,
        responses=responses,
        sections=sections,
        faults=tuple(faults),
        aliases=aliases,
        catalog=catalog,
    )


def _unfit(section: ModelSection, name: str, catalog: Catalog) -> Iterator[str]:
    """What a model's own section asks for that the model does not have. In `default` it concerns those that do."""
    model = catalog.find(name)
    if model is None:
        return
    if "concurrency" in section.model_fields_set and split_model_id(name).prefix is not None:
        yield f"concurrency: load is the model's own: set it for {model.id}"
    if section.tiers and "reserved" in section.tiers and not model.supports_tier("reserved"):
        yield f"tiers.reserved: {model.id} is not served in this tier"
    if section.optimized is not None and not model.optimized_regions:
        yield f"optimized: {model.id} is not served latency-optimised"
    if section.reasoning is not None and not model.reasoning:
        yield f"reasoning: {model.id} does not reason"


def _model_entries(raw: Mapping[Any, Any], problems: list[str]) -> Iterator[tuple[str, str, Any]]:
    """Name, place and content of each section, from the top level and from `models`."""
    for key, entry in raw.items():
        name = str(key)
        if name == "models" and isinstance(entry, dict):
            yield from ((str(model), f"models.{model}", settings) for model, settings in entry.items())
        elif name == "models":
            problems.append("models: must be a mapping of model ids to settings")
        elif name not in _TOP_LEVEL or name == "default":
            yield name, name, entry


def _seed(value: Any, problems: list[str]) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    problems.append(f"seed: must be a whole number, not {value!r}")
    return None


def _aliases(value: Any, catalog: Catalog, problems: list[str]) -> dict[str, str]:
    """Ids and the model ids they stand for."""
    if not isinstance(value, dict):
        problems.append("aliases: must be a mapping of ids to model ids")
        return {}
    for alias, target in value.items():
        if not isinstance(target, str) or catalog.find(target) is None:
            problems.append(f"aliases.{alias}: unknown model{suggestion(str(target), catalog.models)}")
        elif catalog.find(str(alias)) is not None:
            problems.append(f"aliases.{alias}: it is the id of a model already")
    return {str(alias): str(target) for alias, target in value.items()}


def _files(value: Any, name: str, folder: Path, problems: list[str]) -> tuple[Path, ...]:
    """The files of a list; relative paths begin in `folder`."""
    if isinstance(value, list) and all(isinstance(file, str) and file.strip() for file in value):
        return tuple(folder / file for file in value)
    problems.append(f"{name}: must be a list of files, like `[{name}.jsonl]`, not {value!r}")
    return ()


__all__ = ["ConfigError", "EmulatorConfig", "ModelSection", "QuotaSection", "parse_config", "read_config"]
