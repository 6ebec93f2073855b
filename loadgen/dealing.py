"""Which process takes which arrivals of the schedule, also when processes come and go. Pure.

Every process walks the same schedule and takes its share of it; the union over all is the whole. When a worker is lost,
or joins, arrivals from an instant ahead on are dealt anew among those that are there.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from scenarios.arrivals import Arrival


@dataclass(frozen=True, slots=True)
class Deal:
    """From `from_s` of the schedule on, a process takes every `shares`-th arrival from `share` on; None takes none."""

    from_s: float
    share: int | None
    shares: int

    def takes(self, arrival: Arrival) -> bool:
        """Whether an arrival of this deal's time belongs to the process."""
        return self.share is not None and arrival.index % self.shares == self.share


class Hand:
    """What one process was dealt: deals in order of time, each until the next."""

    def __init__(self, deals: Sequence[Deal]) -> None:
        self._deals = list(deals)

    @property
    def deals(self) -> tuple[Deal, ...]:
        """All deals so far."""
        return tuple(self._deals)

    def add(self, deal: Deal) -> None:
        """Deal anew from an instant that lies ahead."""
        self._deals.append(deal)

    def takes(self, arrival: Arrival) -> bool:
        """Whether an arrival belongs to this process, as far as is known now."""
        for deal in reversed(self._deals):
            if arrival.at_s >= deal.from_s:
                return deal.takes(arrival)
        return False

    def arrivals(self, schedule: Iterable[Arrival], until_s: float) -> Iterator[Arrival]:
        """This process's arrivals that are due before `until_s`."""
        for arrival in schedule:
            if arrival.at_s >= until_s:
                return
            if self.takes(arrival):
                yield arrival


def deal_to(names: Sequence[str], from_s: float) -> dict[str, Deal]:
    """One deal for each process, by name: the schedule from `from_s` on, in equal shares."""
    return {name: Deal(from_s, share, len(names)) for share, name in enumerate(names)}
