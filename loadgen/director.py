"""The side of a test that leads it: the one process of a local run, or the master.

It chooses where results go, agrees the start instant, ends the test on time and sees to it that open calls may
finish: without the handshake on `test_stopping`, Locust's headless distributed runs lose every call in flight
and up to 3 s of statistics (locust.md facts 1 and 2).
"""

import gevent
from locust import stats as locust_stats

import logging
import math
import sys
from pathlib import Path
from typing import Any

from bedrock.clock import now
from bedrock.invocation import RECORD_SCHEMA_VERSION
from loadgen.options import OptionsError
from loadgen.participant import Participant
from loadgen.phases import PhaseClock, schedule_phases
from loadgen.plain_run import PlainRun, Sent, check_results_dir
from loadgen.preparation import Preparation, check_endpoint, prepare
from loadgen.shapes import choose_shape, shape_of
from scenarios.run_directory import LOAD_SCHEMA_VERSION, CellDirectory, RunDirectory, RunDirectoryError, write_json

logger = logging.getLogger(__name__)

#: Exit code for a configuration that makes no test (contract: nothing was sent).
EXIT_CONFIGURATION = 4

#: Time between the agreement on the start and the start: the message must reach every worker before it.
START_LEAD_LOCAL_S = 0.1
START_LEAD_DISTRIBUTED_S = 1.0

#: What a worker may take beyond the drain timeout to answer.
ANSWER_GRACE_S = 5.0


