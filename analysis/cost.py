"""What the run cost, what a day and a month of it would cost, and what would change that."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd

from analysis.inputs import RunInfo
from analysis.metrics import Metrics
from analysis.records import Floats, flags, floats
from analysis.what_if import DAYS_A_MONTH, TOKEN_CLASSES, Bundle, Priced, Rows, what_ifs
from bedrock.catalog import Catalog, Price
from bedrock.pricing import cost_usd


@dataclass(frozen=True, slots=True)
class MixEntry:
    """One query type of a cost model: share of messages, tokens a message, route, share answered from the cache."""

    query_type: str
    share: float
    input_tokens: float
    output_tokens: float
    route: str
    cache_hit_rate: float


#: The cost-model mix of MangaAssist (the product's numbers, not measured ones).
COST_MODEL_MIX = (
    MixEntry("greeting_faq", 0.20, 80, 60, "haiku", 0.90),
    MixEntry("product_lookup", 0.30, 150, 120, "haiku", 0.40),
    MixEntry("recommendation", 0.20, 300, 250, "sonnet", 0.10),
    MixEntry("order_status", 0.15, 100, 80, "haiku", 0.05),
    MixEntry("complex_multi_turn", 0.15, 500, 400, "sonnet", 0.05),
)

#: Models behind the routes of the cost model: the workload's routes of record.
REFERENCE_ROUTES: Mapping[str, str] = {
    "haiku": "anthropic.claude-3-haiku-20240307-v1:0",
    "sonnet": "anthropic.claude-3-sonnet-20240229-v1:0",
}


@dataclass(frozen=True, slots=True)
class MixCost:
    """A mix priced: USD a day and a month, share of messages that never reach a model, USD a day by query type."""

    daily_usd: float
    monthly_usd: float
    cached_share: float
    daily_usd_by_type: Mapping[str, float]


def reference_prices(catalog: Catalog) -> dict[str, Price]:
    """Prices of the routes of record; routes whose model has no known price are left out."""
    prices = {route: catalog.price(model_id, "default") for route, model_id in REFERENCE_ROUTES.items()}
    return {route: price for route, price in prices.items() if price is not None}


def price_mix(mix: Iterable[MixEntry], prices: Mapping[str, Price], daily_messages: float) -> MixCost:
    """Daily cost = sum over types of (messages not served from cache) x (tokens x price); monthly = daily x 30."""
    entries = tuple(mix)
    by_type = {entry.query_type: _daily_usd(entry, prices[entry.route], daily_messages) for entry in entries}
    daily = sum(by_type.values())
    cached = sum(entry.share * entry.cache_hit_rate for entry in entries)
    return MixCost(daily, daily * DAYS_A_MONTH, cached, by_type)


def _daily_usd(entry: MixEntry, price: Price, daily_messages: float) -> float:
    answered = daily_messages * entry.share * (1.0 - entry.cache_hit_rate)
    return answered * cost_usd(price, entry.input_tokens, entry.output_tokens)


#: What makes a message, and the other columns of the records that are read here.
_MESSAGE = ("cell", "process", "message_id")
_COLUMNS = (
    "cell", "attempt", "model_id", "model", "requested_tier", "service_tier", "served_tier", *TOKEN_CLASSES, "cost_usd",
    "measured", "answerable", "good",
)  # fmt: skip


def cost_section(records: pd.DataFrame, total: Metrics, run: RunInfo, catalog: Catalog) -> dict[str, Any]:
    """The `cost` object of summary.json."""
    daily = None if total.cost_per_request_usd is None else total.cost_per_request_usd * run.daily_messages
    billed = _billed(records)
    priced = Priced.of(billed)
    # Priced by the tier that served the call: a sum by the tier asked for would mix their prices.
    by_served = billed.assign(service_tier=billed["served_tier"].fillna(billed["service_tier"]))
    return {
        "currency": "USD",
        "prices_as_of": catalog.as_of,
        "cost_usd": total.cost_usd,
        "cost_per_request_usd": total.cost_per_request_usd,
        "cost_per_good_request_usd": total.cost_per_good_request_usd,
        "cost_per_1000_messages_usd": _per_thousand_messages(billed, _sum(floats(billed["cost_usd"]))),
        "billed_requests": total.billed_requests,
        "daily_messages": run.daily_messages,
        "projected_daily_cost_usd": daily,
        "projected_monthly_cost_usd": None if daily is None else daily * DAYS_A_MONTH,
        "monthly_cost_limit_usd": run.monthly_cost_limit_usd,
        "by_model": _shares(billed, ["model"], catalog),
        "by_tier": _shares(by_served, ["service_tier"], catalog),
        "by_model_and_tier": _shares(by_served, ["model", "service_tier"], catalog),
        "by_cell": _shares(billed, ["cell"], catalog),
        "by_cache_class": _cache_classes(priced.bundles, catalog),
        "cost_model": _cost_model(run, catalog),
        "what_if": [asdict(entry) for entry in what_ifs(billed, priced, run.daily_messages, catalog)],
        "notes": _notes(records, billed),
    }


def _billed(records: pd.DataFrame) -> pd.DataFrame:
    """What is read here of the records that the service reported tokens of."""
    # Identities are texts, the largest column of all; without retries every record is a message.
    has_retries = len(records) > 0 and int(records["attempt"].max()) > 1
    columns = list(dict.fromkeys([*_COLUMNS, *(_MESSAGE if has_retries else ())]))
    has_tokens = flags(records["input_tokens"].notna()) & flags(records["output_tokens"].notna())
    return records[columns].take(np.flatnonzero(has_tokens))


def _per_thousand_messages(billed: pd.DataFrame, cost: float | None) -> float | None:
    """USD per 1,000 messages that the service billed; all attempts of a message count to it."""
    if cost is None:
        return None
    has_retries = int(billed["attempt"].max()) > 1
    messages = len(billed.drop_duplicates(list(_MESSAGE)) if has_retries else billed)
    return cost / messages * 1000.0


def _sum(costs: Floats) -> float | None:
    """USD; None where a price is unknown or nothing was billed."""
    return float(costs.sum()) if len(costs) and not np.isnan(costs).any() else None


def _cache_classes(bundles: Sequence[Bundle], catalog: Catalog) -> list[dict[str, Any]]:
    """Tokens and USD by what Bedrock bills them as; USD None where a price is unknown."""
    rows = []
    for name in TOKEN_CLASSES:
        others: dict[str, Any] = {other: 0.0 for other in TOKEN_CLASSES if other != name}
        costs = [replace(bundle, **others).cost_usd(catalog) for bundle in bundles]
        known = [cost for cost in costs if cost is not None]
        rows.append(
            {
                "class": name.removesuffix("_tokens"),
                "tokens": int(sum(getattr(bundle, name) for bundle in bundles)),
                "cost_usd": sum(known) if known and len(known) == len(costs) else None,
            }
        )
    return rows if bundles else []


def _good(part: pd.DataFrame) -> tuple[float | None, int]:
    """USD of the measured window and its good messages; None where a price is unknown or nothing can be told."""
    measured = flags(part["measured"])
    costs, good = floats(part["cost_usd"])[measured], floats(part["good"])[measured & flags(part["answerable"])]
    return (None if np.isnan(good).all() else _sum(costs)), int(np.nansum(good))


def _parts(billed: pd.DataFrame, keys: Sequence[str]) -> Iterator[tuple[tuple[str, ...], pd.DataFrame]]:
    """The records by some columns, in order of these; one part at a time, so that no second copy is sorted by them."""
    for key, rows in sorted(cast("dict[Any, Rows]", billed.groupby(list(keys)).indices).items()):
        yield tuple(map(str, key)) if isinstance(key, tuple) else (str(key),), billed.take(rows)


def _shares(billed: pd.DataFrame, keys: Sequence[str], catalog: Catalog) -> list[dict[str, Any]]:
    """Cost and tokens by the given columns, sorted by them; cost None where a price is unknown.

    `parts_usd` splits the cost as Bedrock bills it.
    """
    rows = []
    for key, part in _parts(billed, keys):
        cost = _sum(floats(part["cost_usd"]))
        measured_cost, good = _good(part)
        rows.append(
            {
                **dict(zip(keys, key, strict=True)),
                "billed_requests": len(part),
                "input_tokens": int(part["input_tokens"].sum()),
                "output_tokens": int(part["output_tokens"].sum()),
                "cost_usd": cost,
                "cost_per_request_usd": None if cost is None else cost / len(part),
                "cost_per_good_request_usd": None if measured_cost is None or not good else measured_cost / good,
                "cost_per_1000_messages_usd": _per_thousand_messages(part, cost),
                "parts_usd": _parts_usd(part, catalog),
            }
        )
    return rows


def _parts_usd(part: pd.DataFrame, catalog: Catalog) -> dict[str, float | None]:
    return {row["class"]: row["cost_usd"] for row in _cache_classes(Priced.of(part).bundles, catalog)}


def _cost_model(run: RunInfo, catalog: Catalog) -> dict[str, Any] | None:
    prices = reference_prices(catalog)
    if set(prices) != set(REFERENCE_ROUTES):
        return None
    priced = price_mix(COST_MODEL_MIX, prices, run.daily_messages)
    return {"routes": dict(REFERENCE_ROUTES), "daily_messages": run.daily_messages, **asdict(priced)}


def _notes(records: pd.DataFrame, billed: pd.DataFrame) -> list[str]:
    notes = []
    unpriced = billed.loc[billed["cost_usd"].isna(), ["model_id", "service_tier"]].drop_duplicates().astype(object)
    named = unpriced.fillna({"model_id": "an unnamed model"}).dropna()
    for model_id, tier in sorted(named.itertuples(index=False)):
        notes.append(f"No price is known for {model_id} in the {tier} tier: costs that include it are null")
    silent = flags(records["outcome"].isin(["aborted", "truncated", "stream_error", "timeout"]))
    unbilled = int((silent & flags(records["input_tokens"].isna())).sum())
    if unbilled:
        notes.append(f"{unbilled} attempts broke off before the service reported tokens; what they cost is not known")
    return notes
