"""A running cell, read from files that grow while they are read."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.catalog import default_catalog
from orchestrator.live import CellWatch, GrowingFile, LatencyBuckets, Recent, Tally, decoded, record_cost_usd
from scenarios.run_directory import CellDirectory, write_json

CATALOG = default_catalog()


def record(**values) -> dict:
    return {
        "outcome": "ok",
        "model_id": "us.amazon.nova-pro-v1:0",
        "requested_tier": "default",
        "served_tier": None,
        "intended_at": 100.0,
        "started_at": 100.0,
        "first_token_at": 100.4,
        "ended_at": 101.0,
        "input_tokens": 1000,
        "output_tokens": 100,
    } | values


def append(path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(data)


@given(
    lines=st.lists(st.text(alphabet="abc漫", max_size=6), max_size=8),
    cuts=st.lists(st.integers(0, 60), max_size=6),
)
def test_however_a_file_grows_each_complete_line_is_read_once(tmp_path_factory, lines, cuts):
    path = tmp_path_factory.mktemp("g") / "f.jsonl"
    data = "".join(f"{line}\n" for line in lines).encode()
    reader, seen, written = GrowingFile(path), [], 0
    for cut in sorted(cuts):
        append(path, data[written:cut])
        written = max(written, min(cut, len(data)))
        seen += reader.new_lines()
    append(path, data[written:])
    seen += reader.new_lines()

    assert [line.decode() for line in seen] == lines


def test_a_file_that_is_not_there_yet_has_no_lines(tmp_path):
    reader = GrowingFile(tmp_path / "later")
    assert reader.new_lines() == []

    append(tmp_path / "later", b"1\n2")
    assert reader.new_lines() == [b"1"]


def test_lines_that_are_no_objects_are_left_to_the_analysis():
    assert list(decoded([b'{"a": 1}', b"torn", b"[1]", b"\xff\xfe", b""])) == [{"a": 1}]


def test_a_tally_counts_what_was_sent_and_what_became_of_it():
    tally = Tally()
    for values in (
        {},
        {"outcome": "throttled", "input_tokens": None, "output_tokens": None, "first_token_at": None},
        {"outcome": "timeout", "input_tokens": None},
        {"outcome": "dropped", "started_at": None, "ended_at": None, "input_tokens": None, "first_token_at": None},
        {"outcome": "aborted", "input_tokens": None},
    ):
        tally.add(record(**values), CATALOG)

    assert (tally.sent, tally.ok, tally.throttled, tally.errors, tally.dropped) == (4, 1, 1, 1, 1)
    assert tally.ttft.quantile_ms(0.5) == pytest.approx(400.0, rel=0.01)
    assert tally.cost_usd == pytest.approx((1000 * 0.8 + 100 * 3.2) / 1e6)


def test_only_what_ended_lately_counts_as_recent_and_throttles_are_no_failures():
    recent = Recent(window_s=10.0)
    for ended_at, outcome in (
        (80.0, "timeout"),
        (95.0, "timeout"),
        (96.0, "ok"),
        (97.0, "throttled"),
        (98.0, "aborted"),
    ):
        recent.add(record(ended_at=ended_at, outcome=outcome))
    recent.add(record(ended_at=None, outcome="dropped"))

    assert recent.count(100.0) == (3, 1)
    assert recent.count(200.0) == (0, 0)


def test_cost_is_that_of_the_tier_that_served_the_call():
    flex = record_cost_usd(record(requested_tier="priority", served_tier="flex"), CATALOG)

    assert flex == pytest.approx((1000 * 0.4 + 100 * 1.6) / 1e6)
    assert record_cost_usd(record(model_id="unknown"), CATALOG) == 0.0


def test_the_achieved_rate_is_that_of_the_last_seconds():
    tally = Tally()
    for second in range(100):
        tally.add(record(ended_at=1000.0 + second * 0.5), CATALOG)

    assert tally.achieved_rps(1050.0, started_at=1000.0) == pytest.approx(2.0, abs=0.1)
    assert tally.achieved_rps(1100.0, started_at=1000.0) == 0.0


def test_percentiles_of_the_live_line_are_right_to_one_percent():
    generator = random.Random(1)
    values = sorted(generator.lognormvariate(6.0, 0.6) for _ in range(4001))
    buckets = LatencyBuckets()
    for value in values:
        buckets.add(value)

    for q in (0.5, 0.95, 0.99):
        assert buckets.quantile_ms(q) == pytest.approx(values[int(q * 4000)], rel=0.012)
    assert LatencyBuckets().quantile_ms(0.5) is None


def lines_of(*records: dict) -> bytes:
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in records)


def test_a_watch_follows_all_processes_of_a_cell_and_survives_a_torn_line(tmp_path):
    directory = CellDirectory(tmp_path / "cell")
    watch = CellWatch(directory, CATALOG)
    watch.update()
    assert (watch.tally.sent, watch.in_flight, watch.phase_at(0.0)) == (0, 0, None)

    whole = lines_of(record())
    append(directory.requests("worker-0"), whole + whole[:20])
    append(directory.requests("worker-1"), whole)
    append(directory.health("worker-0"), lines_of({"in_flight": 9}, {"in_flight": 3}))
    append(directory.health("worker-1"), lines_of({"in_flight": 2}))
    watch.update()
    assert (watch.tally.sent, watch.in_flight) == (2, 5)

    append(directory.requests("worker-0"), whole[20:])
    append(directory.health("worker-0"), lines_of({"in_flight": 3, "limit_reached": "max_requests"}))
    append(directory.health("worker-1"), lines_of({"in_flight": 2, "limit_reached": None}))
    watch.update()
    assert (watch.tally.sent, watch.limit_reached) == (3, "max_requests")


def test_a_watch_knows_the_phase_once_the_schedule_is_fixed(tmp_path):
    directory = CellDirectory(tmp_path / "cell")
    watch = CellWatch(directory, CATALOG)
    write_json(directory.load_json, {"started_at": 10.0, "phases": []})
    watch.update()
    assert (watch.started_at, watch.schedule_started_at, watch.phase_at(12.0)) == (10.0, None, None)

    phases = [
        {"name": "ramp", "started_at": 10.0, "ended_at": 11.0},
        {"name": "steady", "started_at": 11.0, "ended_at": 20.0},
    ]
    write_json(directory.load_json, {"started_at": 10.0, "phases": phases})
    watch.update()
    assert watch.schedule_started_at == 11.0
    assert [watch.phase_at(at) for at in (9.0, 10.5, 12.0, 21.0)] == [None, "ramp", "steady", "drain"]
