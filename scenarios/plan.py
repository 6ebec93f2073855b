"""What a suite will send, how long it takes and what it costs, before anything is sent.

All figures are estimates from stated assumptions: the prompts as they are, and what `scenarios.expectations` says of
answers. Pure: the same cells and messages give the same plan.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Protocol

from bedrock.catalog import Catalog, Model, Price
from bedrock.pricing import cost_usd
from bedrock.tokens import estimate_tokens
from scenarios.cells import Cell
from scenarios.expectations import ASSUMED, Expectations
from scenarios.sessions import ONE_SHOT, SessionShape

#: Share of the assumed answer at the low end of the cost range; the high end assumes `max_tokens` in every answer.
LOW_OUTPUT_SHARE = 0.5

#: Seconds a cell takes beside its load and its drain: starting and ending the Locust processes.
CELL_OVERHEAD_S = 3.0

#: Seconds a suite takes beside its cells: the emulator, the analysis, the report.
SUITE_OVERHEAD_S = 12.0

#: Whose quota it is: that of a model id as sent in the Region that is called. A profile that leads to several Regions
#: has its quota in the one that it is called in.
QuotaKey = tuple[str | None, str]

#: Sources of quotas.
DEFAULT, EMULATOR, ACCOUNT = "default", "emulator", "Service Quotas"

#: Slots of the open loop: this many times the expected calls in flight ...
SLOT_FACTOR = 3.0
#: ... plus this many standard deviations of a Poisson count (M/G/infinity: calls in flight are Poisson) ...
SLOT_DEVIATIONS = 5.0
#: ... and never fewer than this. An idle slot costs 10 kB; a missing one drops arrivals.
MIN_SLOTS = 10


class SampledMessage(Protocol):
    """What the plan needs of a message: text, base id of its model, own `max_tokens` if any, tokens said before it."""

    @property
    def text(self) -> str:
        """The prompt."""

    @property
    def model_id(self) -> str:
        """Base id of the model."""

    @property
    def max_tokens(self) -> int | None:
        """Most output tokens of its answer; None for the cell's."""

    @property
    def history_tokens(self) -> float:
        """Expected tokens of the earlier turns that it carries; 0 where it stands alone."""


@dataclass(frozen=True, slots=True)
class SystemPart:
    """What every request has beside its prompt, system prompt and nonce: its tokens, and if there is a cache point."""

    tokens: int = 0
    is_cached: bool = False

    def cached_tokens(self, model: Model) -> int:
        """Tokens that a model reads from its prompt cache from the second request on; 0 where it caches nothing."""
        least = model.cache_min_tokens
        return self.tokens if self.is_cached and least is not None and self.tokens >= least else 0


NO_SYSTEM = SystemPart()


@dataclass(frozen=True, slots=True)
class CostRange:
    """USD: short answers, assumed answers, every answer as long as `max_tokens` allows and no cache hit."""

    low_usd: float
    expected_usd: float
    high_usd: float

    def __add__(self, other: "CostRange") -> "CostRange":
        return CostRange(
            self.low_usd + other.low_usd, self.expected_usd + other.expected_usd, self.high_usd + other.high_usd
        )


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """A cell's traffic to one model. `input_tokens` are all of a request, `cached_tokens` those of them in the cache.

    Tokens a minute are the most that the quota holds against the model: of calls that have ended in the busiest minute
    input that is not cached + output x burn-down, of those in flight at its end the reservation, all input + max_tokens
    (bedrock.md section 3). A call that does not fit with its reservation is throttled.
    """

    model_id: str
    share: float
    input_tokens: float
    cached_tokens: float
    output_tokens: float
    e2e_s: float
    requests_per_minute: float
    tokens_per_minute: float
    cost: CostRange | None


@dataclass(frozen=True, slots=True)
class CellPlan:
    """One cell: requests and tokens with warm-up, peak calls in flight, users or slots, seconds, USD.

    `cost` is None where the catalogue has no price for a model in the tier.
    """

    cell: Cell
    requests: float
    input_tokens: float
    output_tokens: float
    peak_in_flight: float
    slots: int
    duration_s: float
    cost: CostRange | None
    models: tuple[ModelPlan, ...]


@dataclass(frozen=True, slots=True)
class KnownQuota:
    """Requests and tokens a minute that a model id may take, None where there is no such quota, and who says so."""

    rpm: float | None
    tpm: float | None
    source: str = DEFAULT


