"""Which region takes the next attempt: health by region over a clock that the caller gives. Pure, for one process."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from bedrock.outcome import Outcome

#: Failures that speak against the region, as long as no stream has begun.
AGAINST_THE_REGION = frozenset({Outcome.CONNECTION_ERROR, Outcome.TIMEOUT, Outcome.SERVER_ERROR, Outcome.OVERLOADED})


def speaks_against_region(outcome: Outcome, http_status: int | None, *, in_stream: bool) -> bool:
    """Whether a failed attempt makes its region unhealthy; 4xx do not, throttles among them: they are the account's."""
    if in_stream or outcome not in AGAINST_THE_REGION:
        return False
    return http_status is None or not 400 <= http_status < 500


@dataclass
class _Health:
    unhealthy_until_s: float | None = None
    cool_down_s: float | None = None
    failed_at_s: float | None = None


class Regions:
    """Regions by priority; a failed one is left out for a cool-down that doubles until it succeeds again."""

    def __init__(
        self, names: Sequence[str], now: Callable[[], float], cool_down_s: float = 60, max_cool_down_s: float = 600
    ) -> None:
        if not names or len(set(names)) != len(names):
            raise ValueError("failover needs at least one region, and each only once")
        if not 0 < cool_down_s <= max_cool_down_s:
            raise ValueError("failover's cool-down must be above 0 and at most the largest cool-down")
        self._now = now
        self._first_s = cool_down_s
        self._max_s = max_cool_down_s
        self._health = {name: _Health() for name in names}

    def choose(self, tried: Collection[str] = ()) -> str | None:
        """The first healthy region not in `tried`, else the one whose cool-down ends first; None if all were tried."""
        left = [name for name in self._health if name not in tried]
        healthy = [name for name in left if self._ready_at(name) <= self._now()]
        return healthy[0] if healthy else min(left, key=self._ready_at, default=None)

    def failed(self, name: str, began_at_s: float | None = None) -> None:
        """Begin a cool-down; failures of calls begun before the last failure say nothing new."""
        if self._ready_at(name) > self._now() or self._is_old_news(name, began_at_s):
            return
        health = self._health[name]
        health.failed_at_s = self._now()
        health.cool_down_s = self._first_s if health.cool_down_s is None else min(health.cool_down_s * 2, self._max_s)
        health.unhealthy_until_s = self._now() + health.cool_down_s

    def succeeded(self, name: str, began_at_s: float | None = None) -> None:
        """The region is healthy, and its next cool-down the first again; not so for a call begun before it failed."""
        if not self._is_old_news(name, began_at_s):
            self._health[name] = _Health()

    def _is_old_news(self, name: str, began_at_s: float | None) -> bool:
        failed_at_s = self._health[name].failed_at_s
        return began_at_s is not None and failed_at_s is not None and began_at_s < failed_at_s

    def _ready_at(self, name: str) -> float:
        until_s = self._health[name].unhealthy_until_s
        return float("-inf") if until_s is None else until_s
