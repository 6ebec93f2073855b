"""When messages arrive: traffic patterns as rate profiles, and arrival processes on top of them.

A pattern is a sequence of named segments with a linear rate. An arrival process is a unit-rate point process;
its points are mapped through the inverse of the profile's integral (time change, e.g. Cinlar 1975, ch. 4.7), so
every process follows every profile exactly, and both are pure functions of their parameters and a seed.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

#: The share of messages and of time that make up a burst (product definition).
BURST_SHARE_OF_MESSAGES = 0.8
BURST_SHARE_OF_TIME = 0.2


class PatternError(ValueError):
    """The pattern's parameters make no traffic; the message says which."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of time in which the rate goes linearly from one value to another."""

    name: str
    duration_s: float
    start_rps: float
    end_rps: float

    @property
    def expected(self) -> float:
        """Arrivals expected in the whole segment: the area under its rate."""
        return self.expected_until(self.duration_s)

    def expected_until(self, elapsed_s: float) -> float:
        """Arrivals expected in the segment's first `elapsed_s` seconds."""
        if math.isinf(self.duration_s):
            return self.start_rps * elapsed_s
        slope = (self.end_rps - self.start_rps) / self.duration_s
        return self.start_rps * elapsed_s + slope * elapsed_s * elapsed_s / 2.0

    def rate_at(self, elapsed_s: float) -> float:
        """Arrivals per second, `elapsed_s` seconds into the segment."""
        if math.isinf(self.duration_s):
            return self.start_rps
        return self.start_rps + (self.end_rps - self.start_rps) * elapsed_s / self.duration_s

    def time_of(self, expected: float) -> float:
        """Seconds into the segment until `expected` arrivals are expected; the inverse of `expected_until`."""
        if self.start_rps == self.end_rps:
            return expected / self.start_rps
        slope = (self.end_rps - self.start_rps) / self.duration_s
        root = math.sqrt(max(self.start_rps**2 + 2.0 * slope * expected, 0.0))
        # This form of the quadratic's solution has no cancellation for small slopes.
        return min(2.0 * expected / (self.start_rps + root), self.duration_s)


