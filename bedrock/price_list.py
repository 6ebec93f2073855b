"""The AWS Price List's products as prices of the catalogue's models. Pure: who asks AWS is orchestrator/prices_command.

Three offers have Bedrock's token prices. `AmazonBedrock` and `AmazonBedrockService` name the model in an attribute
(`model`, `titanModel`) and price 1,000 tokens; `AmazonBedrockFoundationModels` (sold through the Marketplace, such as
Claude) names it in `servicename` and prices 1,000,000. What a price is for is told by `usagetype`, in one of three
spellings:

    USE1-Nova2.0Lite-input-tokens-priority-cross-region-global
    USE1-MP:USE1_input_tokens_global_standard-Units
    USE1-MP:USE1_CacheReadInputTokenCount_Global-Units

Every word but the model's name is read. A product is a price of text tokens on demand, or known to be something else
(batch, latency-optimised, long contexts, ...), or not understood: that is said, and nothing is guessed.
"""

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bedrock.catalog import Catalog, Model, Price
from bedrock.prices import ModelPrices
from bedrock.service_quotas import name_words

OFFERS = ("AmazonBedrock", "AmazonBedrockService", "AmazonBedrockFoundationModels")

#: Tokens that a price is for, by its unit; the Marketplace's `Units` are millions.
_UNIT = re.compile(r"(?P<many>1k|1m|units)(?: (?:input |output )?tokens?)?", re.IGNORECASE)
_TOKENS_PER_UNIT = {"1k": 1_000, "1m": 1_000_000, "units": 1_000_000}

_REGION = re.compile(r"^[a-z0-9]+-(?P<marketplace>mp:[a-z0-9]+_)?")
_PHRASE = re.compile(
    r"(?:million[-_]?)?(?P<batch>batch[-_]?)?"
    r"(?:(?P<cache>cache[-_]?(?:read|write))[-_]?(?P<life>\d+[mh])?[-_]?)?"
    r"(?:(?P<modality>text|image|audio|video|speech)[-_])?"
    r"(?P<direction>input|output|response)?[-_]?"
    r"(?:(?P<later_modality>text|image|audio|video|speech)[-_])?"
    r"tokens?(?:[-_]?count)?(?:[-_](?P<later_life>\d+[mh])(?![a-z0-9]))?"
)
_WORD = re.compile(r"[a-z0-9.]+")

#: Words after the phrase that say nothing, which tier it is, or for whom.
_PLAIN = frozenset({"standard", "units", "cross", "region", "geo", "regional"})
_TIERS = frozenset({"priority", "flex"})
_GLOBAL = "global"

#: Words of products that are no on-demand price of text tokens at a model's runtime endpoint.
_OTHER = frozenset(
    {"batch", "latency", "optimized", "optimised", "latencyoptimized", "long", "context", "ctx", "lctx", "longcontext",
     "custom", "model", "customization", "training", "provisioned", "provisionedthroughput", "reserved", "mantle",
     "grounding", "guardrail", "rerank", "search"}
)  # fmt: skip
#: Prompts are cached for five minutes unless a longer life is asked for, which costs more.
_DEFAULT_LIFE = "5m"

_EDITION = re.compile(r"\s*\(amazon bedrock edition\)", re.IGNORECASE)

#: Names of the list that have a word more than the catalogue's.
_ALSO_CALLED = {"Llama 4 Maverick 17B": "Llama 4 Maverick", "Llama 4 Maverick 17B Instruct": "Llama 4 Maverick"}


class NotUnderstoodError(ValueError):
    """A product that seems to be a token price and cannot be read; the text says what it is, and why."""


@dataclass(frozen=True, slots=True)
class ListedPrice:
    """One price of the list: USD per 1,000,000 tokens."""

    name: str
    tier: str
    kind: str
    is_global: bool
    usd: float


@dataclass(frozen=True, slots=True)
class ListedPrices:
    """Prices by base model id, and a sentence for everything of the catalogue's models that gave none."""

    models: Mapping[str, ModelPrices]
    notes: tuple[str, ...]


def model_name(attributes: Mapping[str, Any]) -> str:
    """The name of the model that a product is of."""
    name = attributes.get("model") or attributes.get("titanModel") or attributes.get("servicename") or ""
    plain = _EDITION.sub("", str(name)).strip()
    return _ALSO_CALLED.get(plain, plain)


