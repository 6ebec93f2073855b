"""A suite's cells: one load test each, made of a scenario's dimensions."""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bedrock.catalog import Catalog, Model, is_arn, profile_id, short_name, split_model_id
from bedrock.outcome import mask_accounts
from scenarios.field_types import DEFAULT_DURATION_S, MANGAASSIST, NO_PREFIX, SINGLE_PROMPT
from scenarios.model import ExtraCell, Request, Scenario, Shape
from scenarios.patterns import REPLAY
from scenarios.request_rules import doubts, refusals
from scenarios.schedule import STAGES, Schedule, Stage, make_schedule, outline
from scenarios.stages import stage_of, stages_of, user_pattern_of
from scenarios.trace import Trace
from scenarios.user_profiles import UserPattern, UserProfile

#: Base model ids behind each routing that the scenario names.
RoutingModels = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Cell:
    """One load test of a suite, as `run.json` lists it.

    `model_id` is the base id, or an ARN with the model behind it where it does not say (`ARN=model`); None where a
    routing sends the traffic. `sessions` are the conversations that arrive, or that users hold; None where each message
    stands alone. `region_prefix` None sends the base id; an ARN is sent as it is.
    `stages` are the open loop's load, one or several; `rate_rps` is the rate it is named after (of a trace or several
    stages the mean), `pattern` and `process` sum them up. A closed loop has none: `users` is the most users at once,
    and `user_pattern` what their number does over time.
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
    sessions: str | None
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
    stages: tuple[Stage, ...]
    user_pattern: UserPattern | None
    think_time_s: tuple[float, float]
    spawn_rate_rps: float
    max_lag_s: float
    max_slots: int | None
    drain_timeout_s: float

    def to_dict(self) -> dict[str, Any]:
        """The cell's entry in `run.json`, without account ids."""
        entry = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        return entry | {"model_id": None if self.model_id is None else mask_accounts(self.model_id)}

    @property
    def is_open(self) -> bool:
        """Whether arrivals follow a schedule."""
        return bool(self.stages)

    @property
    def ramp_s(self) -> float:
        """Time until the first users of a closed loop all run, in seconds; 0 in the open loop."""
        return 0.0 if self.is_open else self.user_profile().users_at(0.0) / self.spawn_rate_rps

    def schedule(self) -> Schedule:
        """The arrivals of an open-loop cell, warm-up included."""
        return make_schedule(self.stages, self.warmup_s)

    def user_profile(self) -> UserProfile:
        """The users of a closed-loop cell over time, warm-up included."""
        assert self.user_pattern is not None, "the open loop has slots"  # noqa: S101 - a mistake of the caller's
        return self.user_pattern.profile(self.users or 1, self.duration_s, self.warmup_s)

    def models(self, routings: RoutingModels) -> tuple[str, ...]:
        """Base ids of the models this cell calls, those that its traces name included."""
        own = routings[self.routing or ""] if self.model_id is None else (self.model_id,)
        traced = (wanted.model_id for trace in self.traces() for wanted in trace.first_lines if wanted.model_id)
        return tuple(dict.fromkeys((*own, *traced)))

    def traces(self) -> list[Trace]:
        """The traces that this cell replays."""
        return [replay.trace for replay in self.schedule().replays()] if self.is_open else []

    def sent_id(self, base_id: str) -> str:
        """The id to send for a base id: behind the cell's inference profile prefix, or the ARN in its place."""
        if self.model_id is not None and is_arn(self.model_id):
            return self.model_id
        return profile_id(base_id, self.region_prefix)


def expand(
    scenario: Scenario, catalog: Catalog, routings: RoutingModels, regions: Sequence[str] = ()
) -> tuple[Cell, ...]:
    """All cells of a scenario in the order they run: the cross product, then `matrix.include`.

    A cell that Bedrock would refuse is there too, with status `skipped` and the reason. `regions` are those that are
    called; without any, nothing is said of what only some regions have.
    """
    cells = [*_cross_product(scenario), *(_extra_cell(scenario, extra) for extra in scenario.matrix.include)]
    named = _with_names([_with_own_prefix(cell) for cell in cells])
    return tuple(
        _skip_if_refused(cell, [catalog.resolve(model_id) for model_id in cell.models(routings)], scenario, regions)
        for cell in named
    )


def request_doubts(
    cells: Iterable[Cell], request: Request, system_tokens: int, catalog: Catalog, routings: RoutingModels
) -> tuple[str, ...]:
    """Sentences about what models of the cells that run may refuse, or will not do, of a request; each once."""
    found = (
        f"{model.name} {doubt}."
        for cell in cells
        if cell.status != "skipped"
        for model in map(catalog.resolve, cell.models(routings))
        for doubt in doubts(request, model, system_tokens, cell.api)
    )
    return tuple(dict.fromkeys(found))


def _cross_product(scenario: Scenario) -> Iterator[Cell]:
    matrix = scenario.matrix
    template = _template(scenario)
    for model_id, api, region, prefix, tier, size, load in itertools.product(
        scenario.model_ids or (None,),
        matrix.apis or (scenario.api,),
        matrix.regions or (None,),
        matrix.region_prefixes,
        matrix.service_tiers,
        matrix.prompt_sizes,
        _loads(scenario),
    ):
        yield replace(
            template,
            model_id=model_id,
            api=api,
            region=region,
            region_prefix=None if prefix == NO_PREFIX else prefix,
            service_tier=tier,
            prompt_size=size,
            **load,
        )


