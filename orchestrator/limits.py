"""Safety limits of a suite, checked against what the records say so far."""

from dataclasses import dataclass
from enum import StrEnum


class StopReason(StrEnum):
    """Why a run ended before its plan did; `stopped_by` in `run.json`."""

    INTERRUPT = "interrupt"
    MAX_COST_USD = "max_cost_usd"
    MAX_REQUESTS = "max_requests"


@dataclass(frozen=True, slots=True)
class Spending:
    """What a suite has used up so far: requests that ended, their cost, and calls still in flight."""

    requests: int
    cost_usd: float
    in_flight: int

    @property
    def committed_requests(self) -> int:
        """Requests sent, ended or not."""
        return self.requests + self.in_flight

    @property
    def committed_cost_usd(self) -> float:
        """Cost so far, and of the calls in flight at the mean cost of those that ended."""
        mean = self.cost_usd / self.requests if self.requests else 0.0
        return self.cost_usd + self.in_flight * mean


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a whole suite; None is no limit."""

    max_cost_usd: float | None = None
    max_requests: int | None = None

    def reached(self, spending: Spending) -> StopReason | None:
        """The limit that has been reached, counting what is in flight: that is paid for, too."""
        if self.max_requests is not None and spending.committed_requests >= self.max_requests:
            return StopReason.MAX_REQUESTS
        if self.max_cost_usd is not None and spending.committed_cost_usd >= self.max_cost_usd:
            return StopReason.MAX_COST_USD
        return None