@dataclass(frozen=True, slots=True)
class QuotaUse:
    """The busiest minute that any cell asks of a model in a Region against its quota (None: no quota).

    `source` says whose quota it is.

    Most requests and most tokens may be those of two cells: small prompts at a high rate, large ones at a low.
    """

    model_id: str
    region: str | None
    requests_cell: str
    requests_per_minute: float
    rpm_quota: float | None
    tokens_cell: str
    tokens_per_minute: float
    tpm_quota: float | None
    source: str = DEFAULT

    @property
    def exceeds(self) -> bool:
        """Whether the plan asks for more than the quota, so that throttling is to be expected."""
        return _above(self.requests_per_minute, self.rpm_quota) or _above(self.tokens_per_minute, self.tpm_quota)


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole suite; `cells` are those that run, `skipped` those that Bedrock would refuse."""

    cells: tuple[CellPlan, ...]
    skipped: tuple[Cell, ...]
    requests: float
    input_tokens: float
    output_tokens: float
    peak_in_flight: float
    duration_s: float
    cost: CostRange | None
    quotas: tuple[QuotaUse, ...]
    #: The Region that cells without one of their own call.
    region: str | None = None

    def quota_key(self, planned: CellPlan, model: ModelPlan) -> QuotaKey:
        """The quota that a cell's traffic to a model takes from."""
        return planned.cell.region or self.region, model.model_id

    def quota_share(self, planned: CellPlan) -> float | None:
        """The most that a cell's busiest minute takes of a model's quota, of requests or of tokens, as a fraction.

        Above 1 the cell measures the quota and not the model. None where no model has a quota.
        """
        uses = {(use.region, use.model_id): use for use in self.quotas}
        known = [(model, uses[self.quota_key(planned, model)]) for model in planned.models]
        shares = [
            asked / quota
            for model, use in known
            for asked, quota in (
                (model.requests_per_minute, use.rpm_quota),
                (model.tokens_per_minute, use.tpm_quota),
            )
            if quota
        ]
        return max(shares, default=None)


def slots_for(in_flight: float) -> int:
    """Concurrency slots for an expected peak of calls in flight, with head-room for slower answers and bursts."""
    roomy = SLOT_FACTOR * in_flight
    return max(MIN_SLOTS, math.ceil(roomy + SLOT_DEVIATIONS * math.sqrt(roomy)))


def mean_e2e_s(
    sample: Sequence[SampledMessage],
    max_tokens: int,
    catalog: Catalog,
    system: SystemPart = NO_SYSTEM,
    tier: str = "default",
) -> float:
    """Expected seconds of a call; UnknownModelError for a model whose speed nobody knows."""
    return _mean_e2e_s(_parts(sample, _Answers(max_tokens, tier, None, ASSUMED), catalog, system))


def make_plan(
    cells: Iterable[Cell],
    samples: Mapping[str, Sequence[SampledMessage]],
    catalog: Catalog,
    system: SystemPart = NO_SYSTEM,
    shape: SessionShape = ONE_SHOT,
    *,
    cool_down_s: float = 0.0,
    quotas: Mapping[QuotaKey, KnownQuota] | None = None,
    region: str | None = None,
    expected: Expectations = ASSUMED,
) -> Plan:
    """The plan of a suite. `samples` has, by cell name, messages as the cell will send them, at least one.

    `shape` is that of the conversations which arrive, or which users hold; `cool_down_s` the pause between two cells.
    `quotas` are those that are known; for others the account's default quota is taken. `region` is that of cells which
    name none. `expected` is what answers are like.
    """
    all_cells = tuple(cells)
    planned = tuple(
        plan_cell(cell, samples[cell.cell], catalog, system, shape, expected=expected)
        for cell in all_cells
        if cell.status != "skipped"
    )
    pauses_s = cool_down_s * max(len(planned) - 1, 0)
    plan = Plan(
        cells=planned,
        skipped=tuple(cell for cell in all_cells if cell.status == "skipped"),
        requests=math.fsum(cell.requests for cell in planned),
        input_tokens=math.fsum(cell.input_tokens for cell in planned),
        output_tokens=math.fsum(cell.output_tokens for cell in planned),
        peak_in_flight=max((cell.peak_in_flight for cell in planned), default=0.0),
        duration_s=math.fsum(cell.duration_s for cell in planned) + pauses_s + SUITE_OVERHEAD_S,
        cost=_total_cost(cell.cost for cell in planned),
        quotas=(),
        region=region,
    )
    return with_quotas(plan, quotas or {}, catalog)


