"""What the emulator keeps per model: quotas in use, calls in flight, cached prompts."""

from dataclasses import dataclass

from bedrock.catalog import split_model_id
from emulator.caching import PromptCache
from emulator.capacity import Capacity, CapacityLimits
from emulator.config import EmulatorConfig
from emulator.quotas import QuotaLimits, QuotaPool, ReservedCapacity
from emulator.timing import Profile


@dataclass(frozen=True, slots=True)
class ModelState:
    """What is kept for one model id. Capacity and cache belong to the model and are shared by all its ids.

    On AWS cross-region profiles have quotas of their own, apart from those of the region; so has each id here.
    """

    profile: Profile
    pool: QuotaPool | None
    optimized_pool: QuotaPool | None
    reserved: ReservedCapacity | None
    capacity: Capacity
    cache: PromptCache | None


class ModelStates:
    """The states of all models that were asked for."""

    def __init__(self, config: EmulatorConfig) -> None:
        self._config = config
        self._states: dict[tuple[str, bool], ModelState] = {}
        self._capacities: dict[str, Capacity] = {}
        self._caches: dict[str, PromptCache] = {}

    def of(self, key: str, *, is_provisioned: bool) -> ModelState:
        """The state of an id of the catalogue, with its profile prefix, on demand or provisioned."""
        state = self._states.get((key, is_provisioned))
        if state is None:
            make = self._provisioned if is_provisioned else self._on_demand
            state = self._states[key, is_provisioned] = make(key)
        return state

    def reset(self) -> None:
        """Fill quotas and empty caches. Calls under way go on: they still count as load, and settle with nobody."""
        self._states.clear()
        self._caches.clear()

    def _on_demand(self, key: str) -> ModelState:
        config, base = self._config, split_model_id(key).base
        reserved = config.reserved(key)
        return ModelState(
            profile=config.profile(key),
            pool=_pool(config.quota(key)),
            optimized_pool=_pool(config.optimized_quota(key)),
            reserved=None if reserved is None else ReservedCapacity(reserved),
            capacity=self._capacity(base),
            cache=self._cache(base),
        )

    def _provisioned(self, key: str) -> ModelState:
        """Provisioned throughput: no quota, no part in the load on the model."""
        cache = self._cache(split_model_id(key).base)
        return ModelState(self._config.profile(key), None, None, None, Capacity(CapacityLimits()), cache)

    def _capacity(self, base: str) -> Capacity:
        if base not in self._capacities:
            self._capacities[base] = Capacity(self._config.concurrency(base))
        return self._capacities[base]

    def _cache(self, base: str) -> PromptCache | None:
        min_tokens = self._config.catalog.models[base].cache_min_tokens
        if min_tokens is None:
            return None
        if base not in self._caches:
            self._caches[base] = PromptCache(min_tokens)
        return self._caches[base]


def _pool(limits: QuotaLimits | None) -> QuotaPool | None:
    return None if limits is None else QuotaPool(limits)
