"""Service tier and latency setting of a request: whether the model is served so."""

from bedrock.catalog import SERVICE_TIERS, Model, split_model_id
from emulator import errors
from emulator.body_checks import shown

DEFAULT_TIER, RESERVED_TIER = "default", "reserved"
STANDARD_LATENCY, OPTIMIZED_LATENCY = "standard", "optimized"
_LATENCIES = (OPTIMIZED_LATENCY, STANDARD_LATENCY)


def check_tier(tier: str | None, model: Model, *, has_reservation: bool) -> str:
    """The tier a request asks for; ServiceError where the model is not served in it."""
    if tier is None:
        return DEFAULT_TIER
    if tier not in SERVICE_TIERS:
        raise errors.invalid_tier()
    if tier == RESERVED_TIER and not (has_reservation and model.supports_tier(tier)):
        raise errors.no_reservation()
    if not model.supports_tier(tier):
        raise errors.unsupported_tier()
    return tier


def check_latency(latency: str | None, model: Model, model_id: str, region: str | None) -> str:
    """The latency setting a request asks for; ServiceError where it is none, or the model is not served so.

    Latency-optimised inference exists in some regions, and only through the cross-region profile of their geography.
    `region` is the caller's; where it is not known, it is taken for one of them.
    """
    if latency is None:
        return STANDARD_LATENCY
    if latency not in _LATENCIES:
        raise errors.constraint(
            f"Value '{shown(latency)}' at 'performanceConfig.latency'",
            f"Member must satisfy enum value set: [{', '.join(_LATENCIES)}]",
        )
    if latency == OPTIMIZED_LATENCY:
        regions = model.optimized_regions_of(split_model_id(model_id).prefix)
        if not regions or (region is not None and region not in regions):
            raise errors.no_optimized_latency(model.id, region)
    return latency
