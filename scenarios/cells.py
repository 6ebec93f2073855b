"""A suite's cells: one load test each, made of a scenario's dimensions."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bedrock.catalog import Catalog, is_arn, profile_id, short_name, split_model_id
from bedrock.outcome import mask_accounts
from scenarios.model import MANGAASSIST, NO_PREFIX, SINGLE_PROMPT, ExtraCell, Scenario
from scenarios.patterns import RateProfile, build_profile

#: Base model ids behind each routing that the scenario names.
RoutingModels = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Cell:
    """One load test of a suite, as `run.json` lists it.

    `model_id` is the base id, or an ARN with the model behind it where it does not say (`ARN=model`); None where a
    routing sends the traffic. `region_prefix` None sends the base id; an ARN is sent as it is.
    `status` is pending, running, finished, interrupted, failed or skipped, with the `reason` of the last two.
    """

    cell: str
    status: str
    reason: str | None
    traffic: str
    model_id: str | None
    routing: str | None
    #: AWS region to call; None for that of the run.
    region: str | None
    region_prefix: str | None
    service_tier: str
    prompt_size: str
    api: str
    load_model: str
    users: int | None
    rate_rps: float | None
    pattern: str
    process: str
    duration_s: float
    warmup_s: float
    max_tokens: int
    spike_factor: float
    spike_window: tuple[float, float]
    think_time_s: tuple[float, float]
    spawn_rate_rps: float
    max_lag_s: float
    drain_timeout_s: float

    def to_dict(self) -> dict[str, Any]:
        """The cell's entry in `run.json`, without account ids."""
        entry = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        return entry | {"model_id": None if self.model_id is None else mask_accounts(self.model_id)}

    @property
    def is_open(self) -> bool:
        """Whether arrivals follow a schedule."""
        return self.rate_rps is not None

    @property
    def ramp_s(self) -> float:
        """Time until all users of a closed loop run, in seconds; 0 in the open loop."""
        return 0.0 if self.users is None else self.users / self.spawn_rate_rps

    def profile(self) -> RateProfile:
        """The rate over time of an open-loop cell, warm-up included."""
        assert self.rate_rps is not None, "a closed loop has no schedule"  # noqa: S101
        return build_profile(
            self.pattern,
            self.rate_rps,
            self.duration_s,
            warmup_s=self.warmup_s,
            spike_factor=self.spike_factor,
            spike_window=self.spike_window,
        )

    def models(self, routings: RoutingModels) -> tuple[str, ...]:
        """Base ids of the models this cell calls."""
        if self.model_id is not None:
            return (self.model_id,)
        return tuple(dict.fromkeys(routings[self.routing or ""]))

    def sent_id(self, base_id: str) -> str:
        """The id to send for a base id: behind the cell's inference profile prefix, or the ARN in its place."""
        if self.model_id is not None and is_arn(self.model_id):
            return self.model_id
        return profile_id(base_id, self.region_prefix)


def expand(scenario: Scenario, catalog: Catalog, routings: RoutingModels) -> tuple[Cell, ...]:
    """All cells of a scenario in the order they run: the cross product, then `matrix.include`.

    A cell that Bedrock would refuse is there too, with status `skipped` and the reason.
    """
    cells = [*_cross_product(scenario), *(_extra_cell(scenario, extra) for extra in scenario.matrix.include)]
    named = _with_names([_with_own_prefix(cell) for cell in cells])
    return tuple(_skip_if_refused(cell, catalog, routings) for cell in named)


def _cross_product(scenario: Scenario) -> Iterator[Cell]:
    matrix, load = scenario.matrix, scenario.load
    template = _template(scenario)
    levels: list[tuple[int | None, float | None]] = [
        *((users, None) for users in matrix.user_counts or ((load.users,) if load.users else ())),
        *((None, rate) for rate in matrix.rates_rps or ((load.rate_rps,) if load.rate_rps else ())),
    ]
    for model_id, api, region, prefix, tier, size, (users, rate_rps), pattern in itertools.product(
        scenario.model_ids or (None,),
        matrix.apis or (scenario.api,),
        matrix.regions or (None,),
        matrix.region_prefixes,
        matrix.service_tiers,
        matrix.prompt_sizes,
        levels,
        matrix.patterns or (load.pattern,),
    ):
        yield replace(
            template,
            model_id=model_id,
            api=api,
            region=region,
            region_prefix=None if prefix == NO_PREFIX else prefix,
            service_tier=tier,
            prompt_size=size,
            load_model="closed" if users else "open",
            users=users,
            rate_rps=rate_rps,
            pattern=pattern,
        )


