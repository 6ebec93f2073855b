"""Account quotas of one model: requests and tokens per minute, tokens per day, with reservation and settlement.

Bedrock's rule: a call reserves `input + max_tokens` tokens when it starts and is refused if they do not fit; when it
ends, the reservation is replaced by `input + output x burn-down` and the rest is given back. Input read from the
prompt cache is reserved like any other and does not count in the end; input written to it does. Some AWS samples
multiply the reservation by the burn-down too (`multiplied`). A refused call uses up nothing.

How Bedrock's window works is not documented, so there are three. In all of them a call is charged at its start:

    fixed_minute   clock minutes; what is accepted within one minute never exceeds the quota
    sliding        any 60 seconds; what is accepted within them never exceeds the quota
    token_bucket   holds one minute's quota and refills evenly; within any t seconds never more than
                   quota x (1 + t / 60) is accepted, apart from what calls that began before give back in that time

A burn-down above 1 can settle higher than the reservation; the excess is charged as well and may push the window
over its limit, which only makes later calls wait longer. When the window a call was charged to has passed, its
settlement has nothing left to correct.
Times are seconds on any one clock; for `fixed_minute` and the daily quota it is Unix time, aligned to UTC.
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

MINUTE_S = 60.0
DAY_S = 86_400.0
#: Slack for the rounding of refills and of settlements with a fractional burn-down; a millionth of a token.
_ROUNDING = 1e-6


class Window(StrEnum):
    """How a per-minute quota forgets."""

    FIXED_MINUTE = "fixed_minute"
    SLIDING = "sliding"
    TOKEN_BUCKET = "token_bucket"  # noqa: S105 - not a secret


class ReservationRule(StrEnum):
    """Whether the reservation counts max_tokens plainly or times the burn-down."""

    PLAIN = "plain"
    MULTIPLIED = "multiplied"


class Refusal(StrEnum):
    """Which quota refused a call."""

    RPM = "rpm"
    TPM = "tpm"
    TPD = "tpd"


@dataclass(frozen=True, slots=True)
class QuotaLimits:
    """Limits of one model; None means that there is no such quota."""

    rpm: int | None = None
    tpm: int | None = None
    tpd: int | None = None
    window: Window = Window.FIXED_MINUTE
    burndown: float = 1.0
    reservation: ReservationRule = ReservationRule.PLAIN


@dataclass(slots=True)
class Charge:
    """What one call takes from one meter, and since when."""

    at_s: float
    amount: float


class Meter(Protocol):
    """Counts one quantity against one limit."""

    def fits(self, amount: float, now_s: float) -> bool:
        """Whether `amount` more would stay within the limit."""

    def charge(self, amount: float, now_s: float) -> Charge:
        """Take `amount`."""

    def correct(self, charge: Charge, amount: float, now_s: float) -> None:
        """Replace what `charge` took by `amount`."""


class FixedWindow:
    """Clock-aligned windows of `length_s`."""

    def __init__(self, limit: float, length_s: float) -> None:
        self._limit = limit
        self._length_s = length_s
        self._index: int | None = None
        self._used = 0.0

    def fits(self, amount: float, now_s: float) -> bool:
        """Whether `amount` more stays within this window's limit."""
        self._turn(now_s)
        return self._used + amount <= self._limit + _ROUNDING

    def charge(self, amount: float, now_s: float) -> Charge:
        """Take `amount` from the window of `now_s`."""
        self._turn(now_s)
        self._used += amount
        return Charge(now_s, amount)

    def correct(self, charge: Charge, amount: float, now_s: float) -> None:
        """Correct a charge of the running window; one of a past window changes nothing."""
        self._turn(now_s)
        if self._window_of(charge.at_s) == self._index:
            self._used += amount - charge.amount
        charge.amount = amount

    def _turn(self, now_s: float) -> None:
        index = self._window_of(now_s)
        if index != self._index:
            self._index, self._used = index, 0.0

    def _window_of(self, at_s: float) -> int:
        return math.floor(at_s / self._length_s)


class SlidingWindow:
    """The last `length_s` seconds before now, always."""

    def __init__(self, limit: float, length_s: float = MINUTE_S) -> None:
        self._limit = limit
        self._length_s = length_s
        self._charges: deque[Charge] = deque()
        self._used = 0.0

    def fits(self, amount: float, now_s: float) -> bool:
        """Whether `amount` more stays within the limit over the window that ends now."""
        self._forget(now_s)
        return self._used + amount <= self._limit + _ROUNDING

    def charge(self, amount: float, now_s: float) -> Charge:
        """Take `amount` until the window has passed."""
        self._forget(now_s)
        charge = Charge(now_s, amount)
        self._charges.append(charge)
        self._used += amount
        return charge

    def correct(self, charge: Charge, amount: float, now_s: float) -> None:
        """Change a charge that is still within the window."""
        self._forget(now_s)
        if charge.at_s > now_s - self._length_s:
            self._used += amount - charge.amount
        charge.amount = amount

    def _forget(self, now_s: float) -> None:
        while self._charges and self._charges[0].at_s <= now_s - self._length_s:
            self._used -= self._charges.popleft().amount


