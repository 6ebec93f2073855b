"""A second of the generator's own health: waits of the calls that ended, pauses of the collector, one line each."""

import gevent

import gc
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.invocation import InvocationRecord
from loadgen.health import HealthMonitor
from loadgen.line_files import LineFile
from loadgen.meters import CallMeter, CollectorMeter, Worst


def record_of(**fields: Any) -> InvocationRecord:
    record = InvocationRecord(run_id="r", cell="c", process="local", seq=0, message_id="m")
    for name, value in ({"attempt": 1, "started_at": 1000.0} | fields).items():
        setattr(record, name, value)
    return record


@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=300))
def test_the_p99_is_a_value_that_at_most_one_in_a_hundred_exceeds(values_ms: list[float]) -> None:
    worst = Worst.of(values_ms)

    assert worst.max_ms == round(max(values_ms), 3)
    assert worst.p99_ms in {round(value, 3) for value in values_ms}
    assert sum(round(value, 3) > worst.p99_ms for value in values_ms) <= len(values_ms) / 100


def test_waits_are_those_of_the_calls_since_the_last_time() -> None:
    meter = CallMeter()
    for lag_s in (0.001, 0.25):
        meter.note(record_of(intended_at=1000.0 - lag_s, pool_wait_ms=lag_s * 10))
    first, second = meter.take(), meter.take()

    assert first.calls == 2
    assert first.send_lag.max_ms == pytest.approx(250.0)
    assert first.pool_wait.max_ms == 2.5
    assert (second.calls, second.send_lag, second.pool_wait) == (0, Worst(None, None), Worst(None, None))


@pytest.mark.parametrize(
    "fields",
    [{"intended_at": None}, {"intended_at": 990.0, "attempt": 2}, {"intended_at": 990.0, "started_at": None}],
    ids=["closed loop", "retry", "never sent"],
)
def test_a_call_without_a_send_lag_or_a_pool_has_none(fields: dict[str, Any]) -> None:
    meter = CallMeter()
    meter.note(record_of(**fields))

    waits = meter.take()
    assert waits.calls == 1
    assert waits.send_lag.max_ms is None
    assert waits.pool_wait.max_ms is None


def test_every_collection_is_timed_until_the_meter_is_closed() -> None:
    meter = CollectorMeter()
    meter.take()
    gc.collect()
    gc.collect()
    pauses = meter.take()
    meter.close()
    gc.collect()

    assert pauses.count >= 2
    assert pauses.max_ms is not None
    assert 0.0 <= pauses.max_ms <= pauses.total_ms
    assert meter.take().count == 0


def test_a_line_has_the_calls_of_its_second(tmp_path: Path) -> None:
    meter = CallMeter()
    meter.note(record_of(intended_at=999.99, pool_wait_ms=0.5))
    monitor = HealthMonitor(LineFile(tmp_path / "health-local.jsonl"), "local", lambda: 3, lambda: 10, meter)
    while not (text := (tmp_path / "health-local.jsonl").read_text()):
        gevent.sleep(0.1)
    monitor.stop()
    line = json.loads(text.splitlines()[0])

    assert (line["process"], line["in_flight"], line["slots"], line["calls"]) == ("local", 3, 10, 1)
    assert line["send_lag_p99_ms"] == pytest.approx(10.0, abs=0.01)
    assert line["pool_wait_max_ms"] == 0.5
    assert line["gc_count"] >= 0
    assert line["hub_lag_ms"] >= 0.0
