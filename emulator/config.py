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

from bedrock.catalog import Catalog, Model, default_catalog, profile_id, split_model_id
from emulator.config_sections import ConfigError, ModelSection, QuotaSection, check_section, suggestion
from emulator.quotas import QuotaLimits, ReservationRule, Window
from emulator.timing import (
    ASSUMED_TAIL,
    ASSUMED_TIERS,
    NO_TAIL,
    Distribution,
    Factors,
    Kind,
    Profile,
    Tail,
)

_TOP_LEVEL = ("seed", "auth", "default", "models")
_NOT_YET = {
    "faults": "`faults` is not supported by this version: remove it. It would not inject anything",
}
#: Assumption: answers have a median length of 120 tokens, 95 of 100 between 45 and 320.
ASSUMED_OUTPUT_TOKENS = {"distribution": Kind.LOGNORMAL, "median": 120.0, "sigma": 0.5, "min": 1.0}
ASSUMED_TOKENS_PER_EVENT = 4


@dataclass(frozen=True)
class EmulatorConfig:
    """What the emulator does for each model; `EmulatorConfig()` is its behaviour without a file."""

    seed: int | None = None
    sections: Mapping[str, ModelSection] = field(default_factory=dict)
    catalog: Catalog = field(default_factory=default_catalog)

    def profile(self, model_id: str) -> Profile:
        """How the model behind an id of the catalogue answers."""
        model = self.catalog.resolve(model_id)
        settings = _assumed_settings(model)
        for section in self._sections_for(model_id):
            settings = _merged(settings, section.given())
        return _profile(settings)

    def quota(self, model_id: str) -> QuotaLimits | None:
        """The quota of the model behind an id, None where it has none."""
        model = self.catalog.resolve(model_id)
        is_regional = split_model_id(model_id).prefix is None
        quota: QuotaSection | None = None
        for section in self._sections_for(model_id):
            if "quota" in section.model_fields_set:
                quota = section.quota  # a quota replaces the one below it as a whole, and `quota: null` removes it
        return None if quota is None else _quota(quota.given(), model, is_regional=is_regional)

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
        config = parse_config({} if raw is None else raw, catalog)
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


def parse_config(raw: Any, catalog: Catalog | None = None) -> EmulatorConfig:
    """The configuration of a decoded file; ConfigError lists everything that is wrong with it."""
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
            sections[key] = section
    seed = _seed(raw.get("seed"), problems)
    _check_auth(raw.get("auth", "accept"), problems)
    if problems:
        raise ConfigError(problems)
    return EmulatorConfig(seed=seed, sections=sections, catalog=catalog)


def _model_entries(raw: Mapping[Any, Any], problems: list[str]) -> Iterator[tuple[str, str, Any]]:
    """Name, place and content of each section, from the top level and from `models`."""
    for key, entry in raw.items():
        name = str(key)
        if name in _NOT_YET:
            problems.append(_NOT_YET[name])
        elif name == "models" and isinstance(entry, dict):
            yield from ((str(model), f"models.{model}", settings) for model, settings in entry.items())
        elif name == "models":
            problems.append("models: must be a mapping of model ids to settings")
        elif name not in ("seed", "auth"):
            yield name, name, entry


def _seed(value: Any, problems: list[str]) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    problems.append(f"seed: must be a whole number, not {value!r}")
    return None


def _check_auth(value: Any, problems: list[str]) -> None:
    if value != "accept":
        problems.append(f"auth: only `accept` is supported by this version, not {value!r}")


def _assumed_settings(model: Model) -> dict[str, Any]:
    assumed = model.assumed
    return {
        "latency": {
            "ttft_ms": {"distribution": Kind.LOGNORMAL, "median": assumed.ttft_ms, "sigma": assumed.ttft_sigma},
            "prefill_ms_per_token": assumed.prefill_ms_per_token,
            "tokens_per_second": {"distribution": Kind.FIXED, "median": assumed.output_tokens_per_s},
            "tokens_per_event": ASSUMED_TOKENS_PER_EVENT,
        },
        "output_tokens": ASSUMED_OUTPUT_TOKENS,
        "tiers": {
            name: {"ttft_factor": factors.ttft_factor, "speed_factor": factors.speed_factor}
            for name, factors in ASSUMED_TIERS.items()
        },
    }


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `over`, mapping by mapping."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def _profile(settings: Mapping[str, Any]) -> Profile:
    latency = settings["latency"]
    ttft_ms = _distribution(latency["ttft_ms"])
    return Profile(
        ttft_ms=ttft_ms,
        prefill_ms_per_token=latency["prefill_ms_per_token"],
        tokens_per_second=_distribution(latency["tokens_per_second"]),
        tokens_per_event=latency["tokens_per_event"],
        output_tokens=_distribution(settings["output_tokens"]),
        tail=_tail(settings.get("tail"), ttft_ms.kind),
        tiers={name: Factors(**factors) for name, factors in settings["tiers"].items()},
    )


def _distribution(settings: Mapping[str, Any]) -> Distribution:
    names = {"distribution": "kind", "min": "low", "max": "high"}
    known = {names.get(key, key): value for key, value in settings.items() if value is not None}
    known["values"] = tuple(known.get("values", ()))
    return Distribution(**known)


def _tail(settings: Mapping[str, Any] | None, ttft_kind: Kind) -> Tail:
    """The configured tail; else the assumed one for a lognormal TTFT, and none for one that was spelled out."""
    assumed = ASSUMED_TAIL if ttft_kind is Kind.LOGNORMAL else NO_TAIL
    if settings is None:
        return assumed
    return Tail(**{"share": assumed.share, "factor_min": 3.0, "factor_max": 10.0, **settings})


def _quota(settings: Mapping[str, Any], model: Model, *, is_regional: bool) -> QuotaLimits:
    known = dict(settings)
    if known.pop("limits", None) is not None:
        account = model.quota if is_regional else model.cross_region_quota
        known = {"rpm": account.rpm, "tpm": account.tpm, **known}
    return QuotaLimits(
        rpm=known.get("rpm"),
        tpm=known.get("tpm"),
        tpd=known.get("tpd"),
        window=known.get("window", Window.FIXED_MINUTE),
        burndown=known.get("burndown", model.burndown),
        reservation=known.get("reservation", ReservationRule.PLAIN),
    )


__all__ = ["ConfigError", "EmulatorConfig", "ModelSection", "QuotaSection", "parse_config", "read_config"]
