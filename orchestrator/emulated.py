"""What answers of a suite's own emulator are like on average: the plan's expectations where the scenario sets them."""

from dataclasses import dataclass, replace
from statistics import fmean

from bedrock.catalog import Model, profile_id
from emulator.config import EmulatorConfig, parse_config
from emulator.timing import UNCHANGED, Profile
from orchestrator.settings import Settings
from scenarios.expectations import ASSUMED, Expectations

#: Quantiles that stand for a distribution: the means of the shipped ones are within 0.2 % of the exact ones.
_QUANTILES = tuple((number + 0.5) / 400 for number in range(400))


def expectations(settings: Settings) -> Expectations:
    """Those of the emulator that the run starts, if the scenario configures it; else the catalogue's assumptions."""
    section = settings.scenario.emulator
    if not settings.starts_emulator or not section:
        return ASSUMED
    return EmulatedExpectations(parse_config(section), is_optimized=settings.scenario.request.latency == "optimized")


class EmulatedExpectations:
    """Means of the emulator's timing model (`emulator.timing`), without faults, load and answers given in advance."""

    def __init__(self, config: EmulatorConfig, *, is_optimized: bool = False) -> None:
        self._config = config
        self._is_optimized = is_optimized
        self._known: dict[str, _Model] = {}

    def output_tokens(self, model: Model, prefix: str | None, max_tokens: int) -> float:
        """Mean tokens of an answer, of thought and of text, that may have `max_tokens`."""
        return fmean(min(tokens, max_tokens) for tokens in self._model(model, prefix).output_tokens)

    def e2e_s(self, model: Model, prefix: str | None, input_tokens: float, output_tokens: float, tier: str) -> float:
        """Mean seconds of a call."""
        known = self._model(model, prefix)
        profile = known.profile
        factors = profile.tier(tier).times(profile.optimized if self._is_optimized else UNCHANGED)
        ttft_ms = (known.ttft_ms + profile.prefill_ms_per_token * input_tokens) * factors.ttft_factor
        return ttft_ms / 1000.0 + max(output_tokens - 1.0, 0.0) * known.token_s / factors.speed_factor

    def _model(self, model: Model, prefix: str | None) -> "_Model":
        sent_id = profile_id(model.id, prefix)
        if sent_id not in self._known:
            self._known[sent_id] = _Model.of(self._config.profile(sent_id))
        return self._known[sent_id]


@dataclass(frozen=True, slots=True)
class _Model:
    """A profile, and what its distributions come to: tokens of equally likely answers, mean ms and seconds a token."""

    profile: Profile
    output_tokens: tuple[float, ...]
    ttft_ms: float
    token_s: float

    @classmethod
    def of(cls, profile: Profile) -> "_Model":
        tail = profile.tail
        tail_factor = 1.0 + tail.share * ((tail.factor_min + tail.factor_max) / 2.0 - 1.0)
        profile = replace(profile, prefill_ms_per_token=profile.prefill_ms_per_token * tail_factor)
        return cls(
            profile,
            _output_tokens(profile),
            fmean(map(profile.ttft_ms.at, _QUANTILES)) * tail_factor,
            fmean(1.0 / profile.tokens_per_second.at(uniform) for uniform in _QUANTILES),
        )


def _output_tokens(profile: Profile) -> tuple[float, ...]:
    answers = [max(1.0, profile.output_tokens.at(uniform)) for uniform in _QUANTILES]
    if not profile.always_reasons:
        return tuple(answers)
    thoughts = [max(1.0, profile.reasoning_tokens.at(uniform)) for uniform in _QUANTILES[5::10]]
    return tuple(thought + answer for thought in thoughts for answer in answers[5::10])
