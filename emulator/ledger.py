"""The accounts of the emulator: every request from its arrival to its line in the truth log and in the stats."""

import re
import uuid

from bedrock.catalog import SERVICE_TIERS
from bedrock.clock import now
from emulator.http import Exchange
from emulator.quotas import Admission, QuotaPool
from emulator.stats import UNKNOWN, Stats, Tally
from emulator.truth import TruthEntry, TruthLog

#: `amz-sdk-request: attempt=2; max=3`; an attempt above 1 is an SDK's retry.
_ATTEMPT = re.compile(r"\battempt=(\d{1,9})")

#: Longest client-supplied text that is kept.
_KEPT_CHARACTERS = 200


class Call:
    """One request to the runtime, until `end`."""

    __slots__ = ("_admission", "_ledger", "_pool", "_tally", "entry")

    def __init__(self, ledger: "Ledger", exchange: Exchange) -> None:
        attempt = _ATTEMPT.search(exchange.request.headers.get("amz-sdk-request", ""))
        self.entry = TruthEntry(
            request_id=str(uuid.uuid4()),
            received_at=exchange.request.received_at,
            attempt=int(attempt[1]) if attempt else None,
        )
        self._ledger = ledger
        self._tally: Tally | None = None
        self._pool: QuotaPool | None = None
        self._admission: Admission | None = None

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

    def hold(self, pool: QuotaPool, admission: Admission) -> None:
        """Remember the quota it has reserved, to be settled when it ends."""
        self._pool, self._admission = pool, admission

    def end(self, outcome: str, *, generated_tokens: int = 0) -> None:
        """It is over: settle its quota by the tokens generated, count it and write its line."""
        if self not in self._ledger.open_calls:
            return
        self._ledger.open_calls.discard(self)
        self.entry.ended_at = now()
        self.entry.outcome = outcome
        if self._pool is not None and self._admission is not None:
            self._pool.settle(self._admission, generated_tokens, self.entry.ended_at)
        tally = self._tally or self._ledger.stats.open(None, None)
        self._ledger.stats.close(tally, self.entry)
        self._ledger.truth.append(self.entry)


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
