"""Safety limits of a suite, checked against what the records say so far.

Requests and cost are kept to by the load processes themselves (`loadgen.stop_line`), which know at once what they have
sent; here the cells are added up, and errors and the time are looked at.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from scenarios.model import Budget

#: Seconds before credentials expire at which nothing new is sent. What is in flight was let in when it began.
EXPIRY_MARGIN_S = 30.0


class StopReason(StrEnum):
    """Why a run ended before its plan did; `stopped_by` in `run.json`."""

    INTERRUPT = "interrupt"
    MAX_COST_USD = "max_cost_usd"
    MAX_REQUESTS = "max_requests"
    MAX_ERROR_RATE = "max_error_rate"
    CREDENTIAL_EXPIRY = "credential_expiry"


@dataclass(frozen=True, slots=True)
class Spending:
    """What a suite has used up so far: requests that ended, retries too, and their cost."""

    requests: int = 0
    cost_usd: float = 0.0

    def __add__(self, other: "Spending") -> "Spending":
        return Spending(self.requests + other.requests, self.cost_usd + other.cost_usd)


@dataclass(frozen=True, slots=True)
class ErrorLimit:
    """The largest share of failures among the attempts of a window, and how many of these it takes to judge."""

    share: float
    window_s: float
    min_requests: int

    def is_passed(self, attempts: int, failures: int) -> bool:
        """Whether more than the permitted share of so many attempts failed."""
        return attempts >= self.min_requests and failures > self.share * attempts


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a whole suite; None is no limit. `expires_at` is in Unix seconds."""

    max_cost_usd: float | None = None
    max_requests: int | None = None
    errors: ErrorLimit | None = None
    expires_at: float | None = None

    @property
    def is_counted(self) -> bool:
        """Whether the load processes must count what they send."""
        return self.max_cost_usd is not None or self.max_requests is not None

    def reached(self, spending: Spending, at: float = -math.inf) -> StopReason | None:
        """The limit that has been reached at a time (Unix seconds), by what has ended."""
        if self.max_requests is not None and spending.requests >= self.max_requests:
            return StopReason.MAX_REQUESTS
        if self.max_cost_usd is not None and spending.cost_usd >= self.max_cost_usd:
            return StopReason.MAX_COST_USD
        if self.expires_at is not None and at >= self.expires_at - EXPIRY_MARGIN_S:
            return StopReason.CREDENTIAL_EXPIRY
        return None


def limits_of(budget: Budget, max_cost_usd: float | None, expires_at: float | None) -> Limits:
    """The limits that a scenario's budget sets, and the time at which its credentials end."""
    share = budget.max_error_rate
    errors = None if share is None else ErrorLimit(share, budget.error_window_s, budget.error_min_requests)
    return Limits(max_cost_usd, budget.max_requests, errors, expires_at)
