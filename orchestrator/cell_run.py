"""Runs one cell: a Locust process tree, watched through the files it writes."""

import json
import math
import os
import signal
import time
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field

from bedrock.catalog import Catalog
from bedrock.clock import now
from orchestrator.limits import Limits, Spending, StopReason
from orchestrator.live import CellWatch
from orchestrator.locust_command import PROJECT, RunIdentity, child_environment, locust_command
from orchestrator.processes import ProcessTree, last_lines
from orchestrator.progress import Progress, Snapshot
from orchestrator.results_directory import inherited_locks
from orchestrator.supervision import OVERTIME_S, STOP_GRACE_S, End, Patience, Signals, Supervisor
from scenarios.cells import Cell
from scenarios.plan import CELL_OVERHEAD_S
from scenarios.run_directory import CellDirectory
from scenarios.schedule import Schedule
from scenarios.stages import write_stages

#: Exit code of a Locust run that refused its configuration before it sent anything.
LOCUST_REFUSED = 4

NOTHING_SPENT = Spending()


@dataclass(frozen=True, slots=True)
class CellEnd:
    """How a cell ended: its status in `run.json`, the reason, and what stopped the whole run, if anything did."""

    status: str
    reason: str | None
    stopped_by: StopReason | None
    log: str = ""


@dataclass(slots=True)
class CellRunner:
    """Runs the cells of one suite one after the other and keeps count of what they use up."""

    identity: RunIdentity
    limits: Limits
    signals: Signals
    progress: Progress
    cells: int
    planned_s: float
    catalog: Catalog
    clock: Callable[[], float] = time.monotonic
    #: What an earlier run of the same suite had spent counts against its limits.
    spent: InitVar[Spending] = NOTHING_SPENT
    _spent: Spending = field(init=False)
    _began_s: float = field(default=0.0, init=False)

    def __post_init__(self, spent: Spending) -> None:
        self._spent = spent
        self._began_s = self.clock()

    def limit_reached(self) -> StopReason | None:
        """The limit that the cells so far have reached."""
        return self.limits.reached(self._spent, now())

    def run(self, cell: Cell, slots: int, number: int) -> CellEnd:
        """Run one cell to its end. `slots` are the users of Locust, `number` is its place in the suite from 1."""
        directory = self.identity.directory.cell(cell.cell)
        console = directory.path / "console.log"
        errors = self.limits.errors
        watch = CellWatch(directory, self.catalog, *([] if errors is None else [errors.window_s]))
        if len(cell.stages) > 1:
            write_stages(directory.stages_yaml, cell.stages)
        # Made once: what happens to a trace file during the run is no concern of the progress.
        schedule = cell.schedule() if cell.is_open else None
        spent_before = self._spent

        def look() -> StopReason | None:
            watch.update()
            self._spent = spent_before + Spending(watch.tally.sent, watch.tally.cost_usd)
            self.progress.show(self._snapshot(cell, schedule, number, watch))
            return self._limit_of(watch)

        tree = ProcessTree(
            [*locust_command(cell, slots, self.identity, self.limits.left(spent_before)), "--stop-with-stdin"],
            environment=child_environment(os.environ, self.identity.endpoint),
            folder=PROJECT,
            console=console,
            inherited=inherited_locks(),
        )
        began_s = self.clock()
        try:
            end = Supervisor(self.signals, look, self.clock).watch(tree, _patience(cell))
        except BaseException:
            tree.kill()
            raise
        tree.reap()
        # What Locust refuses it says on its console; what went wrong later is in its log.
        logs = [console, directory.log] if end.exit_code == LOCUST_REFUSED else [directory.log, console]
        return judge(
            end,
            last_lines(logs),
            lasted_s=self.clock() - began_s,
            planned_s=_planned_s(cell),
            processes_lost=_processes_lost(directory),
        )

    def _limit_of(self, watch: CellWatch) -> StopReason | None:
        """The limit that a running cell has come to."""
        if watch.limit_reached is not None:
            return StopReason(watch.limit_reached)
        at = now()
        if self.limits.errors is not None and self.limits.errors.is_passed(*watch.recent.count(at)):
            return StopReason.MAX_ERROR_RATE
        return self.limits.reached(self._spent, at)

    def _snapshot(self, cell: Cell, schedule: Schedule | None, number: int, watch: CellWatch) -> Snapshot:
        at, tally = now(), watch.tally
        schedule_at = watch.schedule_started_at
        offered = schedule.rate_at(at - schedule_at) if schedule is not None and schedule_at is not None else None
        return Snapshot(
            cell=cell.cell,
            cell_number=number,
            cells=self.cells,
            phase=watch.phase_at(at),
            elapsed_s=self.clock() - self._began_s,
            total_s=self.planned_s,
            # Of conversations the schedule has the starts, which are no rate of messages.
            offered_rps=offered if cell.sessions is None else None,
            achieved_rps=tally.achieved_rps(at, watch.started_at or at),
            in_flight=watch.in_flight,
            ttft_p50_ms=tally.ttft.quantile_ms(0.50),
            ttft_p95_ms=tally.ttft.quantile_ms(0.95),
            throttled=tally.throttled,
            errors=tally.errors,
            dropped=tally.dropped,
            cost_usd=self._spent.cost_usd,
        )


def _planned_s(cell: Cell) -> float:
    return cell.ramp_s + cell.warmup_s + cell.duration_s


def _patience(cell: Cell) -> Patience:
    return Patience(
        until_end_s=math.ceil(_planned_s(cell) + CELL_OVERHEAD_S + cell.drain_timeout_s + OVERTIME_S),
        for_stop_s=cell.drain_timeout_s + STOP_GRACE_S,
    )


def _processes_lost(directory: CellDirectory) -> int:
    """How many of the cell's Locust processes went without a word, as the one that led them has written."""
    try:
        return int(json.loads(directory.load_json.read_text(encoding="utf-8"))["processes_lost"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def judge(end: End, log: str, *, lasted_s: float, planned_s: float, processes_lost: int = 0) -> CellEnd:
    """What a cell's end means. `log` is the end of its logs.

    Locust ends in order, with exit code 0, also when a signal or its configuration ends it early: then the cell has not
    measured what it was to measure.
    """
    if end.stopped_by is not None:
        why = f"stopped by {end.stopped_by}" + (f"; {end.killed}" if end.killed else "")
        return CellEnd("interrupted", why, end.stopped_by)
    if end.killed is not None:
        stopped_by = StopReason.INTERRUPT if "signal" in end.killed else None
        return CellEnd("failed", end.killed, stopped_by, log)
    if end.exit_code == 0 and lasted_s < planned_s:
        return CellEnd("failed", f"Locust ended after {lasted_s:.0f} of {planned_s:.0f} s, unasked", None, log)
    if end.exit_code == 0 and processes_lost:
        return CellEnd("failed", f"{processes_lost} of its Locust processes died", None, log)
    if end.exit_code == 0:
        return CellEnd("finished", None, None)
    said = log.splitlines()[-1] if log else "its log is empty"
    return CellEnd("failed", f"Locust {_what_happened(end.exit_code or 0)}: {said}", None, log)


def _what_happened(exit_code: int) -> str:
    if exit_code == LOCUST_REFUSED:
        return "refused its configuration"
    if exit_code < 0:
        return f"was ended by {signal.Signals(-exit_code).name}"
    return f"ended with exit code {exit_code}"
