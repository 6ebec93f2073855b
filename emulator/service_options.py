"""Service tier and latency setting of a request: whether the model is served so."""

from bedrock.catalog import SERVICE_TIERS, Model
from emulator import errors
from emulator.body_checks import shown

DEFAULT_TIER = "default"
STANDARD_LATENCY, OPTIMIZED_LATENCY = "standard", "optimized"
_LATENCIES = (OPTIMIZED_LATENCY, STANDARD_LATENCY)


def check_tier(tier: str | None, model: Model) -> str:
    """The tier a request is served in; ServiceError where it cannot be."""
    if tier is None:
        return DEFAULT_TIER
    if tier not in SERVICE_TIERS:
        raise errors.invalid_tier()
    if tier == "reserved":
        raise errors.no_reservation()
    if not model.supports_tier(tier):
        raise errors.unsupported_tier()
    return tier


def check_latency(latency: str | None, model_id: str) -> str:
    """The latency setting a request is served with; ServiceError where it cannot be."""
    if latency is None:
        return STANDARD_LATENCY
    if latency not in _LATENCIES:
        raise errors.constraint(
            f"Value '{shown(latency)}' at 'performanceConfig.latency'",
            f"Member must satisfy enum value set: [{', '.join(_LATENCIES)}]",
        )
    if latency == OPTIMIZED_LATENCY:
        raise errors.validation(f"Latency performance configuration is not supported for {model_id}")
    return latency
