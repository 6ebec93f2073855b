"""Which cells of a suite may run at once, and when each runs if all goes as planned."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bedrock.catalog import split_model_id
from orchestrator.settings import Settings
from scenarios.cell_queue import CellQueue, Claim, Turn, timetable
from scenarios.cells import Cell
from scenarios.order import run_order
from scenarios.plan import SUITE_OVERHEAD_S, CellPlan, Plan

#: One service stands for all regions where calls go to an endpoint of one's own.
_ONE_SERVICE = ("",)


def make_queue(settings: Settings, plan: Plan, left: Sequence[Cell]) -> CellQueue:
    """The queue of some cells, in this order."""
    order = settings.scenario.order
    claims = {planned.cell.cell: claims_of(planned, settings) for planned in plan.cells}
    names = [cell.cell for cell in left]
    return CellQueue(names, claims, most=order.parallel_cells, cool_down_s=order.cool_down_s)


def claims_of(planned: CellPlan, settings: Settings) -> frozenset[Claim]:
    """The models of a cell in the regions that it calls: base ids, for a profile has the capacity of its model."""
    failover = settings.scenario.failover.regions
    regions = failover or (planned.cell.region or settings.options.region,)
    is_aws = settings.scenario.target == "aws" and settings.options.endpoint_url is None
    models = {split_model_id(model.model_id).base for model in planned.models}
    return frozenset((model, region) for model in models for region in (regions if is_aws else _ONE_SERVICE))


def turns(settings: Settings, plan: Plan, left: Sequence[Cell]) -> list[Turn]:
    """When each of these cells runs, in seconds from the first one's start."""
    return list(timetable(make_queue(settings, plan, left), _durations_s(plan)))


def suite_s(settings: Settings, plan: Plan, left: Sequence[Cell]) -> float:
    """Seconds that these cells take, with pauses and with what a suite needs beside its cells."""
    return max((turn.ended_s for turn in turns(settings, plan, left)), default=0.0) + SUITE_OVERHEAD_S


def with_parallel_cells(plan: Plan, settings: Settings) -> Plan:
    """The plan of a suite whose cells may run at once: it is over sooner, with more in flight."""
    scenario = settings.scenario
    cells = run_order([planned.cell for planned in plan.cells], scenario.order, scenario.seed)
    in_flight = {planned.cell.cell: planned.peak_in_flight for planned in plan.cells}
    table = turns(settings, plan, cells)
    peaks = [
        sum(in_flight[other.cell] for other in table if other.began_s <= turn.began_s < other.ended_s) for turn in table
    ]
    return replace(
        plan, duration_s=suite_s(settings, plan, cells), peak_in_flight=max(peaks, default=plan.peak_in_flight)
    )


def _durations_s(plan: Plan) -> Mapping[str, float]:
    return {planned.cell.cell: planned.duration_s for planned in plan.cells}
