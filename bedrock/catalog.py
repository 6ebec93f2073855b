"""The model catalogue: which models there are, what they cost, what they support, how fast they are assumed to be.

The data is `bedrock/data/models.yaml`; a user may load another file of the same shape.
"""

import difflib
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from bedrock.outcome import mask_accounts

#: Service tiers Bedrock accepts by name; which of them a model serves is in its `tiers`.
SERVICE_TIERS = ("default", "priority", "flex", "reserved")

#: Prefixes of cross-region inference profiles.
PROFILE_PREFIXES = ("us", "eu", "apac", "jp", "au", "ca", "us-gov", "global")

DATA_FILE = Path(__file__).parent / "data" / "models.yaml"

#: An ARN, its account masked or not; behind `=`, which no ARN contains, the user may say which model it stands for.
_ARN = re.compile(
    r"^(?P<sent>arn:aws[\w-]*:bedrock:[\w-]*:(?:\d*|<account>):(?P<kind>[\w-]+)/(?P<id>[^=]+))(?:=(?P<model>.*))?$"
)

#: Kinds of ARNs whose tokens are billed at the model's price; provisioned throughput is billed by the hour.
_BILLED_BY_TOKEN = ("foundation-model", "inference-profile", "application-inference-profile")

#: Kinds of ARNs that a load test may name.
ARN_KINDS = (*_BILLED_BY_TOKEN, "provisioned-model")


class UnknownModelError(ValueError):
    """The id names no model of the catalogue; the text says which one was probably meant."""


class CatalogError(ValueError):
    """The catalogue file cannot be read or has not the expected shape."""


@dataclass(frozen=True, slots=True)
class Price:
    """USD per 1,000,000 tokens. A cache class without a price of its own costs what plain input costs."""

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None

    def scaled(self, factor: float) -> "Price":
        """The same price list times `factor`."""
        return Price(
            input=self.input * factor,
            output=self.output * factor,
            cache_read=None if self.cache_read is None else self.cache_read * factor,
            cache_write=None if self.cache_write is None else self.cache_write * factor,
        )


@dataclass(frozen=True, slots=True)
class AssumedSpeed:
    """Planning and emulator figures for a model; assumptions, not AWS data."""

    ttft_ms: float
    ttft_sigma: float
    prefill_ms_per_token: float
    output_tokens_per_s: float
    #: Tokens in each content event of a stream.
    tokens_per_event: int = 4


@dataclass(frozen=True, slots=True)
class TierSpeed:
    """What a service tier does to TTFT and to tokens per second."""

    ttft_factor: float = 1.0
    speed_factor: float = 1.0


#: Assumptions, not AWS data. AWS says "up to 25 % better" output speed for priority and gives no number for flex.
ASSUMED_TIER_SPEEDS: Mapping[str, TierSpeed] = {
    "default": TierSpeed(),
    "priority": TierSpeed(ttft_factor=0.9, speed_factor=1.25),
    "flex": TierSpeed(ttft_factor=1.35, speed_factor=0.8),
}


@dataclass(frozen=True, slots=True)
class Quota:
    """Requests and tokens per minute; None where there is no such quota."""

    rpm: int | None
    tpm: int | None


@dataclass(frozen=True, slots=True)
class Model:
    """One model of the catalogue."""

    id: str
    name: str
    family: str
    tiers: tuple[str, ...]
    prices: Mapping[str, Price]
    geo_factor: float
    max_output_tokens: int
    #: Tokens of prompt and answer together that it can hold.
    context_tokens: int
    burndown: int
    quota: Quota
    cross_region_quota: Quota
    assumed: AssumedSpeed
    end_of_life: bool
    #: Whether it can think before it answers.
    reasoning: bool
    #: Shortest prompt prefix that can be cached, in tokens; None where prompts cannot be cached.
    cache_min_tokens: int | None
    #: Regions that serve it latency-optimised, through a cross-region profile.
    optimized_regions: tuple[str, ...]

    @property
    def is_chat(self) -> bool:
        """Whether it answers with text; embedding models write none."""
        return self.max_output_tokens > 0

    def supports_tier(self, tier: str) -> bool:
        """Whether Bedrock serves this model in `tier`."""
        return tier in self.tiers

    def optimized_regions_of(self, prefix: str | None) -> tuple[str, ...]:
        """Regions that serve it latency-optimised through the inference profile of a geography; none without one."""
        return tuple(region for region in self.optimized_regions if prefix and region.startswith(f"{prefix}-"))


