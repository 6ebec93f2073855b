"""Throttles counted, timed, told apart, and set against the load."""

from pathlib import Path
from typing import Any

import pytest

from analysis.summary import analyse
from analysis.throttling import throttle_kind
from bedrock.catalog import default_catalog
from tests.support.analysed import analyse_cell
from tests.support.run_builder import make_record, write_run

RPM = "Too many requests, please wait before trying again."
TPM = "Too many tokens, please wait before trying again."
TPD = "Too many tokens per day, please wait before trying again."


def section_of(directory: Path, records: list[dict[str, Any]], **run: Any) -> dict[str, Any]:
    section: dict[str, Any] = analyse_cell(directory, records, seconds=120.0, **run).summary["throttling"]
    return section


@pytest.mark.parametrize(
    ("outcome", "message", "kind"),
    [
        ("throttled", RPM, "requests"),
        ("throttled", TPM, "tokens"),
        ("throttled", TPD, "tokens_per_day"),
        ("throttled", "Slow down", "other"),
        ("throttled", None, "other"),
        ("overloaded", "Model X is currently overloaded. Please try again later.", "overloaded"),
        ("overloaded", "Too many connections, please wait before trying again.", "overloaded"),
    ],
)
def test_the_message_tells_which_quota_it_was(outcome: str, message: str | None, kind: str) -> None:
    assert throttle_kind(outcome, message) == kind


def test_rate_first_throttle_and_kinds(tmp_path: Path) -> None:
    records = [
        make_record(0, at=1.0),
        make_record(1, at=12.5, outcome="throttled", error_message=TPM),
        make_record(2, at=13.0, outcome="throttled", error_message=RPM, phase="warmup"),
        make_record(3, at=14.0, outcome="overloaded"),
        make_record(4, at=15.0, outcome="dropped"),
    ]

    section = section_of(tmp_path, records)

    assert (section["attempts"], section["throttled"], section["rate"]) == (4, 2, 0.5)
    assert section["first_throttle_s"] == pytest.approx(12.5)
    assert section["kinds"] == {"requests": 1, "tokens": 1, "tokens_per_day": 0, "overloaded": 1, "other": 0}


def test_time_counts_from_the_first_call_where_the_run_does_not_say_its_start(tmp_path: Path) -> None:
    records = [make_record(0, at=5.0), make_record(1, at=12.0, outcome="throttled")]

    assert section_of(tmp_path, records, started_at=None)["first_throttle_s"] == pytest.approx(7.0)


def test_models_and_tiers_are_told_apart(tmp_path: Path) -> None:
    records = [
        make_record(0),
        make_record(1, outcome="throttled", model_id="us.amazon.nova-2-lite-v1:0"),
        make_record(2, outcome="throttled", requested_tier="flex"),
        make_record(3, requested_tier="flex"),
    ]

    section = section_of(tmp_path, records)

    assert [(row["model"], row["rate"]) for row in section["by_model"]] == [
        ("amazon.nova-2-lite-v1:0", 1.0),
        ("amazon.nova-pro-v1:0", pytest.approx(1 / 3)),
    ]
    assert [(row["service_tier"], row["rate"]) for row in section["by_tier"]] == [("default", 0.5), ("flex", 0.5)]


def test_minutes_show_what_was_offered_and_what_was_accepted(tmp_path: Path) -> None:
    records = [
        *(make_record(seq, at=seq * 1.0) for seq in range(4)),
        *(make_record(10 + seq, at=61.0 + seq, outcome="throttled") for seq in range(2)),
        make_record(20, at=70.0),
    ]

    minutes = section_of(tmp_path, records)["per_minute"]

    assert [(row["minute"], row["requests_offered"], row["requests_accepted"]) for row in minutes] == [
        (0, 4, 4), (1, 3, 1),
    ]  # fmt: skip
    assert [row["tokens_accepted"] for row in minutes] == [400.0, 100.0]
    assert [row["tokens_offered_estimated"] for row in minutes] == [400.0, 300.0]


