"""Counts per model and tier, for `GET /_emulator/stats`."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from emulator.truth import TruthEntry

STATS_SCHEMA_VERSION = 1

#: Where requests are counted that name no model, or whose tier is not known.
UNKNOWN = "unknown"


@dataclass(slots=True)
class Tally:
    """Counts of one model in one tier. `requests` are those that arrived, finished or not."""

    requests: int = 0
    in_flight: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    input_tokens: int = 0
    output_tokens: int = 0
    events: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    #: Requests that a fixture answered (`emulator.fixtures`).
    fixture_answers: int = 0

    def restart(self) -> None:
        """Count from nothing, apart from what is in flight."""
        self.requests = self.in_flight
        self.outcomes.clear()
        self.input_tokens = self.output_tokens = self.events = self.fixture_answers = 0
        self.cache_read_tokens = self.cache_write_tokens = 0

    def add(self, other: "Tally") -> None:
        """Count what the other counted too."""
        self.requests += other.requests
        self.in_flight += other.in_flight
        self.outcomes.update(other.outcomes)
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.events += other.events
        self.cache_read_tokens += other.cache_read_tokens
        self.cache_write_tokens += other.cache_write_tokens
        self.fixture_answers += other.fixture_answers

    def to_dict(self) -> dict[str, Any]:
        """As the endpoint shows it."""
        return {
            "requests": self.requests,
            "in_flight": self.in_flight,
            "outcomes": dict(self.outcomes),
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "events": self.events,
            "cache_read_tokens": self.cache_read_tokens,
            "cache_write_tokens": self.cache_write_tokens,
            "fixture_answers": self.fixture_answers,
        }


class Stats:
    """All tallies, by model id as sent and by tier."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str], Tally] = {}

    def open(self, model_id: str | None, tier: str | None) -> Tally:
        """Count a request as in flight; give the tally back to `close`."""
        tally = self._tallies.setdefault((model_id or UNKNOWN, tier or "default"), Tally())
        tally.requests += 1
        tally.in_flight += 1
        return tally

    def close(self, tally: Tally, entry: TruthEntry) -> None:
        """Count how a request ended. Tokens of refused requests are not counted: they were not read."""
        tally.in_flight -= 1
        tally.outcomes[entry.outcome or UNKNOWN] += 1
        tally.output_tokens += entry.output_tokens or 0
        tally.events += entry.events or 0
        if entry.served_tier is not None:
            tally.input_tokens += entry.input_tokens or 0
            tally.cache_read_tokens += entry.cache_read_tokens or 0
            tally.cache_write_tokens += entry.cache_write_tokens or 0

    def reset(self) -> None:
        """Start counting again; what is in flight is still shown until it ends."""
        for tally in self._tallies.values():
            tally.restart()
        self._tallies = {key: tally for key, tally in self._tallies.items() if tally.in_flight}

    def to_dict(self) -> dict[str, Any]:
        """The endpoint's answer."""
        total = Tally()
        models: dict[str, dict[str, Any]] = {}
        for (model_id, tier), tally in sorted(self._tallies.items()):
            models.setdefault(model_id, {})[tier] = tally.to_dict()
            total.add(tally)
        return {"schema_version": STATS_SCHEMA_VERSION, "models": models, "total": total.to_dict()}
