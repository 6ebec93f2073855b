"""The side of a test that runs users: the one process of a local run, or a worker."""

from locust import events
from locust.runners import WorkerRunner

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedrock.invocation import InvocationRecord, elapsed_ms
from bedrock.outcome import Outcome
from loadgen import messages
from loadgen.cell_output import HEALTH, CellOutput, DirectoryOutput, is_shared
from loadgen.dealing import Deal
from loadgen.health import HealthMonitor
from loadgen.phases import PhaseClock
from loadgen.preparation import Preparation, prepare
from loadgen.session import LoadSession, Sampler
from loadgen.shippers import Shipper
from loadgen.talks import conversation_counts
from scenarios.run_directory import CellDirectory

logger = logging.getLogger(__name__)

#: Connections at most: more than there will ever be slots, which are what limits concurrency.
POOL_SIZE = 20_000

#: Workers' messages are numbered apart by it, however many there are. A prime, so that each worker's own numbers go
#: through the whole deck of a mix.
MOST_WORKERS = 1009

#: How long the master may take to write what a worker sends: when calls have ended, and when all is over.
SHIP_TIMEOUT_S = 4.0
LAST_SHIP_TIMEOUT_S = 1.0


class CallFailedError(Exception):
    """What Locust's failure table shows: the outcome and the service's error code, never its changing text."""


@dataclass(frozen=True, slots=True)
class Drained:
    """How a process ended: calls open at the end of the test and after the drain, arrivals due, records written.

    `conversations` are those begun, completed, abandoned and cut short; None where there were none.
    """

    open_at_stop: int = 0
    still_open: int = 0
    offered: int | None = None
    records: int = 0
    conversations: dict[str, int] | None = None