@dataclass(frozen=True, slots=True)
class ModelId:
    """A model id taken apart: `us.amazon.nova-pro-v1:0` is prefix `us` and base `amazon.nova-pro-v1:0`."""

    base: str
    prefix: str | None


def split_model_id(raw: str) -> ModelId:
    """Base id and profile prefix of any accepted form: plain, profile, ARN, `ARN=model`; percent-encoded or raw."""
    text = urllib.parse.unquote(raw)
    arn = _ARN.match(text)
    if arn:
        text = arn["model"] or arn["id"]
    for prefix in PROFILE_PREFIXES:
        if text.startswith(prefix + "."):
            return ModelId(text[len(prefix) + 1 :], prefix)
    return ModelId(text, None)


def profile_id(base: str, prefix: str | None) -> str:
    """The id of a base id behind its profile prefix, or alone where there is none; an ARN has its own, and stays."""
    return f"{prefix}.{base}" if prefix and not is_arn(base) else base


def is_arn(model_id: str) -> bool:
    """Whether a model id is an ARN, with or without the model that it stands for."""
    return _ARN.match(model_id) is not None


def id_to_send(model_id: str) -> str:
    """What goes into a request: an ARN without the model that the user wrote behind it, any other id as it is."""
    arn = _ARN.match(model_id)
    return arn["sent"] if arn else model_id


def short_name(model_id: str) -> str:
    """A name for lists and files: the id itself, or the last part of an ARN, without account and region."""
    arn = _ARN.match(model_id)
    return arn["id"] if arn else model_id


@dataclass(frozen=True, slots=True)
class Catalog:
    """All models, by base id, and the date of their prices."""

    as_of: str
    source: str
    models: Mapping[str, Model]

    def find(self, model_id: str) -> Model | None:
        """The model behind any accepted form of its id, None if unknown."""
        return self.models.get(split_model_id(model_id).base)

    def resolve(self, model_id: str) -> Model:
        """The model behind any accepted form of its id; UnknownModelError with a suggestion otherwise."""
        model = self.find(model_id)
        if model is None:
            raise UnknownModelError(f"Unknown model {mask_accounts(model_id)!r}.{self._hint(model_id)}")
        return model

    def _hint(self, model_id: str) -> str:
        arn = _ARN.match(model_id)
        if arn and arn["model"] is None:
            example = f"{mask_accounts(model_id)}=amazon.nova-pro-v1:0"
            return f" This ARN does not say which model it stands for: write that behind it, like {example}."
        close = difflib.get_close_matches(split_model_id(model_id).base, list(self.models), n=1, cutoff=0.5)
        return f" Did you mean {close[0]}?" if close else f" Known models: {', '.join(self.models)}."

    def resolve_chat(self, model_id: str) -> Model:
        """The same, for a model that answers with text, and kinds of ARNs that name one; else UnknownModelError."""
        self._check_arn(model_id)
        model = self.resolve(model_id)
        if not model.is_chat:
            raise UnknownModelError(f"{model.id} is an embedding model: it answers with vectors. Give a chat model.")
        return model

    def _check_arn(self, model_id: str) -> None:
        """UnknownModelError for an ARN that is no model's, or that names another one than is written behind it."""
        arn = _ARN.match(model_id)
        if arn is None:
            return
        if arn["kind"] not in ARN_KINDS:
            raise UnknownModelError(f"A {arn['kind']} ARN cannot be tested: give one of {', '.join(ARN_KINDS)}.")
        named = self.find(arn["id"])
        if named is not None and arn["model"] and self.find(arn["model"]) is not named:
            raise UnknownModelError(f"{mask_accounts(arn['sent'])} is {named.id} and not {arn['model']}.")

    def price(self, model_id: str, tier: str | None) -> Price | None:
        """Price of a model id in a service tier; None where the model or the tier has no known price per token."""
        model, arn = self.find(model_id), _ARN.match(urllib.parse.unquote(model_id))
        if model is None or (arn and arn["kind"] not in _BILLED_BY_TOKEN):
            return None
        price = model.prices.get(tier or "default")
        if price is None:
            return None
        is_geographic = split_model_id(model_id).prefix not in (None, "global")
        return price.scaled(model.geo_factor) if is_geographic and model.geo_factor != 1.0 else price


