"""When an answer's tokens come: the timing model, as pure functions of a profile and a draw of random numbers.

    TTFT            = (base sample + prefill x input tokens not read from the cache) x TTFT factors x tail factor
    decode interval = 1 / (speed sample x speed factors)
    token i         = TTFT + (i - 1) x decode interval

The factors are those of the service tier, of the latency setting and of the load (`emulator.capacity`). Tokens of
thought come before those of the answer, at the same pace. The first event carries the first token alone, the others
`tokens_per_event` each, sent when their last token is decoded; none mixes thought and answer. So the tester's TTFT is
the first token's, and its TPOT, (last - first) / (tokens - 1), is exactly the decode interval. `messageStart` goes out
when the prefill is over: one decode interval before the first token.

All default figures are assumptions chosen from published measurements, not AWS data.
"""

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

from bedrock.catalog import ASSUMED_TIER_SPEEDS

_STANDARD_NORMAL = NormalDist()
_SMALLEST_UNIFORM = 1e-12


class Kind(StrEnum):
    """Shapes of a distribution."""

    FIXED = "fixed"
    LOGNORMAL = "lognormal"
    EMPIRICAL = "empirical"


@dataclass(frozen=True, slots=True)
class Distribution:
    """A positive quantity that is fixed at `median`, lognormal around it, or drawn from `values` with equal chance.

    `sigma` is the standard deviation of the logarithm. Samples are kept within `low` and `high`.
    """

    kind: Kind
    median: float = 0.0
    sigma: float = 0.0
    values: tuple[float, ...] = ()
    low: float = 0.0
    high: float = math.inf

    def at(self, uniform: float) -> float:
        """The quantile of this distribution at `uniform` in (0, 1): a sample, if `uniform` is random."""
        match self.kind:
            case Kind.FIXED:
                sample = self.median
            case Kind.LOGNORMAL:
                sample = self.median * math.exp(self.sigma * _STANDARD_NORMAL.inv_cdf(uniform))
            case Kind.EMPIRICAL:
                sample = self.values[int(uniform * len(self.values))]
        return min(max(sample, self.low), self.high)


@dataclass(frozen=True, slots=True)
class Tail:
    """A share of answers whose TTFT is multiplied by a factor drawn evenly from a range: the slow few."""

    share: float = 0.0
    factor_min: float = 1.0
    factor_max: float = 1.0

    def factor(self, chance: float, size: float) -> float:
        """The factor of an answer with these two uniform draws; 1 for all but the slow few."""
        if chance >= self.share:
            return 1.0
        return self.factor_min + (self.factor_max - self.factor_min) * size


@dataclass(frozen=True, slots=True)
class Factors:
    """What a service tier, a latency setting or load does to TTFT and to tokens per second."""

    ttft_factor: float = 1.0
    speed_factor: float = 1.0

    def times(self, other: "Factors") -> "Factors":
        """Both effects together."""
        return Factors(self.ttft_factor * other.ttft_factor, self.speed_factor * other.speed_factor)


UNCHANGED = Factors()

#: What the plan assumes, too.
ASSUMED_TIERS: Mapping[str, Factors] = {
    name: Factors(tier.ttft_factor, tier.speed_factor) for name, tier in ASSUMED_TIER_SPEEDS.items()
}

#: Assumption: latency-optimised Nova Pro writes 153 instead of 95 tokens a second, Claude 3.5 Haiku begins after 0.6
#: instead of 1.1 s (published measurements of 2025 and 2026).
ASSUMED_OPTIMIZED = Factors(ttft_factor=0.55, speed_factor=1.6)

#: Assumption: one answer in a hundred waits 3 to 10 times as long for its first token.
ASSUMED_TAIL = Tail(share=0.01, factor_min=3.0, factor_max=10.0)

NO_TAIL = Tail()
NO_THOUGHT = Distribution(Kind.FIXED)


