"""Runs cells: a Locust process tree each, watched through the files it writes."""

import json
import math
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from bedrock.catalog import Catalog
from bedrock.clock import now
from orchestrator.limits import Limits, Spending, StopReason
from orchestrator.live import CellWatch
from orchestrator.locust_command import PROJECT, RunIdentity, child_environment, locust_command
from orchestrator.processes import ProcessTree, last_lines
from orchestrator.progress import Snapshot
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

#: The last line of a Python traceback, as the last of a text.
_ENDS_IN_ERROR = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt|Exit)(?::.*)?\Z", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CellEnd:
    """How a cell ended: its status in `run.json`, the reason, and what stopped the whole run, if anything did."""

    status: str
    reason: str | None
    stopped_by: StopReason | None
    log: str = ""


@dataclass(slots=True)
class RunningCell:
    """One cell while its Locust runs; `number` is its place in the suite from 1."""

    cell: Cell
    number: int
    directory: CellDirectory
    watch: CellWatch
    tree: ProcessTree
    supervisor: Supervisor
    began_s: float
    #: Made once: what happens to a trace file during the run is no concern of the progress.
    schedule: Schedule | None

    @property
    def spent(self) -> Spending:
        """What the cell has used up so far."""
        return Spending(self.watch.tally.sent, self.watch.tally.cost_usd)

    def step(self) -> CellEnd | None:
        """Look at it once; how it ended, None while it runs."""
        end = self.supervisor.step()
        if end is None:
            return None
        self.tree.reap()
        return judge(
            end,
            last_words(self.directory, end.exit_code),
            lasted_s=self.supervisor.clock() - self.began_s,
            planned_s=_planned_s(self.cell),
            processes_lost=_processes_lost(self.directory),
            has_records=bool(self.directory.all_requests()),
        )


@dataclass(slots=True)
class CellRunner:
    """Runs the cells of one suite and keeps count of what they use up."""

    identity: RunIdentity
    limits: Limits
    signals: Signals
    cells: int
    planned_s: float
    catalog: Catalog
    clock: Callable[[], float] = time.monotonic
    #: What has been used up by cells that have ended, those of an earlier run of the same suite among them.
    spent: Spending = NOTHING_SPENT
    #: Why all cells are to stop.
    stop: StopReason | None = None
    running: dict[str, RunningCell] = field(default_factory=dict)
    done: int = 0
    _began_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._began_s = self.clock()

    def why_stop(self) -> StopReason | None:
        """Why no further cell is to begin: a signal, or a limit that the suite has reached."""
        self.stop = self.stop or self.limits.reached(self.spending(), now())
        return StopReason.INTERRUPT if self.signals.asked_to_stop else self.stop

    def spending(self) -> Spending:
        """What the suite has used up so far."""
        return sum((running.spent for running in self.running.values()), self.spent)

    def start(self, cell: Cell, slots: int, number: int) -> None:
        """Begin a cell. `slots` are the users of Locust, `number` is its place in the suite from 1."""
        directory = self.identity.directory.cell(cell.cell)
        errors = self.limits.errors
        watch = CellWatch(directory, self.catalog, *([] if errors is None else [errors.window_s]))
        if len(cell.stages) > 1:
            write_stages(directory.stages_yaml, cell.stages)
        identity = self.identity
        if identity.processes > 1:
            identity = replace(identity, master_port=_free_port())
        tree = ProcessTree(
            [*locust_command(cell, slots, identity, self.limits), "--stop-with-stdin"],
            environment=child_environment(os.environ, identity.endpoint),
            folder=PROJECT,
            console=_console(directory),
            inherited=inherited_locks(),
        )
        supervisor = Supervisor(tree, self.signals, lambda: self._look(watch), _patience(cell), self.clock)
        schedule = cell.schedule() if cell.is_open else None
        self.running[cell.cell] = RunningCell(cell, number, directory, watch, tree, supervisor, self.clock(), schedule)

    def step(self) -> Iterator[tuple[Cell, CellEnd]]:
        """Look at every running cell once; those that have ended, and how."""
        for name, running in list(self.running.items()):
            end = running.step()
            if end is not None:
                del self.running[name]
                self.spent, self.done = self.spent + running.spent, self.done + 1
                yield running.cell, end

    def kill(self) -> None:
        """End everything that runs, now."""
        for running in self.running.values():
            running.tree.kill()

    def _look(self, watch: CellWatch) -> StopReason | None:
        """Read what is new of a cell; why it is to stop: what stops one stops them all."""
        watch.update()
        self.stop = self.stop or self._limit_of(watch)
        return self.stop

    def _limit_of(self, watch: CellWatch) -> StopReason | None:
        if watch.limit_reached is not None:
            return StopReason(watch.limit_reached)
        at = now()
        if self.limits.errors is not None and self.limits.errors.is_passed(*watch.recent.count(at)):
            return StopReason.MAX_ERROR_RATE
        return self.limits.reached(self.spending(), at)

    def snapshots(self) -> list[Snapshot]:
        """The state of every running cell, in the order in which they began."""
        cost_usd = self.spending().cost_usd
        return [self._snapshot(running, cost_usd) for running in self.running.values()]

    def _snapshot(self, running: RunningCell, cost_usd: float) -> Snapshot:
        cell, watch, schedule, at = running.cell, running.watch, running.schedule, now()
        tally, schedule_at = watch.tally, watch.schedule_started_at
        offered = schedule.rate_at(at - schedule_at) if schedule is not None and schedule_at is not None else None
        return Snapshot(
            cell=cell.cell,
            cell_number=running.number,
            cells=self.cells,
            cells_done=self.done,
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
            cost_usd=cost_usd,
        )


def _console(directory: CellDirectory) -> Path:
    return directory.path / "console.log"


def last_words(directory: CellDirectory, exit_code: int | None) -> str:
    """What Locust said at last: what it refuses and a traceback are on its console, all else is in its log."""
    console, log = _console(directory), directory.log
    if exit_code == LOCUST_REFUSED or _ENDS_IN_ERROR.search(last_lines([console])):
        return last_lines([console, log])
    return last_lines([log, console])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


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


def judge(
    end: End, log: str, *, lasted_s: float, planned_s: float, processes_lost: int = 0, has_records: bool = True
) -> CellEnd:
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
    if end.exit_code == 0:
        missed = _why_unmeasured(lasted_s, planned_s, processes_lost, has_records=has_records)
        return CellEnd("finished" if missed is None else "failed", missed, None, "" if missed is None else log)
    said = log.splitlines()[-1] if log else "its log is empty"
    return CellEnd("failed", f"Locust {_what_happened(end.exit_code or 0)}: {said}", None, log)


def _why_unmeasured(lasted_s: float, planned_s: float, processes_lost: int, *, has_records: bool) -> str | None:
    """Why a cell that ended in order has not measured what it was to; None if it has."""
    if lasted_s < planned_s:
        return f"Locust ended after {lasted_s:.0f} of {planned_s:.0f} s, unasked"
    if processes_lost:
        return f"{processes_lost} of its Locust processes died"
    return None if has_records else "its record files are gone"


def _what_happened(exit_code: int) -> str:
    if exit_code == LOCUST_REFUSED:
        return "refused its configuration"
    if exit_code < 0:
        return f"was ended by {signal.Signals(-exit_code).name}"
    return f"ended with exit code {exit_code}"
