"""Arrival processes on top of rate profiles: when each message is due.

A process is a point process of rate 1; its points are mapped through the inverse of the profile's integral (time
change, e.g. Cinlar, Introduction to Stochastic Processes, 1975, ch. 4.7), so every process follows every profile
exactly. Times are absolute: nothing adds up from gap to gap but the process's own points. The constant process's are
exact up to 2**52, which leaves the rounding of the mapping, below 1 ns over a day.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from random import Random

from scenarios.rates import RateProfile

#: Below it, hours without arrivals alternate with hundreds at once; above it, gamma is the constant process.
BURSTINESS_RANGE = (0.01, 1000.0)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a trace says of one message; None leaves it to the sampler. `model_id` is a base id.

    `input_tokens` chooses the prompt, `output_tokens` becomes the request's `max_tokens`.
    """

    query_type: str | None = None
    prompt_id: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    model_id: str | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message due at `at_s` seconds from the start of the schedule; `index` counts from 0."""

    index: int
    at_s: float
    phase: str
    wanted: Wanted | None = None


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


def gamma_process(random: Random, burstiness: float) -> Iterator[float]:
    """Independent gamma gaps of mean 1 with shape `burstiness`: their coefficient of variation is 1/sqrt(burstiness).

    The parameter is that of vLLM's `--burstiness` (vllm/benchmarks, `get_request`: gamma(shape=burstiness,
    scale=1/(rate * burstiness))): 1 is the Poisson process, below 1 is burstier, above 1 is more even. The first gap is
    what is left of a gap that some earlier arrival began: a uniform part of a length-biased gap, which is
    gamma(burstiness + 1) (Cox, Renewal Theory, 1962, ch. 5.4). So the process has no beginning to notice, and the mean
    count in every interval is its length.
    """
    scale = 1.0 / burstiness
    point = random.random() * random.gammavariate(burstiness + 1.0, scale)
    while True:
        yield point
        point += random.gammavariate(burstiness, scale)


#: Arrival processes by the name a scenario uses.
PROCESSES = ("constant", "poisson", "gamma")


def process_named(name: str, burstiness: float) -> ArrivalProcess:
    """The process of a name; `burstiness` is for gamma alone."""
    if name == "gamma":
        return partial(gamma_process, burstiness=burstiness)
    return {"constant": constant_process, "poisson": poisson_process}[name]


def arrivals(profile: RateProfile, process: ArrivalProcess, seed: int | str) -> Iterator[Arrival]:
    """All arrivals of the profile in order of time; a pure function of its arguments, lazy and possibly endless."""
    points = process(Random(f"arrivals:{seed}"))
    index, point = 0, next(points)
    start_s, expected_before = 0.0, 0.0
    for segment in profile.segments:
        while point - expected_before < segment.expected:
            yield Arrival(index, start_s + segment.time_of(point - expected_before), segment.name)
            index, point = index + 1, next(points)
        start_s += segment.duration_s
        expected_before += segment.expected