class Director:
    """Leads one test after the other; `participant` is set where this process also runs users."""

    def __init__(self, environment: Any, participant: Participant | None) -> None:
        self._environment = environment
        self._participant = participant
        self._preparation: Preparation | None = None
        self._cell: CellDirectory | None = None
        self._plain: PlainRun | None = None
        self._phases = PhaseClock(())
        self._started_at = 0.0
        self._stopped_at: float | None = None
        self._clock: gevent.Greenlet | None = None
        self._drain: gevent.Greenlet | None = None
        self._answers: dict[str, dict[str, Any]] = {}
        self._began_with: list[str] = []

    def check_command_line(self) -> None:
        """Refuse, before Locust starts anything, a command line that makes no test: one sentence each, exit 4."""
        try:
            preparation = self._prepare()
            if not preparation.options.run_id:
                check_results_dir(preparation.options.results_dir)
            given = self._environment.parsed_options
            choose_shape(
                self._environment, preparation.options, given.num_users or 1, given.spawn_rate or 1, given.run_time
            )
            if given.headless:
                check_endpoint(preparation.endpoint)
        except (OptionsError, RunDirectoryError) as error:
            for problem in error.problems if isinstance(error, OptionsError) else [str(error)]:
                sys.stderr.write(f"error: {problem}\n")
            sys.exit(EXIT_CONFIGURATION)

    def _prepare(self) -> Preparation:
        environment = self._environment
        return prepare(environment.parsed_options, environment.host, environment.user_classes)

    def on_test_start(self) -> None:
        """Validate again (the web form checks nothing), choose the directory, start this process's own session."""
        try:
            self._preparation = preparation = self._prepare()
            check_endpoint(preparation.endpoint)
        except OptionsError as error:
            self._refuse(error)
            return
        self._started_at, self._stopped_at, self._drain = now(), None, None
        self._phases, self._answers, self._began_with = PhaseClock(()), {}, []
        try:
            self._choose_cell(preparation)
            self._write_load(None, [])
        except RunDirectoryError as error:
            self._refuse(OptionsError([str(error)]))
            return
        except OSError as error:
            self._refuse(OptionsError([f"--results-dir: {error.filename} cannot be written: {error.strerror}"]))
            return
        if self._participant is not None:
            self._participant.start(preparation)
            if self._environment.runner is None:  # run_single_user: nobody reports that users are there
                self.on_spawning_complete()

    def _refuse(self, error: OptionsError) -> None:
        for problem in error.problems:
            logger.error("The test cannot start: %s", problem)
        self._preparation = None
        self._environment.process_exit_code = EXIT_CONFIGURATION
        gevent.spawn(self._end_test)

    def _choose_cell(self, preparation: Preparation) -> None:
        """The directory of this test: the orchestrator's cell, or one of a run of its own."""
        options = preparation.options
        if options.run_id:
            self._cell = RunDirectory(Path(options.results_dir)).cell(options.cell)
        else:
            if self._plain is None or self._plain.given != options.results_dir:  # the web form may name another one
                self._plain = PlainRun(self._environment.parsed_options)
            sent = Sent.by(preparation.samplers.values(), options)
            self._cell = self._plain.new_cell(options, sent, self._users(), max(len(self._worker_ids()), 1))
        # Workers learn the directory from the options that every spawn message carries.
        self._environment.parsed_options.cell_dir = str(self._cell.path.absolute())

    def _users(self) -> int:
        shape, runner = shape_of(self._environment), self._environment.runner
        if shape is not None:
            return shape.peak_users
        return 1 if runner is None else int(runner.target_user_count or 1)

    def on_spawning_complete(self) -> None:
        """All users are there: fix the start and the phases, tell everyone. Later changes of users change nothing."""
        if self._preparation is None or self._phases.phases:
            return
        options = self._preparation.options
        workers = self._worker_ids()
        start_at = now() + (START_LEAD_DISTRIBUTED_S if workers else START_LEAD_LOCAL_S)
        if options.is_open_loop:
            self._phases = schedule_phases(options.schedule().phases(), self._started_at, start_at)
        else:
            self._phases = schedule_phases(options.user_profile(self._users()).phases(), self._started_at, now())
        self._announce(workers, start_at)
        self._write_load(None, [])
        shape = shape_of(self._environment)
        if shape is not None:  # it ends the test itself
            shape.begin(self._phases.phases[0].end_s)
        elif math.isfinite(self._phases.end_at):
            self._clock = gevent.spawn(self._end_on_time, self._phases.end_at)

    def _announce(self, workers: list[str], start_at: float) -> None:
        if self._participant is not None:
            self._participant.begin(self._phases, start_at, 0, 1)
            return
        self._began_with = workers
        message = {
            "phases": self._phases.as_message(),
            "start_at": start_at,
            "shares": {client_id: share for share, client_id in enumerate(workers)},
        }
        for client_id in workers:
            self._environment.runner.send_message("load_begin", message, client_id)

    def _worker_ids(self) -> list[str]:
        """Workers that take part, in an order that does not depend on who connected first."""
        if self._participant is not None:
            return []
        clients = self._environment.runner.clients
        return sorted(client.id for client in clients.ready + clients.spawning + clients.running)

    def _end_on_time(self, end_at: float) -> None:
        gevent.sleep(max(end_at - now(), 0.0))
        self._end_test()

    def _end_test(self) -> None:
        """End as Locust would: leave when headless, wait for the next test in the web UI."""
        runner = self._environment.runner
        if runner is None:
            return
        if self._environment.parsed_options.headless or self._environment.parsed_options.autoquit >= 0:
            runner.quit()
        else:
            runner.stop()

    def on_test_stopping(self) -> None:
        """Every end of a test comes here, `-t`, Stop, signals and the schedule's own: drain, then let go.

        An end that comes while another is draining waits for it. The drain has a greenlet of its own, because Locust
        kills that of a load shape in the second case.
        """
        shape = shape_of(self._environment)
        if shape is not None:
            shape.hold()
        if self._preparation is None:
            return
        if self._drain is None:
            self._drain = gevent.spawn(self._drain_all, self._preparation.options.drain_timeout_s)
        self._drain.join()

    def _drain_all(self, timeout_s: float) -> None:
        self._stopped_at = now()
        if self._participant is not None:
            self._answers["local"] = self._participant.drain(timeout_s)
        else:
            self._drain_workers(timeout_s)
        self._write_load(now(), list(self._answers.values()))

    def _drain_workers(self, timeout_s: float) -> None:
        workers = self._worker_ids()
        for client_id in workers:
            self._environment.runner.send_message("load_drain", {"timeout_s": timeout_s}, client_id)
        give_up_at = now() + timeout_s + ANSWER_GRACE_S
        while now() < give_up_at and not self._answers.keys() >= self._alive(workers):
            gevent.sleep(0.02)

    def _alive(self, workers: list[str]) -> set[str]:
        """Workers still worth waiting for: one that went missing will not answer."""
        missing = {client.id for client in self._environment.runner.clients.missing}
        return {client_id for client_id in workers if client_id in self._environment.runner.clients} - missing

    def on_message_drained(self, msg: Any, **_kwargs: Any) -> None:
        """A worker's answer to the drain; only noted here, for this runs in the master's receive loop."""
        self._answers[msg.data["client_id"]] = msg.data

    def on_test_stop(self) -> None:
        """The test is over."""
        if self._clock is not None and self._clock is not gevent.getcurrent():
            self._clock.kill(block=False)
        self._clock = None
        if self._participant is not None:
            self._participant.stop()
        if self._plain is not None and self._cell is not None and self._preparation is not None:
            self._plain.finish_cell(self._cell)
        if self._environment.parsed_options.csv_prefix:
            # Locust writes its CSV files once a second and not at the end: let it see the last calls.
            gevent.sleep(locust_stats.CSV_STATS_INTERVAL_SEC + 0.05)

    def _write_load(self, ended_at: float | None, answers: list[dict[str, Any]]) -> None:
        if self._cell is None or self._preparation is None:
            return
        open_loop = self._preparation.options.is_open_loop
        offered = [answer["offered"] or 0 for answer in answers]
        lost = set(self._began_with) - self._answers.keys() if ended_at is not None else set()
        content = {
            "schema_version": LOAD_SCHEMA_VERSION,
            "record_schema_version": RECORD_SCHEMA_VERSION,
            "load_model": "open" if open_loop else "closed",
            "started_at": self._started_at,
            "ended_at": ended_at,
            "phases": self._phases.as_json(self._stopped_at),
            "arrivals_offered": sum(offered) if open_loop and answers else None,
            "open_at_stop": sum(answer["open_at_stop"] for answer in answers) if answers else None,
            "aborted": sum(answer["still_open"] for answer in answers) if answers else None,
            "processes": max(len(self._began_with), 1),
            "processes_lost": len(lost),
            "users": self._users(),
        }
        write_json(self._cell.load_json, content)
