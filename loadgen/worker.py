"""A worker's answers to the master that leads the test."""

import gevent
from locust.runners import STATE_RUNNING, STATE_SPAWNING

import logging
from dataclasses import asdict
from typing import Any

from bedrock.clock import now
from loadgen import messages
from loadgen.dealing import Deal
from loadgen.hub_stalls import calm_collector
from loadgen.options import OptionsError
from loadgen.participant import Participant
from loadgen.phases import PhaseClock
from loadgen.slots import LOOK_INTERVAL_S

logger = logging.getLogger(__name__)


class Worker:
    """Receives the master's messages for a participant."""

    def __init__(self, environment: Any, participant: Participant) -> None:
        self._environment = environment
        self._participant = participant
        self._load_id = ""
        self._has_drained = False
        self._drainer: gevent.Greenlet | None = None

    def listen(self) -> None:
        """Register for messages and for the events of Locust's tests."""
        runner, hooks = self._environment.runner, self._environment.events
        hooks.test_start.add_listener(lambda **_kwargs: self.on_test_start())
        if runner.worker_state in (STATE_SPAWNING, STATE_RUNNING):  # it joined a test that had already begun
            self.on_test_start()
        # The master has drained already; a worker that lost its master, or got Ctrl-C itself, does it here.
        hooks.test_stopping.add_listener(lambda **_kwargs: self.on_test_stopping())
        hooks.test_stop.add_listener(lambda **_kwargs: self._participant.stop())
        runner.register_message(messages.CLOCK, self.on_clock)
        runner.register_message(messages.BEGIN, self.on_begin)
        runner.register_message(messages.DEAL, self.on_deal)
        runner.register_message(messages.WRITTEN, self.on_written)
        runner.register_message(messages.DRAIN, self.on_drain)

    def on_test_start(self) -> None:
        """Take over the options, and tell the master whether they make a test here."""
        load_id = self._environment.parsed_options.load_id
        if not load_id or load_id == self._load_id:  # a test that was refused, or is over: users without a session end
            return
        self._load_id, self._has_drained, self._drainer = load_id, False, None
        problems: list[str] = []
        try:
            preparation = self._participant.prepare()
            self._participant.start(preparation)
        except OptionsError as error:
            problems = list(error.problems)
        except OSError as error:
            problems = [f"--results-dir: {error.filename} cannot be written: {error.strerror}"]
        for problem in problems:
            logger.error("This worker cannot take part: %s", problem)
        self._tell(messages.READY, {"problems": problems, "process": self._process()})

    def _process(self) -> str | None:
        session = self._participant.session
        return None if session is None else session.process

    def _tell(self, kind: str, data: dict[str, Any]) -> None:
        runner = self._environment.runner
        runner.send_message(kind, {"client_id": runner.client_id, "load_id": self._load_id, **data})

    def on_clock(self, msg: Any, **_kwargs: Any) -> None:
        """What time it is here, at once: all that passes before the answer is error."""
        self._tell(messages.CLOCK_ANSWER, {"asked_at": msg.data["asked_at"], "at": now()})

    def on_begin(self, msg: Any, **_kwargs: Any) -> None:
        """The master's word that all users are there."""
        data = msg.data
        if data["load_id"] != self._load_id:
            return
        calm_collector()
        deals = [Deal(*row) for row in data["deals"]]
        phases = PhaseClock.from_message(data["phases"])
        self._participant.begin(phases, data["start_at"], deals, data["ahead_s"])
        gevent.spawn(self._tell_waiting, self._load_id)

    def _tell_waiting(self, load_id: str) -> None:
        """Say it as long as arrivals wait for a slot: the master may add some."""
        while load_id == self._load_id and not self._has_drained:
            gevent.sleep(LOOK_INTERVAL_S)
            if waiting := self._participant.waiting:
                self._tell(messages.WAITING, {"waiting": waiting})

    def on_deal(self, msg: Any, **_kwargs: Any) -> None:
        """Workers have come or gone."""
        if msg.data["load_id"] == self._load_id:
            self._participant.deal(Deal(*msg.data["deal"]))

    def on_written(self, msg: Any, **_kwargs: Any) -> None:
        """The master has written lines."""
        self._participant.on_written(msg.data)

    def on_drain(self, msg: Any, **_kwargs: Any) -> None:
        """The test ends. Answered from a greenlet: this one must keep receiving."""
        if msg.data["load_id"] != self._load_id:
            return
        if self._has_drained:  # asked again: somebody is in a hurry
            self._participant.hurry()
        else:
            self._drainer = gevent.spawn(self._drain, msg.data["timeout_s"])

    def on_test_stopping(self) -> None:
        """A worker that lost its master, or got Ctrl-C itself, drains here; the master has seen to it otherwise."""
        session = self._participant.session
        if session is not None and not self._has_drained:
            self._drain(session.options.drain_timeout_s)
        elif self._drainer is not None:
            self._drainer.join()

    def _drain(self, timeout_s: float) -> None:
        self._has_drained = True
        drained = self._participant.drain(timeout_s)
        # Locust sends its statistics every 3 s; without this the master would end without the last of them.
        self._environment.runner._send_stats()  # noqa: SLF001
        self._tell(messages.DRAINED, asdict(drained))
