"""How much may be sent in one test: a process stops there by itself, before anybody who watches it could say so.

A limit of requests is never passed. A limit of cost is passed by no more than the calls that are in flight when it is
reached: what they cost is known when they have ended.
"""

from collections.abc import Callable

from scenarios.usage_book import MAX_COST_USD, MAX_REQUESTS, OwnBook, SharedBook, Usage


def share_of_requests(requests: int | None, share: int, shares: int) -> int | None:
    """What process `share` of `shares` may send of so many requests; the shares add up to them."""
    return None if requests is None else requests // shares + (share < requests % shares)


class StopLine:
    """Counts attempts and their cost; `on_reached` is called once, when nothing more may be sent. None is no limit.

    The limits are for all that is counted in the `book`: this process alone, or all that share it.
    """

    def __init__(
        self,
        requests: int | None,
        cost_usd: float | None,
        on_reached: Callable[[], None],
        book: OwnBook | SharedBook | None = None,
    ) -> None:
        self._requests = requests
        self._cost_usd = cost_usd
        self._on_reached = on_reached
        self._book = book or OwnBook()
        #: The limit that was reached.
        self.reached: str | None = None

    def take(self) -> bool:
        """Whether another attempt may be sent; it counts as sent then, and `ended` must follow."""
        if self.reached is not None:
            return False
        with self._book.entry() as usage:
            permitted = self._look(usage) is None
            usage.sent += permitted
            limit = self._look(usage)
        self._tell(limit)
        return permitted

    def ended(self, cost_usd: float) -> None:
        """An attempt has ended and cost so much."""
        with self._book.entry() as usage:
            usage.ended += 1
            usage.cost_usd += cost_usd
            limit = self._look(usage)
        self._tell(limit)

    def close(self) -> None:
        """Nothing more is counted."""
        self._book.close()

    def _look(self, usage: Usage) -> str | None:
        usage.limit = usage.limit or self._limit(usage)
        return usage.limit

    def _tell(self, limit: str | None) -> None:
        if self.reached is None and limit is not None:
            self.reached = limit
            self._on_reached()

    def _limit(self, usage: Usage) -> str | None:
        if self._requests is not None and usage.sent >= self._requests:
            return MAX_REQUESTS
        if self._cost_usd is not None and usage.committed_usd >= self._cost_usd:
            return MAX_COST_USD
        return None
