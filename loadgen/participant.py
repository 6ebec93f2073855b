"""The side of a test that runs users: the one process of a local run, or a worker."""

import gevent
from locust import events

import logging
from collections import Counter
from pathlib import Path
from typing import Any

from bedrock.invocation import InvocationRecord, elapsed_ms
from bedrock.outcome import Outcome
from loadgen.health import HealthMonitor
from loadgen.hub_stalls import calm_collector
from loadgen.options import OptionsError
from loadgen.phases import PhaseClock
from loadgen.preparation import Preparation, prepare
from loadgen.session import LoadSession, Sampler
from scenarios.run_directory import CellDirectory

logger = logging.getLogger(__name__)

#: Connections at most: more than there will ever be slots, which are what limits concurrency.
POOL_SIZE = 20_000


class CallFailedError(Exception):
    """What Locust's failure table shows: the outcome and the service's error code, never its changing text."""


class Participant:
    """Holds this process's session during a test and answers the director."""

    def __init__(self, environment: Any) -> None:
        self._environment = environment
        self._health: HealthMonitor | None = None
        self.session: LoadSession | None = None
        self.samplers: dict[type, Sampler] = {}
        self.outcomes: Counter[str] = Counter()

    def start(self, preparation: Preparation | None = None) -> None:
        """Open the session of a new test; `preparation` None reads the options that the master sent."""
        environment = self._environment
        if preparation is None:
            try:
                preparation = prepare(environment.parsed_options, environment.host, environment.user_classes)
            except OptionsError as error:  # the master has said so already; a worker on another host may differ
                logger.error("This worker cannot take part: %s", error)  # noqa: TRY400 - for users, not a traceback
                return
        cell = CellDirectory(Path(environment.parsed_options.cell_dir))
        process, share, shares = self._place()
        self.outcomes.clear()
        self.samplers = preparation.samplers
        self.session = LoadSession(
            preparation.options,
            preparation.endpoint,
            cell,
            self._report,
            process=process,
            pool_size=POOL_SIZE,
            share=share,
            shares=shares,
        )
        session = self.session
        self._health = HealthMonitor(
            cell.health(process), process, lambda: session.in_flight.count, self._slots, session.call_meter
        )

    def _place(self) -> tuple[str, int, int]:
        """Name of this process, its share and how many shares there are, as far as known before the start."""
        runner = self._environment.runner
        index = getattr(runner, "worker_index", 0)
        if not hasattr(runner, "master_host"):
            return "local", 0, 1
        return f"worker-{index}", index, max(self._environment.parsed_options.expect_workers or 1, index + 1)

    def _slots(self) -> int:
        runner = self._environment.runner
        return 1 if runner is None else int(runner.user_count)

    def begin(self, phases: PhaseClock, start_at: float, share: int, shares: int) -> None:
        """Start the schedule."""
        calm_collector()
        if self.session is not None:
            self.session.begin(phases, start_at, share, shares)

    def drain(self, timeout_s: float) -> dict[str, Any]:
        """Stop sending, wait for open calls; plain data on how it ended."""
        session = self.session
        if session is None:
            return {"open_at_stop": 0, "still_open": 0, "offered": None}
        open_at_stop = session.in_flight.count
        still_open = session.drain(timeout_s)
        return {"open_at_stop": open_at_stop, "still_open": still_open, "offered": session.pacer.offered}

    def stop(self) -> None:
        """All users have ended: close the files."""
        if self._health is not None:
            self._health.stop()
            self._health = None
        if self.session is not None:
            self.session.close()
            self.session = None

    def on_message_begin(self, environment: Any, msg: Any, **_kwargs: Any) -> None:
        """The director's word that all users are there."""
        share = msg.data["shares"].get(environment.runner.client_id)
        if share is not None:
            phases = PhaseClock.from_message(msg.data["phases"])
            self.begin(phases, msg.data["start_at"], share, len(msg.data["shares"]))

    def on_message_drain(self, environment: Any, msg: Any, **_kwargs: Any) -> None:
        """The director's word that the test ends. Answered from a greenlet: this one must keep receiving."""
        gevent.spawn(self._drain_and_answer, environment.runner, msg.data["timeout_s"])

    def _drain_and_answer(self, runner: Any, timeout_s: float) -> None:
        result = self.drain(timeout_s)
        # Locust sends its statistics every 3 s; without this the master would end without the last of them.
        runner._send_stats()  # noqa: SLF001
        runner.send_message("load_drained", {"client_id": runner.client_id, **result})

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
