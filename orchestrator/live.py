"""A running cell as its own files show it: record and health files are read as they grow."""

import json
import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bedrock.catalog import Catalog
from bedrock.invocation import elapsed_ms
from bedrock.outcome import ERRORS, Outcome
from bedrock.pricing import call_cost_usd
from scenarios.run_directory import CellDirectory

#: Seconds over which the achieved rate is averaged.
RATE_WINDOW_S = 10.0

#: Width of the latency buckets: percentiles on the live line are right to 1 %; the report has the exact ones.
_BUCKET_RATIO = math.log(1.02)


class GrowingFile:
    """Reads the complete lines that were appended since the last look; a half-written last line waits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def new_lines(self) -> list[bytes]:
        """Complete lines appended since the last call, without their newline; none while there is no file."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                block = file.read()
        except FileNotFoundError:
            return []
        complete, newline, _ = block.rpartition(b"\n")
        self._offset += len(complete) + len(newline)
        return complete.split(b"\n") if newline else []


def decoded(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The JSON objects of some lines; what is none is left to the analysis, which counts it."""
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            yield row


class LatencyBuckets:
    """Latencies in logarithmic buckets: constant memory, percentiles within 1 %."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, latency_ms: float) -> None:
        """Count one latency."""
        self._counts[round(math.log(max(latency_ms, 0.1)) / _BUCKET_RATIO)] += 1

    def quantile_ms(self, q: float) -> float | None:
        """The q-quantile in ms, None without data."""
        left = q * self._counts.total()
        for bucket, count in sorted(self._counts.items()):
            left -= count
            if left <= 0:
                return math.exp(bucket * _BUCKET_RATIO)
        return None


@dataclass(slots=True)
class Tally:
    """Running totals over records."""

    sent: int = 0
    ok: int = 0
    throttled: int = 0
    dropped: int = 0
    errors: int = 0
    cost_usd: float = 0.0
    ttft: LatencyBuckets = field(default_factory=LatencyBuckets)
    ended_at: deque[float] = field(default_factory=deque)

    def add(self, record: Mapping[str, Any], catalog: Catalog) -> None:
        """Count one record (a decoded line)."""
        outcome = record.get("outcome")
        self.sent += record.get("started_at") is not None
        self.ok += outcome == Outcome.OK
        self.throttled += outcome == Outcome.THROTTLED
        self.dropped += outcome == Outcome.DROPPED
        self.errors += outcome in ERRORS
        self.cost_usd += record_cost_usd(record, catalog)
        ttft_ms = elapsed_ms(record.get("intended_at"), record.get("first_token_at"))
        if outcome == Outcome.OK and ttft_ms is not None:
            self.ttft.add(ttft_ms)
        if isinstance(ended_at := record.get("ended_at"), int | float):
            self.ended_at.append(ended_at)

    def achieved_rps(self, now_s: float, started_at: float) -> float:
        """Calls that ended a second, over the last RATE_WINDOW_S."""
        window_s = min(RATE_WINDOW_S, max(now_s - started_at, 1.0))
        while self.ended_at and self.ended_at[0] < now_s - RATE_WINDOW_S:
            self.ended_at.popleft()
        return len(self.ended_at) / window_s


def record_cost_usd(record: Mapping[str, Any], catalog: Catalog) -> float:
    """USD of one record; 0 where it has no tokens, or no price is known (the report says which)."""
    return call_cost_usd(
        catalog,
        str(record.get("model_id")),
        record.get("served_tier") or record.get("requested_tier"),
        input_tokens=record.get("input_tokens"),
        output_tokens=record.get("output_tokens"),
        cache_read_tokens=record.get("cache_read_tokens"),
        cache_write_tokens=record.get("cache_write_tokens"),
    )


class Recent:
    """Attempts that ended within the last `window_s`, and how many of them failed; throttled ones did not."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._ended: deque[tuple[float, bool]] = deque()

    def add(self, record: Mapping[str, Any]) -> None:
        """Count a record; what was never sent, or was cut off by the end of the test, says nothing."""
        ended_at, outcome = record.get("ended_at"), record.get("outcome")
        if isinstance(ended_at, int | float) and outcome not in (Outcome.ABORTED, Outcome.DROPPED):
            self._ended.append((ended_at, outcome in ERRORS))

    def count(self, now_s: float) -> tuple[int, int]:
        """Attempts and failures of the window that ends now."""
        # In the order of the files, which over several processes is only nearly that of time.
        while self._ended and self._ended[0][0] < now_s - self._window_s:
            self._ended.popleft()
        return len(self._ended), sum(failed for _, failed in self._ended)


class CellWatch:
    """Follows one cell's files."""

    def __init__(self, directory: CellDirectory, catalog: Catalog, error_window_s: float = RATE_WINDOW_S) -> None:
        self.tally = Tally()
        self.recent = Recent(error_window_s)
        #: The limit that a process has come to, as it says itself; it sends nothing more.
        self.limit_reached: str | None = None
        self.phases: list[dict[str, Any]] = []
        self.started_at: float | None = None
        self._directory = directory
        self._catalog = catalog
        self._records: dict[Path, GrowingFile] = {}
        self._health: dict[Path, GrowingFile] = {}
        self._in_flight: dict[Path, int] = {}

    @property
    def in_flight(self) -> int:
        """Calls in flight as the processes last said, about a second ago."""
        return sum(self._in_flight.values())

    def update(self) -> None:
        """Read what is new."""
        for path in self._directory.all_requests():
            for record in decoded(self._records.setdefault(path, GrowingFile(path)).new_lines()):
                self.tally.add(record, self._catalog)
                self.recent.add(record)
        for path in self._directory.all_health():
            for sample in decoded(self._health.setdefault(path, GrowingFile(path)).new_lines()):
                self._in_flight[path] = int(sample.get("in_flight") or 0)
                self.limit_reached = self.limit_reached or sample.get("limit_reached")
        if self.started_at is None or len(self.phases) < 2:  # a ramp alone: not all users are there yet
            self._read_load()

    def _read_load(self) -> None:
        try:
            load = json.loads(self._directory.load_json.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return
        self.started_at = load.get("started_at")
        self.phases = load.get("phases") or []

    @property
    def schedule_started_at(self) -> float | None:
        """When the schedule began (Unix seconds), behind the ramp; None before it is fixed."""
        return float(self.phases[1]["started_at"]) if len(self.phases) > 1 else None

    def phase_at(self, now_s: float) -> str | None:
        """The phase of an instant as planned, `drain` after the last; None before the schedule is fixed."""
        for phase in self.phases:
            end = phase.get("ended_at")
            if phase["started_at"] <= now_s and (end is None or now_s < end):
                return str(phase["name"])
        ends = [phase.get("ended_at") for phase in self.phases]
        return "drain" if len(ends) > 1 and ends[-1] is not None and now_s >= ends[-1] else None