def test_minutes_are_held_against_the_default_quota(tmp_path: Path) -> None:
    records = [
        *(make_record(seq, at=seq * 1.0, cache_write_tokens=10) for seq in range(4)),
        *(make_record(10 + seq, at=61.0 + seq, outcome="throttled") for seq in range(5)),
        make_record(20, at=70.0, outcome="overloaded"),
        make_record(21, at=71.0),
    ]

    section = section_of(tmp_path, records)

    model = default_catalog().resolve("us.amazon.nova-pro-v1:0")
    one = 40 + 60 * model.burndown
    first, second = section["per_minute"]
    assert (second["throttled"], second["overloaded"], second["throttle_rate"]) == (5, 1, 5 / 7)
    assert (first["quota_tokens_accepted"], second["quota_tokens_accepted"]) == (4 * (one + 10), one)
    assert second["quota_tokens_offered_estimated"] == pytest.approx(one + 6 * (5 * one + 40) / 5)
    requests, tokens = section["quota"]
    assert (requests["of"], requests["minute"], requests["offered"], requests["accepted"]) == ("requests", 1, 7, 1)
    assert requests["default_quota"] == model.cross_region_quota.rpm
    assert requests["used_pct"] == pytest.approx(7 / model.cross_region_quota.rpm * 100)
    assert (tokens["of"], tokens["minute"], tokens["default_quota"]) == ("tokens", 1, model.cross_region_quota.tpm)


def use_of(directory: Path, starts: dict[str, float], regions: dict[str, str | None]) -> list[tuple[Any, ...]]:
    """Request uses of runs of 5 calls a cell, ten seconds apart, by the second at which each cell starts."""
    calls = {
        cell: [make_record(seq, cell=cell, at=start + 10.0 * seq, region=regions.get(cell)) for seq in range(5)]
        for cell, start in starts.items()
    }
    uses = analyse(write_run(directory, calls)).summary["throttling"]["quota"]
    return [(use["region"], use["cell"], use["offered"]) for use in uses if use["of"] == "requests"]


def test_cells_that_ran_at_the_same_time_used_one_quota_of_their_model_in_their_region(tmp_path: Path) -> None:
    regions = {"a": "us-east-1", "b": "us-east-1", "c": "eu-west-1"}

    together = use_of(tmp_path / "together", {"a": 0.0, "b": 5.0, "c": 5.0}, regions)
    apart = use_of(tmp_path / "apart", {"a": 0.0, "b": 50.0}, regions)
    nowhere = use_of(tmp_path / "nowhere", {"a": 0.0, "b": 5.0}, {"a": "", "b": None})

    assert together == [("eu-west-1", "c", 5), ("us-east-1", "a, b", 10)]
    assert apart == [("us-east-1", "a", 5)]
    assert nowhere == [(None, "a, b", 10)]


def test_a_model_nobody_knows_has_no_quota(tmp_path: Path) -> None:
    section = section_of(tmp_path, [make_record(0, model_id="nobody.knows-v1:0"), make_record(1, model_id=None)])

    (row,) = section["per_minute"]
    assert row["default_quota_rpm"] is row["default_quota_tpm"] is row["quota_tokens_accepted"] is None
    assert [(use["of"], use["default_quota"], use["used_pct"]) for use in section["quota"]] == [
        ("requests", None, None)
    ]


def test_tokens_that_nobody_reported_are_unknown(tmp_path: Path) -> None:
    minute = section_of(tmp_path, [make_record(0, outcome="throttled")])["per_minute"][0]

    assert minute["tokens_accepted"] is minute["tokens_offered_estimated"] is None


def test_no_records_no_rate(tmp_path: Path) -> None:
    section = section_of(tmp_path, [])

    assert section["rate"] is section["first_throttle_s"] is None
    assert section["by_model"] == section["per_minute"] == []


def test_retries_show_as_attempts_per_message(tmp_path: Path) -> None:
    records = [make_record(0, outcome="throttled"), make_record(1, message_id="m-000000", attempt=2), make_record(2)]

    throttling = analyse_cell(tmp_path, records).summary["throttling"]

    assert (throttling["attempts"], throttling["messages"], throttling["retry_amplification"]) == (3, 2, 1.5)
    assert throttling["by_cell"][0]["retry_amplification"] == 1.5
