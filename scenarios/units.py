"""Durations, rates, percentages and money as people write them, and back.

Internally a duration is seconds (float), a rate is arrivals per second, a share is a fraction of 1.
"""

import math
import re

_NUMBER = r"(?P<number>\d+(?:\.\d+)?)"
_DURATION_PART = re.compile(_NUMBER + r"\s*(?P<unit>ms|s|m|h|d)")
_RATE = re.compile(rf"^{_NUMBER}\s*(?:/|per\s+)\s*(?P<unit>s|sec|second|m|min|minute|h|hour|d|day)$")
#: Larger quantities are slips of the finger, and would leave the numbers that a computer can count with.
MAX_DURATION_S = 100 * 365 * 86_400.0
MAX_RATE_RPS = 1e9

#: Characters of a wrong value that a message repeats.
_MAX_SHOWN = 60

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class UnitError(ValueError):
    """The text is not a quantity of the expected kind; the message says how to write one."""


def parse_duration_s(text: str | float, bare_unit: str | None = None) -> float:
    """Seconds of `30s`, `1m30s`, `250ms`, `2h`.

    A bare number is refused unless `bare_unit` names its unit.
    """
    cleaned = str(text).strip()
    if bare_unit is not None and re.fullmatch(r"\d+(\.\d+)?", cleaned):
        cleaned += bare_unit
    parts = list(_DURATION_PART.finditer(cleaned))
    if not parts or "".join(part.group(0) for part in parts) != cleaned:
        raise UnitError(f"{_short(text)} is not a duration: write a number and a unit, like 30s, 5m, 1m30s or 250ms")
    seconds = sum(float(part["number"]) * _SECONDS[part["unit"]] for part in parts)
    if seconds > MAX_DURATION_S:
        raise UnitError(f"{_short(text)} is too long: durations end at 36500d, a hundred years")
    return seconds


def parse_rate_rps(text: str | float) -> float:
    """Arrivals per second of `12/s`, `60/min`, `1000000/day`."""
    match = _RATE.match(str(text).strip())
    if match is None:
        raise UnitError(f"{_short(text)} is not a rate: write a number and a unit, like 12/s or 600/min")
    rate_rps = float(match["number"]) / _SECONDS[match["unit"][0]]
    if rate_rps > MAX_RATE_RPS:
        raise UnitError(f"{_short(text)} is too much: rates end at {MAX_RATE_RPS:.0f}/s")
    return rate_rps


def parse_start_rate_rps(text: str | float) -> float:
    """A rate to start from, which may be nothing: `0`, `0/s`, `2/s`."""
    return 0.0 if str(text).strip() == "0" else parse_rate_rps(text)


def parse_share(text: str | float) -> float:
    """Fraction of `40%`; a bare number is taken as a fraction and must lie in 0..1."""
    cleaned = str(text).strip()
    try:
        value = float(cleaned[:-1]) / 100.0 if cleaned.endswith("%") else float(cleaned)
    except ValueError:
        raise UnitError(f"{_short(text)} is not a share: write 40% or 0.4") from None
    if not 0.0 <= value <= 1.0:
        raise UnitError(f"{_short(text)} is not a share: it must lie between 0% and 100%")
    return value


def parse_duration_range_s(text: str | float) -> tuple[float, float]:
    """Lowest and highest seconds of `0.5s-1.5s`; one duration alone is both."""
    low, _, high = str(text).partition("-")
    lowest = parse_duration_s(low)
    highest = parse_duration_s(high) if high else lowest
    if highest < lowest:
        raise UnitError(f"{_short(text)} is not a range of durations: the first must not exceed the second")
    return lowest, highest


def _short(text: object) -> str:
    """A wrong value as a message repeats it."""
    shown = repr(text)
    return shown if len(shown) <= _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}..."


def format_duration(seconds: float) -> str:
    """`250ms`, `30s`, `1m30s`, `2h05m`: what a person would write, to the second above a minute."""
    if seconds < 1.0:
        return f"{seconds * 1000:.0f}ms" if seconds > 0 else "0s"
    if seconds < 60.0:
        return f"{seconds:.1f}".rstrip("0").rstrip(".") + "s"
    whole = math.floor(seconds + 0.5)
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s" if rest else f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if minutes else f"{hours}h"


def format_rate(rate_rps: float) -> str:
    """`5/s`, `0.5/s`: at most three significant digits."""
    return f"{rate_rps:.3g}/s"
