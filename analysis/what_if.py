"""The measured requests at another price, length, route or cache: what the levers of the cost model would change.

Prices are linear in tokens, so the requests of a model in a tier are priced as one: by the sums of their tokens. Only a
cap on answers needs the single requests, since it cuts the long ones alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.percentiles import describe
from analysis.records import Floats, floats
from bedrock.catalog import SERVICE_TIERS, Catalog
from bedrock.pricing import cost_usd

DAYS_A_MONTH = 30.0

#: Batch inference is billed at half the on-demand price (AWS Bedrock pricing).
BATCH_FACTOR = 0.5

#: Answers are capped at these percentiles of the measured output tokens to price a lower max_tokens.
_CAP_QUANTILES = {"p50": 0.50, "p90": 0.90}

#: Shares of messages that another cache hit rate or another routing moves.
_HIT_RATES = (0.10, 0.335, 0.50)
_MOVED_SHARES = (0.25, 0.50)
_PROMPT_CUTS = (0.25, 0.50)
_CACHED_PREFIX = 0.5

TOKEN_CLASSES = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The measured requests changed by one lever: USD a request and projected, and the change in percent."""

    lever: str
    change: str
    assumption: str
    cost_per_request_usd: float
    projected_daily_cost_usd: float
    projected_monthly_cost_usd: float
    delta_pct: float


@dataclass(frozen=True, slots=True)
class Bundle:
    """All billed requests of one model in one tier: their number and the sums of their tokens."""

    model_id: str
    tier: str
    requests: int
    input_tokens: float
    output_tokens: float
    cache_read_tokens: float
    cache_write_tokens: float

    def cost_usd(self, catalog: Catalog) -> float | None:
        """USD of all of them; None without a known price."""
        price = catalog.price(self.model_id, self.tier)
        tokens = (self.input_tokens, self.output_tokens, self.cache_read_tokens, self.cache_write_tokens)
        return None if price is None else cost_usd(price, *tokens)


Rows = NDArray[np.intp]

#: A change: USD of a bundle as it would be, None where that has no price.
Reprice = Callable[[Bundle], float | None]

Candidate = tuple[str, str, str, Reprice]


@dataclass(frozen=True, slots=True)
class Priced:
    """Billed requests as they are priced: by model, and by the tier that served them (else the one asked for)."""

    bundles: tuple[Bundle, ...]
    #: Output tokens of the single requests of each bundle.
    output_tokens: tuple[Floats, ...]

    @classmethod
    def of(cls, billed: pd.DataFrame) -> "Priced":
        """Of billed records; those that name no model are left out."""
        tier = billed["served_tier"].fillna(billed["requested_tier"]).fillna("default")
        groups = cast("dict[tuple[str, str], Rows]", billed.groupby([billed["model_id"], tier], sort=True).indices)
        tokens = {name: floats(billed[name]) for name in TOKEN_CLASSES}
        found = [
            Bundle(model_id, served, len(rows), *(float(np.nansum(values[rows])) for values in tokens.values()))
            for (model_id, served), rows in groups.items()
        ]
        return cls(tuple(found), tuple(tokens["output_tokens"][rows] for rows in groups.values()))


def what_ifs(billed: pd.DataFrame, priced: Priced, daily_messages: float, catalog: Catalog) -> list[WhatIf]:
    """The run's own requests with each lever pulled; none without a known price today, none that changes nothing."""
    bundles = priced.bundles
    requests = sum(bundle.requests for bundle in bundles)
    today = _total(bundles, lambda bundle: bundle.cost_usd(catalog))
    if not requests or requests < len(billed) or today is None or today <= 0.0:
        return []
    found = []
    for lever, change, assumption, reprice in _candidates(billed, priced, catalog):
        total = _total(bundles, reprice)
        if total is not None and not np.isclose(total, today, rtol=1e-9, atol=0.0):
            mean = total / requests
            daily = mean * daily_messages
            delta_pct = (total / today - 1.0) * 100.0
            found.append(WhatIf(lever, change, assumption, mean, daily, daily * DAYS_A_MONTH, delta_pct))
    return found


def _total(bundles: Sequence[Bundle], reprice: Reprice) -> float | None:
    costs = [reprice(bundle) for bundle in bundles]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def _candidates(billed: pd.DataFrame, priced: Priced, catalog: Catalog) -> Iterator[Candidate]:
    yield from _tiers(catalog)
    yield from _routes(priced.bundles, catalog)
    yield from _response_cache(catalog)
    yield from _prompt_cache(priced.bundles, catalog)
    yield from _caps(billed, priced, catalog)
    yield from _prompts(catalog)