@dataclass(frozen=True, slots=True)
class Phase:
    """A named stretch of the schedule, in seconds from its start; the end may be infinite."""

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class RateProfile:
    """Segments one after the other; the rate outside them is 0."""

    segments: tuple[Segment, ...]

    @property
    def duration_s(self) -> float:
        """Length of the schedule in seconds; infinite where the last segment is."""
        return math.fsum(segment.duration_s for segment in self.segments)

    @property
    def peak_rps(self) -> float:
        """The highest rate of any moment."""
        return max(max(segment.start_rps, segment.end_rps) for segment in self.segments)

    def phases(self) -> tuple[Phase, ...]:
        """The segments as phases, neighbours of one name joined."""
        joined: list[Phase] = []
        start_s = 0.0
        for segment in self.segments:
            end_s = start_s + segment.duration_s
            if joined and joined[-1].name == segment.name:
                joined[-1] = Phase(segment.name, joined[-1].start_s, end_s)
            else:
                joined.append(Phase(segment.name, start_s, end_s))
            start_s = end_s
        return tuple(joined)

    def rate_at(self, time_s: float) -> float:
        """Arrivals per second at `time_s` seconds from the start."""
        start_s = 0.0
        for segment in self.segments:
            if start_s <= time_s < start_s + segment.duration_s:
                return segment.rate_at(time_s - start_s)
            start_s += segment.duration_s
        return 0.0

    def expected_between(self, start_s: float, end_s: float) -> float:
        """Arrivals expected in [start_s, end_s): the integral of the rate."""
        return self._expected_until(end_s) - self._expected_until(start_s)

    def _expected_until(self, time_s: float) -> float:
        total, start_s = 0.0, 0.0
        for segment in self.segments:
            elapsed_s = min(max(time_s - start_s, 0.0), segment.duration_s)
            total += segment.expected_until(elapsed_s)
            start_s += segment.duration_s
        return total


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message due at `at_s` seconds from the start of the schedule; `index` counts from 0."""

    index: int
    at_s: float
    phase: str


ArrivalProcess = Callable[[Random], Iterator[float]]


def constant_process(_random: Random) -> Iterator[float]:
    """Evenly spaced points 0.5, 1.5, ...: counts in any interval are the integral of the rate within one."""
    point = 0.5
    while True:
        yield point
        point += 1.0


def poisson_process(random: Random) -> Iterator[float]:
    """Independent exponential gaps of mean 1."""
    point = 0.0
    while True:
        point += random.expovariate(1.0)
        yield point


#: Arrival processes by the name a scenario uses.
PROCESSES: dict[str, ArrivalProcess] = {"constant": constant_process, "poisson": poisson_process}


def arrivals(profile: RateProfile, process: str, seed: int) -> Iterator[Arrival]:
    """All arrivals of the profile in order of time; a pure function of its arguments, lazy and possibly endless."""
    points = PROCESSES[process](Random(f"arrivals:{seed}"))
    index, point = 0, next(points)
    start_s, expected_before = 0.0, 0.0
    for segment in profile.segments:
        while point - expected_before < segment.expected:
            yield Arrival(index, start_s + segment.time_of(point - expected_before), segment.name)
            index, point = index + 1, next(points)
        start_s += segment.duration_s
        expected_before += segment.expected


def deal(schedule: Iterator[Arrival], share: int, shares: int) -> Iterator[Arrival]:
    """The arrivals of one of several processes: every `shares`-th from `share` on.

    The union over all shares is the whole schedule.
    """
    return (arrival for arrival in schedule if arrival.index % shares == share)


def sustained(rate_rps: float, duration_s: float) -> RateProfile:
    """A constant rate."""
    return RateProfile((Segment("steady", duration_s, rate_rps, rate_rps),))


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


#: Patterns by the name a scenario uses.
PATTERNS = ("sustained", "burst", "spike")


def build_profile(
    pattern: str,
    rate_rps: float,
    duration_s: float,
    *,
    warmup_s: float = 0.0,
    spike_factor: float = 10.0,
    spike_window: tuple[float, float] = (0.4, 0.6),
) -> RateProfile:
    """The profile of a named pattern, behind a warm-up at the rate it starts with.

    PatternError if the parameters make no traffic, or if a pattern that needs an end has none.
    """
    _check(pattern, rate_rps, duration_s, spike_factor, spike_window)
    if pattern == "spike":
        profile = spike(rate_rps, duration_s, spike_factor, spike_window)
    elif pattern == "burst":
        profile = burst(rate_rps, duration_s)
    else:
        profile = sustained(rate_rps, duration_s)
    if warmup_s <= 0.0:
        return profile
    # A burst's warm-up runs at the mean: warming up at the burst's own height would be the burst.
    return RateProfile((Segment("warmup", warmup_s, rate_rps, rate_rps), *profile.segments))


def _check(
    pattern: str, rate_rps: float, duration_s: float, spike_factor: float, spike_window: tuple[float, float]
) -> None:
    if pattern not in PATTERNS:
        raise PatternError(f"Unknown pattern {pattern!r}: choose one of {', '.join(PATTERNS)}")
    if not 0.0 < rate_rps < math.inf:
        raise PatternError("The rate must be above 0")
    if not duration_s > 0.0:
        raise PatternError("The duration must be above 0")
    if math.isinf(duration_s) and pattern != "sustained":
        raise PatternError(f"The pattern {pattern!r} needs a test duration")
    if pattern == "spike" and not (spike_factor > 0.0 and 0.0 < spike_window[0] < spike_window[1] < 1.0):
        raise PatternError("A spike needs a factor above 0 and a window inside the duration, like 40%-60%")
