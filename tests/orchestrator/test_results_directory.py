"""Results never land on top of other results unless asked to."""

import os

import pytest

from orchestrator.results_directory import check_usable, open_directory
from scenarios.run_directory import RunDirectoryError


def fill(directory) -> None:
    for name in (
        "run.json",
        "summary.json",
        "report.html",
        "comparison.html",
        "consolidated_results_x.csv",
        "test_a_stats.csv",
        "mine.txt",
    ):
        (directory / name).write_text('{"run_id": "r", "cells": []}', encoding="utf-8")
    (directory / "cells" / "a").mkdir(parents=True)
    (directory / "cells" / "a" / "requests-local.jsonl").write_text("{}", encoding="utf-8")


def test_a_directory_with_results_is_refused_with_a_way_out(tmp_path):
    fill(tmp_path)

    with pytest.raises(RunDirectoryError, match=r"already holds results: .* --force"):
        check_usable(tmp_path, force=False)
    check_usable(tmp_path, force=True)


def test_force_deletes_what_a_run_wrote_and_nothing_else(tmp_path):
    fill(tmp_path)

    assert open_directory(tmp_path, "x", 0.0, force=True).path == tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", ".writers.lock", "mine.txt", "run.json"]
    assert (tmp_path / "run.json").read_text(encoding="utf-8") == "", "claimed by the new run"


def test_a_given_directory_is_used_exactly_as_it_is(tmp_path):
    target = tmp_path / "a" / "b"
    check_usable(target, force=False)

    assert open_directory(target, "x", 0.0, force=False).path == target
    assert target.is_dir()
    assert not (target.parent / "latest").exists()


def test_a_file_or_a_closed_folder_is_no_results_directory(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    with pytest.raises(RunDirectoryError, match="is not a directory"):
        check_usable(file, force=False)

    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(RunDirectoryError, match="no permission"):
        check_usable(tmp_path / "new", force=False)


def test_the_default_is_named_by_time_and_scenario_and_latest_points_to_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    first = open_directory(None, "smoke", 0.0, force=False).path
    second = open_directory(None, "smoke", 0.0, force=False).path

    assert str(first) == "test_results/19700101T000000Z-smoke"
    assert second.name == "19700101T000000Z-smoke-2", "two runs of one second do not share a directory"
    assert (tmp_path / "test_results" / "latest").resolve() == second.resolve()


def test_a_latest_that_is_no_link_is_left_alone_and_stops_no_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test_results" / "latest" / "copied").mkdir(parents=True)

    open_directory(None, "smoke", 0.0, force=False)

    assert (tmp_path / "test_results" / "latest" / "copied").exists()


def test_a_folder_of_other_making_is_never_cleared_also_with_force(tmp_path):
    (tmp_path / "emulator").mkdir()
    (tmp_path / "emulator" / "server.py").write_text("precious", encoding="utf-8")

    for force in (False, True):
        with pytest.raises(RunDirectoryError, match="has emulator, which a run would overwrite"):
            check_usable(tmp_path, force=force)
    open_directory(tmp_path, "x", 0.0, force=True)
    assert (tmp_path / "emulator" / "server.py").read_text(encoding="utf-8") == "precious"


def test_results_are_never_deleted_unasked_whatever_was_checked_before(tmp_path):
    check_usable(tmp_path, force=False)
    fill(tmp_path)  # another run has come and gone since

    with pytest.raises(RunDirectoryError, match=r"already holds results: .* --force"):
        open_directory(tmp_path, "x", 0.0, force=False)
    assert (tmp_path / "cells" / "a" / "requests-local.jsonl").exists()


@pytest.mark.parametrize("force", [False, True])
def test_the_directory_of_a_run_that_goes_on_cannot_be_taken(tmp_path, force):
    open_directory(tmp_path, "x", 0.0, force=False)
    (tmp_path / "run.json").write_text('{"run_id": "first"}', encoding="utf-8")

    with pytest.raises(RunDirectoryError, match="still going on"):
        open_directory(tmp_path, "x", 0.0, force=force)
    assert (tmp_path / "run.json").read_text(encoding="utf-8") == '{"run_id": "first"}'


def test_a_run_that_was_killed_before_it_wrote_anything_can_be_replaced(tmp_path):
    (tmp_path / "run.json").touch()

    check_usable(tmp_path, force=True)
    assert open_directory(tmp_path, "x", 0.0, force=True).path == tmp_path


def test_where_no_default_directory_can_be_made_it_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test_results").write_text("a file", encoding="utf-8")

    with pytest.raises(RunDirectoryError, match="choose one with --results-dir"):
        open_directory(None, "smoke", 0.0, force=False)
