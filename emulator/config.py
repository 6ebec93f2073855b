"""The emulator's configuration: a YAML file, checked strictly, all problems at once.

Top-level keys are `seed`, `auth`, `default` (settings for every model) and model ids; a mapping `models` holding
model ids is accepted as well. A model's settings are, in rising order: assumptions of the catalogue, `default`, its
base id, the id exactly as a client sends it (`us.amazon.nova-pro-v1:0`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bedrock.catalog import Catalog, default_catalog, profile_id, split_model_id
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
        text = path.read_text(encoding="utf-8")
        raw = yaml.safe_load(text)
        problems = _keys_given_twice(yaml.compose(text, Loader=yaml.SafeLoader))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"cannot read {path}: {getattr(error, 'strerror', None) or error}"]) from error
    except yaml.YAMLError as error:
        raise ConfigError([f"{path} is not YAML: {' '.join(str(error).split())}"]) from error
    config = EmulatorConfig()
    try:
        config = parse_config({} if raw is None else raw, catalog, path.parent)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError([f"{path}: {problem}" for problem in problems])
    return config


def _keys_given_twice(document: yaml.Node | None) -> list[str]:
    """A sentence for each key that a mapping has twice: YAML would silently keep the last."""
    problems: list[str] = []
    mappings = [document]
    visited: set[int] = set()  # anchors may lead in a circle
    for mapping in mappings:
        if not isinstance(mapping, yaml.MappingNode) or id(mapping) in visited:
            continue
        visited.add(id(mapping))
        seen: set[str] = set()
        for key, value in mapping.value:
            name = str(key.value)
            if name in seen:
                problems.append(f"line {key.start_mark.line + 1}: `{name}` is given twice")
            seen.add(name)
            mappings.append(value)
    return problems


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
