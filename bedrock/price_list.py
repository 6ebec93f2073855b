"""The AWS Price List's products as prices of the catalogue's models. Pure: who asks AWS is orchestrator/prices_command.

Two offers have Bedrock's token prices. `AmazonBedrock` (Amazon's and openly licensed models) names the model in an
attribute and prices 1,000 tokens; `AmazonBedrockFoundationModels` (sold through the Marketplace, such as Claude) names
it in `servicename` and the rest in `usagetype` alone, per 1,000,000 tokens. Products that are no plain token price of
a model of the catalogue (images, provisioned throughput, customisation, long contexts, latency-optimised) are passed
over; none is guessed.
"""

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bedrock.catalog import Catalog, Price
from bedrock.prices import ModelPrices
from bedrock.service_quotas import name_words

OFFERS = ("AmazonBedrock", "AmazonBedrockFoundationModels")

#: Tokens that a price is for, by the first word of its unit; the Marketplace's `Units` are millions.
_TOKENS_PER_UNIT = {"1k": 1_000, "1m": 1_000_000, "units": 1_000_000}

#: What a product is for, told from its inference type and usage type in lower case; the first that fits.
_KINDS = (
    ("cache_read", re.compile(r"cache[ _-]?read")),
    ("cache_write", re.compile(r"cache[ _-]?write")),
    ("input", re.compile(r"input[ _-]?token")),
    ("output", re.compile(r"output[ _-]?token|response[ _-]?token")),
)
_TIERS = (("priority", re.compile("priority")), ("flex", re.compile("flex")))

#: Products that are no on-demand price of text tokens.
_OTHER = re.compile(
    r"batch|latency|optimi[sz]ed|provision|reserved|custom|model unit|image|video|speech|audio|long[ _-]?context|lctx|"
    r"1h|1 hour|guardrail|rerank|search|grounding|mantle"
)
_GLOBAL = re.compile(r"global")
_EDITION = re.compile(r"\s*\(amazon bedrock edition\)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ListedPrice:
    """One price of the list: USD per 1,000,000 tokens."""

    name: str
    tier: str
    kind: str
    is_global: bool
    usd: float


def parse_product(text: str) -> ListedPrice | None:
    """The price that one entry of `GetProducts` (a JSON text) gives; None where it is something else."""
    try:
        entry = json.loads(text)
        attributes = dict(entry["product"]["attributes"])
        terms = entry["terms"]["OnDemand"]
        dimensions = [dimension for term in terms.values() for dimension in term["priceDimensions"].values()]
        usd = [_usd_per_million(dimension) for dimension in dimensions]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    name = (
        attributes.get("model") or attributes.get("titanModel") or _EDITION.sub("", attributes.get("servicename", ""))
    )
    what = f"{attributes.get('inferenceType', '')} {attributes.get('usagetype', '')}".lower()
    about = f"{what} {attributes.get('feature', '')}".lower()
    kind = next((kind for kind, pattern in _KINDS if pattern.search(what)), None)
    if kind is None or _OTHER.search(about) or len(usd) != 1 or usd[0] is None:
        return None
    tier = next((tier for tier, pattern in _TIERS if pattern.search(what)), "default")
    return ListedPrice(str(name), tier, kind, _GLOBAL.search(what) is not None, usd[0])


def _usd_per_million(dimension: Mapping[str, Any]) -> float | None:
    words = str(dimension["unit"]).lower().split()
    tokens = _TOKENS_PER_UNIT.get(words[0]) if words else None
    usd = float(dimension["pricePerUnit"]["USD"])
    return None if tokens is None or not math.isfinite(usd) or usd < 0.0 else usd * 1_000_000 / tokens


def prices_of(products: Iterable[str], catalog: Catalog) -> dict[str, ModelPrices]:
    """Prices by base model id, of the models that the list names with input and output.

    A model that is sold through a global profile and a geographic one has two prices: the global one is the base, and
    the other gives the factor of the geographic profiles.
    """
    by_words = {name_words(model.name): model.id for model in catalog.models.values()}
    found: dict[str, dict[tuple[str, bool], dict[str, set[float]]]] = defaultdict(lambda: defaultdict(_sets))
    for price in filter(None, map(parse_product, products)):
        model_id = by_words.get(name_words(price.name))
        if model_id is not None:
            found[model_id][price.tier, price.is_global][price.kind].add(price.usd)
    return {model_id: prices for model_id, listed in found.items() if (prices := _model(listed)) is not None}


def _sets() -> dict[str, set[float]]:
    return defaultdict(set)


def _model(listed: Mapping[tuple[str, bool], Mapping[str, set[float]]]) -> ModelPrices | None:
    tiers: dict[str, Price] = {}
    for tier in ("default", "priority", "flex"):
        regional, worldwide = (_price(listed.get((tier, is_global), {})) for is_global in (False, True))
        price = worldwide or regional
        if price is not None:
            tiers[tier] = price
    if "default" not in tiers:
        return None
    return ModelPrices(tiers, next(_geo_factors(listed), None))


def _geo_factors(listed: Mapping[tuple[str, bool], Mapping[str, set[float]]]) -> Iterator[float]:
    regional, worldwide = (_price(listed.get(("default", is_global), {})) for is_global in (False, True))
    if regional is not None and worldwide is not None and worldwide.output > 0.0:
        yield round(regional.output / worldwide.output, 4)


def _price(kinds: Mapping[str, set[float]]) -> Price | None:
    """A price list of one tier; None where input or output is missing, or the list contradicts itself."""
    single = {kind: next(iter(values)) for kind, values in kinds.items() if len(values) == 1}
    if "input" not in single or "output" not in single or len(single) != len(kinds):
        return None
    return Price(**single)
