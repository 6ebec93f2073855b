"""How a rate runs over time: segments with a linear rate, one after the other, and what follows from them.

The arithmetic does not care what is counted: a profile whose levels are users instead of arrivals a second says, by
`rate_at`, how many users there are at each moment.
"""

import itertools
import math
from dataclasses import dataclass


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
        if expected <= 0.0:
            return 0.0
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
        """Length in seconds; infinite where the last segment is."""
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
        return self.expected_until(end_s) - self.expected_until(start_s)

    def expected_until(self, time_s: float) -> float:
        """Arrivals expected in the first `time_s` seconds."""
        total, start_s = 0.0, 0.0
        for segment in self.segments:
            elapsed_s = min(max(time_s - start_s, 0.0), segment.duration_s)
            total += segment.expected_until(elapsed_s)
            start_s += segment.duration_s
        return total

    def busy_windows(self, width_s: float) -> list[float]:
        """Starts of windows, one of which has the most arrivals of all windows of `width_s` seconds.

        As a window moves, its expected arrivals change by the rate at its end less the rate at its start. That is
        linear between the moments where either end crosses a border of segments, so the most is at such a moment, or
        where it becomes 0 between two of them.
        """
        borders = list(itertools.accumulate((segment.duration_s for segment in self.segments), initial=0.0))
        finite = [border for border in borders if math.isfinite(border)]
        starts = sorted({start for border in finite for start in (border, border - width_s) if start >= 0.0} | {0.0})
        return starts + [
            crossing
            for low, high in itertools.pairwise(starts)
            if (crossing := self._balance(low, high, width_s)) is not None
        ]

    def _balance(self, low_s: float, high_s: float, width_s: float) -> float | None:
        """Where between two starts the rate at the window's end falls to that at its start; None where nowhere.

        The line is taken from two points inside, because the rate may jump at the borders themselves.
        """
        third = (high_s - low_s) / 3.0
        gain, later = (self.rate_at(at + width_s) - self.rate_at(at) for at in (low_s + third, high_s - third))
        if later >= gain:
            return None
        crossing = low_s + third + third * gain / (gain - later)
        return crossing if low_s < crossing < high_s else None