def read_catalog(path: Path) -> Catalog:
    """The catalogue of a file; CatalogError says what is wrong with it."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        factors = raw["tier_factors"]
        models = {entry["id"]: _model(entry, factors) for entry in raw["models"]}
        return Catalog(as_of=str(raw["as_of"]), source=raw["source"], models=models)
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CatalogError(f"Cannot use {path} as a model catalogue: {error!r}") from error


@cache
def default_catalog() -> Catalog:
    """The catalogue that ships with the project."""
    return read_catalog(DATA_FILE)


def _model(entry: Mapping[str, Any], tier_factors: Mapping[str, float]) -> Model:
    tiers = tuple(entry["tiers"])
    quota = entry["quota"]
    return Model(
        id=entry["id"],
        name=entry["name"],
        family=entry["family"],
        tiers=tiers,
        prices=_prices(entry["prices"], tiers, tier_factors),
        geo_factor=float(entry.get("geo_factor", 1.0)),
        max_output_tokens=int(entry["max_output_tokens"]),
        context_tokens=int(entry["context_tokens"]),
        burndown=int(entry.get("burndown", 1)),
        quota=_quota(quota),
        cross_region_quota=_quota(quota.get("cross_region", quota)),
        assumed=_assumed(entry["assumed"]),
        end_of_life=bool(entry.get("end_of_life", False)),
        reasoning=bool(entry.get("reasoning", False)),
        cache_min_tokens=entry.get("cache_min_tokens"),
        optimized_regions=tuple(entry.get("optimized_regions", ())),
    )


def _assumed(entry: Mapping[str, Any]) -> AssumedSpeed:
    figures = {name: float(value) for name, value in entry.items() if name != "tokens_per_event"}
    speed = AssumedSpeed(**figures)  # type: ignore[arg-type]  # mypy does not know which names the file has
    return replace(speed, tokens_per_event=int(entry["tokens_per_event"])) if "tokens_per_event" in entry else speed


def _quota(entry: Mapping[str, Any]) -> Quota:
    return Quota(rpm=entry.get("rpm"), tpm=entry.get("tpm"))


def _prices(
    given: Mapping[str, Mapping[str, float]], tiers: tuple[str, ...], tier_factors: Mapping[str, float]
) -> dict[str, Price]:
    """Prices by tier; a tier the list leaves out is the default price times its factor, where there is one."""
    listed = {tier: _price(numbers) for tier, numbers in given.items()}
    derived = {
        tier: listed["default"].scaled(tier_factors[tier])
        for tier in tiers
        if tier not in listed and tier in tier_factors
    }
    return {**listed, **derived}


def _price(numbers: Mapping[str, float]) -> Price:
    return Price(
        input=float(numbers["input"]),
        output=float(numbers["output"]),
        cache_read=_optional_float(numbers.get("cache_read")),
        cache_write=_optional_float(numbers.get("cache_write")),
    )


def _optional_float(value: float | None) -> float | None:
    return None if value is None else float(value)
