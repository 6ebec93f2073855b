"""`python -m benchmarks.generator`: its arithmetic on calls made up, its whole on a quick run, its mistakes."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.invocation import InvocationRecord
from bedrock.outcome import Outcome
from benchmarks.emulator_truth import Window
from benchmarks.generator_raw_answer import RawAnswer
from benchmarks.generator_rig import Measured, Step
from benchmarks.generator_rows import capacity, make_row, tls_costs
from benchmarks.generator_truth import ServerCall, events_in, join, mean_in_flight

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "benchmarks.generator"]
#: Far more than a quick run takes; only a hanging process is ended by it.
PATIENCE_S = 180.0
WINDOW = Window(100.0, 110.0)

needs_two_cores = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="the benchmark needs two cores")


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *options], cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )


def call(
    number: int = 1,
    *,
    at: float = 101.0,
    lag_s: float = 0.0,
    there_s: float = 0.0,
    back_s: float = 0.0,
    clock_s: float = 0.0,
    outcome: Outcome = Outcome.OK,
) -> tuple[InvocationRecord, ServerCall]:
    """A call of 0.4 s to the first token and 1 s in all, 50 events, as the generator and as the emulator saw it."""
    began, sent = at + lag_s, at + lag_s + there_s + clock_s
    record = InvocationRecord(
        "r", "c", "p", number, f"m{number}", request_id=f"id-{number}", outcome=outcome, intended_at=at,
        started_at=began, first_token_at=began + there_s + 0.4 + back_s, ended_at=began + there_s + 1.0 + back_s,
        receive_lag_ms=back_s * 1000.0,
    )  # fmt: skip
    return record, ServerCall(f"id-{number}", "ok", sent, sent + 0.4, sent + 1.0, 50)


def row_of(*calls: tuple[InvocationRecord, ServerCall], cpu_pct: float = 20.0, step: Step | None = None) -> Any:
    measured = Measured([], Path(), WINDOW, WINDOW, cpu_pct, 1.0, 30.0)
    records, truth = zip(*calls, strict=True)
    return make_row(step or Step(1, "wire", 10, tls=False), 5.0, measured, records, truth)


def test_the_error_is_what_the_way_there_and_back_adds_and_the_lag_is_apart() -> None:
    row = row_of(call(lag_s=0.003, there_s=0.001, back_s=0.002))

    assert row.ttft_error_ms.p50 == pytest.approx(3.0)
    assert row.e2e_error_ms.p50 == pytest.approx(3.0)
    assert row.send_lag_ms.p50 == pytest.approx(3.0)
    assert row.ttft_error_with_lag_ms.p50 == pytest.approx(6.0)
    assert row.send_error_ms.p50 == pytest.approx(1.0)
    assert row.receive_error_ms.p50 == pytest.approx(2.0)
    assert row.kernel_lag_ms.p50 == pytest.approx(2.0)
    assert row.true_ttft_ms.p50 == pytest.approx(400.0)


@given(st.floats(-3600.0, 3600.0), st.floats(0.0, 0.05), st.floats(0.0, 0.05))
def test_clocks_that_differ_do_not_change_the_error(clock_s: float, there_s: float, back_s: float) -> None:
    row = row_of(call(there_s=there_s, back_s=back_s, clock_s=clock_s))

    assert row.ttft_error_ms.p50 == pytest.approx((there_s + back_s) * 1000.0, abs=1e-6)
    if clock_s > there_s or clock_s < -there_s - back_s:  # then causality tells that they differ
        assert row.send_error_ms.p50 >= -1e-6
        assert row.receive_error_ms.p50 >= -1e-6


def test_calls_outside_of_the_window_do_not_count_and_failed_ones_are_told() -> None:
    calls = [call(1), call(2, at=99.0, back_s=1.0), call(3, at=110.5, back_s=1.0), call(4, outcome=Outcome.TIMEOUT)]
    row = row_of(*calls)

    assert (row.n, row.ttft_error_ms.n) == (1, 1)
    assert row.ttft_error_ms.max == pytest.approx(0.0)
    assert row.outcomes == {"ok": 1, "timeout": 1}
    assert not row.is_accurate, "a call that failed must not make the rest look accurate"


def test_what_one_side_does_not_know_is_counted() -> None:
    (record, line), (other, _) = call(1), call(2)
    joined = join([record, other], [line, ServerCall("id-9", "ok", 1.0, 1.4, 2.0, 50)])

    assert (len(joined.pairs), joined.records_without_truth, joined.truth_without_record) == (1, 1, 1)


def test_events_and_calls_are_counted_by_their_share_of_the_window() -> None:
    record, line = call(at=99.3)  # its events come from 99.7 to 100.3, so half of them in the window
    pairs = join([record], [line]).pairs

    assert events_in(pairs, WINDOW) == pytest.approx(25.0)
    assert mean_in_flight([record], WINDOW) == pytest.approx(0.03)


def test_capacity_is_the_most_streams_that_were_right_and_tls_is_named_by_what_it_adds() -> None:
    rows = [
        row_of(call(back_s=0.001), step=Step(1, "wire", 300, tls=False)),
        row_of(call(back_s=0.004), cpu_pct=50.0, step=Step(2, "wire", 720, tls=False)),
        row_of(call(back_s=0.006), step=Step(3, "wire", 1200, tls=False)),
        row_of(call(back_s=0.003), cpu_pct=35.0, step=Step(4, "wire", 300, tls=True)),
        row_of(call(back_s=0.009), step=Step(5, "boto3", 300, tls=False)),
    ]

    assert [(entry["transport"], entry["tls"], entry["streams_within_5ms"]) for entry in capacity(rows)] == [
        ("wire", False, 720),
        ("wire", True, 300),
        ("boto3", False, None),
    ]
    (cost,) = tls_costs(rows)
    assert (cost["transport"], cost["streams"]) == ("wire", 300)
    assert cost["ttft_error_p99_ms"] == pytest.approx(2.0)
    assert cost["cpu_pct"] == pytest.approx(15.0)


def test_a_core_that_is_full_is_said_to_be() -> None:
    assert row_of(call(), cpu_pct=99.0).limited_by == ["generator"]
    assert row_of(call(), cpu_pct=20.0).limited_by == []


HEAD = b"HTTP/1.1 200 OK\r\nX-Amzn-RequestId: abc-1\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWER = HEAD + b"5\r\nstart\r\n" + b"20\r\n..contentBlockDelta...{hello}....\r\n" + b"4\r\nlast\r\n0\r\n\r\n"


@given(st.sets(st.integers(1, len(ANSWER) - 1)))
def test_a_reference_reader_finds_the_same_in_any_portions(cuts: set[int]) -> None:
    answer = RawAnswer()
    places = [0, *sorted(cuts), len(ANSWER)]
    ends = [answer.feed(ANSWER[begin:end], float(end)) for begin, end in itertools.pairwise(places)]

    assert ends == [False] * (len(ends) - 1) + [True]
    assert (answer.request_id, answer.is_ok, answer.ended_at) == ("abc-1", True, float(len(ANSWER)))
    found_at = ANSWER.index(b"contentBlockDelta") + len(b"contentBlockDelta")
    assert answer.first_content_at == min(end for end in places if end >= found_at)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """Numbers and tables of one quick run of both transports and a reference."""
    path = tmp_path_factory.mktemp("generator") / "numbers.json"
    done = run("--quick", "--transports", "wire,boto3,raw_epoll", "--tls", "both", "--json", str(path))
    assert done.returncode == 0, done.stderr
    return json.loads(path.read_text(encoding="utf-8")), done.stdout


@needs_two_cores
def test_every_answer_is_known_to_both_sides_and_no_error_is_below_nothing(quick: tuple[dict[str, Any], str]) -> None:
    numbers, _ = quick

    assert [(row["transport"], row["tls"]) for row in numbers["rows"]] == [
        (transport, tls) for transport in ("wire", "boto3", "raw_epoll") for tls in (False, True)
    ]
    for row in numbers["rows"]:
        assert row["n"] > 5
        assert row["outcomes"] == {"ok": row["n"]}
        assert (row["records_without_truth"], row["truth_without_record"]) == (0, 0)
        assert 0.0 < row["ttft_error_ms"]["p50"] <= row["ttft_error_ms"]["p99"]
        assert (row["kernel_lag_ms"]["n"] > 0) == (row["transport"] == "wire" and not row["tls"])


@needs_two_cores
def test_the_tables_have_a_row_for_each_and_say_what_tls_adds(quick: tuple[dict[str, Any], str]) -> None:
    numbers, printed = quick

    assert printed.count("wire https") == 2
    assert "HTTPS more than HTTP" in printed
    assert "wire over http, most streams with p99 of the TTFT error within 5 ms: " in printed
    assert len(numbers["tls_costs"]) == 3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--transports", "wier"], "'wier' is not one of wire, boto3, raw_gevent, raw_epoll"),
        (["--streams", "0"], "'0' is not a whole number above 0"),
        (["--duration", "never"], "never"),
        (["--json", "/no/such/folder/x.json"], "cannot write /no/such/folder/x.json"),
    ],
)
def test_mistakes_are_told_in_a_sentence_before_anything_is_measured(options: list[str], sentence: str) -> None:
    done = run(*options)

    assert done.returncode == 4
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
