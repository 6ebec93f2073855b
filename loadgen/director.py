"""The side of a test that leads it: the one process of a local run, or the master.

It chooses where results go, agrees the start instant, ends the test on time and sees to it that open calls may
finish: without the handshake on `test_stopping`, Locust's headless distributed runs lose every call in flight
and up to 3 s of statistics (locust.md facts 1 and 2).
"""

import gevent
from locust import stats as locust_stats
from locust.runners import MasterRunner

import logging
import math
import secrets
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bedrock.clock import now
from bedrock.invocation import RECORD_SCHEMA_VERSION
from loadgen import messages
from loadgen.crew import Crew, LocalCrew, as_json
from loadgen.losses import Losses
from loadgen.options import OptionsError
from loadgen.participant import Drained, Participant
from loadgen.phases import PhaseClock, schedule_phases
from loadgen.plain_run import PlainRun, Sent, check_results_dir
from loadgen.preparation import Preparation, check_endpoint, prepare
from loadgen.shapes import choose_shape, shape_of
from loadgen.slots import SlotKeeper, expected_slots, slot_limit
from loadgen.worker_crew import WorkerCrew
from scenarios.run_directory import LOAD_SCHEMA_VERSION, CellDirectory, RunDirectory, RunDirectoryError, write_json

logger = logging.getLogger(__name__)

#: Exit code for a configuration that makes no test (contract: nothing was sent).
EXIT_CONFIGURATION = 4