def plan_cell(
    cell: Cell,
    sample: Sequence[SampledMessage],
    catalog: Catalog,
    system: SystemPart = NO_SYSTEM,
    shape: SessionShape = ONE_SHOT,
    *,
    expected: Expectations = ASSUMED,
) -> CellPlan:
    """The plan of one cell. Conversations that its end cuts short are counted whole: it may send less, never more."""
    answers = _Answers(cell.max_tokens, cell.service_tier, cell.region_prefix, expected)
    parts = _parts(sample, answers, catalog, system)
    e2e_s = _mean_e2e_s(parts)
    load = _load(cell, e2e_s, shape)
    requests, in_flight = load.requests, load.in_flight
    models = tuple(_plan_model(cell, part, load, in_flight * part.e2e_s / e2e_s, catalog) for part in parts)
    return CellPlan(
        cell=cell,
        requests=requests,
        input_tokens=math.fsum(requests * part.share * part.input_tokens for part in parts),
        output_tokens=math.fsum(requests * part.share * part.output_tokens for part in parts),
        peak_in_flight=in_flight,
        slots=cell.users or slots_for(in_flight + _peak_thinking(cell, shape)),
        duration_s=cell.ramp_s + cell.warmup_s + cell.duration_s + e2e_s + CELL_OVERHEAD_S,
        cost=_total_cost(model.cost for model in models),
        models=models,
    )


def _peak_thinking(cell: Cell, shape: SessionShape) -> float:
    """Slots of conversations that are between two messages, at the peak rate (Little's law)."""
    return cell.schedule().peak_rps * shape.thinking_s if shape.thinking_s else 0.0


@dataclass(frozen=True, slots=True)
class _Load:
    """Requests in all, requests in the busiest minute, and peak calls in flight (Little's law)."""

    requests: float
    per_minute: float
    in_flight: float


def _load(cell: Cell, e2e_s: float, shape: SessionShape) -> _Load:
    if cell.is_open:
        schedule = cell.schedule()
        requests = schedule.expected_between(0.0, schedule.duration_s) * shape.turns
        return _Load(requests, schedule.busiest(60.0) * shape.turns, schedule.peak_rps * shape.turns * e2e_s)
    profile = cell.user_profile()
    # The mean time of one message: a conversation and the pause behind it, shared by its messages.
    cycle_s = (shape.lasts_s(e2e_s) + sum(cell.think_time_s) / 2.0) / shape.turns
    # While users are started, half of them run on average.
    cycles = (profile.user_seconds + profile.users_at(0.0) * cell.ramp_s / 2.0) / cycle_s
    # Conversations are too long for their first message to count.
    requests = cycles + (_first_calls(cell, profile.users_at(0.0), e2e_s, cycle_s) if shape == ONE_SHOT else 0.0)
    per_minute = min(requests, profile.busiest(60.0) / cycle_s)
    return _Load(requests, per_minute, profile.peak_users * e2e_s / cycle_s)


def _first_calls(cell: Cell, users: int, e2e_s: float, cycle_s: float) -> float:
    """Calls beyond time / cycle, because a test begins with none in flight.

    A user who starts before the first answer calls after any part of a think time, and not of a whole cycle. With a
    first call after m on average, a user makes (T - m) / cycle + 1/2 calls in T seconds (renewal theory), which is
    1/2 - m / cycle more. Later users come in step with the rest and make no more.
    """
    early = users * min(1.0, e2e_s / cell.ramp_s) if cell.ramp_s > 0.0 else float(users)
    first_call_s = cell.think_time_s[1] / 2.0
    return early * max(0.5 - first_call_s / cycle_s, 0.0)


@dataclass(frozen=True, slots=True)
class _Part:
    """The share of the messages that one model gets, with their mean tokens and seconds.

    `most_output_tokens` is the mean of what the answers are allowed.
    """

    model: Model
    share: float
    input_tokens: float
    cached_tokens: float
    output_tokens: float
    most_output_tokens: float
    e2e_s: float


def _mean_e2e_s(parts: Sequence["_Part"]) -> float:
    return math.fsum(part.share * part.e2e_s for part in parts)


@dataclass(frozen=True, slots=True)
class _Answers:
    """What answers may be and are expected to be."""

    max_tokens: int
    tier: str
    prefix: str | None
    expected: Expectations

    def output_tokens(self, model: Model, allowed: int) -> float:
        return self.expected.output_tokens(model, self.prefix, allowed)

    def e2e_s(self, model: Model, input_tokens: float, output_tokens: float) -> float:
        return self.expected.e2e_s(model, self.prefix, input_tokens, output_tokens, self.tier)


def _parts(sample: Sequence[SampledMessage], answers: _Answers, catalog: Catalog, system: SystemPart) -> list[_Part]:
    by_model: dict[str, list[SampledMessage]] = {}
    for message in sample:
        by_model.setdefault(message.model_id, []).append(message)
    parts = []
    for base_id, messages in by_model.items():
        model = catalog.resolve(base_id)
        allowed = Counter(message.max_tokens or answers.max_tokens for message in messages)
        own_tokens = fmean(estimate_tokens(message.text) + message.history_tokens for message in messages)
        input_tokens = system.tokens + own_tokens
        cached_tokens = system.cached_tokens(model)
        output_tokens = fmean((answers.output_tokens(model, most) for most in allowed), allowed.values())
        most_tokens = fmean((min(most, model.max_output_tokens) for most in allowed), allowed.values())
        e2e_s = answers.e2e_s(model, input_tokens - cached_tokens, output_tokens)
        share = len(messages) / len(sample)
        parts.append(_Part(model, share, input_tokens, cached_tokens, output_tokens, most_tokens, e2e_s))
    return parts


