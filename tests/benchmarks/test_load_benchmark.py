"""`python -m benchmarks.load`: its arithmetic on calls made up, and a service that really freezes."""

import itertools
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.invocation import InvocationRecord
from bedrock.outcome import Outcome
from benchmarks.emulator_truth import Window
from benchmarks.generator_truth import ServerCall
from benchmarks.load_rig import share_cores
from benchmarks.load_rows import RateRow, ReplayRow, frozen_row, rate_row, replay_row, slots_row
from benchmarks.load_trace import make_trace, write_trace
from scenarios.arrivals import Arrival
from scenarios.trace import read_trace

ROOT = Path(__file__).parents[2]
#: Far more than a quick run takes; only a hanging process is ended by it.
PATIENCE_S = 180.0
START_AT = 1000.0

Call = tuple[InvocationRecord, ServerCall | None]


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.load", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def call(
    index: int, at_s: float, *, lag_s: float = 0.001, took_s: float = 0.02, query_type: str = "greeting"
) -> Call:  # fmt: skip
    """An answered call, due `at_s` after the start, as both sides wrote it."""
    began = START_AT + at_s + lag_s
    record = InvocationRecord(
        "r", "c", "worker-0", index, f"worker-0-m{index}", request_id=f"id-{index}", outcome=Outcome.OK,
        query_type=query_type, intended_at=START_AT + at_s, started_at=began, first_token_at=began + took_s / 2,
        ended_at=began + took_s,
    )  # fmt: skip
    return record, ServerCall(f"id-{index}", "ok", began, began + took_s / 2, began + took_s, 9)


def dropped(index: int, at_s: float) -> Call:
    record = call(index, at_s)[0]
    record.outcome, record.started_at, record.ended_at, record.request_id = Outcome.DROPPED, None, None, None
    return record, None


def sides(calls: list[Call]) -> tuple[list[InvocationRecord], list[ServerCall]]:
    return [record for record, _ in calls], [line for _, line in calls if line is not None]


def frozen(load: str, calls: list[Call]) -> Any:
    return frozen_row(
        load, 2, sides(calls)[0], Window(START_AT, START_AT + 30.0), Window(START_AT + 14.0, START_AT + 15.4)
    )


def test_arrivals_on_schedule_see_the_stall_and_users_who_wait_for_it_do_not() -> None:
    def late(at_s: float) -> float:
        return max(15.4 - at_s, 0.0) if at_s >= 14.0 else 0.0

    opened = frozen("open", [call(n, n / 50, took_s=0.02 + late(n / 50)) for n in range(1500)])
    waited = [call(n, n / 50, took_s=0.02) for n in range(1500) if not 14.0 <= n / 50 < 15.4]
    closed = frozen("closed", [*waited, call(1500, 14.0, took_s=1.42), call(1501, 14.0, took_s=1.42)])

    assert opened.sent_while_frozen == 70
    assert opened.from_intended_ms.p99 == pytest.approx(1100.0, rel=0.05)
    assert closed.sent_while_frozen == 2
    assert closed.service_ms.p99 == pytest.approx(20.0)
    assert closed.service_ms.max == pytest.approx(1420.0)


def test_time_in_the_generators_queue_is_latency_from_the_intended_start_and_no_service_time() -> None:
    row = frozen("open", [call(0, 1.0, lag_s=0.5, took_s=0.02), dropped(1, 2.0), call(2, 31.0)])

    assert (row.calls, row.outcomes) == (2, {"ok": 1, "dropped": 1})
    assert row.from_intended_ms.p50 == pytest.approx(520.0)
    assert row.service_ms.p50 == pytest.approx(20.0)


def rate(calls: list[Call], arrivals: int = 1000) -> RateRow:
    schedule = [Arrival(n, n / 200, "steady") for n in range(arrivals)]
    return rate_row("--processes 2", schedule, *sides(calls), Window(START_AT, START_AT + 5.0), late_ms=[0.1])


def missed(row: RateRow | ReplayRow) -> list[str]:
    return [target for target, is_met in row.targets.items() if not is_met]


def on_time(count: int = 1000) -> list[Call]:
    return [call(n, n / 200) for n in range(count)]


def test_a_rate_that_was_held_misses_nothing() -> None:
    row = rate(on_time())

    assert missed(row) == []
    assert (row.offered, row.dropped, row.by_process) == (1000, 0, {"worker-0": 1000})
    assert (row.offered_rps, row.achieved_rps) == (200.0, 200.0)
    assert row.send_lag_ms.p99 == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        (
            [*on_time(994), *(call(n, n / 200, lag_s=1.0) for n in range(994, 1000))],
            ["achieved within 0.5 % of offered"],
        ),
        ([call(n, n / 200, lag_s=0.006 * (n % 50 == 0)) for n in range(1000)], ["send lag p99 at most 5 ms"]),
        ([*on_time(999), dropped(999, 4.995)], ["nothing dropped"]),
        (on_time(999), ["every arrival recorded once"]),
        ([*on_time(), (on_time()[3][0], None)], ["every arrival recorded once", "records = truth log"]),
        ([*on_time(999), (call(999, 4.995)[0], None)], ["records = truth log"]),
        ([], ["achieved within 0.5 % of offered", "send lag p99 at most 5 ms", "every arrival recorded once"]),
    ],
    ids=["late", "lagging", "dropped", "unrecorded", "twice", "unknown to the service", "nothing"],
)  # fmt: skip
def test_each_target_is_missed_by_what_it_is_about(calls: list[Call], expected: list[str]) -> None:
    assert missed(rate(calls)) == expected


