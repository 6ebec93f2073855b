"""What tokens cost."""

from bedrock.catalog import Catalog, Price

#: Prices are per this many tokens.
TOKENS_PER_PRICE_UNIT = 1_000_000


def cost_usd(
    price: Price,
    input_tokens: float,
    output_tokens: float,
    cache_read_tokens: float = 0.0,
    cache_write_tokens: float = 0.0,
) -> float:
    """USD of one call: tokens x price by cache class.

    `input_tokens` is the non-cached part, as Bedrock's usage reports it. Bedrock bills actual tokens,
    so neither max_tokens nor the quota burn-down plays a part.
    """
    cache_read = price.input if price.cache_read is None else price.cache_read
    cache_write = price.input if price.cache_write is None else price.cache_write
    return (
        input_tokens * price.input
        + output_tokens * price.output
        + cache_read_tokens * cache_read
        + cache_write_tokens * cache_write
    ) / TOKENS_PER_PRICE_UNIT


def call_cost_usd(
    catalog: Catalog,
    model_id: str,
    tier: str | None,
    *,
    input_tokens: int | None,
    output_tokens: int | None,
    cache_read_tokens: int | None,
    cache_write_tokens: int | None,
) -> float:
    """USD of a call in the tier that served it; 0 where it has no tokens, or no price is known."""
    price = catalog.price(model_id, tier)
    if price is None or input_tokens is None:
        return 0.0
    return cost_usd(price, input_tokens, output_tokens or 0, cache_read_tokens or 0, cache_write_tokens or 0)
