"""The workers of one test, as their master sees them: ready, started together, missed when they are gone."""

import gevent
from locust.runners import STATE_MISSING

import logging
from collections.abc import Mapping
from typing import Any

from bedrock.clock import now
from loadgen import messages
from loadgen.crew import Member
from loadgen.dealing import Deal, Hand, deal_to
from loadgen.participant import Drained
from loadgen.phases import PhaseClock
from loadgen.shippers import Receiver
from loadgen.slots import LOOK_INTERVAL_S
from scenarios.run_directory import CellDirectory

logger = logging.getLogger(__name__)

#: What a worker may take beyond the drain timeout to answer.
ANSWER_GRACE_S = 6.0
#: How long workers may take to say that they are ready, and what time it is.
READY_TIMEOUT_S = 10.0
CLOCK_TIMEOUT_S = 1.0
#: Questions to each worker's clock; the answer that took the shortest way is the most exact.
CLOCK_QUESTIONS = 5

_WATCH_INTERVAL_S = 0.25


class WorkerCrew:
    """Leads the workers of one test by messages.

    Its `on_...` methods run in the master's one loop of messages and never wait (locust.md fact 15).
    """

    #: A deal, too, must reach every worker before its time.
    start_lead_s = 1.0

    def __init__(self, runner: Any, cell: CellDirectory, load_id: str, drain_timeout_s: float) -> None:
        self._runner = runner
        self._drain_timeout_s = drain_timeout_s
        self._sent_home: set[str] = set()
        self._load_id = load_id
        self._problems: dict[str, list[str]] = {}
        self._members: dict[str, Member] = {}
        self._newcomers: dict[str, str] = {}
        self._clocks: dict[str, list[tuple[float, float]]] = {}
        self._phases = PhaseClock(())
        self._start_at: float | None = None
        self._waiting: dict[str, tuple[float, int]] = {}
        self._receiver = Receiver(cell, load_id, self._tell_written)
        self._watch: gevent.Greenlet | None = None

    def _tell_written(self, data: dict[str, Any], client_id: str) -> None:
        self._runner.send_message(messages.WRITTEN, data, client_id)

    @property
    def members(self) -> list[Member]:
        """All workers that have ever taken part in this test."""
        return list(self._members.values())

    # --- messages --------------------------------------------------------------------------------------------

    def on_ready(self, data: Mapping[str, Any]) -> None:
        """A worker has taken over the options, or cannot."""
        client_id = data["client_id"]
        self._problems[client_id] = list(data["problems"])
        if not data["problems"]:
            self._newcomers[client_id] = str(data["process"])
        elif self._start_at is not None:
            logger.warning("A worker that joined late takes no part in this test: %s", "; ".join(data["problems"]))

    def on_clock_answer(self, data: Mapping[str, Any]) -> None:
        """What time it is at a worker: how long the question took there and back, and how far ahead we are."""
        answered_at, asked_at = now(), float(data["asked_at"])
        ahead_s = (asked_at + answered_at) / 2.0 - float(data["at"])
        self._clocks.setdefault(data["client_id"], []).append((answered_at - asked_at, ahead_s))

    def on_waiting(self, data: Mapping[str, Any]) -> None:
        """Arrivals wait for a slot at a worker."""
        self._waiting[data["client_id"]] = now(), int(data["waiting"])

    @property
    def waiting(self) -> int:
        """Arrivals that wait for a slot, as far as workers have said so a moment ago."""
        return sum(count for at, count in self._waiting.values() if now() - at < 2.0 * LOOK_INTERVAL_S)

    def on_lines(self, data: Mapping[str, Any], client_id: str) -> None:
        """A worker's lines. It has files under its own name alone."""
        member = self._members.get(client_id)
        own = self._newcomers.get(client_id) if member is None else member.process
        if data.get("process") == own:
            self._receiver.on_message(client_id, data)

    def on_drained(self, data: Mapping[str, Any]) -> None:
        """A worker's calls have ended."""
        member = self._members.get(data["client_id"])
        if member is not None:
            member.drained = Drained(**{name: data[name] for name in Drained.__slots__})

    # --- the start -------------------------------------------------------------------------------------------

    def get_ready(self) -> list[str]:
        """Wait for all workers' word and for their clocks; why one cannot take part."""
        self._wait(READY_TIMEOUT_S, lambda: self._with_users() <= self._problems.keys())
        problems = [problem for found in self._problems.values() for problem in found]
        silent = len(self._with_users() - self._problems.keys())
        if silent:
            problems.append(f"{silent} of the workers did not say that they are ready: do they run the same version?")
        if not problems:
            self._ask_clocks(self._newcomers)
        return list(dict.fromkeys(problems))

    def _with_users(self) -> set[str]:
        """Workers that have been given users; one that has just connected has none yet, and nothing to say."""
        clients = self._runner.clients
        return {client.id for client in clients.spawning + clients.running}

    def _ask_clocks(self, clients: Mapping[str, str]) -> None:
        for _ in range(CLOCK_QUESTIONS):
            for client_id in clients:
                self._runner.send_message(messages.CLOCK, {"asked_at": now()}, client_id)
            gevent.sleep(0.02)
        self._wait(CLOCK_TIMEOUT_S, lambda: clients.keys() <= self._clocks.keys())

    def begin(self, phases: PhaseClock, start_at: float) -> None:
        """Start the schedule everywhere at this instant, in shares that do not depend on who connected first."""
        self._phases, self._start_at = phases, start_at
        for client_id, deal in deal_to(sorted(self._newcomers), 0.0).items():
            self._admit(client_id, (deal,))
        self._watch = gevent.spawn(self._keep_watch)

    def _admit(self, client_id: str, deals: tuple[Deal, ...]) -> None:
        ahead_s = self._ahead_s(client_id)
        member = Member(self._newcomers.pop(client_id), Hand(deals), ahead_s=ahead_s)
        self._members[client_id] = member
        message = {
            "load_id": self._load_id,
            "phases": self._phases.as_message(),
            "start_at": self._start_at,
            "deals": [_row(deal) for deal in deals],
            "ahead_s": ahead_s or 0.0,
        }
        self._runner.send_message(messages.BEGIN, message, client_id)

    def _ahead_s(self, client_id: str) -> float | None:
        """How far this clock is ahead of a worker's; 0 where it cannot be told from the way of the question."""
        clocks = self._clocks.get(client_id)
        if not clocks:
            return None
        took_s, ahead_s = min(clocks)
        return ahead_s if abs(ahead_s) > took_s else 0.0

    # --- the test --------------------------------------------------------------------------------------------

    def _keep_watch(self) -> None:
        while True:
            gevent.sleep(_WATCH_INTERVAL_S)
            alive = self._alive()
            gone = [client_id for client_id in self._present() if client_id not in alive]
            joined = sorted(alive & self._newcomers.keys())
            if gone or joined:
                self._take_leave(gone)
                self._deal_anew(joined)
            for client_id, member in self._members.items():
                if member.is_lost and client_id in alive:
                    self._send_home(client_id)

    def _present(self) -> dict[str, Member]:
        return {client_id: member for client_id, member in self._members.items() if member.left_at is None}

    def _take_leave(self, gone: list[str]) -> None:
        for client_id in gone:
            member = self._members[client_id]
            member.left_at = now()
            logger.error("%s is gone; the arrivals ahead are dealt to the others", member.process)

    def _send_home(self, client_id: str) -> None:
        """A worker that was silent for too long has lost its share: it may finish what it has, and no more."""
        if client_id not in self._sent_home:
            self._sent_home.add(client_id)
            self._tell_drain(client_id, self._drain_timeout_s)

    def _deal_anew(self, joined: list[str]) -> None:
        """What is due from a moment ahead on is shared by those that are there now."""
        assert self._start_at is not None  # noqa: S101 - the watch begins after the start
        if joined:
            self._ask_clocks({client_id: self._newcomers[client_id] for client_id in joined})
        from_s = now() - self._start_at + self.start_lead_s
        dealt = deal_to(sorted([*self._present(), *joined]), from_s)
        for client_id, member in self._members.items():
            deal = dealt.get(client_id, Deal(from_s, None, 1))
            member.hand.add(deal)
            # Those that are gone get it, too: they may not be, and would go on with what is now others'.
            message = {"load_id": self._load_id, "deal": _row(deal)}
            self._runner.send_message(messages.DEAL, message, client_id)
        for client_id in joined:
            self._admit(client_id, (dealt[client_id],))

    def _alive(self) -> set[str]:
        """Workers that Locust knows and has heard of lately."""
        clients = self._runner.clients
        active = {client.id for client in clients.ready + clients.spawning + clients.running}
        return active | (self._members.keys() & {client.id for client in clients.all if client.state != STATE_MISSING})

    # --- the end ---------------------------------------------------------------------------------------------

    def drain(self, timeout_s: float) -> None:
        """End sending everywhere; wait for the answers of all that can still give one."""
        if self._watch is not None:
            self._watch.kill()
        for client_id, process in self._newcomers.items():  # those of a test that ends before it has begun
            self._members[client_id] = Member(process, Hand(()))
        self._newcomers.clear()
        for client_id in self._present():
            self._tell_drain(client_id, timeout_s)
        self._wait(timeout_s + ANSWER_GRACE_S, self._is_drained)
        for member in self._present().values():
            if member.drained is None:
                member.left_at = now()

    def _tell_drain(self, client_id: str, timeout_s: float) -> None:
        self._runner.send_message(messages.DRAIN, {"load_id": self._load_id, "timeout_s": timeout_s}, client_id)

    def hurry(self) -> None:
        """Wait no longer for open calls."""
        for client_id in self._present():
            self._tell_drain(client_id, 0.0)

    def _is_drained(self) -> bool:
        alive = self._alive()
        awaited = self._present().keys() | self._sent_home
        return all(self._members[client_id].drained is not None for client_id in awaited & alive)

    def close(self) -> None:
        """The test is over. Lines that still come are taken until the next test begins, or the process ends."""

    def retire(self) -> None:
        """A new test has begun."""
        if self._watch is not None:
            self._watch.kill()
        self._receiver.close()

    @staticmethod
    def _wait(timeout_s: float, reached: Any) -> None:
        give_up_at = now() + timeout_s
        while not reached() and now() < give_up_at:
            gevent.sleep(0.02)


def _row(deal: Deal) -> list[Any]:
    return [deal.from_s, deal.share, deal.shares]
