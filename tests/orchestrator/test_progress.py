"""The progress line, and how often it is written."""

import io

from orchestrator.progress import LineProgress, LiveProgress, Snapshot, make_progress, progress_line


def snapshot(**values) -> Snapshot:
    return Snapshot(
        **{
            "cell": "us-default-small-r5",
            "cell_number": 2,
            "cells": 5,
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
        progress.show(snapshot(elapsed_s=float(second)))
    progress.note("something happened")
    progress.close()

    lines = stream.getvalue().splitlines()
    assert [line.split(" · ")[2] for line in lines[:-1]] == ["0s of about 4m", "5s of about 4m", "10s of about 4m"]
    assert lines[-1] == "something happened"


def test_on_a_terminal_the_state_is_rewritten_in_place_and_gone_at_the_end():
    stream = Terminal()
    progress = make_progress(stream)
    assert isinstance(progress, LiveProgress)
    progress.show(snapshot())
    progress.note("kept [not markup]")
    progress.close()
    progress.close()

    assert "us-default-small-r5" in stream.getvalue()
    assert "kept [not markup]" in stream.getvalue()


def test_a_pipe_gets_plain_lines():
    assert isinstance(make_progress(io.StringIO()), LineProgress)
