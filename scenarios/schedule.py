"""What a test sends when: stages one after the other, each a pattern or a trace, as one schedule of arrivals.

Everything is a pure function of the stages and a seed. Stages that follow each other with the same arrival process are
one profile to it: the process goes on where they meet, so that constant arrivals stay within one of the rate's
integral across stages too.
"""

import itertools
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from scenarios.arrivals import Arrival, arrivals, process_named
from scenarios.patterns import (
    REPLAY,
    PatternError,
    burst,
    check_pattern,
    check_spike,
    production,
    ramp,
    spike,
    steps,
    sustained,
)
from scenarios.rates import Phase, RateProfile, Segment
from scenarios.trace import Trace, read_trace

#: Said for the pattern of several stages, and for the process of a trace.
STAGES = "stages"
TRACE = "trace"

#: A replay ends so long after its last message: the end of a test must not overtake it.
REPLAY_TAIL_S = 0.25

#: The busiest stretch of a trace is looked for from every message on, or in a long trace from so many.
_PLACES = 10_000

#: Names of phases that are not measured; no stage may take one.
RESERVED_NAMES = ("ramp", "warmup", "drain")


@dataclass(frozen=True, slots=True)
class Stage:
    """One pattern with all it needs. Rates in arrivals per second, durations in seconds.

    `rate_rps` is None for a replay, and `duration_s` None for a whole trace; `start_rps` is a ramp's,
    `levels_rps` are the steps'.
    """

    pattern: str
    rate_rps: float | None
    duration_s: float | None
    process: str
    name: str | None = None
    burstiness: float = 1.0
    start_rps: float = 0.0
    levels_rps: tuple[float, ...] = ()
    spike_factor: float = 10.0
    spike_window: tuple[float, float] = (0.4, 0.6)
    trace: str | None = None
    trace_speed: float = 1.0

    def shape(self) -> "RateProfile | Replay":
        """The stage's course; PatternError for parameters that make no traffic, TraceError for an unusable trace."""
        if self.pattern == REPLAY:
            return self._replay()
        rate_rps, duration_s = self.rate_rps or 0.0, math.inf if self.duration_s is None else self.duration_s
        check_pattern(self.pattern, rate_rps, duration_s)
        if self.pattern == "spike":
            check_spike(self.spike_factor, self.spike_window)
        shapes: dict[str, Callable[[], RateProfile]] = {
            "sustained": lambda: sustained(rate_rps, duration_s),
            "ramp": lambda: ramp(self.start_rps, rate_rps, duration_s),
            "burst": lambda: burst(rate_rps, duration_s),
            "spike": lambda: spike(rate_rps, duration_s, self.spike_factor, self.spike_window),
            "steps": lambda: steps(self.levels_rps, duration_s),
            "production": lambda: production(rate_rps, duration_s),
        }
        return shapes[self.pattern]()

    def _replay(self) -> "Replay":
        if not self.trace:
            raise PatternError("A replay needs a trace: a CSV or JSONL file with the time of each message")
        return Replay(read_trace(self.trace), self.trace_speed, self.duration_s)


@dataclass(frozen=True, slots=True)
class Outline:
    """A load in a few words, for names and tables.

    `rate_rps` is the one rate of a load that has one, else the mean; `duration_s` is without warm-up, None without end.
    A closed loop has neither rate nor process.
    """

    rate_rps: float | None
    pattern: str
    process: str | None
    duration_s: float | None

    @property
    def name(self) -> str:
        """What a cell's name says of its load."""
        return self.pattern if self.pattern in (STAGES, REPLAY) else f"r{self.rate_rps:.12g}"


def outline(stages: "Sequence[Stage]") -> Outline:
    """What some stages have in common; PatternError and TraceError as `make_schedule`."""
    schedule = make_schedule(stages)
    processes = {TRACE if stage.pattern == REPLAY else stage.process for stage in stages}
    only = stages[0] if len(stages) == 1 else None
    return Outline(
        rate_rps=(only.rate_rps if only else None) or schedule.mean_rps,
        pattern=only.pattern if only else STAGES,
        process=processes.pop() if len(processes) == 1 else "mixed",
        duration_s=None if math.isinf(schedule.duration_s) else schedule.duration_s,
    )