def _template(scenario: Scenario) -> Cell:
    """A cell with all that the dimensions leave alone."""
    load = scenario.load
    return Cell(
        cell="",
        status="pending",
        reason=None,
        traffic=scenario.traffic_kind,
        model_id=None,
        routing=scenario.routing,
        region=None,
        region_prefix=None,
        service_tier="default",
        prompt_size="medium",
        api=scenario.api,
        load_model="open",
        users=None,
        rate_rps=None,
        pattern=load.pattern,
        process=load.process,
        duration_s=load.duration_s,
        warmup_s=load.warmup_s,
        max_tokens=scenario.max_tokens,
        spike_factor=load.spike_factor,
        spike_window=load.spike_window,
        think_time_s=load.think_time_s,
        spawn_rate_rps=load.spawn_rate_rps,
        max_lag_s=load.max_lag_s,
        drain_timeout_s=load.drain_timeout_s,
    )


def _extra_cell(scenario: Scenario, extra: ExtraCell) -> Cell:
    """The first cell of the cross product with what `extra` gives in place of its values."""
    first = next(_cross_product(scenario))
    given = {name: getattr(extra, name) for name in extra.model_fields_set if getattr(extra, name) is not None}
    if extra.users:
        given |= {"rate_rps": None, "load_model": "closed"}
    if extra.rate_rps:
        given |= {"users": None, "load_model": "open"}
    if extra.model_id:
        given |= {"routing": None, "traffic": SINGLE_PROMPT}
    if extra.routing:
        given |= {"model_id": None, "traffic": MANGAASSIST}
    if given.get("region_prefix") == NO_PREFIX:
        given["region_prefix"] = None
    return replace(first, **given)


def _with_own_prefix(cell: Cell) -> Cell:
    """An ARN names its own inference profile: the dimension has no say in it."""
    if cell.model_id is None or not is_arn(cell.model_id):
        return cell
    return replace(cell, region_prefix=split_model_id(cell.model_id).prefix)


def _with_names(cells: Sequence[Cell]) -> Iterator[Cell]:
    """Cells with names that are unique and safe in a file system.

    A name has prefix, tier, size and load level; model or routing, API, region and pattern only where the suite has
    several.
    """
    several = _Several(
        models=len({(cell.model_id, cell.routing) for cell in cells}) > 1,
        apis=len({cell.api for cell in cells}) > 1,
        regions=len({cell.region for cell in cells}) > 1,
        patterns=len({cell.pattern for cell in cells}) > 1,
    )
    used: set[str] = set()
    for cell in cells:
        name = _name(cell, several)
        unique = next(candidate for candidate in _numbered(name) if candidate.lower() not in used)
        used.add(unique.lower())
        yield replace(cell, cell=unique)


@dataclass(frozen=True, slots=True)
class _Several:
    """Of which dimensions a suite has more than one value."""

    models: bool
    apis: bool
    regions: bool
    patterns: bool


def _name(cell: Cell, several: _Several) -> str:
    parts = [
        _traffic_name(cell) if several.models else "",
        cell.api if several.apis else "",
        (cell.region or "") if several.regions else "",
        cell.region_prefix or "",
        cell.service_tier,
        cell.prompt_size,
        f"u{cell.users}" if cell.users else f"r{cell.rate_rps:.12g}",
        cell.pattern if several.patterns else "",
    ]
    return "-".join(re.sub(r"[^A-Za-z0-9-]+", "_", part).strip("_") for part in parts if part)


def _traffic_name(cell: Cell) -> str:
    """The model, or the routing without the folder of its file."""
    return Path(cell.routing or "").stem if cell.model_id is None else short_name(cell.model_id)


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}-{number}" for number in itertools.count(2))


def _skip_if_refused(cell: Cell, catalog: Catalog, routings: RoutingModels) -> Cell:
    refusing = [
        model.name
        for model in map(catalog.resolve, cell.models(routings))
        if not model.supports_tier(cell.service_tier)
    ]
    if not refusing:
        return cell
    verb = "does" if len(refusing) == 1 else "do"
    reason = f"{' and '.join(refusing)} {verb} not accept the {cell.service_tier} tier: Bedrock refuses such requests"
    return replace(cell, status="skipped", reason=reason)
