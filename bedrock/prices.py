"""A price file: dated prices of one's own, laid over those of the catalogue.

YAML: `schema_version, as_of, source, region, prices {model id: {geo_factor, tier: {input, output, cache_read,
cache_write}}}`, USD per 1,000,000 tokens. What it does not name keeps the catalogue's price.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from bedrock.catalog import SERVICE_TIERS, Catalog, Price, UnknownModelError, default_catalog

SCHEMA_VERSION = 1

_KINDS = ("input", "output", "cache_read", "cache_write")
_KEYS = ("schema_version", "as_of", "source", "region", "prices")

_HEADER = """# Prices in USD per 1,000,000 tokens, by base model id and service tier: the base id or its global profile.
# geo_factor is what a geographic profile (us., eu., jp., ...) costs relative to that.
# Models and tiers that are not named here keep the prices of bedrock/data/models.yaml.
"""


class PricesError(ValueError):
    """A price file cannot be used; the text has everything that is wrong with it."""


@dataclass(frozen=True, slots=True)
class ModelPrices:
    """Prices of one model by service tier; `geo_factor` None where the catalogue's is kept."""

    tiers: Mapping[str, Price]
    geo_factor: float | None = None


@dataclass(frozen=True, slots=True)
class PriceFile:
    """The content of a price file; `models` by base id."""

    as_of: str
    source: str
    region: str
    models: Mapping[str, ModelPrices]

    def over(self, catalog: Catalog) -> Catalog:
        """The catalogue with these prices instead of its own."""
        models = dict(catalog.models)
        for model_id, given in self.models.items():
            model = catalog.resolve(model_id)
            factor = model.geo_factor if given.geo_factor is None else given.geo_factor
            models[model.id] = replace(model, prices={**model.prices, **given.tiers}, geo_factor=factor)
        dated = f"{self.as_of}; models that the price file does not name: {catalog.as_of}"
        return replace(catalog, as_of=dated, source=self.source, models=models)

    def text(self) -> str:
        """The file that says this."""
        prices = {
            model_id: ({} if given.geo_factor is None else {"geo_factor": given.geo_factor})
            | {tier: _plain(price) for tier, price in given.tiers.items()}
            for model_id, given in sorted(self.models.items())
        }
        content = {
            "schema_version": SCHEMA_VERSION,
            "as_of": self.as_of,
            "source": self.source,
            "region": self.region,
            "prices": prices,
        }
        return _HEADER + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


def _plain(price: Price) -> dict[str, float]:
    named = {kind: getattr(price, kind) for kind in _KINDS}
    return {kind: float(f"{value:.10g}") for kind, value in named.items() if value is not None}


def read_prices(path: Path) -> PriceFile:
    """The price file at `path`; PricesError names all that is wrong with it."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        why = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise PricesError(f"Cannot use {path} as a price file: {why}") from error
    problems = list(_problems(raw))
    if problems:
        raise PricesError(f"Cannot use {path} as a price file: {'; '.join(problems)}")
    models = {str(model_id): _model_prices(entry) for model_id, entry in raw["prices"].items()}
    return PriceFile(str(raw["as_of"]), str(raw.get("source", path.name)), str(raw.get("region", "")), models)


def _model_prices(entry: Mapping[str, Any]) -> ModelPrices:
    tiers = {tier: Price(**given) for tier, given in entry.items() if tier != "geo_factor"}
    return ModelPrices(tiers, entry.get("geo_factor"))


def _problems(raw: Any) -> Iterator[str]:
    if not isinstance(raw, dict) or not isinstance(raw.get("prices"), dict) or "as_of" not in raw:
        yield "it needs as_of (a date) and prices (by model id)"
        return
    if raw.get("schema_version", SCHEMA_VERSION) != SCHEMA_VERSION:
        yield f"schema_version is {raw['schema_version']!r}, not {SCHEMA_VERSION}"
    yield from (f"unknown key {key!r}" for key in raw if key not in _KEYS)
    for model_id, entry in raw["prices"].items():
        try:
            default_catalog().resolve(str(model_id))
        except UnknownModelError as error:
            yield str(error).rstrip(".")
        yield from (f"{model_id}: {problem}" for problem in _model_problems(entry))


def _model_problems(entry: Any) -> Iterator[str]:
    if not isinstance(entry, dict) or not entry:
        yield "it needs prices by service tier"
        return
    for tier, given in entry.items():
        if tier == "geo_factor":
            if not _is_amount(given) or given <= 0.0:
                yield f"geo_factor {given!r} is no factor"
        elif tier not in SERVICE_TIERS:
            yield f"{tier!r} is not one of {', '.join(SERVICE_TIERS)}"
        elif not isinstance(given, dict) or not {"input", "output"} <= set(given):
            yield f"{tier} needs input and output"
        else:
            yield from (f"{tier}: unknown key {key!r}" for key in given if key not in _KINDS)
            yield from (f"{tier}: {key} {value!r} is no price" for key, value in given.items() if not _is_amount(value))


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0.0


@cache
def catalog_with(path: Path | None) -> Catalog:
    """The shipped catalogue with the prices of a file, or with its own; PricesError."""
    return default_catalog() if path is None else read_prices(path).over(default_catalog())