class Replay:
    """A trace as it will be replayed: `speed` times as fast as it was, and no longer than `duration_s`."""

    def __init__(self, trace: Trace, speed: float = 1.0, duration_s: float | None = None) -> None:
        if not (math.isfinite(speed) and speed > 0.0):
            raise PatternError("The speed of a replay must be above 0")
        self.trace = trace
        self.speed = speed
        whole_s = trace.span_s / speed + REPLAY_TAIL_S
        self.duration_s = whole_s if duration_s is None else min(duration_s, whole_s)

    @property
    def count(self) -> int:
        """Messages that will be sent."""
        return int(self.expected_until(self.duration_s))

    @cached_property
    def peak_rps(self) -> float:
        """Most messages of any second."""
        times_s, first, most = self.trace.times_s, 0, 0
        for last in range(self.count):
            while (times_s[last] - times_s[first]) / self.speed >= 1.0:
                first += 1
            most = max(most, last - first + 1)
        return float(most)

    def phases(self) -> tuple[Phase, ...]:
        """One phase, called `replay`."""
        return (Phase(REPLAY, 0.0, self.duration_s),)

    def rate_at(self, time_s: float) -> float:
        """Messages of the second around a moment."""
        if not 0.0 <= time_s < self.duration_s:
            return 0.0
        return self.expected_until(time_s + 0.5) - self.expected_until(time_s - 0.5)

    def expected_until(self, time_s: float) -> float:
        """Messages of the first `time_s` seconds."""
        return float(bisect_left(self.trace.times_s, min(time_s, self.duration_s) * self.speed))

    def busy_windows(self, width_s: float) -> list[float]:
        """Starts of windows among which to look for the busiest: it begins with a message."""
        del width_s
        return [at / self.speed for at in self.trace.times_s[: self.count : math.ceil(self.count / _PLACES)]]

    def arrivals(self) -> Iterator[Arrival]:
        """The messages, each with what the trace says of it."""
        for index in range(self.count):
            yield Arrival(index, self.trace.times_s[index] / self.speed, REPLAY, self.trace.wanted[index])


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a schedule that one arrival process runs through, or a trace."""

    shape: RateProfile | Replay
    process: str
    burstiness: float

    @property
    def is_replay(self) -> bool:
        """Whether a trace says when the arrivals are."""
        return isinstance(self.shape, Replay)

    def arrivals(self, seed: int | str) -> Iterator[Arrival]:
        """The part's arrivals, times and indexes from its own beginning."""
        if isinstance(self.shape, Replay):
            return self.shape.arrivals()
        return arrivals(self.shape, process_named(self.process, self.burstiness), seed)


@dataclass(frozen=True, slots=True)
class Schedule:
    """All arrivals of a test, from the warm-up's begin to the last stage's end, and what can be told of them."""

    parts: tuple[Part, ...]
    _phases: tuple[Phase, ...]
    warmup_s: float = 0.0

    @property
    def duration_s(self) -> float:
        """Length in seconds, warm-up included; infinite where nothing ends it."""
        return math.fsum(part.shape.duration_s for part in self.parts)

    @property
    def measured_s(self) -> float:
        """Length in seconds without the warm-up."""
        return self.duration_s - self.warmup_s

    @property
    def peak_rps(self) -> float:
        """The highest rate of any moment; of a trace, the most messages of any second."""
        return max(part.shape.peak_rps for part in self.parts)

    @property
    def mean_rps(self) -> float:
        """Arrivals a second, without the warm-up."""
        if math.isinf(self.duration_s):
            return self.rate_at(self.warmup_s)
        return self.expected_between(self.warmup_s, self.duration_s) / self.measured_s

    def replays(self) -> tuple[Replay, ...]:
        """The traces in it."""
        return tuple(part.shape for part in self.parts if isinstance(part.shape, Replay))

    def phases(self) -> tuple[Phase, ...]:
        """Named stretches without gaps, from 0 s."""
        return self._phases

    def rate_at(self, time_s: float) -> float:
        """Arrivals per second at `time_s` seconds from the start."""
        return math.fsum(part.shape.rate_at(time_s - start_s) for start_s, part in self._placed())

    def expected_between(self, start_s: float, end_s: float) -> float:
        """Arrivals expected in [start_s, end_s): the integral of the rate, or the messages of a trace."""
        return self._expected_until(end_s) - self._expected_until(start_s)

    def _expected_until(self, time_s: float) -> float:
        return math.fsum(part.shape.expected_until(max(time_s - start_s, 0.0)) for start_s, part in self._placed())

    def busiest(self, width_s: float) -> float:
        """Arrivals expected in the busiest `width_s` seconds; of a trace above 10,000 messages a close guess."""
        starts = (
            max(start_s + start, 0.0)
            for start_s, part in self._placed()
            for edge in part.shape.busy_windows(width_s)
            for start in (edge, edge - width_s)
        )
        return max(self.expected_between(start, start + width_s) for start in starts)

    def _placed(self) -> Iterator[tuple[float, Part]]:
        start_s = 0.0
        for part in self.parts:
            yield start_s, part
            start_s += part.shape.duration_s

    def arrivals(self, seed: int) -> Iterator[Arrival]:
        """All arrivals in order of time, lazy and possibly endless; the phase is that of their instant."""
        index, phases = 0, _Names(self._phases)
        for number, (start_s, part) in enumerate(self._placed()):
            for arrival in part.arrivals(seed if number == 0 else f"{seed}/{number}"):
                at_s = start_s + arrival.at_s
                yield Arrival(index, at_s, phases.at(at_s), arrival.wanted)
                index += 1


