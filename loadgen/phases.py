"""Which phase of the test an instant belongs to, on the absolute clock."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from scenarios.rates import Phase


@dataclass(frozen=True, slots=True)
class PhaseClock:
    """Phases in Unix seconds, in order and without gaps; before the first and after the last nothing is known."""

    phases: tuple[Phase, ...]

    def name_at(self, at: float) -> str:
        """The phase of an instant; before the schedule begins it is the ramp, after its end the last phase."""
        for phase in self.phases:
            if at < phase.end_s:
                return phase.name if at >= phase.start_s else "ramp"
        return self.phases[-1].name if self.phases else "ramp"

    def shifted(self, by_s: float) -> "PhaseClock":
        """The same phases by another clock."""
        return PhaseClock(tuple(Phase(each.name, each.start_s + by_s, each.end_s + by_s) for each in self.phases))

    @property
    def end_at(self) -> float:
        """When the last phase ends; infinite where nothing ends it."""
        return self.phases[-1].end_s if self.phases else math.inf

    def as_message(self) -> list[list[Any]]:
        """Phases as plain lists, None for an end that is open: what a message between processes can carry."""
        return [[phase.name, phase.start_s, _finite(phase.end_s)] for phase in self.phases]

    @classmethod
    def from_message(cls, rows: Iterable[Iterable[Any]]) -> "PhaseClock":
        """The inverse of `as_message`."""
        return cls(tuple(Phase(name, start, math.inf if end is None else end) for name, start, end in rows))

    def as_json(self, stopped_at: float | None) -> list[dict[str, Any]]:
        """Rows of `load.json`: phases as they happened, cut where the arrivals were stopped."""
        cut = math.inf if stopped_at is None else stopped_at
        return [
            {"name": phase.name, "started_at": phase.start_s, "ended_at": _finite(min(phase.end_s, cut))}
            for phase in self.phases
            if phase.start_s < cut
        ]


def _finite(value: float) -> float | None:
    return None if math.isinf(value) else value


def schedule_phases(schedule: Iterable[Phase], spawn_began_at: float, start_at: float) -> PhaseClock:
    """Phases of a schedule that starts at `start_at`, behind the ramp: the time in which users were started."""
    shifted = [Phase(phase.name, start_at + phase.start_s, start_at + phase.end_s) for phase in schedule]
    return PhaseClock((Phase("ramp", spawn_began_at, start_at), *shifted))
