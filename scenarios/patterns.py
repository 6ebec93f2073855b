"""Traffic patterns: the shapes a rate can have over a test, each as a rate profile (docs/load.md draws them)."""

import itertools
import math
from collections.abc import Sequence

from scenarios.rates import RateProfile, Segment

#: The share of messages and of time that make up a burst (product definition).
BURST_SHARE_OF_MESSAGES = 0.8
BURST_SHARE_OF_TIME = 0.2

#: Messages a second of MangaAssist at 00:00, 01:00, ... 23:00 JST; the rate is linear between the hours, and midnight
#: follows 23:00. From the product: mean 12/s, 50/s at the peak, peak hours 09:00 to 23:00. An assumption: how
#: the day is spread between these, with a rise at noon and the peak at 21:00; 90 % falls into the peak hours.
PRODUCTION_DAY_RPS = (4, 3, 2, 1, 1, 1, 2, 3, 4, 8, 9, 10, 16, 12, 10, 10, 12, 14, 18, 24, 38, 50, 28, 8)

#: The parts of the day by the hour they begin, JST.
PRODUCTION_PHASES = ((0, "night"), (9, "peak"), (23, "late"))

#: Levels of the pattern `steps` where nothing else is said.
DEFAULT_STEPS = 5

#: Most levels of the pattern `steps`: each is a phase of its own in the results.
MAX_STEPS = 200

REPLAY = "replay"

#: Patterns by the name a scenario uses.
PATTERNS = ("sustained", "ramp", "burst", "spike", "steps", "production", REPLAY)


class PatternError(ValueError):
    """The pattern's parameters make no traffic; the message says which."""


def sustained(rate_rps: float, duration_s: float) -> RateProfile:
    """A constant rate."""
    return RateProfile((Segment("steady", duration_s, rate_rps, rate_rps),))


def ramp(start_rps: float, end_rps: float, duration_s: float) -> RateProfile:
    """A rate that goes linearly from one value to another; the phase is called `rise` or `fall`."""
    return RateProfile((Segment("fall" if end_rps < start_rps else "rise", duration_s, start_rps, end_rps),))


def burst(rate_rps: float, duration_s: float) -> RateProfile:
    """80 % of the messages in the first 20 % of the time, the rest evenly after it; `rate_rps` is the mean."""
    burst_s = duration_s * BURST_SHARE_OF_TIME
    high = rate_rps * BURST_SHARE_OF_MESSAGES / BURST_SHARE_OF_TIME
    low = rate_rps * (1.0 - BURST_SHARE_OF_MESSAGES) / (1.0 - BURST_SHARE_OF_TIME)
    return RateProfile(
        (Segment("burst", burst_s, high, high), Segment("steady", duration_s - burst_s, low, low)),
    )


def spike(
    rate_rps: float, duration_s: float, factor: float = 10.0, window: tuple[float, float] = (0.4, 0.6)
) -> RateProfile:
    """A baseline of `rate_rps`, `factor` times it within `window` (fractions of the duration), then baseline again."""
    start, end = (fraction * duration_s for fraction in window)
    high = rate_rps * factor
    return RateProfile(
        (
            Segment("baseline", start, rate_rps, rate_rps),
            Segment("spike", end - start, high, high),
            Segment("recovery", duration_s - end, rate_rps, rate_rps),
        )
    )


def steps(levels_rps: Sequence[float], duration_s: float) -> RateProfile:
    """Levels of rate one after the other, equally long; the phases are `step1`, `step2`, ..."""
    step_s = duration_s / len(levels_rps)
    return RateProfile(
        tuple(Segment(f"step{number}", step_s, level, level) for number, level in enumerate(levels_rps, start=1))
    )


def step_levels(rate_rps: float, count: int, start_rps: float | None = None) -> tuple[float, ...]:
    """Equal steps up (or down) to `rate_rps`: from `start_rps`, or else from `rate_rps` / `count`."""
    first = rate_rps / count if start_rps is None else start_rps
    rise = (rate_rps - first) / max(count - 1, 1)
    return (*(first + rise * number for number in range(count - 1)), rate_rps)


def production(rate_rps: float, duration_s: float) -> RateProfile:
    """The workload's day from midnight to midnight JST, compressed into the duration; `rate_rps` is its mean."""
    hours = len(PRODUCTION_DAY_RPS)
    scale = rate_rps * hours / sum(PRODUCTION_DAY_RPS)
    levels = [level * scale for level in (*PRODUCTION_DAY_RPS, PRODUCTION_DAY_RPS[0])]
    return RateProfile(
        tuple(
            Segment(_part_of_day(hour), duration_s / hours, low, high)
            for hour, (low, high) in enumerate(itertools.pairwise(levels))
        )
    )


def _part_of_day(hour: int) -> str:
    return next(name for begins, name in reversed(PRODUCTION_PHASES) if hour >= begins)


def check_pattern(pattern: str, rate_rps: float, duration_s: float) -> None:
    """PatternError for a rate or a duration that the pattern cannot have."""
    if pattern not in PATTERNS:
        raise PatternError(f"Unknown pattern {pattern!r}: choose one of {', '.join(PATTERNS)}")
    if not 0.0 < rate_rps < math.inf:
        raise PatternError("The rate must be above 0")
    if not duration_s > 0.0:
        raise PatternError("The duration must be above 0")
    if math.isinf(duration_s) and pattern != "sustained":
        raise PatternError(f"The pattern {pattern!r} needs a test duration")


def check_spike(factor: float, window: tuple[float, float]) -> None:
    """PatternError for a spike that is none."""
    if not (0.0 < factor < math.inf and 0.0 < window[0] < window[1] < 1.0):
        raise PatternError("A spike needs a factor above 0 and a window inside the duration, like 40%-60%")
