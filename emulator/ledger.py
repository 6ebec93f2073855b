"""The accounts of the emulator: every request from its arrival to its line in the truth log and in the stats."""

import re
import uuid
from collections.abc import Callable

from bedrock.catalog import SERVICE_TIERS
from bedrock.clock import now
from emulator.http import Exchange
from emulator.stats import UNKNOWN, Stats, Tally
from emulator.truth import TruthEntry, TruthLog

#: `amz-sdk-request: attempt=2; max=3`; an attempt above 1 is an SDK's retry.
_ATTEMPT = re.compile(r"\battempt=(\d{1,9})")

#: Longest client-supplied text that is kept.
_KEPT_CHARACTERS = 200


#: What is to be done at the end of a call, given the tokens generated and the time (Unix seconds).
Settlement = Callable[[int, float], None]


class Call:
    """One request to the runtime, until `end`."""

    __slots__ = ("_ledger", "_settlements", "_tally", "entry")

    def __init__(self, ledger: "Ledger", exchange: Exchange) -> None:
        attempt = _ATTEMPT.search(exchange.request.headers.get("amz-sdk-request", ""))
        self.entry = TruthEntry(
            request_id=str(uuid.uuid4()),
            received_at=exchange.request.received_at,
            attempt=int(attempt[1]) if attempt else None,
        )
        self._ledger = ledger
        self._tally: Tally | None = None
        self._settlements: list[Settlement] = []

    @property
    def request_id(self) -> str:
        """The id the client is told."""
        return str(self.entry.request_id)

    def concerns(self, operation: str | None, model_id: str | None, tier: str | None) -> None:
        """Note what was asked for, valid or not."""
        self.entry.operation = operation
        self.entry.model_id = None if model_id is None else model_id[:_KEPT_CHARACTERS]
        self.entry.requested_tier = None if tier is None else tier[:_KEPT_CHARACTERS]

    def count_under(self, model_id: str, tier: str | None) -> None:
        """Count it in the stats, as in flight from now on."""
        is_known = tier is None or tier in SERVICE_TIERS
        self._tally = self._ledger.stats.open(model_id, tier if is_known else UNKNOWN)

    def count_fixture_answer(self) -> None:
        """Count that a fixture answers it, whether or not the client waits for the end."""
        if self._tally is not None:
            self._tally.fixture_answers += 1

    def when_over(self, settle: Settlement) -> None:
        """Have something done at the end."""
        self._settlements.append(settle)

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self not in self._ledger.open_calls

    def end(self, outcome: str, *, generated_tokens: int = 0) -> None:
        """It is over: count it and write its line, then settle what it took by the tokens generated."""
        if self.is_over:
            return
        self._ledger.open_calls.discard(self)
        ended_at = self.entry.ended_at = now()
        self.entry.outcome = outcome
        tally = self._tally or self._ledger.stats.open(None, None)
        self._ledger.stats.close(tally, self.entry)
        self._ledger.truth.append(self.entry)
        settlements, self._settlements = self._settlements, []
        for settle in settlements:
            settle(generated_tokens, ended_at)


class Ledger:
    """Stats, truth log, and the calls in flight."""

    def __init__(self, truth: TruthLog) -> None:
        self.truth = truth
        self.stats = Stats()
        self.open_calls: set[Call] = set()

    def open(self, exchange: Exchange) -> Call:
        """The call of a request that has just been read."""
        call = Call(self, exchange)
        self.open_calls.add(call)
        return call

    def abort_open(self, outcome: str) -> None:
        """End all calls in flight, because the emulator stops."""
        for call in list(self.open_calls):
            call.end(outcome)

    def reset(self) -> None:
        """Begin the counts and the log in memory again."""
        self.stats.reset()
        self.truth.forget()
