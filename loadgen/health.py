"""The generator's own condition, once a second: what it adds to every latency it reports."""

import gevent

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

import psutil

from bedrock.clock import now
from loadgen.line_files import LineSink
from loadgen.meters import CallMeter, CollectorMeter

#: How often the hub is asked to wake up; its lateness is what every answer waits for, too.
PROBE_INTERVAL_S = 0.05


@dataclass(frozen=True, slots=True)
class HealthSample:
    """One second of one process. `hub_lag_ms` is the worst lateness of a wake-up in that second.

    `calls` ended in it; their worst and p99 of send lag (open loop, first attempts) and of the wait for a connection
    are None where no call has one. `gc_` is the garbage collector, which stops everything else while it runs.
    """

    at: float
    process: str
    hub_lag_ms: float
    cpu_pct: float
    in_flight: int
    slots: int
    rss_mb: float
    calls: int
    send_lag_max_ms: float | None
    send_lag_p99_ms: float | None
    pool_wait_max_ms: float | None
    pool_wait_p99_ms: float | None
    gc_count: int
    gc_pause_max_ms: float | None
    gc_pause_total_ms: float
    #: The limit that this process has come to, and so sends nothing more; None as long as there is room.
    limit_reached: str | None


class HealthMonitor:
    """Probes the gevent hub and writes a line a second until stopped."""

    def __init__(
        self,
        sink: LineSink,
        process: str,
        in_flight: Callable[[], int],
        slots: Callable[[], int],
        calls: CallMeter,
        *,
        limit_reached: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._sink = sink
        self._process = process
        self._in_flight = in_flight
        self._slots = slots
        self._calls = calls
        self._limit_reached = limit_reached
        #: How far the clock of the process that leads the test is ahead of this one.
        self.ahead_s = 0.0
        self._collector = CollectorMeter()
        self._own = psutil.Process()
        self._own.cpu_percent()
        self._greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        while True:
            lag_ms = self._worst_lag_ms(now() + 1.0)
            self._write(lag_ms)

    def _worst_lag_ms(self, until_at: float) -> float:
        worst_s = 0.0
        while (asked_at := now()) < until_at:
            gevent.sleep(PROBE_INTERVAL_S)
            worst_s = max(worst_s, now() - asked_at - PROBE_INTERVAL_S)
        return worst_s * 1000.0

    def _write(self, hub_lag_ms: float) -> None:
        waits, pauses = self._calls.take(), self._collector.take()
        sample = HealthSample(
            at=now() + self.ahead_s,
            process=self._process,
            hub_lag_ms=round(hub_lag_ms, 3),
            cpu_pct=self._own.cpu_percent(),
            in_flight=self._in_flight(),
            slots=self._slots(),
            rss_mb=round(self._own.memory_info().rss / 1e6, 1),
            calls=waits.calls,
            send_lag_max_ms=waits.send_lag.max_ms,
            send_lag_p99_ms=waits.send_lag.p99_ms,
            pool_wait_max_ms=waits.pool_wait.max_ms,
            pool_wait_p99_ms=waits.pool_wait.p99_ms,
            gc_count=pauses.count,
            gc_pause_max_ms=pauses.max_ms,
            gc_pause_total_ms=pauses.total_ms,
            limit_reached=self._limit_reached(),
        )
        self._sink.write(json.dumps(asdict(sample)).encode() + b"\n")

    def stop(self) -> None:
        """Stop probing and close the file."""
        self._greenlet.kill()
        self._collector.close()
        self._sink.close()
