"""Loading a results directory: everything that is a record, nothing that is not, always in the same order."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.record_schema import ONLY_ON_DISK
from analysis.records import COUNTS, SCHEMA, derive, load_records, record_costs
from bedrock.catalog import default_catalog
from bedrock.invocation import FIELD_NAMES
from tests.support.run_builder import STARTED_AT, CellSpec, make_record, synthetic_records, write_records, write_run


def load(directory: Path, *records: dict[str, Any]) -> Any:
    write_records(directory, "a", records)
    return load_records(directory)


def derived(directory: Path, *records: dict[str, Any]) -> pd.DataFrame:
    return derive(load(directory, *records).frame, default_catalog())


def test_every_field_of_a_record_is_a_column() -> None:
    assert tuple(SCHEMA.names) == FIELD_NAMES


@pytest.mark.parametrize("files", [[], ["cells/a/requests-0.jsonl"]])
def test_an_empty_directory_gives_an_empty_typed_frame(tmp_path: Path, files: list[str]) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"")

    loaded = load_records(tmp_path)
    frame = derive(loaded.frame, default_catalog())

    assert len(frame) == 0
    assert loaded.skipped == {}
    assert frame["ttft_ms"].dtype == np.float64
    assert frame["measured"].dtype == bool
    assert all(frame[name].dtype == pd.Int64Dtype() for name in COUNTS if name not in ONLY_ON_DISK)


def test_values_survive_as_they_were_written(tmp_path: Path) -> None:
    record = make_record(3, error_message="たまご", connect_ms=None)

    row = load(tmp_path, record).frame.iloc[0].to_dict()

    expected = {name: value for name, value in record.items() if name not in ONLY_ON_DISK}
    assert {name: None if pd.isna(value) else value for name, value in row.items()} == expected


@pytest.mark.parametrize("tokens", [2**30 - 1, 2**30, 2**31, 10**11])
def test_large_counts_are_exact_and_so_are_their_sums(tmp_path: Path, tokens: int) -> None:
    records = [make_record(seq, input_tokens=tokens, output_tokens=tokens) for seq in range(9)]

    frame = load(tmp_path, *records).frame

    assert (frame["input_tokens"] + frame["output_tokens"]).tolist() == [2 * tokens] * 9
    assert frame["input_tokens"].sum() == 9 * tokens


def test_latencies_are_those_of_the_contract(tmp_path: Path) -> None:
    start = STARTED_AT
    row = derived(
        tmp_path,
        make_record(
            intended_at=start, started_at=start + 0.050, first_token_at=start + 0.350, first_answer_at=start + 0.500,
            last_token_at=start + 1.350, ended_at=start + 1.400, output_tokens=101, gap_p50_ms=33.0,
        ),
    ).iloc[0]  # fmt: skip

    expected = {
        "ttft_ms": 350.0, "first_answer_ms": 500.0, "service_ttft_ms": 300.0, "e2e_ms": 1400.0,
        "service_e2e_ms": 1350.0, "tpot_ms": 10.0, "gap_ms": 33.0, "send_lag_ms": 50.0, "output_tokens_per_s": 100.0,
    }  # fmt: skip
    # Unix times in floats resolve 0.24 microseconds.
    assert {name: row[name] for name in expected} == pytest.approx(expected, abs=1e-3)
    assert row["ok"]
    assert row["sent"]
    assert row["measured"]
    assert not row["error"]


@pytest.mark.parametrize(
    ("fields", "unknown"),
    [
        ({"output_tokens": 1}, ["tpot_ms", "output_tokens_per_s"]),
        ({"output_tokens": None}, ["tpot_ms", "output_tokens_per_s", "cost_usd"]),
        ({"first_token_at": None, "first_answer_at": None}, ["ttft_ms", "first_answer_ms", "tpot_ms"]),
        ({"last_token_at": STARTED_AT + 0.3}, ["output_tokens_per_s"]),  # all tokens in one event: no decode time
        ({"outcome": "dropped"}, ["ttft_ms", "e2e_ms", "send_lag_ms", "cost_usd"]),
        ({"outcome": "throttled"}, ["ttft_ms", "tpot_ms", "gap_ms", "cost_usd"]),
    ],
)
def test_what_did_not_happen_is_missing_and_never_zero(
    tmp_path: Path, fields: dict[str, Any], unknown: list[str]
) -> None:
    row = derived(tmp_path, make_record(**fields)).iloc[0]

    assert all(np.isnan(row[name]) for name in unknown)


@pytest.mark.parametrize(
    ("outcome", "classes"),
    [
        ("ok", {"ok": True, "sent": True, "error": False}),
        ("throttled", {"ok": False, "sent": True, "error": False}),
        ("aborted", {"ok": False, "sent": True, "error": False}),
        ("dropped", {"ok": False, "sent": False, "error": False}),
        ("overloaded", {"ok": False, "sent": True, "error": True}),
        ("truncated", {"ok": False, "sent": True, "error": True}),
    ],
)
def test_outcomes_fall_into_the_classes_of_the_contract(tmp_path: Path, outcome: str, classes: dict[str, bool]) -> None:
    row = derived(tmp_path, make_record(outcome=outcome)).iloc[0]

    assert {name: bool(row[name]) for name in classes} == classes


@pytest.mark.parametrize(
    ("phase", "measured"),
    [("ramp", False), ("warmup", False), ("drain", False), ("steady", True), ("spike", True), (None, True)],
)
def test_ramp_warmup_and_drain_are_not_measured(tmp_path: Path, phase: str | None, measured: bool) -> None:
    assert bool(derived(tmp_path, make_record(phase=phase)).iloc[0]["measured"]) is measured


def test_cost_is_tokens_times_the_price_of_the_tier_that_served(tmp_path: Path) -> None:
    frame = derived(
        tmp_path,
        make_record(0, model_id="amazon.nova-pro-v1:0", requested_tier="priority", served_tier="default",
                    input_tokens=1000, output_tokens=500, cache_read_tokens=2000, cache_write_tokens=100),
        make_record(1, model_id="amazon.nova-pro-v1:0", requested_tier="flex", served_tier=None,
                    input_tokens=1000, output_tokens=500, cache_read_tokens=None, cache_write_tokens=None),
        make_record(2, model_id="nobody.knows-v1:0"),
        make_record(3, model_id=None),
    )  # fmt: skip

    assert frame["cost_usd"].iloc[0] == pytest.approx((1000 * 0.8 + 500 * 3.2 + 2000 * 0.2) / 1e6)
    assert frame["cost_usd"].iloc[1] == pytest.approx((1000 * 0.4 + 500 * 1.6) / 1e6)
    assert frame["cost_usd"].iloc[2:].isna().all()
    assert record_costs(frame, default_catalog(), "priority")[0] == pytest.approx(
        (1000 * 1.4 + 500 * 5.6 + 2000 * 0.35) / 1e6
    )


def test_the_model_is_the_id_without_its_profile_and_no_tier_means_default(tmp_path: Path) -> None:
    row = derived(tmp_path, make_record(model_id="eu.amazon.nova-pro-v1:0", requested_tier=None)).iloc[0]

    assert row["model"] == "amazon.nova-pro-v1:0"
    assert row["service_tier"] == "default"


HOSTILE = {
    "no outcome": ({"outcome": None}, "missing field"),
    "no process": ({"process": None}, "missing field"),
    "an outcome nobody knows": ({"outcome": "fine"}, "unknown outcome"),
    "negative tokens": ({"output_tokens": -1}, "impossible value"),
    "huge tokens": ({"output_tokens": 10**15}, "impossible value"),
    "negative time": ({"ended_at": -5.0}, "impossible value"),
    "1970": ({"intended_at": 5.0}, "impossible value"),
    "a time of milliseconds": ({"ended_at": STARTED_AT * 1000.0}, "impossible value"),
    "ended before it started": ({"ended_at": STARTED_AT - 1.0}, "times run backwards"),
    "token before the start": ({"first_token_at": STARTED_AT - 0.5}, "times run backwards"),
    "another cell's record": ({"cell": "b"}, "record of another cell"),
    "tokens as text": ({"input_tokens": "12"}, "wrong type"),
}


@pytest.mark.parametrize(("fields", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_what_cannot_be_a_record_is_skipped_and_counted(tmp_path: Path, fields: dict[str, Any], reason: str) -> None:
    sound = [make_record(seq) for seq in (1, 2)]
    path = tmp_path / "cells" / "a" / "requests-0.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in [make_record(0) | fields, *sound]))

    loaded = load_records(tmp_path)

    assert loaded.frame["seq"].tolist() == [1, 2]
    assert loaded.skipped == {reason: 1}
    assert loaded.skipped_lines == 1


def test_a_record_written_twice_counts_once(tmp_path: Path) -> None:
    loaded = load(tmp_path, make_record(0), make_record(1), make_record(0))

    assert loaded.frame["seq"].tolist() == [0, 1]
    assert loaded.skipped == {"duplicate": 1}


def test_records_of_all_cells_and_processes_come_sorted(tmp_path: Path) -> None:
    for cell, process, seq in [("b", "1", 0), ("a", "2", 5), ("a", "10", 7), ("a", "10", 2), ("b", "0", 3)]:
        write_records(tmp_path, cell, [make_record(seq, cell=cell, process=process)])

    frame = load_records(tmp_path).frame

    identity = list(zip(frame["cell"], frame["process"], frame["seq"], strict=True))
    assert identity == [("a", "10", 2), ("a", "10", 7), ("a", "2", 5), ("b", "0", 3), ("b", "1", 0)]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_splitting_into_files_and_reordering_lines_change_nothing(tmp_path: Path, seed: int, files: int) -> None:
    rng = random.Random(seed)
    records = synthetic_records(CellSpec("a", n=40, outcomes={"throttled": 0.2, "dropped": 0.1}), 1, 0.0)
    whole, parts = tmp_path / f"{seed}-{files}-whole", tmp_path / f"{seed}-{files}-parts"
    write_records(whole, "a", records)
    (parts / "cells" / "a").mkdir(parents=True, exist_ok=True)
    for record in rng.sample(records, len(records)):
        path = parts / "cells" / "a" / f"requests-{rng.randrange(files)}.jsonl"
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    pd.testing.assert_frame_equal(load_records(parts).frame, load_records(whole).frame)


def test_records_of_another_run_are_counted_and_not_used(tmp_path: Path) -> None:
    records = [make_record(0), make_record(1, run_id="run-2"), make_record(2, run_id=None)]
    write_run(tmp_path, {"a": records})

    loaded = load_records(tmp_path, "run-1")

    assert list(loaded.frame["seq"]) == [0, 2]
    assert loaded.skipped == {"record of another run": 1}


def test_a_number_that_a_process_used_twice_counts_once(tmp_path: Path) -> None:
    write_run(tmp_path, {"a": [make_record(0), make_record(1), make_record(1, message_id="other")]})

    loaded = load_records(tmp_path)

    assert list(loaded.frame["seq"]) == [0, 1]
    assert loaded.skipped == {"repeated seq": 1}