#: Seconds between Locust's updates of its CSV files: during the test, and once nothing is measured any more. Nobody
#: then has to wait a whole interval for the last of them.
_CSV_INTERVAL_S = locust_stats.CSV_STATS_INTERVAL_SEC
_LAST_CSV_INTERVAL_S = 0.1


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
        self._load_id = ""
        self._crew: Crew | None = None
        self._slot_keeper: SlotKeeper | None = None
        self._start_at: float | None = None
        self._arrivals_lost: int | None = None
        #: Whether the start of this test has been agreed on, or is being.
        self._is_agreed = False

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
            self._size(preparation)
        except (OptionsError, RunDirectoryError) as error:
            for problem in error.problems if isinstance(error, OptionsError) else [str(error)]:
                sys.stderr.write(f"error: {problem}\n")
            sys.exit(EXIT_CONFIGURATION)

    def _size(self, preparation: Preparation) -> None:
        """Where nobody has said how many users: as many slots as the rate needs, all at once."""
        options = self._environment.parsed_options
        if options.num_users is None:
            options.num_users = expected_slots(preparation)
        if options.spawn_rate is None and preparation.options.is_open_loop and options.num_users is not None:
            options.spawn_rate = float(min(options.num_users, 100))

    def _prepare(self) -> Preparation:
        environment = self._environment
        return prepare(environment.parsed_options, environment.host, environment.user_classes)

    def on_test_start(self) -> None:
        """Validate again (the web form checks nothing), choose the directory, start this process's own session.

        GreenletExit for a test that is refused: Locust would start its users all the same.
        """
        try:
            self._start(self._prepare())
        except OptionsError as error:
            self._refuse(error)
            if self._environment.runner is not None:
                raise gevent.GreenletExit from error

    def _start(self, preparation: Preparation) -> None:
        check_endpoint(preparation.endpoint)
        self._preparation = preparation
        self._started_at, self._stopped_at, self._start_at, self._drain = now(), None, None, None
        self._phases, self._arrivals_lost, self._is_agreed = PhaseClock(()), None, False
        try:
            self._choose_cell(preparation)
            self._write_load(None)
        except RunDirectoryError as error:
            raise OptionsError([str(error)]) from error
        except OSError as error:
            raise OptionsError([f"--results-dir: {error.filename} cannot be written: {error.strerror}"]) from error
        # Where users are taken away in mid-test, such as for a worker that joined, their calls may end first.
        self._environment.stop_timeout = preparation.options.drain_timeout_s
        if self._participant is not None:
            self._participant.start(preparation)
        if self._environment.runner is None:  # run_single_user: nobody reports that users are there
            self.on_spawning_complete()

    def _refuse(self, error: OptionsError) -> None:
        for problem in error.problems:
            logger.error("The test cannot start: %s", problem)
        self._preparation = None
        # Workers that are given users all the same find no test to take part in.
        self._environment.parsed_options.load_id = self._environment.parsed_options.cell_dir = ""
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
            self._cell = self._plain.new_cell(options, sent, self._users(), self._processes())
        self._load_id = secrets.token_hex(8)
        # Workers learn these from the options that every spawn message carries.
        self._environment.parsed_options.cell_dir = str(self._cell.path.absolute())
        self._environment.parsed_options.load_id = self._load_id
        self._crew = self._make_crew(self._cell)

    def _make_crew(self, cell: CellDirectory) -> Crew:
        if isinstance(self._crew, WorkerCrew):
            self._crew.retire()
        if self._participant is not None:
            return LocalCrew(self._participant)
        timeout_s = 0.0 if self._preparation is None else self._preparation.options.drain_timeout_s
        return WorkerCrew(self._environment.runner, cell, self._load_id, timeout_s)

    def _processes(self) -> int:
        runner = self._environment.runner
        return max(runner.worker_count, 1) if isinstance(runner, MasterRunner) else 1

    def _users(self) -> int:
        shape, runner = shape_of(self._environment), self._environment.runner
        if shape is not None:
            return shape.peak_users
        return 1 if runner is None else int(runner.target_user_count or 1)

    def on_spawning_complete(self) -> None:
        """All users are there: fix the start and the phases, tell everyone. Later changes of users change nothing."""
        crew = self._crew
        if self._preparation is None or crew is None or self._is_agreed:
            return
        self._is_agreed = True
        problems = crew.get_ready()
        if problems:
            if self._plain is not None and self._cell is not None:
                self._plain.finish_cell(self._cell)
            self._refuse(OptionsError(problems))
            return
        options = self._preparation.options
        start_at = self._start_at = now() + crew.start_lead_s
        if options.is_open_loop:
            self._phases = schedule_phases(options.schedule().phases(), self._started_at, start_at)
        else:
            self._phases = schedule_phases(options.user_profile(self._users()).phases(), self._started_at, now())
        crew.begin(self._phases, start_at)
        if options.is_open_loop and self._environment.runner is not None:
            limit = slot_limit(self._users(), options.max_slots)
            self._slot_keeper = SlotKeeper(self._environment.runner, lambda: crew.waiting, limit)
        self._write_load(None)
        shape = shape_of(self._environment)
        if shape is not None:  # it ends the test itself
            shape.begin(self._phases.phases[0].end_s)
        elif math.isfinite(self._phases.end_at):
            self._clock = gevent.spawn(self._end_on_time, self._phases.end_at)

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
        if self._preparation is None or self._crew is None:
            return
        if self._drain is None:
            self._drain = gevent.spawn(self._drain_all, self._preparation, self._crew)
        try:
            self._drain.join()
        except KeyboardInterrupt:  # a second time: cut calls off, but keep the books
            self._crew.hurry()
            self._drain.join()

    def _drain_all(self, preparation: Preparation, crew: Crew) -> None:
        self._stopped_at = now()
        locust_stats.CSV_STATS_INTERVAL_SEC = _LAST_CSV_INTERVAL_S  # type: ignore[assignment]  # it only sleeps so long
        if self._slot_keeper is not None:
            self._slot_keeper.stop()
            self._slot_keeper = None
        crew.drain(preparation.options.drain_timeout_s)
        try:
            self._record_losses(preparation)
        except OSError:
            logger.exception("What was lost with a process could not be recorded")
        self._write_load(now())

    def _record_losses(self, preparation: Preparation) -> None:
        """Give every arrival that was lost with a process its record."""
        if self._cell is None or self._crew is None or self._start_at is None or not preparation.options.is_open_loop:
            return
        until_s = (self._stopped_at or now()) - self._start_at
        losses = Losses(preparation, self._cell, self._start_at, until_s)
        self._arrivals_lost = sum(losses.record(member) for member in self._crew.members if member.left_at is not None)

    def on_message(self, environment: Any, msg: Any, **_kwargs: Any) -> None:  # noqa: ARG002 - Locust's signature
        """A worker's message; only noted here, for this runs in the master's receive loop."""
        crew, data = self._crew, msg.data
        if not isinstance(crew, WorkerCrew) or data["load_id"] != self._load_id:
            return
        match msg.type:
            case messages.READY:
                crew.on_ready(data)
            case messages.CLOCK_ANSWER:
                crew.on_clock_answer(data)
            case messages.WAITING:
                crew.on_waiting(data)
            case messages.LINES:
                crew.on_lines(data, msg.node_id)
            case messages.DRAINED:
                crew.on_drained(data)

    def on_test_stop(self) -> None:
        """The test is over."""
        if self._clock is not None and self._clock is not gevent.getcurrent():
            self._clock.kill(block=False)
        self._clock = None
        if self._crew is not None:
            self._crew.close()
        if self._plain is not None and self._cell is not None and self._preparation is not None:
            self._plain.finish_cell(self._cell)
        self._let_csv_be_written()
        runner = self._environment.runner
        if isinstance(runner, MasterRunner) and runner.worker_count == 0 and self._environment.parsed_options.headless:
            gevent.spawn(runner.quit)  # the last worker is lost: Locust stops the test then, and goes on waiting

    def _let_csv_be_written(self) -> None:
        """Locust writes its CSV files at intervals and not at the end: let it see the last calls."""
        if not self._environment.parsed_options.csv_prefix:
            return
        stopped_at = now() if self._stopped_at is None else self._stopped_at
        pause_began_by_s = max(_CSV_INTERVAL_S - (now() - stopped_at), 0.0)
        gevent.sleep(pause_began_by_s + locust_stats.CSV_STATS_INTERVAL_SEC + 0.05)
        locust_stats.CSV_STATS_INTERVAL_SEC = _CSV_INTERVAL_S

    def _write_load(self, ended_at: float | None) -> None:
        if self._cell is None or self._preparation is None or self._crew is None:
            return
        open_loop = self._preparation.options.is_open_loop
        members = self._crew.members
        ends = [member.drained for member in members if member.drained is not None] if ended_at is not None else []
        content = {
            "schema_version": LOAD_SCHEMA_VERSION,
            "record_schema_version": RECORD_SCHEMA_VERSION,
            "load_id": self._load_id,
            "load_model": "open" if open_loop else "closed",
            "started_at": self._started_at,
            "ended_at": ended_at,
            "phases": self._phases.as_json(self._stopped_at),
            "arrivals_offered": sum(end.offered or 0 for end in ends) if open_loop and ends else None,
            "arrivals_lost": self._arrivals_lost,
            "open_at_stop": sum(end.open_at_stop for end in ends) if ends else None,
            "conversations": _total_conversations(ends),
            "aborted": sum(end.still_open for end in ends) if ends else None,
            "processes": max(len(members), 1),
            "processes_lost": sum(member.is_lost for member in members),
            "members": [as_json(member) for member in members],
            "users": self._users(),
        }
        write_json(self._cell.load_json, content)


def _total_conversations(ends: Iterable[Drained]) -> dict[str, int] | None:
    """Conversations of all processes, by what became of them; None where there were none."""
    counts = [end.conversations for end in ends if end.conversations is not None]
    return {name: sum(count[name] for count in counts) for name in counts[0]} if counts else None