def parse_product(text: str) -> ListedPrice | None:
    """The price that one entry of `GetProducts` (a JSON text) gives; None where it is something else.

    NotUnderstoodError where it may be a token price on demand, but not all of it is understood.
    """
    try:
        entry = json.loads(text)
        attributes = dict(entry["product"]["attributes"])
        dimensions = [each for term in entry["terms"]["OnDemand"].values() for each in term["priceDimensions"].values()]
        units = {str(dimension["unit"]).lower() for dimension in dimensions}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    usagetype = str(attributes.get("usagetype", ""))
    what = _read_usage(usagetype, attributes)
    if what is None:
        return None
    kind, tier, is_global = what
    if len(dimensions) != 1:
        raise NotUnderstoodError(f"{usagetype} has {len(dimensions)} prices")
    usd = _usd_per_million(dimensions[0])
    if usd is None:
        raise NotUnderstoodError(f"{usagetype} has no price in USD per tokens (unit {', '.join(sorted(units))})")
    return ListedPrice(model_name(attributes), tier, kind, is_global, usd)


def _read_usage(usagetype: str, attributes: Mapping[str, Any]) -> tuple[str, str, bool] | None:
    """Kind, tier and whether it is of the global profile; None of something else than text tokens on demand."""
    lower = usagetype.lower()
    region = _REGION.match(lower)
    rest = lower if region is None else lower[region.end() :]
    found = next((match for match in _PHRASE.finditer(rest) if match["direction"] or match["cache"]), None)
    if found is None:
        return None
    modality = found["modality"] or found["later_modality"]
    before, after = (_WORD.findall(part) for part in (rest[: found.start()], rest[found.end() :]))
    feature = _WORD.findall(str(attributes.get("feature", "")).lower())
    if found["batch"] or modality not in (None, "text") or _OTHER & {*before, *after, *feature}:
        return None
    life = found["life"] or found["later_life"]
    if life is not None and life != _DEFAULT_LIFE:
        return None
    kind = _kind(found)
    tiers = sorted(_TIERS & set(after)) or ["default"]
    own_name = [] if region is not None and region["marketplace"] else before
    unknown = [word for word in (*before, *after) if word not in {*own_name, *_PLAIN, *_TIERS, _GLOBAL}]
    if unknown:
        raise NotUnderstoodError(f"{usagetype}: what is {', '.join(unknown)}?")
    if len(tiers) > 1 or not _agrees(kind, tiers[0], attributes):
        raise NotUnderstoodError(f"{usagetype} is said to be for something else by its attributes")
    return kind, tiers[0], _GLOBAL in after


def _kind(found: "re.Match[str]") -> str:
    if found["cache"]:
        return "cache_read" if "read" in found["cache"] else "cache_write"
    return "input" if found["direction"] == "input" else "output"


def _agrees(kind: str, tier: str, attributes: Mapping[str, Any]) -> bool:
    """Whether the attributes that some products have besides say the same, as far as they say it."""
    inference = str(attributes.get("inferenceType") or "").lower()
    said = next((each for each in ("cache read", "cache write", "input", "output") if each in inference), None)
    tiers = {*_TIERS.intersection(_WORD.findall(inference)), str(attributes.get("service_tier") or "").lower()}
    told = tiers - {"", "standard", "default"}
    return said in (None, kind.replace("_", " ")) and told <= {tier}


def _usd_per_million(dimension: Mapping[str, Any]) -> float | None:
    unit = _UNIT.fullmatch(str(dimension["unit"]).strip())
    try:
        usd = float(dimension["pricePerUnit"]["USD"])
    except (KeyError, TypeError, ValueError):
        return None
    if unit is None or not math.isfinite(usd) or usd < 0.0:
        return None
    tokens = _TOKENS_PER_UNIT[unit["many"].lower()]
    # One price may be listed per 1,000 and per 1,000,000 tokens: the same but for a float's last digit.
    return float(f"{usd * 1_000_000 / tokens:.10g}")


Listed = dict[tuple[str, bool], dict[str, set[float]]]


