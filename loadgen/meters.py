"""What a second of a process's health is made of: waits of the calls that ended in it, pauses of its collector."""

import gc
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bedrock.invocation import InvocationRecord


@dataclass(frozen=True, slots=True)
class Worst:
    """The largest of some values and their p99 by nearest rank; None where there are none."""

    max_ms: float | None
    p99_ms: float | None

    @classmethod
    def of(cls, values_ms: Sequence[float]) -> "Worst":
        """Of values in any order. Below 100 of them the p99 is the largest."""
        if not values_ms:
            return cls(None, None)
        ordered = sorted(values_ms)
        return cls(round(ordered[-1], 3), round(ordered[math.ceil(0.99 * len(ordered)) - 1], 3))


@dataclass(frozen=True, slots=True)
class CallWaits:
    """Calls that ended within some time, and how long they waited: for a free slot, for a connection."""

    calls: int
    send_lag: Worst
    pool_wait: Worst


class CallMeter:
    """Notes each call as it ends. Two appends and a subtraction: it is on the way of every record."""

    def __init__(self) -> None:
        self._calls = 0
        self._send_lags_s: list[float] = []
        self._pool_waits_ms: list[float] = []

    def note(self, record: InvocationRecord) -> None:
        """A call has ended. A retry has no send lag: the time since its message was due is not the generator's."""
        self._calls += 1
        if record.intended_at is not None and record.started_at is not None and record.attempt == 1:
            self._send_lags_s.append(record.started_at - record.intended_at)
        if record.pool_wait_ms is not None:
            self._pool_waits_ms.append(record.pool_wait_ms)

    def take(self) -> CallWaits:
        """The calls since the last time."""
        lags_ms = [lag_s * 1000.0 for lag_s in self._send_lags_s]
        waits = CallWaits(self._calls, Worst.of(lags_ms), Worst.of(self._pool_waits_ms))
        self._calls, self._send_lags_s, self._pool_waits_ms = 0, [], []
        return waits


@dataclass(frozen=True, slots=True)
class Pauses:
    """Collections within some time: their number, the longest (None without any), and the sum."""

    count: int
    max_ms: float | None
    total_ms: float


class CollectorMeter:
    """Times every round of the garbage collector, during which nothing else in the process runs.

    A collection that is under way when `take` is called cannot be: it holds up the caller as well.
    """

    def __init__(self) -> None:
        self._began_s = 0.0
        self._pauses_ms: list[float] = []
        gc.callbacks.append(self._on_collection)

    def _on_collection(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._began_s = time.perf_counter()
        elif self._began_s:  # one that began before the meter did is left out
            self._pauses_ms.append((time.perf_counter() - self._began_s) * 1000.0)

    def take(self) -> Pauses:
        """The collections since the last time."""
        pauses_ms, self._pauses_ms = self._pauses_ms, []
        longest_ms = round(max(pauses_ms), 3) if pauses_ms else None
        return Pauses(len(pauses_ms), longest_ms, round(math.fsum(pauses_ms), 3))

    def close(self) -> None:
        """Time no more collections; harmless when done twice."""
        if self._on_collection in gc.callbacks:
            gc.callbacks.remove(self._on_collection)
