"""Which failed attempts are tried again, and after how long: pure rules over plain data.

`standard` follows the SDK's standard mode (botocore/retries/standard.py and quota.py of the pinned version).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bedrock.failures import Failure

#: HTTP statuses and error codes that the SDK holds for transient.
TRANSIENT_STATUSES = frozenset({500, 502, 503, 504})
TRANSIENT_CODES = frozenset({"RequestTimeout", "RequestTimeoutException", "PriorRequestNotComplete"})
#: The one error that Bedrock's model marks as retryable without calling it a throttle.
MODELED_TRANSIENT_CODES = frozenset({"ModelNotReadyException"})
THROTTLING_CODES = frozenset(
    [
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottledException",
        "TooManyRequestsException",
        "ProvisionedThroughputExceededException",
        "TransactionInProgressException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "RequestThrottled",
        "SlowDown",
        "PriorRequestNotComplete",
        "EC2ThrottledException",
    ]
)
#: Errors that the service's model names for all operations: under a 429 they mean what the model says of them, while
#: all other codes are throttles.
_MODELED_CODES = MODELED_TRANSIENT_CODES | frozenset(
    [
        "AccessDeniedException",
        "InternalServerException",
        "ModelErrorException",
        "ModelTimeoutException",
        "ResourceNotFoundException",
        "ServiceUnavailableException",
        "ThrottlingException",
        "ValidationException",
    ]
)
#: Those that it names for one operation and not for another.
_MODELED_CODES_OF_API = {
    "invoke_model": frozenset({"ServiceQuotaExceededException"}),
    "invoke_model_stream": frozenset({"ServiceQuotaExceededException", "ModelStreamErrorException"}),
}
_NETWORK_FAILURES = frozenset(
    {
        Failure.CONNECT_TIMEOUT,
        Failure.CONNECTION_FAILED,
        Failure.OUT_OF_RESOURCES,
        Failure.READ_TIMEOUT,
        Failure.CONNECTION_CLOSED,
    }
)


@dataclass(frozen=True)
class FailedAttempt:
    """What a retry rule looks at. `number` counts from 1; `in_stream` is whether a stream's head had arrived.

    `retry_after_s` is the service's `x-amz-retry-after`, which Bedrock is not known to send.
    """

    number: int
    http_status: int | None = None
    error_code: str | None = None
    in_stream: bool = False
    retry_after_s: float | None = None
    api: str | None = None


def is_throttle(failed: FailedAttempt) -> bool:
    """Whether the SDK counts this failure as a throttle: longer waits, a smaller price in retry quota."""
    if failed.error_code in THROTTLING_CODES:
        return True
    modeled = _MODELED_CODES | _MODELED_CODES_OF_API.get(failed.api or "", frozenset())
    return failed.http_status == 429 and failed.error_code not in modeled


def is_retryable(failed: FailedAttempt) -> bool:
    """Whether the SDK's standard mode tries again after such a failure; never once a stream has begun."""
    if failed.in_stream:
        return False
    if is_throttle(failed) or failed.http_status in TRANSIENT_STATUSES:
        return True
    return failed.error_code in TRANSIENT_CODES | MODELED_TRANSIENT_CODES | _NETWORK_FAILURES


class RetryPolicy(Protocol):
    """When a failed attempt is tried again; one for all messages of a process."""

    def wait_s(self, failed: FailedAttempt) -> float | None:
        """Seconds before the next attempt; None where there is none."""

    def succeeded(self, retried_after: FailedAttempt | None) -> None:
        """An attempt has succeeded; `retried_after` is the failure before it, None if it was the first."""


class RetryQuota:
    """The SDK's bucket of retry tokens, one a client: an outage empties it, and retries stop."""

    CAPACITY = 500
    RETRY_COST = 14
    THROTTLING_RETRY_COST = 5
    SUCCESS_WITHOUT_RETRY = 1

    def __init__(self) -> None:
        self.available = self.CAPACITY

    def take(self, amount: int) -> bool:
        """Take tokens for one retry; False, and nothing taken, where too few are left."""
        if amount > self.available:
            return False
        self.available -= amount
        return True

    def give_back(self, taken: int | None) -> None:
        """After a success: what its last retry took, or one token where it needed none."""
        amount = self.SUCCESS_WITHOUT_RETRY if taken is None else taken
        self.available = min(self.CAPACITY, self.available + amount)


def backoff_s(failed: FailedAttempt, random: Callable[[], float]) -> float:
    """Seconds before the next attempt: full jitter over a doubling base, at most 20 s; `random` gives 0 to 1.

    The service's `x-amz-retry-after` raises the wait, by no more than 5 s.
    """
    base_s = 1.0 if is_throttle(failed) else 0.05
    wait_s = random() * min(base_s * 2.0 ** (failed.number - 1), 20.0)
    if failed.retry_after_s is None:
        return wait_s
    return max(wait_s, min(failed.retry_after_s, 5 + wait_s))


class Standard:
    """The SDK's standard mode for one client: `wait_s` after a failure, `succeeded` after a success."""

    def __init__(self, random: Callable[[], float], max_attempts: int = 3) -> None:
        self._random = random
        self._max_attempts = max_attempts
        self.quota = RetryQuota()

    def wait_s(self, failed: FailedAttempt) -> float | None:
        """Seconds before the next attempt; None where there is none. Takes the retry's tokens."""
        if failed.number >= self._max_attempts or not is_retryable(failed):
            return None
        return backoff_s(failed, self._random) if self.quota.take(price(failed)) else None

    def succeeded(self, retried_after: FailedAttempt | None) -> None:
        """Give tokens back; `retried_after` is the failure before this success, if there was one."""
        self.quota.give_back(None if retried_after is None else price(retried_after))


def price(failed: FailedAttempt) -> int:
    """Tokens that the retry after this failure takes."""
    return RetryQuota.THROTTLING_RETRY_COST if is_throttle(failed) else RetryQuota.RETRY_COST


@dataclass(frozen=True)
class Fixed:
    """The same failures as `standard`, a constant wait, no retry quota; nor is a begun stream tried again."""

    max_attempts: int
    delay_s: float

    def succeeded(self, retried_after: FailedAttempt | None) -> None:
        """Nothing to keep account of."""

    def wait_s(self, failed: FailedAttempt) -> float | None:
        """Seconds before the next attempt; None where there is none."""
        return self.delay_s if failed.number < self.max_attempts and is_retryable(failed) else None


#: Retry policies by name; `none` is that every failure is final.
POLICIES = ("none", "standard", "fixed")


def make_policy(name: str, max_attempts: int, delay_s: float, random: Callable[[], float]) -> RetryPolicy | None:
    """The policy called `name`, for one process; `delay_s` is that of `fixed`. ValueError for a name that is none."""
    if name == "none":
        return None
    if name == "standard":
        return Standard(random, max_attempts)
    if name == "fixed":
        return Fixed(max_attempts, delay_s)
    raise ValueError(f"{name!r} is not one of {', '.join(POLICIES)}")