def prices_of(products: Iterable[str], catalog: Catalog) -> ListedPrices:
    """Prices by base model id, of the models that the list names with input and output.

    A model that is sold through a global profile and a geographic one has two prices: the global one is the base, and
    the other gives the factor of the geographic profiles.
    """
    by_words = {name_words(model.name): model.id for model in catalog.models.values()}
    found: dict[str, Listed] = defaultdict(lambda: defaultdict(_sets))
    notes: list[str] = []
    for text in products:
        try:
            price = parse_product(text)
        except NotUnderstoodError as error:
            model_id = by_words.get(name_words(_name_in(text)))
            notes += [f"{model_id}: passed over {error}"] if model_id else []
            continue
        model_id = by_words.get(name_words(price.name)) if price is not None else None
        if price is not None and model_id is not None:
            found[model_id][price.tier, price.is_global][price.kind].add(price.usd)
    models: dict[str, ModelPrices] = {}
    for model_id, listed in found.items():
        prices, problems = _model(listed, catalog.models[model_id])
        notes += [f"{model_id}: {problem}" for problem in problems]
        models |= {} if prices is None else {model_id: prices}
    absent = [model.id for model in catalog.models.values() if model.id not in found]
    notes += [f"Not in the list: {', '.join(absent)}"] if absent else []
    return ListedPrices(models, tuple(dict.fromkeys(notes)))


def _name_in(text: str) -> str:
    return model_name(json.loads(text)["product"]["attributes"])


def _sets() -> dict[str, set[float]]:
    return defaultdict(set)


def _model(listed: Listed, known: Model) -> tuple[ModelPrices | None, list[str]]:
    """The prices of one model, and what of them cannot be used."""
    problems: list[str] = []
    tiers: dict[str, Price] = {}
    is_base_global = _price(listed.get(("default", True), {})) is not None
    for tier in ("default", "priority", "flex"):
        kinds = {is_global: listed.get((tier, is_global), {}) for is_global in (True, False)}
        problems += [
            f"{problem} ({tier}, {'global' if is_global else 'in its Region'})"
            for is_global, given in kinds.items()
            for problem in _faults(given)
        ]
        worldwide, regional = (_price(kinds[is_global]) for is_global in (True, False))
        # Where the base is the global price, a regional one of another tier is not of the same kind.
        price = worldwide if is_base_global else regional
        if price is None and regional is not None:
            problems.append(f"the {tier} tier has no global price, as its default tier has")
        if price is not None:
            tiers[tier] = price
            problems += _lost_cache_prices(tier, price, known.prices.get(tier))
    if "default" not in tiers:
        return None, problems
    factor, odd = _geo_factor(listed, known)
    return ModelPrices(tiers, factor), [*problems, *odd]


def _lost_cache_prices(tier: str, price: Price, known: Price | None) -> Iterator[str]:
    for kind in ("cache_read", "cache_write"):
        if known is not None and getattr(known, kind) is not None and getattr(price, kind) is None:
            yield f"no price of {kind} in the {tier} tier: counted as input"


def _geo_factor(listed: Listed, known: Model) -> tuple[float | None, Sequence[str]]:
    """What geographic profiles cost relative to the base; None where the catalogue's factor holds."""
    regional, worldwide = (_price(listed.get(("default", is_global), {})) for is_global in (False, True))
    if worldwide is None and known.geo_factor != 1.0:
        return 1.0, ["no global price: the global profile is counted at the price of the Region"]
    if regional is None or worldwide is None or min(worldwide.input, worldwide.output) <= 0.0:
        return None, ()
    factors = {round(regional.input / worldwide.input, 3), round(regional.output / worldwide.output, 3)}
    if len(factors) > 1:
        return None, [f"geographic profiles cost {' and '.join(f'{each:g}' for each in sorted(factors))} times as much"]
    return factors.pop(), ()


def _faults(kinds: Mapping[str, set[float]]) -> Iterator[str]:
    """Why prices of one tier are none: a contradiction, or half of a pair."""
    for kind, values in sorted(kinds.items()):
        if len(values) > 1:
            yield f"{kind} has the prices {' and '.join(f'{each:g}' for each in sorted(values))}"
    missing = [kind for kind in ("input", "output") if kinds and kind not in kinds]
    if missing:
        yield f"no price of {' and '.join(missing)} tokens"


def _price(kinds: Mapping[str, set[float]]) -> Price | None:
    """The price of one tier; None where it is not whole."""
    if not kinds or any(_faults(kinds)):
        return None
    return Price(**{kind: next(iter(values)) for kind, values in kinds.items()})
