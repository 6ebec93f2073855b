"""How much one process may send in one test: it stops there by itself, before anybody who watches it could say so.

A limit of requests is never passed. A limit of cost is passed by no more than the calls that are in flight when it is
reached: what they cost is known when they have ended.
"""

from collections.abc import Callable

#: Names of the limits, as `stopped_by` in `run.json` has them.
MAX_REQUESTS = "max_requests"
MAX_COST_USD = "max_cost_usd"


def share_of_requests(requests: int | None, share: int, shares: int) -> int | None:
    """What process `share` of `shares` may send of so many requests; the shares add up to them."""
    return None if requests is None else requests // shares + (share < requests % shares)


class StopLine:
    """Counts attempts and their cost; `on_reached` is called once, when nothing more may be sent. None is no limit."""

    def __init__(self, requests: int | None, cost_usd: float | None, on_reached: Callable[[], None]) -> None:
        self._requests = requests
        self._cost_usd = cost_usd
        self._on_reached = on_reached
        self._sent = 0
        self._ended = 0
        self._spent_usd = 0.0
        #: The limit that was reached.
        self.reached: str | None = None

    def take(self) -> bool:
        """Whether another attempt may be sent; it counts as sent then, and `ended` must follow."""
        self._look()
        if self.reached is not None:
            return False
        self._sent += 1
        self._look()
        return True

    def ended(self, cost_usd: float) -> None:
        """An attempt has ended and cost so much."""
        self._ended += 1
        self._spent_usd += cost_usd
        self._look()

    def _look(self) -> None:
        if self.reached is None:
            self.reached = self._limit()
            if self.reached is not None:
                self._on_reached()

    def _limit(self) -> str | None:
        if self._requests is not None and self._sent >= self._requests:
            return MAX_REQUESTS
        if self._cost_usd is not None and self._committed_usd() >= self._cost_usd:
            return MAX_COST_USD
        return None

    def _committed_usd(self) -> float:
        """Cost so far, and of the calls in flight at the mean cost of those that ended."""
        in_flight = self._sent - self._ended
        mean_usd = self._spent_usd / self._ended if self._ended else 0.0
        return self._spent_usd + in_flight * mean_usd
