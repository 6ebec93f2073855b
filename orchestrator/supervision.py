"""Seeing one process tree to its end: on time, on request, or by force."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any, Protocol, Self

from orchestrator.limits import StopReason

#: How often a running cell is looked at.
POLL_INTERVAL_S = 0.2

#: Seconds beyond its drain timeout that a stopped cell may take to write its files.
STOP_GRACE_S = 15.0

#: Seconds beyond everything planned after which a cell counts as hanging.
OVERTIME_S = 60.0


class Child(Protocol):
    """What supervision needs of a process tree."""

    def poll(self) -> int | None:
        """Exit code, None while it runs."""

    def interrupt(self) -> None:
        """Ask it to end in order."""

    def kill(self) -> None:
        """End it now."""


class Signals:
    """Counts SIGINT and SIGTERM while it is entered: the first asks for an orderly end, the second for one now.

    SIGHUP, from a terminal that was closed or a connection that was lost, asks for an orderly end however often it
    comes: the shell and the kernel may both send it. Under `nohup` it goes on being ignored.
    """

    def __init__(self) -> None:
        self.count = 0
        self._previous: dict[signal.Signals, Any] = {}
        self._terminals: list[int] = []

    def __enter__(self) -> Self:
        self._terminals = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._note)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            self._previous[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._note_hangup)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1

    def _note_hangup(self, _number: int, _frame: FrameType | None) -> None:
        self.count = max(self.count, 1)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in self._terminals:
            if not os.isatty(descriptor):  # it was one: writing to it would be an error now, in the midst of the report
                os.dup2(nowhere, descriptor)
        os.close(nowhere)

    @property
    def asked_to_stop(self) -> bool:
        """Whether at least one signal came."""
        return self.count > 0

    @property
    def asked_to_abort(self) -> bool:
        """Whether a second one came."""
        return self.count > 1


@dataclass(frozen=True, slots=True)
class End:
    """How a cell's processes ended; `killed` says why they had to be, None if they went by themselves."""

    exit_code: int | None
    stopped_by: StopReason | None
    killed: str | None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait: until the planned end (with drain) is surely over, and for an orderly stop."""

    until_end_s: float
    for_stop_s: float


@dataclass(slots=True)
class Supervisor:
    """Sees one child to its end. `look` reads what is new and says why the child should stop, if it should."""

    child: Child
    signals: Signals
    look: Callable[[], StopReason | None]
    patience: Patience
    clock: Callable[[], float] = time.monotonic
    _stopped_by: StopReason | None = field(default=None, init=False)
    _deadline_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._deadline_s = self.clock() + self.patience.until_end_s

    def step(self) -> End | None:
        """Look once: the end, or None while the child goes on; to be called every POLL_INTERVAL_S.

        Stops the child on a signal or for a reason that `look` has, and kills it if it does not follow.
        """
        exit_code = self.child.poll()
        limit = self.look()
        if exit_code is not None:
            return End(exit_code, self._stopped_by, None)
        reason = StopReason.INTERRUPT if self.signals.asked_to_stop else limit
        if reason is not None and self._stopped_by is None:
            self._stopped_by = reason
            self._deadline_s = self.clock() + self.patience.for_stop_s
            self.child.interrupt()
        why = self._why_kill()
        if why is None:
            return None
        self.child.kill()
        self.look()
        return End(self.child.poll(), self._stopped_by, why)

    def _why_kill(self) -> str | None:
        if self.signals.asked_to_abort:
            return "aborted by a second signal"
        if self.clock() < self._deadline_s:
            return None
        return "did not end after it was stopped" if self._stopped_by else "did not end on time"
