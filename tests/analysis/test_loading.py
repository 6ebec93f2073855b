"""A directory of hostile files: what is sound is analysed, the rest is counted and named; nothing crashes."""

import json
import random
from pathlib import Path

import pytest

from analysis.loading import load_records
from analysis.summary import analyse
from scenarios.run_directory import RunDirectoryError
from tests.support.run_builder import CellSpec, build_run, make_record, synthetic_records, write_records, write_run

SOUND = json.dumps(make_record(5)).encode() + b"\n"

HOSTILE = {
    "not JSON": [SOUND.replace(b"930.0", b"NaN").replace(b'"gap_p50_ms": 30.0', b'"gap_p50_ms": NaN'),
                 b"[" * 100_000 + b"]" * 100_000 + b"\n", SOUND[: len(SOUND) // 2] + b"\n"],
    "wrong type": [SOUND.replace(b'"seq": 5', b'"seq": "5"'),
                   SOUND.replace(b'"gap_p50_ms": 30.0', b'"gap_p50_ms": 1e999'),
                   SOUND.replace(b'"seq": 5', b'"seq": ' + b"9" * 30)],
    "impossible value": [SOUND.replace(b'"output_tokens": 60', b'"output_tokens": -60'),
                         SOUND.replace(b'"gap_p50_ms": 30.0', b'"gap_p50_ms": 1e300')],
    "line too long": [SOUND.replace(b'"error_message": null', b'"error_message": "' + b"x" * 10_000_000 + b'"')],
    "invalid UTF-8": [SOUND.replace(b'"us-east-1"', b'"\xff\xfe"')],
    "not a JSON object": [b"null\n", b"[]\n", b"0\n"],
    "missing field": [b"{}\n"],
    "unknown outcome": [SOUND.replace(b'"outcome": "ok"', b'"outcome": "OK"')],
    "torn last line": [SOUND[:-20]],
}  # fmt: skip


def test_every_hostile_line_is_named_and_every_sound_one_counts(tmp_path: Path) -> None:
    run = build_run(tmp_path, [CellSpec("a", n=200), CellSpec("b", n=100)])
    path = run / "cells" / "a" / "requests-0.jsonl"
    sound = path.read_bytes().splitlines(keepends=True)
    hostile = [line for reason, lines in HOSTILE.items() if reason != "torn last line" for line in lines]
    mixed = sound + hostile
    random.Random(7).shuffle(mixed)
    path.write_bytes(b"".join(mixed) + HOSTILE["torn last line"][0])

    summary = analyse(run).summary

    expected = {reason: len(lines) for reason, lines in HOSTILE.items()}
    assert summary["total"]["metrics"]["requests"] == 300
    assert summary["validity"]["skipped_lines"] == expected
    assert {(row["file"], row["reason"]): row["lines"] for row in summary["validity"]["skipped_files"]} == {
        ("cells/a/requests-0.jsonl", reason): count for reason, count in expected.items()
    }
    check = next(check for check in summary["validity"]["checks"] if check["name"] == "unreadable_lines")
    assert check["status"] == "FAIL"
    assert all(reason in check["reason"] for reason in expected)


def test_the_same_records_in_other_files_and_orders_give_the_same_summary(tmp_path: Path) -> None:
    one = build_run(tmp_path / "one", [CellSpec("a", n=150, outcomes={"throttled": 0.1})])
    other = build_run(tmp_path / "other", [CellSpec("a", n=150, outcomes={"throttled": 0.1})])
    path = other / "cells" / "a" / "requests-0.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    random.Random(3).shuffle(lines)
    path.write_bytes(b"".join(lines[:40]))
    (path.parent / "requests-1.jsonl").write_bytes(b"".join(lines[40:]))

    assert analyse(other).summary == analyse(one).summary


def test_a_file_of_many_blocks_loses_nothing(tmp_path: Path) -> None:
    records = synthetic_records(CellSpec("a", n=6_000, outcomes={"timeout": 0.01}), 1, 0.0)
    write_records(tmp_path, "a", records)

    loaded = load_records(tmp_path)

    assert (tmp_path / "cells" / "a" / "requests-0.jsonl").stat().st_size > 3 * 2**21
    assert loaded.frame["seq"].tolist() == list(range(6_000))
    assert loaded.frame["outcome"].tolist() == [record["outcome"] for record in records]
    assert loaded.skipped == {}


def test_a_place_that_takes_no_columns_costs_the_columns_alone(tmp_path: Path) -> None:
    write_run(tmp_path, {"a": [make_record(seq) for seq in range(3)]})
    (tmp_path / "requests.parquet").mkdir()

    assert len(load_records(tmp_path, keep_parquet=True).frame) == 3
    assert {path.name for path in tmp_path.iterdir()} == {"run.json", "cells", "requests.parquet"}


def test_a_record_file_that_cannot_be_read_is_one_sentence_and_no_figure_without_it(tmp_path: Path) -> None:
    write_run(tmp_path, {"a": [make_record()]})
    gone = tmp_path / "cells" / "a" / "requests-9.jsonl"
    gone.symlink_to(tmp_path / "nowhere")

    with pytest.raises(RunDirectoryError, match=r"requests-9\.jsonl: No such file"):
        analyse(tmp_path)


def test_health_that_cannot_be_read_is_missing_and_said_to_be(tmp_path: Path) -> None:
    build_run(tmp_path, [CellSpec("a")])
    health = tmp_path / "cells" / "a" / "health-0.jsonl"
    health.unlink()
    health.mkdir()

    checks = {check["name"]: check for check in analyse(tmp_path).summary["validity"]["checks"]}

    assert checks["hub_lag_p99_ms"]["status"] == "WARN"
    assert checks["hub_lag_p99_ms"]["reason"] == "No figures of hub_lag_p99_ms in a"