class _Names:
    """Names of phases for instants that come in order."""

    def __init__(self, phases: Sequence[Phase]) -> None:
        self._phases = phases
        self._current = 0

    def at(self, at_s: float) -> str:
        while self._current + 1 < len(self._phases) and at_s >= self._phases[self._current + 1].start_s:
            self._current += 1
        return self._phases[self._current].name


def make_schedule(stages: Sequence[Stage], warmup_s: float = 0.0) -> Schedule:
    """The schedule of stages behind one warm-up, which runs at the rate that the first stage is about.

    PatternError if the parameters make no traffic, TraceError if a trace cannot be used.
    """
    shapes = [stage.shape() for stage in stages]
    if any(math.isinf(shape.duration_s) for shape in shapes[:-1]):
        raise PatternError("Only the last stage can do without a duration")
    parts = [Part(shape, stage.process, stage.burstiness) for shape, stage in zip(shapes, stages, strict=True)]
    phases = _named_phases(stages, shapes)
    if warmup_s > 0.0:
        rate_rps = _warmup_rps(stages[0], shapes[0])
        warmup = RateProfile((Segment("warmup", warmup_s, rate_rps, rate_rps),))
        parts.insert(0, Part(warmup, stages[0].process, stages[0].burstiness))
        phases = [Phase("warmup", 0.0, warmup_s), *(_later(phase, warmup_s) for phase in phases)]
    return Schedule(tuple(_joined(parts)), tuple(phases), warmup_s)


def _warmup_rps(stage: Stage, shape: RateProfile | Replay) -> float:
    """A ramp and steps warm up at half their height if they begin at nothing, else at their first rate.

    Burst and day warm up at their mean: warming up at the burst's own height would be the burst.
    """
    if isinstance(shape, Replay):
        return shape.count / shape.duration_s
    if stage.pattern in ("ramp", "steps"):
        return shape.segments[0].start_rps or shape.peak_rps / 2.0
    return stage.rate_rps or 0.0


def _later(phase: Phase, by_s: float) -> Phase:
    return Phase(phase.name, phase.start_s + by_s, phase.end_s + by_s)


def _joined(parts: Sequence[Part]) -> Iterator[Part]:
    """Neighbours that one process runs through, as one part."""
    for (is_replay, process, burstiness), group in itertools.groupby(
        parts, lambda part: (part.is_replay, part.process, part.burstiness)
    ):
        if is_replay:
            yield from group
        else:
            profiles = [part.shape for part in group if isinstance(part.shape, RateProfile)]
            segments = itertools.chain.from_iterable(profile.segments for profile in profiles)
            yield Part(RateProfile(tuple(segments)), process, burstiness)


def _named_phases(stages: Sequence[Stage], shapes: Sequence[RateProfile | Replay]) -> list[Phase]:
    """The stages' phases, one after the other, with names of which each belongs to one stage.

    A stage's name takes the place of its only phase, or stands before its phases; phases of a stage without a name are
    `stage2-` and their own name where those of another are called the same.
    """
    names = [_phase_names(stage, shape.phases()) for stage, shape in zip(stages, shapes, strict=True)]
    used = Counter(name for own in names for name in set(own))
    named: list[Phase] = []
    start_s = 0.0
    for number, (stage, shape, own) in enumerate(zip(stages, shapes, names, strict=True), start=1):
        for phase, name in zip(shape.phases(), own, strict=True):
            is_shared = stage.name is None and used[name] > 1
            renamed = Phase(f"stage{number}-{name}" if is_shared else name, phase.start_s, phase.end_s)
            named.append(_later(renamed, start_s))
        start_s += shape.duration_s
    return named


def _phase_names(stage: Stage, phases: Sequence[Phase]) -> list[str]:
    if stage.name is None:
        return [phase.name for phase in phases]
    return [stage.name] if len(phases) == 1 else [f"{stage.name}-{phase.name}" for phase in phases]
