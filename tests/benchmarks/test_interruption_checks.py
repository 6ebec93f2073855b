"""The checks of resumed suites find what they look for."""

import json
from pathlib import Path

import pytest

from benchmarks.interruption_checks import check_suite
from scenarios.run_directory import RunDirectory

CALLS = 5


def lines(rows: list[dict]) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def call(number: int) -> dict:
    return {"seq": number, "model_id": "m", "request_id": f"id-{number}", "outcome": "ok", "intended_at": 10.0 + number}


@pytest.fixture
def suite(tmp_path: Path) -> RunDirectory:
    """One finished cell, sound; two calls of the truth belong to an attempt that was set aside."""
    directory = RunDirectory(tmp_path)
    cell = directory.cell("a")
    cell.path.mkdir(parents=True)
    directory.emulator.mkdir()
    directory.write_run({"run_id": "x", "cells": [{"cell": "a", "status": "finished", "reason": None}]})
    cell.load_json.write_text(json.dumps({"started_at": 9.0, "ended_at": 20.0}), encoding="utf-8")
    cell.requests("local").write_text(lines([call(number) for number in range(CALLS)]), encoding="utf-8")
    (cell.path / "console.log").write_text("$ locust\nready\n", encoding="utf-8")
    truth = [call(number) | {"received_at": 10.0 + number} for number in range(CALLS)]
    truth += [call(number) | {"request_id": f"old-{number}", "received_at": 5.0} for number in range(2)]
    truth += [call(9) | {"model_id": "of a cell beside it", "received_at": 11.0}]
    directory.truth_log.write_text(lines(truth), encoding="utf-8")
    directory.summary_json.write_text(json.dumps({"total": {"metrics": {"requests": CALLS}}}), encoding="utf-8")
    return directory


def test_a_sound_suite_has_no_problems_and_its_calls_are_counted(suite):
    assert check_suite(suite).problems == ()
    assert check_suite(suite).calls == CALLS


def test_a_call_without_a_record_is_found(suite):
    file = suite.cell("a").requests("local")
    file.write_text(lines([call(number) for number in range(CALLS - 1)]), encoding="utf-8")

    assert check_suite(suite).problems == ("a lacks the records of 1 completed calls",)


def test_a_cell_of_two_halves_is_found(suite):
    file, console = suite.cell("a").requests("local"), suite.cell("a").path / "console.log"
    older = call(0) | {"request_id": "old-0", "intended_at": 5.0}
    file.write_text(lines([older]) + file.read_text(encoding="utf-8"), encoding="utf-8")
    console.write_text("$ locust\n$ locust\n", encoding="utf-8")

    assert set(check_suite(suite).problems) == {
        "a has the records of 1 calls that were not made in its time",
        "a has gaps or repetitions in the numbers of requests-local.jsonl",
        "a was started 2 times",
        "a has 1 records from before its start",
    }


def test_a_cell_that_is_not_finished_is_found(suite):
    suite.write_run({"run_id": "x", "cells": [{"cell": "a", "status": "failed", "reason": "it died"}]})

    assert check_suite(suite).problems == ("a is failed: it died",)
