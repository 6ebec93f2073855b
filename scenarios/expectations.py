"""How long answers are expected to be and to take: the assumptions that a plan is made of."""

import math
from statistics import NormalDist
from typing import Protocol

from bedrock.catalog import ASSUMED_TIER_SPEEDS, Model, TierSpeed

#: Answers of the workload in tokens: lognormal with this median and sigma, cut off at `max_tokens`. An assumption,
#: and what the emulator does by default.
OUTPUT_TOKENS_MEDIAN = 120.0
OUTPUT_TOKENS_SIGMA = 0.5


class Expectations(Protocol):
    """What answers of a model behind an inference profile prefix (None: its base id) are like on average."""

    def output_tokens(self, model: Model, prefix: str | None, max_tokens: int) -> float:
        """Mean tokens of an answer that may have `max_tokens`."""

    def e2e_s(self, model: Model, prefix: str | None, input_tokens: float, output_tokens: float, tier: str) -> float:
        """Mean seconds of a call in a tier; `input_tokens` are those that are not read from a cache."""


class AssumedExpectations:
    """The speeds that the catalogue assumes, and the workload's answers."""

    def output_tokens(self, _model: Model, _prefix: str | None, max_tokens: int) -> float:
        """Mean tokens of an answer."""
        return assumed_output_tokens(max_tokens)

    def e2e_s(self, model: Model, _prefix: str | None, input_tokens: float, output_tokens: float, tier: str) -> float:
        """Mean seconds of a call."""
        return assumed_e2e_s(model, input_tokens, output_tokens, tier)


ASSUMED = AssumedExpectations()


def assumed_output_tokens(max_tokens: int) -> float:
    """Mean output tokens of an answer: E[min(X, max_tokens)] of the assumed lognormal X (its limited expectation)."""
    normal = NormalDist()
    z = math.log(max_tokens / OUTPUT_TOKENS_MEDIAN) / OUTPUT_TOKENS_SIGMA
    mean = OUTPUT_TOKENS_MEDIAN * math.exp(OUTPUT_TOKENS_SIGMA**2 / 2.0)
    return mean * normal.cdf(z - OUTPUT_TOKENS_SIGMA) + max_tokens * (1.0 - normal.cdf(z))


def assumed_e2e_s(model: Model, input_tokens: float, output_tokens: float, tier: str = "default") -> float:
    """Mean seconds of a call in a tier: mean of the lognormal TTFT, prefill of the input, decoding of the output."""
    speed, factors = model.assumed, ASSUMED_TIER_SPEEDS.get(tier, TierSpeed())
    ttft_ms = speed.ttft_ms * math.exp(speed.ttft_sigma**2 / 2.0) + speed.prefill_ms_per_token * input_tokens
    return ttft_ms * factors.ttft_factor / 1000.0 + output_tokens / (speed.output_tokens_per_s * factors.speed_factor)
