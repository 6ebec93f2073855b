"""What goes wrong around a suite: parts that die, readers that leave, directories that are taken."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from scenarios.run_directory import RunDirectory
from tests.e2e.test_suite import LONG, PROJECT, SUITE, record_count, start, until, wait

pytestmark = pytest.mark.e2e


def child_with(parent: int, *words: str) -> psutil.Process:
    """The one child of a process whose command line has all these words."""
    children = psutil.Process(parent).children(recursive=True)
    (found,) = [child for child in children if all(word in child.cmdline() for word in words)]
    return found


def test_a_dead_emulator_fails_its_cell_and_ends_the_suite(tmp_path: Path) -> None:
    process = start(tmp_path, LONG.replace("10m", "4s"))
    until(lambda: record_count(tmp_path) >= 5)
    child_with(process.pid, "emulator").kill()
    ended = wait(process, tmp_path)

    assert ended.exit_code == 5, ended.stderr
    first, second = ended.run["cells"]
    assert first["status"] == "failed"
    assert first["reason"].startswith("the emulator died")
    assert second["status"] == "pending"
    assert ended.directory.report_html.exists()


def test_a_worker_that_is_killed_makes_the_run_inconclusive(tmp_path: Path) -> None:
    scenario = SUITE.replace("rate: 10/s, duration: 4s", "rate: 10/s, duration: 6s")
    process = start(tmp_path, scenario, "--processes", "2", "--rates", "10/s")
    until(lambda: record_count(tmp_path) >= 5)
    children = psutil.Process(process.pid).children(recursive=True)
    workers = [child for child in children if "locust" in child.cmdline()]
    # The master is the parent of the workers; kill one that has no children of its own.
    next(worker for worker in workers if not worker.children()).kill()
    ended = wait(process, tmp_path)

    (load_file,) = ended.directory.path.glob("cells/*/load.json")
    assert json.loads(load_file.read_text(encoding="utf-8"))["processes_lost"] == 1
    assert ended.exit_code == 5, ended.stdout
    assert ended.summary["validity"]["status"] == "INVALID"


def test_a_reader_that_leaves_does_not_end_the_run(tmp_path: Path) -> None:
    (tmp_path / "scenario.yaml").write_text(SUITE, encoding="utf-8")
    command = f"{sys.executable} {PROJECT / 'run_tests.py'} scenario.yaml --rates 10/s --test-duration 1s --warmup 0s"
    subprocess.run(
        ["bash", "-c", f"{command} --results-dir out 2>&1 | head -1"],
        cwd=tmp_path,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    directory = RunDirectory(tmp_path / "out")

    until(lambda: directory.read_run()["exit_code"] is not None)
    assert directory.read_run()["exit_code"] in (0, 5)
    assert [cell["status"] for cell in directory.read_run()["cells"]] == ["finished"]
    assert directory.report_html.exists()


def test_a_directory_that_another_run_has_taken_is_refused(tmp_path: Path) -> None:
    first = start(tmp_path, SUITE)
    until((tmp_path / "out" / "run.json").exists)
    second = wait(start(tmp_path, SUITE), tmp_path)
    ended = wait(first, tmp_path)

    assert second.exit_code == 4
    assert "error: " in second.stderr
    assert {cell["status"] for cell in ended.run["cells"]} == {"finished"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--results-dir", ""),
        ("--results-dir", "file/x"),
        ("--results-dir", "x" * 300),
        ("--results-dir", "dangling"),
        ("--region", "us east"),
        ("--user-counts", "99999999999"),
        ("--processes", "100000"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere" / "else")
    done = subprocess.run(
        [sys.executable, str(PROJECT / "run_tests.py"), "--yes", "--results-dir", "out", *arguments],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 4, done.stderr
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "cells").exists()


def test_several_plans_are_one_document(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(PROJECT / "run_tests.py"), "plan", "smoke", "demo", "--format", "json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert [plan["scenario"] for plan in json.loads(done.stdout)["plans"]] == ["smoke", "demo"]
