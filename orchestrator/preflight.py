"""Everything that can be found wrong before anything is sent, and the plan of what would be."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from statistics import fmean

from bedrock.endpoint import EndpointError
from bedrock.outcome import mask_accounts
from bedrock.prices import PricesError
from bedrock.yaml_documents import KeyPath
from emulator.config import parse_config
from emulator.fixture_files import FixtureError, read_fixtures
from orchestrator.cell_times import with_parallel_cells
from orchestrator.emulated import expectations
from orchestrator.references import attempt, emulator_problems
from orchestrator.settings import Settings, cost_limit_usd
from scenarios.cells import Cell, expand, request_doubts
from scenarios.field_types import MANGAASSIST, NO_LIMIT, check_region
from scenarios.loading import Problem, ScenarioError, in_order
from scenarios.model import Scenario
from scenarios.nonce import NONCE_TOKENS
from scenarios.plan import Plan, SampledMessage, SystemPart, make_plan
from scenarios.prompts import DEFAULT_FILE, PromptLibrary, load_prompts
from scenarios.replayed import ReplaySampler
from scenarios.request_values import SystemPrompt, read_system_prompt
from scenarios.run_directory import RunDirectory, RunDirectoryError
from scenarios.session_files import load_sessions
from scenarios.session_plan import planned_turns, session_shape
from scenarios.sessions import ONE_SHOT, SessionModel, SessionSampler, SessionShape
from scenarios.stages import traces
from scenarios.trace import read_trace
from scenarios.traffic import Message, MessageSampler, Routing, SinglePromptSampler, load_mix, load_routing

#: Messages that a plan looks at per cell: enough for the shares of the mix to be exact.
SAMPLE_SIZE = 400


@dataclass(frozen=True, slots=True)
class SessionsPlan:
    """The conversations of a suite: their name, their mean shape, and the mean tokens of history in a message."""

    name: str
    shape: SessionShape
    history_tokens: float

    @property
    def note(self) -> str:
        """What an average conversation is like."""
        return (
            f"Conversations: {self.name}, on average {self.shape.turns:.1f} messages with {self.shape.thinking_s:.1f} "
            f"s of thinking between them; a message carries {self.history_tokens:,.0f} tokens of history on average"
        )


@dataclass(frozen=True, slots=True)
class Preparation:
    """A suite that can start: settings, cells in order, what they will send."""

    settings: Settings
    cells: tuple[Cell, ...]
    plan: Plan
    prompts_file: Path
    system: SystemPrompt | None = None
    #: Sentences about what may be refused, or will not happen, although it is asked for.
    doubts: tuple[str, ...] = ()
    sessions: SessionsPlan | None = None

    @property
    def system_note(self) -> str | None:
        """What may be said of the system prompt: never its text, which may be confidential."""
        if self.system is None:
            return None
        cached = ", with a cache point" if self.settings.scenario.request.cache_system else ""
        what = f"{self.system.file}, about {self.system.tokens:,} tokens{cached}"
        return f"System prompt: {what}; SHA-256 {self.system.sha256}"

    @property
    def notes(self) -> list[str]:
        """What is to be known of every request beside the cells."""
        sessions_note = None if self.sessions is None else self.sessions.note
        return [note for note in (self.system_note, sessions_note) if note is not None]

    def slots(self, cell: Cell) -> int:
        """Locust users of a cell: users of the closed loop, slots of the open loop."""
        planned = next(item for item in self.plan.cells if item.cell.cell == cell.cell)
        return max(planned.slots, self.settings.scenario.processes)


def prepare(settings: Settings) -> Preparation:
    """Read prompts and routings, make cells and plan; ScenarioError with all that is wrong. Sends nothing."""
    scenario = settings.scenario
    problems: list[Problem] = [*_emulator_problems(settings), *_baseline_problems(settings), *_price_problems(settings)]
    problems += _place_problems(settings)
    prompts_file = Path(scenario.prompts_file or DEFAULT_FILE)
    library = attempt(problems, settings.place(("prompts_file",)), partial(load_prompts, prompts_file))
    system = attempt(problems, settings.place(("request", "system_file")), partial(_system_prompt, scenario))
    routings = {
        name: attempt(problems, place, partial(load_routing, name)) for name, place in _routings(settings).items()
    }
    known = {name: routing for name, routing in routings.items() if routing is not None}
    sessions = attempt(problems, settings.place(("sessions",)), partial(_session_model, scenario))
    for path, trace in traces(scenario):
        attempt(problems, settings.place(path), partial(read_trace, trace))
    if problems or library is None:
        raise ScenarioError(*in_order(problems))
    catalog = settings.catalog
    routes = {name: (routing.simple, routing.complex) for name, routing in known.items()}
    cells = expand(scenario, catalog, routes, scenario.failover.regions or settings.regions)
    samples = _samples(settings, cells, library, known, sessions)
    shape = ONE_SHOT if sessions is None else session_shape(sessions)
    system_tokens = 0 if system is None else system.tokens
    doubts = request_doubts(cells, scenario.request, system_tokens, catalog, routes)
    part = SystemPart(system_tokens + (NONCE_TOKENS if scenario.request.nonce else 0), scenario.request.cache_system)
    plan = make_plan(
        cells,
        samples,
        catalog,
        part,
        shape,
        cool_down_s=scenario.order.cool_down_s,
        region=(scenario.failover.regions or (settings.options.region,))[0],
        expected=expectations(settings),
    )
    plan = with_parallel_cells(plan, settings) if scenario.order.parallel_cells > 1 else plan
    held = None if sessions is None else SessionsPlan(sessions.name, shape, _mean_history(samples))
    return Preparation(settings, cells, plan, prompts_file, system, doubts, held)


def _session_model(scenario: Scenario) -> SessionModel | None:
    return None if scenario.sessions is None else load_sessions(scenario.sessions)


def _mean_history(samples: Mapping[str, Sequence[SampledMessage]]) -> float:
    return fmean(message.history_tokens for sample in samples.values() for message in sample)


def _system_prompt(scenario: Scenario) -> SystemPrompt | None:
    file = scenario.request.system_file
    return None if file is None else read_system_prompt(file)


def check_surroundings(settings: Settings) -> None:
    """Check what lies outside the configuration: the endpoint answers, credentials are there, the budget is set.

    ScenarioError with all problems. Opens a TCP connection to a given endpoint and closes it; sends nothing.
    """
    problems = list(_budget_problems(settings))
    problems += [] if problems else _endpoint_problems(settings)
    if problems:
        raise ScenarioError(*problems)


def check_cost_is_known(preparation: Preparation) -> None:
    """ScenarioError where a limit of the cost is set that could never be noticed: a model has no known price."""
    settings = preparation.settings
    if not settings.is_paid or _refused_budget(settings.scenario):
        return
    unpriced = {
        f"{mask_accounts(model.model_id)} in the {planned.cell.service_tier} tier"
        for planned in preparation.plan.cells
        for model in planned.models
        if model.cost is None
    }
    if unpriced:
        raise ScenarioError(
            Problem(
                "--max-cost-usd",
                f"no price per token is known of {', '.join(sorted(unpriced))}, so no cost limit can be kept: "
                "say --max-cost-usd none to run without one (--max-requests still limits it)",
            )
        )


def most_requests(preparation: Preparation) -> float | None:
    """Requests if every attempt of every message failed; None where nothing is sent again.

    Attempts are counted anew in each round of the regions (docs/retries.md).
    """
    scenario = preparation.settings.scenario
    attempts = 1 if scenario.retry.policy == "none" else scenario.retry.max_attempts
    times = attempts * max(len(scenario.failover.regions), 1)
    return None if times == 1 else preparation.plan.requests * times


def _emulator_problems(settings: Settings) -> Iterator[Problem]:
    section = settings.scenario.emulator
    if section is None:
        return
    problems = list(emulator_problems(section, settings.places))
    yield from problems
    if problems:
        return
    config = parse_config(section)
    try:
        read_fixtures(config.responses, config.catalog)
    except FixtureError as error:
        yield from (Problem(settings.places(("emulator", "responses")), problem) for problem in error.problems)


def _routings(settings: Settings) -> dict[str, str]:
    """Each routing that the scenario names, and where it does so first."""
    scenario = settings.scenario
    named = [
        (("matrix", "include", index, "routing"), extra.routing) for index, extra in enumerate(scenario.matrix.include)
    ]
    paths: list[tuple[KeyPath, str | None]] = [*reversed(named), (("routing",), scenario.routing)]
    return {name: settings.places(path) for path, name in paths if name}


def _baseline_problems(settings: Settings) -> Iterator[Problem]:
    """A baseline that is none, that this run would replace, or that is missing where it decides."""
    options = settings.options
    if options.baseline is None:
        if options.fail_on == "regression":
            yield Problem(settings.source("fail_on"), "regression needs a --baseline to compare with")
        return
    try:
        RunDirectory(options.baseline).read_run()
    except RunDirectoryError as error:
        yield Problem(settings.source("baseline"), str(error))
    if options.results_dir is not None and options.results_dir.resolve() == options.baseline:
        yield Problem(settings.source("baseline"), "this run would be written over its own baseline")


def _price_problems(settings: Settings) -> Iterator[Problem]:
    try:
        _ = settings.catalog
    except PricesError as error:
        yield Problem(settings.source("prices_file"), str(error))


def _samples(
    settings: Settings,
    cells: tuple[Cell, ...],
    library: PromptLibrary,
    routings: Mapping[str, Routing],
    sessions: SessionModel | None,
) -> dict[str, tuple[SampledMessage, ...]]:
    """The first messages each cell will send; ScenarioError where the library has no prompt for one."""
    problems: list[Problem] = []
    seed, expected = settings.scenario.seed, expectations(settings)

    def sampler(model_id: str | None, routing: str | None, size: str) -> MessageSampler | SinglePromptSampler:
        chosen = None if size == "mixed" else size
        if model_id is None:
            return MessageSampler(load_mix(MANGAASSIST), routings[routing or ""], library, chosen, seed)
        return SinglePromptSampler(library, chosen, seed, model_id)

    @cache
    def sample(model_id: str | None, routing: str | None, size: str) -> tuple[Message, ...]:
        chooses = sampler(model_id, routing, size)
        return tuple(chooses.message(index) for index in range(SAMPLE_SIZE))

    def answer_tokens(cell: Cell, routing: Routing) -> float:
        models = (settings.catalog.resolve(model_id) for model_id in (routing.simple, routing.complex))
        return fmean(expected.output_tokens(model, cell.region_prefix, cell.max_tokens) for model in models)

    def sample_of(cell: Cell) -> tuple[SampledMessage, ...]:
        if sessions is not None:
            chosen = None if cell.prompt_size == "mixed" else cell.prompt_size
            talking = SessionSampler(sessions, routings[cell.routing or ""], library, chosen, seed)
            return planned_turns(talking, SAMPLE_SIZE, seed, answer_tokens(cell, routings[cell.routing or ""]))
        sent = cell.model_id, cell.routing, cell.prompt_size
        if not cell.traces():
            return sample(*sent)
        return _replayed(cell, ReplaySampler(sampler(*sent), library, cell.traces()), seed)

    found = {}
    for cell in cells:
        traced = ("load", "trace") if cell.is_open and cell.traces() else ("matrix", "prompt_sizes")
        found[cell.cell] = attempt(problems, settings.place(traced), partial(sample_of, cell)) or ()
    if problems:
        raise ScenarioError(*dict.fromkeys(problems))
    return found


def _replayed(cell: Cell, sampler: ReplaySampler, seed: int) -> tuple[Message, ...]:
    """Messages from all over the cell's schedule: a trace need not be the same from begin to end."""
    schedule = cell.schedule()
    step = math.ceil(schedule.expected_between(0.0, schedule.duration_s) / SAMPLE_SIZE) or 1
    chosen = itertools.islice(schedule.arrivals(seed), 0, None, step)
    return tuple(
        sampler.message(arrival.index) if arrival.wanted is None else sampler.message_as(arrival.index, arrival.wanted)
        for arrival in chosen
    )


