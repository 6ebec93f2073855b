"""Where a suite is: a line every few seconds, or two live lines on a terminal. Always on stderr."""

import contextlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from scenarios.units import format_duration, format_rate

#: Seconds between lines where stderr is no terminal.
LINE_INTERVAL_S = 5.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A suite in progress. Rates are None where there is no schedule, latencies where there is no answer yet."""

    cell: str
    cell_number: int
    cells: int
    phase: str | None
    elapsed_s: float
    total_s: float
    offered_rps: float | None
    achieved_rps: float
    in_flight: int
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None
    throttled: int
    errors: int
    dropped: int
    cost_usd: float


def progress_line(snapshot: Snapshot) -> str:
    """One line: where, how long, how fast, what went wrong, what it cost."""
    return f"{_where(snapshot)} · {_how(snapshot)}"


def _where(snapshot: Snapshot) -> str:
    elapsed, total = (format_duration(round(seconds)) for seconds in (snapshot.elapsed_s, snapshot.total_s))
    place = f"[{snapshot.cell_number}/{snapshot.cells}] {snapshot.cell}"
    return f"{place} · {snapshot.phase or 'starting'} · {elapsed} of about {total}"


def _how(snapshot: Snapshot) -> str:
    parts = [
        _rates(snapshot),
        f"in flight {snapshot.in_flight}",
        f"TTFT p50 {_ms(snapshot.ttft_p50_ms)} p95 {_ms(snapshot.ttft_p95_ms)}",
        f"throttled {snapshot.throttled}",
        f"errors {snapshot.errors}" if snapshot.errors else "",
        f"dropped {snapshot.dropped}" if snapshot.dropped else "",
        f"${snapshot.cost_usd:.4f}",
    ]
    return " · ".join(part for part in parts if part)


def _rates(snapshot: Snapshot) -> str:
    achieved = f"achieved {format_rate(snapshot.achieved_rps)}"
    return achieved if snapshot.offered_rps is None else f"offered {format_rate(snapshot.offered_rps)} {achieved}"


def _ms(value: float | None) -> str:
    return "—" if value is None else f"{value:.0f} ms"


class Progress(Protocol):
    """Shows how a suite proceeds."""

    def show(self, snapshot: Snapshot) -> None:
        """The state of this moment."""

    def note(self, text: str) -> None:
        """Something that happened, to stay on the screen."""

    def close(self) -> None:
        """Nothing more to show."""


class LineProgress:
    """A plain line every few seconds: for logs and pipes."""

    def __init__(
        self, stream: TextIO, interval_s: float = LINE_INTERVAL_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._interval_s = interval_s
        self._clock = clock
        self._next_at = clock()

    def show(self, snapshot: Snapshot) -> None:
        """Write the line if the last one is old enough."""
        if self._clock() >= self._next_at:
            self._next_at = self._clock() + self._interval_s
            self.note(progress_line(snapshot))

    def note(self, text: str) -> None:
        """Write a line at once. Nobody reading it is no reason to end a run."""
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._stream.write(text + "\n")
            self._stream.flush()

    def close(self) -> None:
        """Nothing to tidy up."""


class LiveProgress:
    """Two short lines on a terminal that are rewritten as things change."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False)
        # Refreshed by hand: a refresh thread would be one that is alive while processes are forked.
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()

    def show(self, snapshot: Snapshot) -> None:
        """Rewrite the lines."""
        lines = f"{_where(snapshot)}\n  {_how(snapshot)}"
        self._live.update(Text(lines, overflow="ellipsis", no_wrap=True), refresh=True)

    def note(self, text: str) -> None:
        """Print above the live lines."""
        self._console.print(Text(text))

    def close(self) -> None:
        """Remove the live lines."""
        self._live.stop()


def make_progress(stream: TextIO | None = None) -> Progress:
    """The display that fits the stream (default stderr)."""
    target = stream or sys.stderr
    return LiveProgress(target) if target.isatty() else LineProgress(target)