@dataclass(frozen=True, slots=True)
class Profile:
    """How one model answers: its distributions, and what tiers change."""

    ttft_ms: Distribution
    prefill_ms_per_token: float
    tokens_per_second: Distribution
    tokens_per_event: int
    output_tokens: Distribution
    tail: Tail
    tiers: Mapping[str, Factors]
    #: Tokens of thought before the answer, for requests that allow them, or for all.
    reasoning_tokens: Distribution = NO_THOUGHT
    always_reasons: bool = False
    #: What latency-optimised changes.
    optimized: Factors = UNCHANGED
    #: Share of the prefill time that a token read from the prompt cache takes.
    cache_read_share: float = 0.0

    def tier(self, name: str) -> Factors:
        """What a tier changes."""
        return self.tiers.get(name, UNCHANGED)


@dataclass(frozen=True, slots=True)
class Draw:
    """The random numbers of one answer, each uniform in (0, 1)."""

    ttft: float
    speed: float
    length: float
    tail_chance: float
    tail_size: float
    reasoning: float


class DrawStreams:
    """Random numbers by model and tier: the k-th accepted call gets the k-th draw of its model.

    Two runs with the same seed and the same number of calls per model and tier use the same numbers, in whatever
    order the calls of different models and tiers arrive. All tiers of a model see the same sequence, so that a
    comparison of tiers is not blurred by luck.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._streams: dict[tuple[str, str], random.Random] = {}

    def next(self, model_id: str, tier: str) -> Draw:
        """The next draw of a model in a tier."""
        stream = self._streams.get((model_id, tier))
        if stream is None:
            stream = self._streams[model_id, tier] = random.Random(f"{self._seed}/{model_id}")
        uniform = stream.random
        return Draw(*(max(uniform(), _SMALLEST_UNIFORM) for _ in range(6)))

    def restart(self) -> None:
        """Begin every stream again, as after a fresh start."""
        self._streams.clear()


@dataclass(frozen=True, slots=True)
class AnswerPlan:
    """The schedule of one answer; times are seconds after work on the request began."""

    ttft_s: float
    decode_interval_s: float
    reasoning_tokens: int
    answer_tokens: int
    tokens_per_event: int

    @property
    def output_tokens(self) -> int:
        """All tokens that are decoded: those of thought and those of the answer."""
        return self.reasoning_tokens + self.answer_tokens

    @property
    def open_s(self) -> float:
        """When `messageStart` is due: the prefill is over, the first token is being decoded."""
        return max(0.0, self.ttft_s - self.decode_interval_s)

    @property
    def end_s(self) -> float:
        """When the last token is due; without any (an embedding), when the prefill is over."""
        return self.token_due_s(max(1, self.output_tokens))

    def token_due_s(self, token: int) -> float:
        """When the `token`-th token (from 1) is decoded."""
        return self.ttft_s + (token - 1) * self.decode_interval_s

    def tokens_by(self, elapsed_s: float) -> int:
        """How many tokens are decoded after `elapsed_s`."""
        if elapsed_s < self.ttft_s:
            return 0
        if self.decode_interval_s <= 0.0:
            return self.output_tokens
        return min(self.output_tokens, 1 + int((elapsed_s - self.ttft_s) / self.decode_interval_s))

    def event_ends(self) -> Iterator[int]:
        """For each content event the number of tokens out with it: 1, then `tokens_per_event` more each.

        The last event of thought ends with the thought.
        """
        sent = 0
        for end in (self.reasoning_tokens, self.output_tokens):
            while sent < end:
                sent = min(sent + self.tokens_per_event, end) if sent else 1
                yield sent


def plan_answer(
    profile: Profile, factors: Factors, prefill_tokens: float, tokens: tuple[int, int], draw: Draw
) -> AnswerPlan:
    """Schedule of one answer of so many tokens of thought and of answer."""
    ttft_ms = profile.ttft_ms.at(draw.ttft) + profile.prefill_ms_per_token * prefill_tokens
    ttft_ms *= factors.ttft_factor * profile.tail.factor(draw.tail_chance, draw.tail_size)
    reasoning_tokens, answer_tokens = tokens
    return AnswerPlan(
        ttft_s=ttft_ms / 1000.0,
        decode_interval_s=1.0 / (profile.tokens_per_second.at(draw.speed) * factors.speed_factor),
        reasoning_tokens=reasoning_tokens,
        answer_tokens=answer_tokens,
        tokens_per_event=profile.tokens_per_event,
    )
