"""Sends a suite's load: begins cells as the queue lets them, sees each to its end, stops them all where one must."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from orchestrator.cell_run import CellEnd, CellRunner
from orchestrator.limits import StopReason
from orchestrator.preflight import Preparation
from orchestrator.progress import Progress
from orchestrator.run_document import RunDocument
from orchestrator.supervision import POLL_INTERVAL_S
from scenarios.cell_queue import CellQueue
from scenarios.cells import Cell
from scenarios.units import format_duration


@dataclass(slots=True)
class CellLoop:
    """The cells that are left of a suite, in the order of the queue.

    `endpoint_died` says why nothing can be sent any more, None while it can.
    """

    preparation: Preparation
    queue: CellQueue
    runner: CellRunner
    document: RunDocument
    progress: Progress
    endpoint_died: Callable[[], str | None]
    cells: Mapping[str, Cell]
    kept: int
    #: Called when no cell runs any more: calls that a killed process had open are not in flight then.
    settle: Callable[[], None]
    _begun: int = field(default=0, init=False)
    _stopped_by: StopReason | None = field(default=None, init=False)
    _is_pausing: bool = field(default=False, init=False)

    def run(self) -> StopReason | None:
        """Run them all; what stopped them before their end, if anything did. Cells that never began stay pending."""
        try:
            while self._begin() or self.runner.running or self._waits():
                self.progress.show(self.runner.snapshots())
                time.sleep(POLL_INTERVAL_S)
                for cell, end in self.runner.step():
                    self._end(cell, end)
        except BaseException:
            self.runner.kill()
            raise
        return self._stopped_by or (self.runner.why_stop() if self.queue.waiting else None)

    def _waits(self) -> bool:
        """Whether nothing runs, and something will when a pause is over."""
        return bool(self.queue.waiting) and self._may_go_on()

    def _may_go_on(self) -> bool:
        return self.runner.why_stop() is None and self.endpoint_died() is None

    def _begin(self) -> bool:
        """Begin every cell that may begin now; whether there was one."""
        began = False
        while self._may_go_on() and (name := self.queue.start_next(time.monotonic())) is not None:
            self._begun, began, self._is_pausing = self._begun + 1, True, False
            self.document.set_status(name, "running")
            cell = self.cells[name]
            self.runner.start(cell, self.preparation.slots(cell), self.kept + self._begun)
        if not began and not self.queue.running and self._waits():
            self._tell_of_pause()
        return began

    def _tell_of_pause(self) -> None:
        if not self._is_pausing:
            self._is_pausing = True
            pause_s = self.preparation.settings.scenario.order.cool_down_s
            self.progress.note(f"Cooling down for {format_duration(pause_s)}")

    def _end(self, cell: Cell, end: CellEnd) -> None:
        self.queue.ended(cell.cell, time.monotonic())
        if not self.queue.running:
            self.settle()
        died = self.endpoint_died()
        if died is not None:
            end = replace(end, status="failed", reason=died)
        self.document.set_status(cell.cell, end.status, end.reason)
        if end.status != "finished":
            log = f"\n{end.log}" if end.log else ""
            self.progress.note(f"Cell {cell.cell} {end.status}: {end.reason}{log}")
        self._stopped_by = self._stopped_by or end.stopped_by