class TokenBucket:
    """A bucket of one window's limit that refills evenly; it can owe after a settlement above its reservation."""

    def __init__(self, limit: float, length_s: float = MINUTE_S) -> None:
        self._limit = float(limit)
        self._per_s = limit / length_s
        self._level = self._limit
        self._at_s: float | None = None

    def fits(self, amount: float, now_s: float) -> bool:
        """Whether the bucket holds `amount` now."""
        self._refill(now_s)
        return amount <= self._level + _ROUNDING

    def charge(self, amount: float, now_s: float) -> Charge:
        """Take `amount` out."""
        self._refill(now_s)
        self._level -= amount
        return Charge(now_s, amount)

    def correct(self, charge: Charge, amount: float, now_s: float) -> None:
        """Put back what was too much, or take what was too little; the bucket never holds more than its limit."""
        self._refill(now_s)
        self._level = min(self._limit, self._level + charge.amount - amount)
        charge.amount = amount

    def _refill(self, now_s: float) -> None:
        if self._at_s is not None and now_s > self._at_s:
            self._level = min(self._limit, self._level + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s if self._at_s is None else max(self._at_s, now_s)


def per_minute_meter(limit: float, window: Window) -> Meter:
    """A meter for a limit per minute."""
    match window:
        case Window.FIXED_MINUTE:
            return FixedWindow(limit, MINUTE_S)
        case Window.SLIDING:
            return SlidingWindow(limit)
        case Window.TOKEN_BUCKET:
            return TokenBucket(limit)


@dataclass(frozen=True, slots=True)
class Weights:
    """What a meter counts for a token of input and for one of output."""

    input: float
    output: float

    def amount(self, input_tokens: int, output_tokens: int) -> float:
        """What it counts for so many tokens."""
        return input_tokens * self.input + output_tokens * self.output


@dataclass(slots=True)
class Admission:
    """An accepted call's hold on a quota, until `settle` or `give_back`.

    `input_tokens` are all that the model reads, also those that come from the prompt cache or go to it.
    """

    input_tokens: int
    charges: tuple[tuple[Meter, Charge, Weights], ...]

    def settle(self, output_tokens: int, now_s: float, cache_read_tokens: int = 0) -> None:
        """Replace the reservation by what was used; what was read from the prompt cache is free."""
        for meter, charge, weights in self.charges:
            meter.correct(charge, weights.amount(self.input_tokens - cache_read_tokens, output_tokens), now_s)

    def give_back(self, now_s: float) -> None:
        """The call is not served after all: nothing was used. As a request it still counts."""
        for meter, charge, _ in self.charges:
            meter.correct(charge, 0.0, now_s)


class QuotaPool:
    """The quotas of one model id, shared by all its calls whatever their operation and on-demand tier."""

    def __init__(self, limits: QuotaLimits) -> None:
        self.limits = limits
        self._requests = None if limits.rpm is None else per_minute_meter(limits.rpm, limits.window)
        self._tokens = None if limits.tpm is None else per_minute_meter(limits.tpm, limits.window)
        self._daily_tokens = None if limits.tpd is None else FixedWindow(limits.tpd, DAY_S)

    def admit(self, input_tokens: int, max_tokens: int, now_s: float) -> Admission | Refusal:
        """Reserve a call's tokens, or say which quota has no room for them; a refusal takes nothing."""
        reserved = self._reservation(input_tokens, max_tokens)
        for refusal, meter, amount in self._amounts(reserved):
            if not meter.fits(amount, now_s):
                return refusal
        weights = Weights(1.0, self.limits.burndown)
        charges = tuple(
            (meter, meter.charge(amount, now_s), weights)
            for refusal, meter, amount in self._amounts(reserved)
            if refusal is not Refusal.RPM
        )
        if self._requests is not None:
            self._requests.charge(1.0, now_s)
        return Admission(input_tokens, charges)

    def _reservation(self, input_tokens: int, max_tokens: int) -> float:
        factor = self.limits.burndown if self.limits.reservation is ReservationRule.MULTIPLIED else 1.0
        return input_tokens + max_tokens * factor

    def _amounts(self, reserved_tokens: float) -> Iterator[tuple[Refusal, Meter, float]]:
        if self._requests is not None:
            yield Refusal.RPM, self._requests, 1.0
        if self._tokens is not None:
            yield Refusal.TPM, self._tokens, reserved_tokens
        if self._daily_tokens is not None:
            yield Refusal.TPD, self._daily_tokens, reserved_tokens


@dataclass(frozen=True, slots=True)
class ReservedLimits:
    """Reserved capacity of one model, in tokens per clock minute."""

    input_tpm: int
    output_tpm: int


class ReservedCapacity:
    """The reserved tier of one model: input and output tokens are counted apart, and without burn-down.

    Documented: both are reserved apart, and input counts what is written to the prompt cache but not what is read from
    it. Assumed: the clock minute, and that `max_tokens` is taken at the start, as from a quota.
    """

    def __init__(self, limits: ReservedLimits) -> None:
        self._input = FixedWindow(limits.input_tpm, MINUTE_S)
        self._output = FixedWindow(limits.output_tpm, MINUTE_S)

    def admit(self, input_tokens: int, max_tokens: int, now_s: float) -> Admission | None:
        """Take a call's tokens; None where they do not fit, which takes nothing."""
        if not (self._input.fits(input_tokens, now_s) and self._output.fits(max_tokens, now_s)):
            return None
        return Admission(
            input_tokens,
            (
                (self._input, self._input.charge(input_tokens, now_s), Weights(1.0, 0.0)),
                (self._output, self._output.charge(max_tokens, now_s), Weights(0.0, 1.0)),
            ),
        )