def _plan_model(cell: Cell, part: _Part, load: _Load, in_flight: float, catalog: Catalog) -> ModelPlan:
    """A model's part of a cell; `in_flight` are the calls in flight if the model had all of the load."""
    sent_id = cell.sent_id(part.model.id)
    price = catalog.price(sent_id, cell.service_tier)
    cost = None if price is None else _cost_range(part, load.requests * part.share, price)
    return ModelPlan(
        model_id=sent_id,
        share=part.share,
        input_tokens=part.input_tokens,
        cached_tokens=part.cached_tokens,
        output_tokens=part.output_tokens,
        e2e_s=part.e2e_s,
        requests_per_minute=load.per_minute * part.share,
        tokens_per_minute=_held_tokens(part, load.per_minute * part.share, in_flight * part.share),
        cost=cost,
    )


def _held_tokens(part: _Part, calls: float, in_flight: float) -> float:
    """Tokens held against the quota at the end of a minute with so many calls, of which some are still in flight."""
    settled = part.input_tokens - part.cached_tokens + part.model.burndown * part.output_tokens
    reserved = part.input_tokens + part.most_output_tokens
    open_calls = min(calls, in_flight)
    return (calls - open_calls) * settled + open_calls * max(reserved, settled)


def _cost_range(part: _Part, calls: float, price: Price) -> CostRange:
    """Cost of the calls to one model: the first writes the cache, all others read it; at worst none ever does."""
    plain, cached = part.input_tokens - part.cached_tokens, part.cached_tokens
    written = min(calls, 1.0)
    low, expected = (
        calls * cost_usd(price, plain, output) + cost_usd(price, 0.0, 0.0, (calls - written) * cached, written * cached)
        for output in (part.output_tokens * LOW_OUTPUT_SHARE, part.output_tokens)
    )
    unread = max(cost_usd(price, cached, 0.0), cost_usd(price, 0.0, 0.0, cache_write_tokens=cached))
    return CostRange(low, expected, calls * (cost_usd(price, plain, part.most_output_tokens) + unread))


def _total_cost(costs: Iterable[CostRange | None]) -> CostRange | None:
    """The sum, None as soon as one part is unknown: a total that leaves something out would be too low."""
    total = CostRange(0.0, 0.0, 0.0)
    for cost in costs:
        if cost is None:
            return None
        total = total + cost
    return total


def with_quotas(plan: Plan, quotas: Mapping[QuotaKey, KnownQuota], catalog: Catalog) -> Plan:
    """The plan against other quotas; the default quota where none is given."""
    busiest: dict[QuotaKey, QuotaUse] = {}
    for planned in plan.cells:
        for model in planned.models:
            key = plan.quota_key(planned, model)
            use = _use_of(planned, model, key, quotas.get(key) or _default_quota(planned.cell, model, catalog))
            busiest[key] = _busier(busiest[key], use) if key in busiest else use
    return replace(plan, quotas=tuple(busiest.values()))


def _busier(known: QuotaUse, other: QuotaUse) -> QuotaUse:
    """The most requests and the most tokens of two cells, each with its cell."""
    if other.requests_per_minute > known.requests_per_minute:
        known = replace(known, requests_cell=other.requests_cell, requests_per_minute=other.requests_per_minute)
    if other.tokens_per_minute > known.tokens_per_minute:
        known = replace(known, tokens_cell=other.tokens_cell, tokens_per_minute=other.tokens_per_minute)
    return known


def _default_quota(cell: Cell, model: ModelPlan, catalog: Catalog) -> KnownQuota:
    entry = catalog.resolve(model.model_id)
    quota = entry.cross_region_quota if cell.region_prefix else entry.quota
    return KnownQuota(quota.rpm, quota.tpm)


def _use_of(planned: CellPlan, model: ModelPlan, key: QuotaKey, quota: KnownQuota) -> QuotaUse:
    return QuotaUse(
        model_id=model.model_id,
        region=key[0],
        requests_cell=planned.cell.cell,
        requests_per_minute=model.requests_per_minute,
        rpm_quota=quota.rpm,
        tokens_cell=planned.cell.cell,
        tokens_per_minute=model.tokens_per_minute,
        tpm_quota=quota.tpm,
        source=quota.source,
    )


def _above(value: float, limit: float | None) -> bool:
    return limit is not None and value > limit