def replayed(calls: list[Call], trace: list[tuple[float, str]]) -> ReplayRow:
    return replay_row(trace, *sides(calls), START_AT, late_ms=[0.1])


@given(st.integers(2, 300), st.integers(0, 1000))
def test_a_faithful_replay_has_no_error_and_one_with_a_wrong_type_or_time_has(count: int, seed: int) -> None:
    trace = make_trace(count, 200.0, seed)
    calls = [call(n, at_s, query_type=name) for n, (at_s, name) in enumerate(trace)]
    row = replayed(calls, trace)
    moved = replayed([*calls[:-1], call(count - 1, trace[-1][0] + 0.01, query_type=trace[-1][1])], trace)
    renamed = replayed([*calls[:-1], call(count - 1, trace[-1][0], query_type="other")], trace)

    assert missed(row) == []
    assert row.gap_error_ms.max == pytest.approx(0.0, abs=1e-3)
    assert sum(row.types.values()) == count
    assert missed(moved) == ["times due are the trace's"]
    assert moved.gap_error_ms.max == pytest.approx(10.0, abs=1e-3)
    assert missed(renamed) == ["counts by type are the trace's"]
    assert renamed.wrong_types == 1


def test_the_trace_is_uneven_has_all_types_and_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = make_trace(10_000, 200.0, seed=1)
    write_trace(tmp_path / "trace.csv", rows)
    trace = read_trace(tmp_path / "trace.csv")
    gaps = [after - before for (before, _), (after, _) in itertools.pairwise(rows)]

    assert list(trace.times_s) == pytest.approx([at_s for at_s, _ in rows], abs=1e-9)
    assert [wanted.query_type for wanted in trace.wanted] == [name for _, name in rows]
    assert len(Counter(name for _, name in rows)) == 7
    assert rows[-1][0] == pytest.approx(50.0, rel=0.1)
    assert min(gaps) == 0.0
    assert max(gaps) > 0.03


def test_slots_cost_what_they_add_to_a_process_with_one() -> None:
    row = slots_row(5_000, 70.0, 120.0)

    assert (row.added_mb, row.kb_per_slot) == (50.0, 10.0)
    assert row.targets == {"idle slots below 100 MB": True}
    assert slots_row(5_000, 70.0, 170.0).targets == {"idle slots below 100 MB": False}


@pytest.mark.parametrize(
    ("usable", "emulator", "generators"),
    [([0, 1], {1}, {0}), ([2, 3, 6, 7], {7}, {2, 3, 6}), ([0], None, None), ([], None, None)],
)
def test_emulator_and_generators_share_no_core_where_there_are_two(
    usable: list[int], emulator: set[int] | None, generators: set[int] | None
) -> None:
    cores = share_cores(usable)

    assert (cores.emulator, cores.generators) == (emulator, generators)


@pytest.mark.e2e
def test_a_frozen_service_shows_in_the_open_loop_and_hides_in_the_closed_one(tmp_path: Path) -> None:
    path = tmp_path / "numbers.json"
    done = run("--quick", "--parts", "frozen,replay", "--json", str(path))
    assert done.returncode == 0, done.stderr
    numbers = json.loads(path.read_text(encoding="utf-8"))
    part, replay = numbers["parts"]["frozen"], numbers["parts"]["replay"]
    opened, closed = part["rows"]

    assert part["stall_s"] >= 1.0
    assert (opened["load"], opened["calls"], opened["outcomes"]) == ("open", 400, {"ok": 400})
    assert opened["from_intended_ms"]["p99"] >= 500.0 * part["stall_s"]
    assert set(closed["outcomes"]) == {"ok"}
    assert closed["sent_while_frozen"] <= 2
    assert closed["service_ms"]["p99"] < opened["from_intended_ms"]["p99"] / 2
    assert closed["service_ms"]["max"] >= 500.0 * part["stall_s"]
    assert (part["ledger"]["records_without_truth"], part["ledger"]["truth_without_record"]) == (0, 0)

    met = {target for target, is_met in replay["targets"].items() if is_met}
    assert {"times due are the trace's", "counts by type are the trace's", "records = truth log"} <= met
    assert replay["bystander_late_ms"]["n"] > 0
    assert "sent while frozen" in done.stdout
    assert "A replayed trace" in done.stdout


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--parts", "frozen,slot"], "'slot' is not one of frozen, rate, replay, slots"),
        (["--json", "/no/such/folder/x.json"], "cannot write /no/such/folder/x.json"),
        (["--keep", str(ROOT / "docs")], "is not empty"),
    ],
)
def test_mistakes_are_told_in_a_sentence_before_anything_is_measured(options: list[str], sentence: str) -> None:
    done = run(*options)

    assert done.returncode == 4
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
