"""Everything that can be found wrong before anything is sent, and the plan of what would be."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

from bedrock.endpoint import EndpointError
from bedrock.outcome import mask_accounts
from bedrock.prices import PricesError
from emulator.config import ConfigError, parse_config
from emulator.fixture_files import FixtureError, read_fixtures
from orchestrator.settings import Settings, cost_limit_usd
from scenarios.cells import Cell, expand
from scenarios.loading import Problem, ScenarioError
from scenarios.model import MANGAASSIST, NO_LIMIT, Scenario
from scenarios.plan import Plan, make_plan
from scenarios.problems import ProblemsError
from scenarios.prompts import DEFAULT_FILE, PromptLibrary, load_prompts
from scenarios.run_directory import RunDirectory, RunDirectoryError
from scenarios.traffic import Message, MessageSampler, Routing, SinglePromptSampler, load_mix, load_routing

#: Messages that a plan looks at per cell: enough for the shares of the mix to be exact.
SAMPLE_SIZE = 400

T = TypeVar("T")


#: `us-east-1`, `us-gov-west-1`, `ap-northeast-1`.
_REGION = re.compile(r"[a-z]{2,3}(-[a-z]+)+-\d{1,2}")


@dataclass(frozen=True, slots=True)
class Preparation:
    """A suite that can start: settings, cells in order, what they will send."""

    settings: Settings
    cells: tuple[Cell, ...]
    plan: Plan
    prompts_file: Path

    def slots(self, cell: Cell) -> int:
        """Locust users of a cell: users of the closed loop, slots of the open loop."""
        planned = next(item for item in self.plan.cells if item.cell.cell == cell.cell)
        return max(planned.slots, self.settings.scenario.processes)


def prepare(settings: Settings) -> Preparation:
    """Read prompts and routings, make cells and plan; ScenarioError with all that is wrong. Sends nothing."""
    scenario = settings.scenario
    problems: list[Problem] = [*_emulator_problems(settings), *_baseline_problems(settings), *_price_problems(settings)]
    prompts_file = Path(scenario.prompts_file or DEFAULT_FILE)
    library = _attempt(problems, settings.source("prompts_file"), partial(load_prompts, prompts_file))
    names = {name for name in (scenario.routing, *(extra.routing for extra in scenario.matrix.include)) if name}
    routings = {name: _attempt(problems, settings.source("routing"), partial(load_routing, name)) for name in names}
    known = {name: routing for name, routing in routings.items() if routing is not None}
    if problems or library is None:
        raise ScenarioError(*problems)
    catalog = settings.catalog
    cells = expand(scenario, catalog, {name: (routing.simple, routing.complex) for name, routing in known.items()})
    samples = _samples(settings, cells, library, known)
    return Preparation(settings, cells, make_plan(cells, samples, catalog), prompts_file)


def check_surroundings(settings: Settings) -> None:
    """Check what lies outside the configuration: the endpoint answers, credentials are there, the budget is set.

    ScenarioError with all problems. Opens a TCP connection to a given endpoint and closes it; sends nothing.
    """
    problems = [*_region_problems(settings), *_budget_problems(settings)]
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


def _emulator_problems(settings: Settings) -> Iterator[Problem]:
    if settings.scenario.emulator is None:
        return
    try:
        config = parse_config(settings.scenario.emulator)
        read_fixtures(config.responses, config.catalog)
    except (ConfigError, FixtureError) as error:
        place = settings.source("emulator")
        yield from (Problem(place, f"emulator: {problem}") for problem in error.problems)


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


def _attempt(problems: list[Problem], source: str, read: Callable[[], T]) -> T | None:
    try:
        return read()
    except ProblemsError as error:
        problems.append(Problem("configuration" if source == "default" else source, str(error)))
        return None


def _samples(
    settings: Settings, cells: tuple[Cell, ...], library: PromptLibrary, routings: Mapping[str, Routing]
) -> dict[str, tuple[Message, ...]]:
    """The first messages each cell will send; ScenarioError where the library has no prompt for one."""
    problems: list[Problem] = []

    @cache
    def sample(model_id: str | None, routing: str | None, size: str) -> tuple[Message, ...]:
        chosen = None if size == "mixed" else size
        seed = settings.scenario.seed
        sampler: MessageSampler | SinglePromptSampler
        if model_id is None:
            sampler = MessageSampler(load_mix(MANGAASSIST), routings[routing or ""], library, chosen, seed)
        else:
            sampler = SinglePromptSampler(library, chosen, seed, model_id)
        return tuple(sampler.message(index) for index in range(SAMPLE_SIZE))

    found = {}
    for cell in cells:
        source = settings.source("matrix.prompt_sizes")
        messages = _attempt(problems, source, partial(sample, cell.model_id, cell.routing, cell.prompt_size))
        found[cell.cell] = messages or ()
    if problems:
        raise ScenarioError(*dict.fromkeys(problems))
    return found


def _budget_problems(settings: Settings) -> Iterator[Problem]:
    if settings.is_paid and cost_limit_usd(settings.scenario) is None and not _refused_budget(settings.scenario):
        where = settings.options.endpoint_url or "AWS"
        yield Problem(
            "--max-cost-usd",
            f"requests to {where} cost money: set a limit like --max-cost-usd 5, or --max-cost-usd none to have none",
        )


def _refused_budget(scenario: Scenario) -> bool:
    return bool(scenario.budget.max_cost_usd == NO_LIMIT)


def _region_problems(settings: Settings) -> Iterator[Problem]:
    region = settings.options.region
    if not _REGION.fullmatch(region):
        yield Problem(settings.source("region"), f"{region!r} is not an AWS region: write it like us-east-1")


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
