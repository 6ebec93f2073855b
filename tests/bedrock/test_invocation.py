"""The record of an attempt."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.invocation import FIELD_NAMES, InvocationRecord, elapsed_ms, fill_gaps, linear_quantile
from bedrock.outcome import Outcome

times = st.none() | st.floats(min_value=1e9, max_value=2e9)
counts = st.none() | st.integers(0, 10**7)
texts = st.none() | st.text(max_size=20)
records = st.builds(
    InvocationRecord,
    run_id=st.text(max_size=10),
    cell=st.text(max_size=10),
    process=st.text(max_size=10),
    seq=st.integers(0, 10**9),
    message_id=st.text(max_size=10),
    outcome=st.sampled_from(Outcome),
    intended_at=times,
    first_token_at=times,
    ended_at=times,
    input_tokens=counts,
    error_message=texts,
)


@given(records)
def test_a_record_is_one_line_and_is_read_back_as_written(record: InvocationRecord) -> None:
    line = record.to_json()

    assert "\n" not in line
    assert "\r" not in line
    assert InvocationRecord.from_json(line) == record


def test_the_line_has_the_fields_of_the_contract_in_its_order() -> None:
    contract = [
        "run_id",
        "cell",
        "process",
        "seq",
        "message_id",
        "attempt",
        "phase",
        "query_type",
        "complexity",
        "language",
        "prompt_size",
        "prompt_id",
        "api",
        "transport",
        "region",
        "model_id",
        "requested_tier",
        "served_tier",
        "max_tokens",
        "intended_at",
        "started_at",
        "first_event_at",
        "first_token_at",
        "first_answer_at",
        "last_token_at",
        "ended_at",
        "outcome",
        "error_code",
        "error_message",
        "http_status",
        "stop_reason",
        "request_id",
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "events",
        "gap_p50_ms",
        "gap_p95_ms",
        "gap_max_ms",
        "server_latency_ms",
        "connect_ms",
        "pool_wait_ms",
        "bytes_received",
    ]

    beyond = ["first_byte_at", "tls_ms", "burst_share", "receive_lag_ms", "session_id", "turn"]

    assert list(FIELD_NAMES) == contract + beyond
    assert list(json.loads(InvocationRecord("r", "c", "p", 0, "m").to_json())) == contract + beyond


def test_what_did_not_happen_is_null() -> None:
    line = json.loads(InvocationRecord("r", "c", "p", 0, "m", outcome=Outcome.DROPPED).to_json())

    assert line["started_at"] is None
    assert line["output_tokens"] is None


@pytest.mark.parametrize("line", ["", "[]", "3", '{"run_id": "r"}', "{", '{"outcome": "great"}'])
def test_a_line_that_is_no_record_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        InvocationRecord.from_json(line)


def test_fields_of_a_later_version_are_passed_over() -> None:
    line = json.loads(InvocationRecord("r", "c", "p", 0, "m").to_json()) | {"added_later": 1}

    assert InvocationRecord.from_dict(line).run_id == "r"


def test_a_latency_needs_both_ends() -> None:
    assert elapsed_ms(1.0, 1.5) == pytest.approx(500.0)
    assert elapsed_ms(None, 1.5) is None
    assert elapsed_ms(1.0, None) is None


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.floats(0, 1))
def test_quantiles_are_numpys(values: list[float], q: float) -> None:
    ordered = sorted(values)

    assert math.isclose(linear_quantile(ordered, q) or 0.0, float(np.quantile(ordered, q)), rel_tol=1e-9, abs_tol=1e-9)


def test_gaps_are_between_neighbours_and_none_where_there_are_none() -> None:
    record = InvocationRecord("r", "c", "p", 0, "m")
    fill_gaps(record, [1.0])
    assert record.gap_p50_ms is None

    fill_gaps(record, [1.0, 1.1, 1.4])
    assert record.gap_p50_ms == pytest.approx(200.0)
    assert record.gap_max_ms == pytest.approx(300.0)


@pytest.mark.parametrize(
    ("times_s", "share"),
    [
        ([float(number) for number in range(101)], 6 / 101),
        ([1.0] * 10, 1.0),
        ([0.0] * 9 + [100.0], 0.9),
        ([1.0], None),
        ([], None),
    ],
    ids=["even", "all at once", "held back but for the last", "one event", "none"],
)
def test_the_burst_share_tells_an_even_stream_from_one_that_was_held_back(
    times_s: list[float], share: float | None
) -> None:
    record = InvocationRecord("r", "c", "p", 0, "m")
    fill_gaps(record, times_s)

    assert record.burst_share == (None if share is None else pytest.approx(share))
