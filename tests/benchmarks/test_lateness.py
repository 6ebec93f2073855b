"""Lateness from both sides' notes: known delays put in must come out, whatever the clocks say."""

import json
from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.emulator_load import LoadResult, SeenAnswer
from benchmarks.emulator_rig import Measured
from benchmarks.emulator_streams import judge
from benchmarks.emulator_truth import (
    Pair,
    StreamShape,
    StreamTruth,
    TruthLine,
    Window,
    arrival_lateness_ms,
    arrivals_in,
    clock_offset,
    count_lines,
    pairs,
    read_stream_truth,
    receive_delay_ms,
    send_lateness_ms,
)

SHAPE = StreamShape(tokens=4, ttft_s=0.02, interval_s=0.02)
ALWAYS = Window(-1e12, 1e12)
delays = st.floats(0.0, 0.5)


def answer(
    number: int = 0, ahead_s: float = 0.0, request_s: float = 0.0, late_s: float = 0.0, way_s: float = 0.0
) -> Pair:
    """One answer: sent at `number`, read `request_s` later, each frame handed over `late_s` late, seen `way_s` later.

    The emulator's clock is `ahead_s` of the client's.
    """
    received_at = number + request_s
    due = [0.0, *(SHAPE.token_due_s(token) for token in range(1, 5)), *[SHAPE.seconds] * 3]
    handed_over = [received_at + seconds + late_s for seconds in due]
    seen = SeenAnswer(f"id-{number}", float(number), array("d", (at + way_s for at in handed_over)))
    first_event_at, first_token_at, last_token_at = (handed_over[index] + ahead_s for index in (0, 1, 4))
    truth = TruthLine(
        seen.request_id, received_at + ahead_s, first_event_at, first_token_at, last_token_at, SHAPE.frames
    )
    return Pair(seen, truth)


@given(delays, delays, delays, st.floats(-1e6, 1e6))
def test_the_emulators_own_lateness_comes_from_its_stamps_alone(
    request_s: float, late_s: float, way_s: float, ahead_s: float
) -> None:
    pair = answer(3, ahead_s, request_s, late_s, way_s)

    found = send_lateness_ms([pair.truth], SHAPE, ALWAYS)

    assert found == pytest.approx([late_s * 1000.0] * 2, abs=1e-3)


@given(st.lists(st.tuples(delays, delays, delays), min_size=1, max_size=20), st.floats(-1e6, 1e6))
def test_the_clocks_are_never_further_apart_than_is_said(
    waits: list[tuple[float, float, float]], ahead_s: float
) -> None:
    matched = [answer(number, ahead_s, *wait) for number, wait in enumerate(waits)]
    offset = clock_offset(matched)

    assert offset is not None
    assert abs(offset.seconds - ahead_s) <= offset.uncertainty_s + 1e-6


@given(st.lists(st.tuples(delays, delays, delays), max_size=20), st.floats(-1e6, 1e6))
def test_what_a_client_sees_is_the_lateness_and_the_way_within_the_clocks_uncertainty(
    waits: list[tuple[float, float, float]], ahead_s: float
) -> None:
    waits = [(0.0, 0.0, 0.0), *waits]  # one answer without any delay: the clocks can be read exactly
    matched = [answer(number, ahead_s, *wait) for number, wait in enumerate(waits)]
    offset = clock_offset(matched)
    assert offset is not None
    found = arrival_lateness_ms(matched, SHAPE, offset, ALWAYS)

    assert len(found) == SHAPE.tokens * len(matched)
    expected = [(late_s + way_s) * 1000.0 for _, late_s, way_s in waits for _ in range(SHAPE.tokens)]
    assert found == pytest.approx(expected, abs=1e-3)
    assert receive_delay_ms(matched, offset, ALWAYS) == pytest.approx([1000.0 * wait[0] for wait in waits], abs=1e-3)


def test_only_what_is_due_in_the_window_counts() -> None:
    pair = answer(10)
    offset = clock_offset([pair])
    assert offset is not None
    window = Window(10.03, 10.07)  # tokens are due at 10.02, 10.04, 10.06 and 10.08

    assert len(arrival_lateness_ms([pair], SHAPE, offset, window)) == 2
    assert send_lateness_ms([pair.truth], SHAPE, window) == []
    assert len(send_lateness_ms([pair.truth], SHAPE, Window(10.01, 10.07))) == 1
    assert receive_delay_ms([pair], offset, window) == []
    assert arrivals_in([pair.seen], window) == 2
    assert arrivals_in([pair.seen], Window(9.0, 11.0)) == SHAPE.frames


def test_answers_with_missing_frames_are_no_pairs_and_count_as_failed() -> None:
    whole, short = answer(1), answer(2)
    cut = SeenAnswer("id-2", 2.0, short.seen.arrivals[:-1])
    unknown = SeenAnswer("id-9", 2.0, short.seen.arrivals)
    seen = [whole.seen, cut, unknown]
    truth = StreamTruth([whole.truth, short.truth], events=16)

    assert pairs(seen, truth.lines, SHAPE) == [whole]
    step = judge(3, SHAPE, Measured(ALWAYS, LoadResult(streamed=seen, failed=1, events=23), 50.0, 1.0, 40.0), truth)
    assert (step.answers, step.failed) == (1, 3)
    assert (step.events_seen, step.events_in_truth) == (23, 16)


def test_a_step_without_a_single_answer_has_no_lateness() -> None:
    step = judge(3, SHAPE, Measured(ALWAYS, LoadResult(failed=3), 0.0, None, 0.0), StreamTruth([], 0))

    assert (step.send_lateness_ms.n, step.send_lateness_ms.p99) == (0, None)
    assert step.arrival_lateness_ms.p50 is None
    assert step.clock_uncertainty_ms is None


@pytest.mark.parametrize(
    ("cpu_pct", "others_pct", "client_pct", "limits"),
    [
        (50.0, 10.0, 50.0, []),
        (95.0, 5.0, 50.0, ["emulator"]),
        (60.0, 35.0, 50.0, ["core"]),
        (60.0, None, 97.0, ["client"]),
        (95.0, 5.0, 97.0, ["emulator", "client"]),
    ],
)
def test_the_limit_is_what_was_used_up(
    cpu_pct: float, others_pct: float | None, client_pct: float, limits: list[str]
) -> None:
    assert Measured(ALWAYS, LoadResult(), cpu_pct, others_pct, client_pct).limited_by == limits


def test_only_streams_that_ended_well_are_read_from_the_truth_log_but_all_events_are_counted(tmp_path: Path) -> None:
    stamps = {"received_at": 1.0, "first_event_at": 2.0, "first_token_at": 3.0, "last_token_at": 4.0}
    lines = [
        {"request_id": "a", "outcome": "ok", "events": 8, **stamps, "status": 200},
        {"request_id": "b", "outcome": "client_gone", "events": 2, **stamps, "status": 200},
        {"request_id": "c", "outcome": "ok", "events": None, **stamps, "last_token_at": None, "status": 200},
    ]
    path = tmp_path / "truth.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")

    assert read_stream_truth(path) == StreamTruth([TruthLine("a", 1.0, 2.0, 3.0, 4.0, 8)], events=10)
    assert count_lines(path) == 3
