"""The progress line, and how often it is written."""

import fcntl
import io
import json
import os
import pty
import struct
import termios
from collections.abc import Callable
from typing import TextIO

import pytest

from orchestrator.progress import EventProgress, LineProgress, LiveProgress, Snapshot, make_progress, progress_line


def snapshot(**values) -> Snapshot:
    return Snapshot(
        **{
            "cell": "us-default-small-r5",
            "cell_number": 2,
            "cells": 5,
            "cells_done": 1,
            "phase": "steady",
            "elapsed_s": 75.2,
            "total_s": 240.0,
            "offered_rps": 5.0,
            "achieved_rps": 4.87,
            "in_flight": 6,
            "ttft_p50_ms": 412.3,
            "ttft_p95_ms": 903.9,
            "throttled": 0,
            "errors": 0,
            "dropped": 0,
            "cost_usd": 0.01234,
        }
        | values
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_line_has_place_time_rates_latency_throttles_and_cost():
    assert progress_line(snapshot()) == (
        "[2/5] us-default-small-r5 · steady · 1m15s of about 4m · offered 5/s achieved 4.87/s · in flight 6 · "
        "TTFT p50 412 ms p95 904 ms · throttled 0 · $0.0123"
    )


def test_what_is_not_known_is_a_dash_or_left_out_never_a_zero():
    line = progress_line(snapshot(offered_rps=None, ttft_p50_ms=None, ttft_p95_ms=None, phase=None))

    assert "offered" not in line
    assert "TTFT p50 — p95 —" in line
    assert "starting" in line


def test_errors_and_drops_appear_when_there_are_any():
    line = progress_line(snapshot(errors=3, dropped=2))

    assert "errors 3 · dropped 2" in line


def test_off_a_terminal_a_line_comes_every_few_seconds():
    stream, time = io.StringIO(), [0.0]
    progress = LineProgress(stream, interval_s=5.0, clock=lambda: time[0])
    for second in range(11):
        time[0] = float(second)
        progress.show([snapshot(elapsed_s=float(second))])
    progress.note("something happened")
    progress.close()

    lines = stream.getvalue().splitlines()
    assert [line.split(" · ")[2] for line in lines[:-1]] == ["0s of about 4m", "5s of about 4m", "10s of about 4m"]
    assert lines[-1] == "something happened"


def test_cells_that_run_at_once_have_a_line_each():
    stream, time = io.StringIO(), [0.0]
    progress = LineProgress(stream, interval_s=5.0, clock=lambda: time[0])
    progress.show([])  # a pause: the next state is not late
    progress.show([snapshot(), snapshot(cell="other", cell_number=3)])
    progress.show([snapshot()])

    assert [line.split(" · ")[0] for line in stream.getvalue().splitlines()] == [
        "[2/5] us-default-small-r5",
        "[3/5] other",
    ]


def test_on_a_terminal_the_state_is_rewritten_in_place_and_gone_at_the_end():
    stream = Terminal()
    progress = make_progress(stream)
    assert isinstance(progress, LiveProgress)
    progress.show([snapshot()])
    progress.note("kept [not markup]")
    progress.close()
    progress.close()

    assert "us-default-small-r5" in stream.getvalue()
    assert "kept [not markup]" in stream.getvalue()


def test_a_pipe_gets_plain_lines():
    assert isinstance(make_progress(io.StringIO()), LineProgress)


def on_a_terminal(show: Callable[[TextIO, Callable[[int], None]], None], columns: int) -> str:
    """What a real terminal of so many columns is sent; `show` gets its stream and a way to resize it."""
    master, slave = pty.openpty()

    def resize(width: int) -> None:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))

    resize(columns)
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        show(stream, resize)
    said = b"".join(iter(lambda: _read(master), b""))
    os.close(master)
    return said.decode()


def _read(master: int) -> bytes:
    """What is left to read; a terminal whose other side is closed ends with an error and not with nothing."""
    try:
        return os.read(master, 65_536)
    except OSError:
        return b""


@pytest.fixture
def plain_environment(monkeypatch):
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    return monkeypatch


def show_and_resize(stream: TextIO, resize: Callable[[int], None]) -> None:
    progress = make_progress(stream)
    progress.show([snapshot()])
    resize(30)
    progress.show([snapshot(throttled=7)])
    resize(200)
    progress.show([snapshot(errors=3)])
    progress.close()


def test_a_terminal_shows_cells_time_rates_latency_throttles_and_cost_and_may_change_its_width(plain_environment):
    said = on_a_terminal(show_and_resize, columns=100)

    for part in ("1 of 5 cells done, 4 left", "about 2m45s left", "offered 5/s", "achieved 4.87/s", "in flight 6"):
        assert part in said
    for part in ("p50 412 ms", "p95 904 ms", "throttled 0", "$0.0123", "errors 3"):
        assert part in said


def test_no_color_takes_the_colours_away(plain_environment):
    plain_environment.setenv("NO_COLOR", "1")
    assert "\x1b[38;" not in on_a_terminal(show_and_resize, columns=100)


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(plain_environment):
    plain_environment.setenv("TERM", "dumb")
    assert "\x1b" not in on_a_terminal(show_and_resize, columns=100)


@pytest.mark.parametrize("make", [make_progress, lambda stream: make_progress(stream, as_events=True)])
@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
def test_a_stream_that_is_closed_in_mid_run_ends_nothing(plain_environment, make, kind):
    stream = kind()
    progress = make(stream)
    stream.close()

    progress.show([snapshot()])
    progress.note("something happened")
    progress.close()


@pytest.mark.parametrize("as_events", [False, True])
def test_what_a_service_or_a_log_says_cannot_steer_the_terminal(as_events):
    stream = io.StringIO()
    make_progress(stream, as_events=as_events).note("failed: \x1b[2J\x1b]0;owned\x07denied\nlast line")

    said = stream.getvalue()
    assert "\x1b" not in said
    assert "failed: denied" in said
    assert "last line" in said


def test_events_are_json_lines_with_the_figures_of_the_running_cell():
    stream, time = io.StringIO(), [0.0]
    progress = EventProgress(stream, interval_s=5.0, clock=lambda: time[0])
    for second in range(6):
        time[0] = float(second)
        progress.show([snapshot(ttft_p50_ms=None)])
    progress.note("Cell x failed")

    first, second, note = map(json.loads, stream.getvalue().splitlines())
    assert (first["event"], second["event"]) == ("progress", "progress")
    assert (first["cell"], first["offered_rps"], first["ttft_p50_ms"]) == ("us-default-small-r5", 5.0, None)
    assert (note["event"], note["text"]) == ("note", "Cell x failed")