def _loads(scenario: Scenario) -> list[dict[str, Any]]:
    """What the dimensions of load make of a cell, each once: a trace is the same at every rate."""
    load, matrix = scenario.load, scenario.matrix
    if load.stages:
        return [_open(stages_of(load))]
    users = matrix.user_counts or ((load.users,) if load.users else ())
    if users:
        return [_closed(count, pattern, load) for count, pattern in itertools.product(users, _patterns(scenario))]
    levels = itertools.product(matrix.rates_rps or (load.rate_rps,), _patterns(scenario))
    stages = dict.fromkeys(stage_of(load, pattern=pattern, rate_rps=rate_rps) for rate_rps, pattern in levels)
    return [_open((stage,)) for stage in stages]


def _patterns(scenario: Scenario) -> tuple[str, ...]:
    return scenario.matrix.patterns or (scenario.load.pattern,)


def _closed(users: int | None, pattern: str, *sections: Shape) -> dict[str, Any]:
    user_pattern, duration_s = user_pattern_of(*sections, pattern=pattern)
    load = {"load_model": "closed", "users": users, "rate_rps": None, "stages": ()}
    return load | {"pattern": pattern, "user_pattern": user_pattern, "duration_s": duration_s}


def _open(stages: tuple[Stage, ...]) -> dict[str, Any]:
    load = outline(stages)
    return {"load_model": "open", "users": None, "user_pattern": None, "stages": stages} | asdict(load)


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
        sessions=scenario.sessions,
        region_prefix=None,
        service_tier="default",
        prompt_size="medium",
        api=scenario.api,
        load_model="open",
        users=None,
        rate_rps=None,
        pattern=load.pattern,
        process=load.process,
        duration_s=load.duration_s or DEFAULT_DURATION_S,
        warmup_s=load.warmup_s,
        max_tokens=scenario.max_tokens,
        stages=(),
        user_pattern=None,
        think_time_s=load.think_time_s,
        spawn_rate_rps=load.spawn_rate_rps,
        max_lag_s=load.max_lag_s,
        max_slots=load.max_slots,
        drain_timeout_s=load.drain_timeout_s,
    )


def _extra_cell(scenario: Scenario, extra: ExtraCell) -> Cell:
    """The first cell of the cross product with what `extra` gives in place of its values."""
    first = next(_cross_product(scenario))
    names = extra.model_fields_set - Shape.model_fields.keys() - {"users"}
    given = {name: getattr(extra, name) for name in names if getattr(extra, name) is not None}
    if extra.model_id:
        given |= {"routing": None, "traffic": SINGLE_PROMPT}
    if extra.routing:
        given |= {"model_id": None, "traffic": MANGAASSIST}
    if given.get("region_prefix") == NO_PREFIX:
        given["region_prefix"] = None
    return replace(first, **given, **_extra_load(scenario, extra, first))


def _extra_load(scenario: Scenario, extra: ExtraCell, first: Cell) -> dict[str, Any]:
    """The load of a cell beside the cross product: that of the first cell, or with values of its own."""
    shape = {name for name in Shape.model_fields if getattr(extra, name) is not None}
    own_open = extra.rate_rps or extra.step_rates_rps or extra.pattern == REPLAY
    load, matrix = scenario.load, scenario.matrix
    pattern = extra.pattern or _patterns(scenario)[0]
    if extra.users or not (first.is_open or own_open):
        return _closed(extra.users or first.users, pattern, extra, load)
    if not shape:
        return {}
    return _open((stage_of(extra, load, pattern=pattern, rate_rps=(*matrix.rates_rps, None)[0]),))


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
        f"u{cell.users}" if cell.users else outline(cell.stages).name,
        cell.pattern if several.patterns and cell.pattern not in (STAGES, REPLAY) else "",
    ]
    return "-".join(re.sub(r"[^A-Za-z0-9-]+", "_", part).strip("_") for part in parts if part)


def _traffic_name(cell: Cell) -> str:
    """The model, or the routing without the folder of its file."""
    return Path(cell.routing or "").stem if cell.model_id is None else short_name(cell.model_id)


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}-{number}" for number in itertools.count(2))


def _skip_if_refused(cell: Cell, models: Sequence[Model], scenario: Scenario, regions: Sequence[str]) -> Cell:
    reasons = [*_tier_refusals(cell, models), *_request_refusals(cell, models, scenario.request, regions)]
    if not reasons:
        return cell
    return replace(cell, status="skipped", reason=f"{'; '.join(reasons)}: Bedrock refuses such requests")


def _tier_refusals(cell: Cell, models: Sequence[Model]) -> Iterator[str]:
    refusing = [model.name for model in models if not model.supports_tier(cell.service_tier)]
    if refusing:
        verb = "does" if len(refusing) == 1 else "do"
        yield f"{' and '.join(refusing)} {verb} not accept the {cell.service_tier} tier"


def _request_refusals(cell: Cell, models: Sequence[Model], request: Request, regions: Sequence[str]) -> Iterator[str]:
    names: dict[str, list[str]] = {}
    by_arn = cell.model_id is not None and is_arn(cell.model_id)
    for model in models:
        for refusal in refusals(
            request, model, api=cell.api, prefix=cell.region_prefix, regions=regions, is_arn=by_arn
        ):
            names.setdefault(refusal, []).append(model.name)
    yield from (f"{' and '.join(refusing)} {refusal}" for refusal, refusing in names.items())