def _tiers(catalog: Catalog) -> Iterator[Candidate]:
    for tier in SERVICE_TIERS:
        yield (
            "tier",
            f"all requests in the {tier} tier",
            "same tokens; latency will differ: measure that tier before choosing it",
            partial(_priced, catalog=catalog, tier=tier),
        )
    yield (
        "batch",
        "all requests as batch jobs",
        "half the default price; answers come hours later, not live",
        partial(_priced, catalog=catalog, factor=BATCH_FACTOR, tier="default"),
    )


def _routes(bundles: Sequence[Bundle], catalog: Catalog) -> Iterator[Candidate]:
    """From the model whose requests cost most to the one whose cost least, both measured."""
    means = {}
    for model_id in {bundle.model_id: None for bundle in bundles}:
        own = [bundle for bundle in bundles if bundle.model_id == model_id]
        means[model_id] = sum(each.cost_usd(catalog) or 0.0 for each in own) / sum(each.requests for each in own)
    if len(means) < 2:
        return
    dear, cheap = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
    for share in _MOVED_SHARES:
        yield (
            "routing",
            f"{share * 100.0:g} % of the requests of {dear} to {cheap}",
            "the same tokens at the other model's price; answers will differ in length and quality",
            partial(_moved, dear=dear, cheap=cheap, share=share, catalog=catalog),
        )


def _moved(bundle: Bundle, dear: str, cheap: str, share: float, catalog: Catalog) -> float | None:
    now = bundle.cost_usd(catalog)
    if bundle.model_id != dear or now is None:
        return now
    moved = replace(bundle, model_id=cheap).cost_usd(catalog)
    moved = replace(bundle, model_id=cheap, tier="default").cost_usd(catalog) if moved is None else moved
    return None if moved is None else (1.0 - share) * now + share * moved


def _response_cache(catalog: Catalog) -> Iterator[Candidate]:
    for rate in _HIT_RATES:
        yield (
            "cache",
            f"{rate * 100.0:g} % of the messages answered from a response cache",
            "any message as likely as any other; the cache itself is not priced",
            partial(_priced, catalog=catalog, factor=1.0 - rate),
        )


def _prompt_cache(bundles: Sequence[Bundle], catalog: Catalog) -> Iterator[Candidate]:
    prices = [catalog.price(bundle.model_id, bundle.tier) for bundle in bundles]
    if any(price is None or price.cache_read is None for price in prices):
        return
    yield (
        "cache",
        f"{_CACHED_PREFIX * 100.0:g} % of the input tokens read from the prompt cache",
        "a shared prefix long enough to be cached, written rarely: writes are not priced",
        partial(_prefix_cached, catalog=catalog),
    )


def _prefix_cached(bundle: Bundle, catalog: Catalog) -> float | None:
    moved = bundle.input_tokens * _CACHED_PREFIX
    return _priced(
        bundle,
        catalog,
        input_tokens=bundle.input_tokens - moved,
        cache_read_tokens=bundle.cache_read_tokens + moved,
    )


def _caps(billed: pd.DataFrame, priced: Priced, catalog: Catalog) -> Iterator[Candidate]:
    for name, estimate in describe(floats(billed["output_tokens"]), _CAP_QUANTILES).estimates.items():
        if estimate.value is not None:
            cap = int(estimate.value)
            capped = {
                (bundle.model_id, bundle.tier): float(np.nansum(np.minimum(tokens, cap)))
                for bundle, tokens in zip(priced.bundles, priced.output_tokens, strict=True)
            }
            yield (
                "max_tokens",
                f"answers capped at {cap} output tokens (the measured {name})",
                "longer answers are cut, shorter ones unchanged",
                partial(_capped, capped=capped, catalog=catalog),
            )


def _capped(bundle: Bundle, capped: Mapping[tuple[str, str], float], catalog: Catalog) -> float | None:
    return _priced(bundle, catalog, output_tokens=capped[bundle.model_id, bundle.tier])


def _prompts(catalog: Catalog) -> Iterator[Candidate]:
    for cut in _PROMPT_CUTS:
        yield (
            "prompt",
            f"prompts {cut * 100.0:g} % shorter",
            "every prompt by the same share; answers unchanged",
            partial(_shortened, kept=1.0 - cut, catalog=catalog),
        )


def _shortened(bundle: Bundle, kept: float, catalog: Catalog) -> float | None:
    return _priced(bundle, catalog, input_tokens=bundle.input_tokens * kept)


def _priced(bundle: Bundle, catalog: Catalog, factor: float = 1.0, **changes: Any) -> float | None:
    """USD of a bundle with some of its fields changed."""
    cost = replace(bundle, **changes).cost_usd(catalog)
    return None if cost is None else cost * factor