class Participant:
    """Holds this process's session during a test and answers the director."""

    def __init__(self, environment: Any) -> None:
        self._environment = environment
        self._health: HealthMonitor | None = None
        self.session: LoadSession | None = None
        self.samplers: dict[type, Sampler] = {}
        self.outcomes: Counter[str] = Counter()
        self._shipper: Shipper | None = None

    def prepare(self) -> Preparation:
        """The test by the options that the master sent; OptionsError where this machine cannot take part."""
        environment = self._environment
        return prepare(environment.parsed_options, environment.host, environment.user_classes)

    def start(self, preparation: Preparation) -> None:
        """Open the session of a new test."""
        environment = self._environment
        cell = CellDirectory(Path(environment.parsed_options.cell_dir))
        process, share, shares = self._place()
        output = self._output(cell, process)
        self.outcomes.clear()
        self.samplers = preparation.samplers
        self.session = session = LoadSession(
            preparation.options,
            preparation.endpoint,
            cell,
            output,
            self._report,
            process=process,
            pool_size=POOL_SIZE,
            share=share,
            shares=shares,
            processes=max(self._environment.parsed_options.expect_workers or 1, share + 1),
        )
        self._health = HealthMonitor(
            output.open(HEALTH),
            process,
            lambda: session.in_flight.count,
            self._slots,
            session.call_meter,
            limit_reached=lambda: session.stop_line.reached,
        )

    def _output(self, cell: CellDirectory, process: str) -> CellOutput:
        """The results directory where this process can write into it, else the line to the master."""
        options, runner = self._environment.parsed_options, self._environment.runner
        if not isinstance(runner, WorkerRunner) or (not options.ship_records and is_shared(cell, options.load_id)):
            return DirectoryOutput(cell, process)

        def send(data: dict[str, Any]) -> None:
            runner.send_message(messages.LINES, data)

        self._shipper = Shipper(send, options.load_id, process)
        return self._shipper

    @property
    def waiting(self) -> int:
        """Arrivals that are due while every slot is taken; a loop that is merely busy needs no more of them."""
        session = self.session
        return 0 if session is None or session.in_flight.count < self._slots() else session.pacer.waiting

    def _place(self) -> tuple[str, int, int]:
        """Name of this process, its share and how many shares there are, as far as known before the start."""
        runner = self._environment.runner
        index = getattr(runner, "worker_index", 0)
        if not hasattr(runner, "master_host"):
            return "local", 0, 1
        return f"worker-{index}", index, MOST_WORKERS

    def _slots(self) -> int:
        runner = self._environment.runner
        return 1 if runner is None else int(runner.user_count)

    def begin(self, phases: PhaseClock, start_at: float, deals: Sequence[Deal], ahead_s: float = 0.0) -> None:
        """Start the schedule; the times are by a clock that is `ahead_s` ahead of this one."""
        if self._health is not None:
            self._health.ahead_s = ahead_s
        if self.session is not None:
            self.session.begin(phases, start_at, deals, ahead_s)

    def deal(self, deal: Deal) -> None:
        """Processes have come or gone: another share of what is ahead."""
        if self.session is not None:
            self.session.pacer.deal(deal)

    def drain(self, timeout_s: float) -> Drained:
        """Stop sending, wait for open calls; what is open then is cut off, so that every record is written by now."""
        session = self.session
        if session is None:
            return Drained()
        open_at_stop = session.in_flight.count
        still_open = session.drain(timeout_s)
        self._environment.stop_timeout = 0.0  # what is open now has had its time
        if self._environment.runner is not None:
            self._environment.runner.user_greenlets.kill()
        self._stop_health()  # nothing is measured any more, and its last line is to be shipped with the rest
        if self._shipper is not None:
            self._shipper.flush(SHIP_TIMEOUT_S)
        return Drained(
            open_at_stop,
            still_open,
            session.pacer.offered,
            session.records_written,
            conversation_counts(session.conversations),
        )

    def hurry(self) -> None:
        """Wait no longer for open calls."""
        if self.session is not None:
            self.session.hurry()

    def _stop_health(self) -> None:
        if self._health is not None:
            self._health.stop()
            self._health = None

    def on_written(self, data: dict[str, Any]) -> None:
        """The master has written lines of this process."""
        if self._shipper is not None:
            self._shipper.on_written(data)

    def stop(self) -> None:
        """All users have ended: close the files."""
        self._stop_health()
        if self.session is not None:
            self.session.close()
            self.session = None
        if self._shipper is not None:
            self._shipper.close(LAST_SHIP_TIMEOUT_S)
            self._shipper = None

    def _report(self, record: InvocationRecord) -> None:
        """Tell Locust of a record: one request event per call, none for an arrival that was never sent."""
        self.outcomes[str(record.outcome)] += 1
        name = record.query_type or record.prompt_size or "message"
        if record.outcome is Outcome.DROPPED:
            # A row of its own that leaves Locust's totals alone: nothing was sent.
            entry = self._environment.stats.entries[(name, "DROPPED")]
            entry.log(None, 0)
            entry.log_error("no slot in time")
            return
        self._fire_request(record, name)
        ttft_ms = record.ttft_ms
        if record.outcome is Outcome.OK and ttft_ms is not None:
            self._environment.stats.entries[(name, "TTFT")].log(ttft_ms, 0)

    def _fire_request(self, record: InvocationRecord, name: str) -> None:
        ok = record.outcome is Outcome.OK
        include = self.session is not None and self.session.options.include_failures
        events.request.fire(
            request_type=record.api,
            name=name,
            # Failures are fast: in the percentiles they would make a throttled service look quick.
            response_time=elapsed_ms(record.intended_at, record.ended_at) if ok or include else None,
            response_length=record.bytes_received or 0,
            exception=None if ok else CallFailedError(_failure_text(record)),
            context={"outcome": str(record.outcome), "model_id": record.model_id, "tier": record.requested_tier},
            start_time=record.started_at,
            record=record,
        )


def _failure_text(record: InvocationRecord) -> str:
    return f"{record.outcome}" if record.error_code is None else f"{record.outcome}: {record.error_code}"
