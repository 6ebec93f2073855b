"""The processes that run users in one test, as the one that leads it sees them: itself, or its workers."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from loadgen.dealing import Deal, Hand
from loadgen.hub_stalls import calm_collector
from loadgen.participant import Drained, Participant
from loadgen.phases import PhaseClock

LOCAL = "local"
#: The whole schedule.
EVERYTHING = Deal(0.0, 0, 1)


@dataclass(slots=True)
class Member:
    """One process of the crew.

    `drained` None: it is still running, or was lost. `ahead_s` is how far the leading process's clock is ahead of its
    own, None where nobody has asked; `left_at` is when it was found to be gone, in Unix seconds.
    """

    process: str
    hand: Hand = field(default_factory=lambda: Hand((EVERYTHING,)))
    drained: Drained | None = None
    ahead_s: float | None = None
    left_at: float | None = None

    @property
    def is_lost(self) -> bool:
        """Whether it went without a word."""
        return self.left_at is not None and self.drained is None


class Crew(Protocol):
    """Leads the processes of one test."""

    @property
    def members(self) -> list[Member]:
        """All that have ever taken part in this test."""

    @property
    def waiting(self) -> int:
        """Arrivals that are due and that no slot has taken."""

    def get_ready(self) -> list[str]:
        """Prepare for the start; sentences on why a process cannot take part, none if all can."""

    def begin(self, phases: PhaseClock, start_at: float) -> None:
        """Start the schedule everywhere at this instant."""

    def drain(self, timeout_s: float) -> None:
        """End sending everywhere and wait until open calls have ended."""

    def hurry(self) -> None:
        """Wait no longer for open calls: somebody has asked a second time."""

    def close(self) -> None:
        """The test is over."""

    @property
    def start_lead_s(self) -> float:
        """Time between the agreement on the start and the start: the word must reach everybody before it."""


class LocalCrew:
    """This process alone."""

    start_lead_s = 0.1

    def __init__(self, participant: Participant) -> None:
        self._participant = participant
        self._member = Member(LOCAL)

    @property
    def members(self) -> list[Member]:
        """This process."""
        return [self._member]

    @property
    def waiting(self) -> int:
        """Arrivals that are due and that no slot has taken."""
        return self._participant.waiting

    def get_ready(self) -> list[str]:
        """It is, once the collector has looked at all users: that takes longer than the start is ahead."""
        calm_collector()
        return []

    def begin(self, phases: PhaseClock, start_at: float) -> None:
        """Start the schedule."""
        self._participant.begin(phases, start_at, self._member.hand.deals)

    def drain(self, timeout_s: float) -> None:
        """End sending and wait until open calls have ended."""
        self._member.drained = self._participant.drain(timeout_s)

    def hurry(self) -> None:
        """Wait no longer for open calls."""
        self._participant.hurry()

    def close(self) -> None:
        """All users have ended."""
        self._participant.stop()


def as_json(member: Member) -> dict[str, Any]:
    """A row of `load.json`; unknown figures are null."""
    drained = member.drained
    return {
        "process": member.process,
        "lost": member.is_lost,
        "left_at": member.left_at,
        "clock_ahead_ms": None if member.ahead_s is None else round(member.ahead_s * 1000.0, 3),
        "records": None if drained is None else drained.records,
    }
