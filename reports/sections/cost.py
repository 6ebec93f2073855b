"""Money: what the run cost, what a month would cost, what would change that."""

from collections.abc import Mapping
from typing import Any

from reports import numbers
from reports.cells import tier_order
from reports.material import Material
from reports.table import Column, Entry, Table, text_column
from reports.text import shorten

_NO_PRICE = "no price is known"


def cost_tables(material: Material) -> list[Table]:
    """Cost now by model and tier and by kind of token, the what-ifs, and the cost model of the product."""
    cost = material.summary.get("cost") or {}
    tables = [_by_model_and_tier(cost), _by_token_kind(cost), _what_ifs(cost), _cost_model(cost)]
    return [table for table in tables if table.rows]


def cost_sentence(material: Material) -> str:
    """What the run cost and what it projects to, with the basis."""
    cost = material.summary.get("cost") or {}
    spent, monthly = cost.get("cost_usd"), cost.get("projected_monthly_cost_usd")
    if spent is None:
        return "The cost is not known: nothing was billed, or a model that was called has no price in the catalogue."
    text = f"The run cost {numbers.usd(spent)} for {numbers.count(cost.get('billed_requests'))} billed requests"
    text += f" ({numbers.usd(cost.get('cost_per_1000_messages_usd'))} per 1,000 messages)"
    if monthly is None:
        return f"{text}."
    limit = cost.get("monthly_cost_limit_usd")
    against = f", limit {numbers.usd(limit)}" if limit is not None else ""
    daily = numbers.usd(cost.get("projected_daily_cost_usd"))
    volume, dated = numbers.count(cost.get("daily_messages")), cost.get("prices_as_of") or "an unknown date"
    return (
        f"{text}. At {volume} messages a day with the same tokens that is {daily} a day and {numbers.usd(monthly)} a "
        f"month{against}. Prices as of {dated}."
    )


def cost_notes(material: Material) -> list[str]:
    """What the cost figures leave out."""
    return [str(note) for note in (material.summary.get("cost") or {}).get("notes") or []]


def _by_model_and_tier(cost: Mapping[str, Any]) -> Table:
    rows = [
        [
            Entry(shorten(str(row.get("model")), 60)),
            Entry(str(row.get("service_tier"))),
            Entry(numbers.count(row.get("billed_requests"))),
            Entry(numbers.count(row.get("input_tokens"))),
            Entry(numbers.count(row.get("output_tokens"))),
            Entry(numbers.usd(row.get("cost_usd")), _NO_PRICE),
            Entry(numbers.usd(row.get("cost_per_request_usd")), _NO_PRICE),
            Entry(numbers.usd(row.get("cost_per_good_request_usd")), f"no good request, or {_NO_PRICE}"),
            Entry(numbers.usd(row.get("cost_per_1000_messages_usd")), _NO_PRICE),
        ]
        for row in sorted(cost.get("by_model_and_tier") or [], key=_model_and_tier)
    ]
    columns = (
        text_column("Model"), text_column("Tier"), Column("Billed requests"), Column("Input", "tokens"),
        Column("Output", "tokens"), Column("Cost", "USD"), Column("Per request", "USD"),
        Column("Per good request", "USD"), Column("Per 1,000 messages", "USD"),
    )  # fmt: skip
    return Table("cost-now", "Cost of this run", columns, rows)


def _by_token_kind(cost: Mapping[str, Any]) -> Table:
    """What each kind of token cost; nothing where no cache was read or written: then the table above says it."""
    entries = cost.get("by_cache_class") or []
    is_cached = any(row.get("tokens") for row in entries if str(row.get("class")).startswith("cache"))
    rows = [
        [
            Entry(str(row.get("class")).replace("_", " ")),
            Entry(numbers.count(row.get("tokens"))),
            Entry(numbers.usd(row.get("cost_usd")), _NO_PRICE),
        ]
        for row in entries
        if is_cached
    ]
    columns = (text_column("Tokens"), Column("Count"), Column("Cost", "USD"))
    return Table("cost-by-tokens", "Cost by kind of token", columns, rows)


def _model_and_tier(row: Mapping[str, Any]) -> tuple[str, tuple[int, str]]:
    return str(row.get("model")), tier_order(str(row.get("service_tier")))


def _what_ifs(cost: Mapping[str, Any]) -> Table:
    now = [
        Entry("as measured"),
        Entry(numbers.usd(cost.get("cost_per_request_usd")), _NO_PRICE),
        Entry(numbers.usd(cost.get("projected_daily_cost_usd")), _NO_PRICE),
        Entry(numbers.usd(cost.get("projected_monthly_cost_usd")), _NO_PRICE),
        Entry(numbers.MISSING, "nothing changed"),
        Entry("the same tokens at today's prices"),
    ]
    entries = cost.get("what_if") or []
    rows = [now, *(_what_if_row(entry) for entry in entries)] if entries else []
    columns = (
        text_column("What if", long=True), Column("Per request", "USD"), Column("A day", "USD"),
        Column("A month", "USD"), Column("Change"), text_column("Assumption", long=True),
    )  # fmt: skip
    return Table("what-if", "What if: this run's requests at other prices and lengths", columns, rows)


def _what_if_row(entry: Mapping[str, Any]) -> list[Entry]:
    return [
        Entry(str(entry.get("change"))),
        Entry(numbers.usd(entry.get("cost_per_request_usd"))),
        Entry(numbers.usd(entry.get("projected_daily_cost_usd"))),
        Entry(numbers.usd(entry.get("projected_monthly_cost_usd"))),
        Entry(numbers.signed_percent(entry.get("delta_pct"))),
        Entry(str(entry.get("assumption"))),
    ]


def _cost_model(cost: Mapping[str, Any]) -> Table:
    model = cost.get("cost_model") or {}
    by_type = model.get("daily_usd_by_type") or {}
    rows = [
        [Entry(str(name)), Entry(numbers.usd(daily)), Entry(numbers.usd(daily * 30))] for name, daily in by_type.items()
    ]
    if rows:
        total = [Entry("all"), Entry(numbers.usd(model.get("daily_usd"))), Entry(numbers.usd(model.get("monthly_usd")))]
        rows.append(total)
    note = (
        f"Not measured: MangaAssist's planning mix at {numbers.count(model.get('daily_messages'))} messages a day, "
        f"{numbers.percent(model.get('cached_share'))} answered from the cache, on its routes of record."
    )
    columns = (text_column("Query type"), Column("A day", "USD"), Column("A month", "USD"))
    return Table("cost-model", "The planning mix, for comparison", columns, rows, note=note if rows else "")
