"""What is odd about a plan: more than anybody means, more than this machine can do, or nothing at all."""

import os
from collections.abc import Iterator

from orchestrator.preflight import Preparation
from scenarios.cells import Cell
from scenarios.objectives import parse_objective
from scenarios.units import format_duration

#: A day of the workload has 1,000,000 messages.
MANY_REQUESTS = 10_000_000

#: Longer than any soak.
LONG_S = 7 * 86_400.0

#: Most streams of one process whose first tokens are timed within 5 ms (99 % of them; docs/accuracy.md).
STREAMS_OF_A_PROCESS = {"wire": 1_200, "boto3": 144}

#: What an objective's `for` can name of a cell, where that is known before the run.
_OF_CELLS = ("cell", "service_tier", "api", "pattern", "users", "prompt_size")


def plan_warnings(preparation: Preparation) -> list[str]:
    """A sentence for each; none of them keeps the suite from running."""
    return [*_limits(preparation), *_amounts(preparation), *_machine(preparation), *_objectives(preparation)]


def _limits(preparation: Preparation) -> Iterator[str]:
    budget, plan = preparation.settings.scenario.budget, preparation.plan
    if budget.max_requests is not None and plan.requests > budget.max_requests:
        yield f"The limit of {budget.max_requests} requests will end this suite early."
    limit = budget.max_cost_usd
    if isinstance(limit, float) and plan.cost is not None and plan.cost.expected_usd > limit:
        yield f"The limit of ${limit:g} will end this suite early."


def _amounts(preparation: Preparation) -> Iterator[str]:
    plan = preparation.plan
    if plan.requests > MANY_REQUESTS:
        days = plan.requests / 1_000_000
        text = f"{plan.requests:,.0f} requests are {days:,.0f} days of the workload: are rate and duration as meant?"
        yield f"Warning: {text}"
    if plan.duration_s > LONG_S:
        days = plan.duration_s / 86_400
        long = f"{days:,.0f} days" if days < 36_500 else "more than a hundred years"
        yield f"Warning: this suite would take {long}: are the units of its durations as meant?"
    if plan.cells and plan.requests < 1.0:
        yield "Warning: less than one request is expected: nothing will be measured. Raise rate or duration."


def _machine(preparation: Preparation) -> Iterator[str]:
    """More calls in flight than the generator can time, on as many cores as there are for its processes."""
    scenario = preparation.settings.scenario
    processes = min(scenario.processes, os.cpu_count() or 1)
    most = STREAMS_OF_A_PROCESS[scenario.transport] * processes
    if preparation.plan.peak_in_flight > most:
        yield (
            f"Warning: {preparation.plan.peak_in_flight:,.0f} calls in flight at the peak are more than the {most:,} "
            f"that {processes} {'process' if processes == 1 else 'processes'} on this machine can time over "
            f"{scenario.transport}: use more --processes, more machines (docs/distributed.md), or less load."
        )


def _objectives(preparation: Preparation) -> Iterator[str]:
    """Objectives on a part of the traffic that no cell has: they could only be inconclusive."""
    cells = [planned.cell for planned in preparation.plan.cells]
    for entry in preparation.settings.scenario.objectives:
        objective = parse_objective(entry)
        for key, value in objective.scope.items():
            if key in (*_OF_CELLS, "phase") and not any(_has(cell, key, value) for cell in cells):
                yield f"Warning: no cell has {key}={value}, so this objective cannot be judged: {objective}"


def _has(cell: Cell, key: str, value: str) -> bool:
    if key == "phase":
        load = cell.schedule() if cell.is_open else cell.user_profile()
        return value in {phase.name for phase in load.phases()}
    own = getattr(cell, key)
    return own == "mixed" or str(own) == value


def measured_text(preparation: Preparation) -> str:
    """Measured time of all cells together, more than the suite takes where cells run in parallel: `27m measured`."""
    measured_s = sum(planned.cell.duration_s for planned in preparation.plan.cells)
    return f"{format_duration(measured_s)} measured"