def _budget_problems(settings: Settings) -> Iterator[Problem]:
    if settings.is_paid and cost_limit_usd(settings.scenario) is None and not _refused_budget(settings.scenario):
        where = settings.options.endpoint_url or "AWS"
        yield Problem(
            "--max-cost-usd",
            f"requests to {where} cost money: set a limit like --max-cost-usd 5, or --max-cost-usd none to have none",
        )


def _refused_budget(scenario: Scenario) -> bool:
    return bool(scenario.budget.max_cost_usd == NO_LIMIT)


def _place_problems(settings: Settings) -> Iterator[Problem]:
    """What is wrong with the way the Region and the endpoint are written."""
    try:
        check_region(settings.options.region)
    except ValueError as error:
        yield Problem(settings.source("region"), str(error))
    try:
        settings.endpoint.check_url()
    except EndpointError as error:
        yield Problem(settings.source("endpoint_url"), str(error))


def _endpoint_problems(settings: Settings) -> Iterator[Problem]:
    # botocore takes 0.2 s to import; commands that need no endpoint do without it.
    from bedrock.credentials import check_credentials  # noqa: PLC0415

    if settings.starts_emulator:
        return
    endpoint = settings.endpoint
    try:
        endpoint.check_reachable()
    except EndpointError as error:
        yield Problem(settings.source("endpoint_url"), f"{error} (start an emulator with: python -m emulator)")
    try:
        check_credentials(endpoint)
    except EndpointError as error:
        yield Problem("--target" if endpoint.url is None else settings.source("endpoint_url"), str(error))
