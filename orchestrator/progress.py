"""Where a suite is: lines every few seconds, JSON events, or a live display on a terminal. Always on stderr."""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bedrock.clock import now
from bedrock.outcome import mask_accounts
from reports.text import clean_lines
from scenarios.units import format_duration, format_rate

#: Seconds between lines where stderr is no terminal.
LINE_INTERVAL_S = 5.0

#: A note quotes no more than so many lines, each no longer than this.
_NOTE_LINES = 20
_NOTE_WIDTH = 1000

#: Nobody reading it, a closed stream or a terminal that is gone, is no reason to end a run.
_READER_MAY_LEAVE = contextlib.suppress(OSError, ValueError)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A suite in progress. Rates are None where there is no schedule, latencies where there is no answer yet."""

    cell: str
    cell_number: int
    cells: int
    cells_done: int
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
    return f"{_place(snapshot)} · {snapshot.phase or 'starting'} · {elapsed} of about {total}"


def _place(snapshot: Snapshot) -> str:
    return f"[{snapshot.cell_number}/{snapshot.cells}] {snapshot.cell}"


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

    def show(self, snapshots: Sequence[Snapshot]) -> None:
        """The state of this moment, of every cell that runs."""

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

    def show(self, snapshots: Sequence[Snapshot]) -> None:
        """Write a line for each cell if the last ones are old enough."""
        if snapshots and self.is_due():
            for snapshot in snapshots:
                self.write(progress_line(snapshot))

    def is_due(self) -> bool:
        """Whether the last line is old enough; the next one is then due an interval later."""
        if self._clock() < self._next_at:
            return False
        self._next_at = self._clock() + self._interval_s
        return True

    def note(self, text: str) -> None:
        """Write lines at once."""
        self.write(printable(text))

    def write(self, line: str) -> None:
        """Write a line as it is."""
        with _READER_MAY_LEAVE:
            self._stream.write(line + "\n")
            self._stream.flush()

    def close(self) -> None:
        """Nothing to tidy up."""


class EventProgress:
    """JSON lines, for programs: `progress` every few seconds, `note` for what happened (docs/running.md)."""

    def __init__(
        self, stream: TextIO, interval_s: float = LINE_INTERVAL_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lines = LineProgress(stream, interval_s, clock)

    def show(self, snapshots: Sequence[Snapshot]) -> None:
        """Write an event for each cell if the last ones are old enough."""
        if snapshots and self._lines.is_due():
            for snapshot in snapshots:
                self._lines.write(event_line("progress", asdict(snapshot)))

    def note(self, text: str) -> None:
        """Write an event at once."""
        self._lines.write(event_line("note", {"text": printable(text)}))

    def close(self) -> None:
        """Nothing to tidy up."""


def event_line(event: str, content: Mapping[str, Any]) -> str:
    """An event as one line of JSON without account ids; `at` is Unix seconds."""
    document = {"event": event, "at": round(now(), 3)} | dict(content)
    return mask_accounts(json.dumps(document, ensure_ascii=False, allow_nan=False))


def printable(text: str) -> str:
    """Text that may quote the service or a log: no terminal escapes, no secrets, not endless."""
    return "\n".join(clean_lines(text, _NOTE_LINES, _NOTE_WIDTH))


class LiveProgress:
    """A few lines on a terminal that are rewritten as things change. A terminal that is gone ends no run."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False)
        # Refreshed by hand: a refresh thread would be one that is alive while processes are forked.
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        with _READER_MAY_LEAVE:
            self._live.start()

    def show(self, snapshots: Sequence[Snapshot]) -> None:
        """Rewrite the lines."""
        with _READER_MAY_LEAVE:
            self._live.update(panel(snapshots), refresh=True)

    def note(self, text: str) -> None:
        """Print above the live lines."""
        with _READER_MAY_LEAVE:
            self._console.print(Text(printable(text)))

    def close(self) -> None:
        """Remove the live lines."""
        with _READER_MAY_LEAVE:
            self._live.stop()


def panel(snapshots: Sequence[Snapshot]) -> Group:
    """What a terminal shows: a bar of the suite's time, and of every running cell where it is and its figures."""
    if not snapshots:
        return Group()
    suite = snapshots[0]
    time_row = Table.grid(padding=(0, 1), expand=True)
    time_row.add_column(ratio=1)
    time_row.add_column(no_wrap=True)
    time_row.add_row(ProgressBar(suite.total_s, min(suite.elapsed_s, suite.total_s)), _time_left(suite))
    return Group(time_row, *(line for snapshot in snapshots for line in _cell_lines(snapshot)))


def _cell_lines(snapshot: Snapshot) -> tuple[Text, Text]:
    where = Text(f"{_place(snapshot)} · {snapshot.phase or 'starting'}", overflow="ellipsis", no_wrap=True)
    return where, Text(f"  {_how(snapshot)}", overflow="fold")


def _time_left(snapshot: Snapshot) -> str:
    done = snapshot.cells_done
    left = format_duration(max(round(snapshot.total_s - snapshot.elapsed_s), 0))
    return f"{done} of {snapshot.cells} cells done, {snapshot.cells - done} left · about {left} left"


def make_progress(stream: TextIO | None = None, *, as_events: bool = False) -> Progress:
    """The display that fits the stream (default stderr): events where they are asked for, else by the terminal."""
    target = stream or sys.stderr
    if as_events:
        return EventProgress(target)
    can_rewrite = target.isatty() and not Console(file=target).is_dumb_terminal
    return LiveProgress(target) if can_rewrite else LineProgress(target)
