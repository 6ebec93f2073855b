"""From the settings of one model to what the emulator works with: profile, quota, concurrency, reservation."""

from collections.abc import Mapping
from typing import Any

from bedrock.catalog import Model
from emulator.capacity import PRIORITY, CapacityLimits
from emulator.modelled_errors import MODELLED
from emulator.quotas import QuotaLimits, ReservationRule, ReservedLimits, Window
from emulator.timing import (
    ASSUMED_OPTIMIZED,
    ASSUMED_TAIL,
    ASSUMED_TIERS,
    NO_TAIL,
    Distribution,
    Factors,
    Kind,
    Profile,
    Tail,
)

#: Assumption: answers have a median length of 120 tokens, 95 of 100 between 45 and 320.
ASSUMED_OUTPUT_TOKENS = {"distribution": Kind.LOGNORMAL, "median": 120.0, "sigma": 0.5, "min": 1.0}
#: Assumption: thoughts have a median length of 300 tokens.
ASSUMED_REASONING_TOKENS = {"distribution": Kind.LOGNORMAL, "median": 300.0, "sigma": 0.6, "min": 1.0}
#: Assumption: a tenth of the places is for priority calls alone.
ASSUMED_PRIORITY_SHARE = 0.1
#: Assumption: what comes from the prompt cache takes a tenth of its prefill. AWS says "latency by up to 85 %" less.
ASSUMED_CACHE_READ_SHARE = 0.1
_FACTORS = ("ttft_factor", "speed_factor")


def assumed_settings(model: Model) -> dict[str, Any]:
    """What holds for a model where the configuration says nothing; assumptions, not AWS data."""
    assumed = model.assumed
    return {
        "latency": {
            "ttft_ms": {"distribution": Kind.LOGNORMAL, "median": assumed.ttft_ms, "sigma": assumed.ttft_sigma},
            "prefill_ms_per_token": assumed.prefill_ms_per_token,
            "cache_read_share": ASSUMED_CACHE_READ_SHARE,
            "tokens_per_second": {"distribution": Kind.FIXED, "median": assumed.output_tokens_per_s},
            "tokens_per_event": assumed.tokens_per_event,
        },
        "output_tokens": ASSUMED_OUTPUT_TOKENS,
        "tiers": {name: _factor_settings(factors) for name, factors in ASSUMED_TIERS.items()},
        "optimized": _factor_settings(ASSUMED_OPTIMIZED),
        "reasoning": {"always": False, "tokens": ASSUMED_REASONING_TOKENS},
    }


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `over`, mapping by mapping."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result


def profile_of(settings: Mapping[str, Any], model: Model) -> Profile:
    """How a model with these settings answers."""
    latency = settings["latency"]
    ttft_ms = _distribution(latency["ttft_ms"])
    return Profile(
        ttft_ms=ttft_ms,
        prefill_ms_per_token=latency["prefill_ms_per_token"],
        tokens_per_second=_distribution(latency["tokens_per_second"]),
        tokens_per_event=latency["tokens_per_event"],
        output_tokens=_distribution(settings["output_tokens"]),
        tail=_tail(settings.get("tail"), ttft_ms.kind),
        tiers={name: _factors(given) for name, given in settings["tiers"].items()},
        optimized=_factors(settings["optimized"]),
        reasoning_tokens=_distribution(settings["reasoning"]["tokens"]),
        always_reasons=model.reasoning and settings["reasoning"]["always"],
        cache_read_share=latency["cache_read_share"],
    )


def _factor_settings(factors: Factors) -> dict[str, float]:
    return {name: getattr(factors, name) for name in _FACTORS}


def _factors(settings: Mapping[str, Any]) -> Factors:
    return Factors(**{name: settings[name] for name in _FACTORS if name in settings})


def _distribution(settings: Mapping[str, Any]) -> Distribution:
    names = {"distribution": "kind", "min": "low", "max": "high"}
    known = {names.get(key, key): value for key, value in settings.items() if value is not None}
    known["values"] = tuple(known.get("values", ()))
    return Distribution(**known)


def _tail(settings: Mapping[str, Any] | None, ttft_kind: Kind) -> Tail:
    """The configured tail; else the assumed one for a lognormal TTFT, and none for one that was spelled out."""
    assumed = ASSUMED_TAIL if ttft_kind is Kind.LOGNORMAL else NO_TAIL
    if settings is None:
        return assumed
    return Tail(**{"share": assumed.share, "factor_min": 3.0, "factor_max": 10.0, **settings})


def quota_of(settings: Mapping[str, Any], model: Model, *, is_regional: bool) -> QuotaLimits:
    """The quota that these settings describe; `catalog` stands for a default account's, by the kind of id."""
    known = dict(settings)
    if known.pop("limits", None) is not None:
        account = model.quota if is_regional else model.cross_region_quota
        known = {"rpm": account.rpm, "tpm": account.tpm, **known}
    return QuotaLimits(
        rpm=known.get("rpm"),
        tpm=known.get("tpm"),
        tpd=known.get("tpd"),
        window=known.get("window", Window.FIXED_MINUTE),
        burndown=known.get("burndown", model.burndown),
        reservation=known.get("reservation", ReservationRule.PLAIN),
    )


def concurrency_of(settings: Mapping[str, Any], model: Model) -> CapacityLimits:
    """The concurrency model of these settings; no places are set aside where there is no priority tier."""
    known = {"priority_share": ASSUMED_PRIORITY_SHARE, **settings}
    if not model.supports_tier(PRIORITY):
        known["priority_share"] = 0.0
    wording = known.pop("wording", "connections")
    return CapacityLimits(**known, message=MODELLED["ServiceUnavailableException"].wordings[wording])


def reserved_of(settings: Mapping[str, Any]) -> ReservedLimits | None:
    """The reserved capacity of these settings, None where there is none."""
    reserved = settings["tiers"].get("reserved")
    if reserved is None:
        return None
    return ReservedLimits(reserved["input_tpm"], reserved["output_tpm"])
