"""What goes wrong around a suite: parts that die, readers that leave, directories that are taken."""

import contextlib
import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import psutil
import pytest

from scenarios.run_directory import RunDirectory
from tests.e2e.test_suite import (
    FAST,
    LONG,
    PROJECT,
    SUITE,
    assert_nothing_is_left,
    record_count,
    records_of,
    start,
    truth_of,
    until,
    wait,
)

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
        ["bash", "-c", f"{command} --no-charts --results-dir out 2>&1 | head -1"],
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


def on_a_terminal(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """The command as a terminal starts it, and the other side of that terminal."""
    (folder / "scenario.yaml").write_text(LONG, encoding="utf-8")
    outside, inside = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(PROJECT / "run_tests.py"), "scenario.yaml", "--results-dir", "out", "--no-charts"],
        cwd=folder,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
        preexec_fn=_as_a_login_shell_would,  # noqa: PLW1509 - no locks are held
    )
    os.close(inside)
    return process, outside


def _as_a_login_shell_would() -> None:
    """The terminal is the process's own, and its loss is told: these tests may run under nohup themselves."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def drain(terminal: int) -> None:
    """Read what is on the screen: a terminal that nobody reads fills up, and its program waits."""
    os.set_blocking(terminal, False)
    with contextlib.suppress(BlockingIOError):
        os.read(terminal, 65536)


def test_a_terminal_that_is_closed_ends_the_run_in_order_and_leaves_a_report(tmp_path: Path) -> None:
    process, outside = on_a_terminal(tmp_path)
    until(lambda: drain(outside) or record_count(tmp_path) >= 5)
    os.close(outside)
    directory = RunDirectory(tmp_path / "out")

    assert process.wait(timeout=120) == 2
    assert [cell["status"] for cell in directory.read_run()["cells"]] == ["interrupted", "pending"]
    assert directory.read_run()["exit_code"] == 2
    assert directory.report_html.exists()
    assert_nothing_is_left(tmp_path)


@pytest.mark.parametrize("transport", ["wire", "boto3"])
def test_provisioned_throughput_can_be_tested_and_its_account_is_written_nowhere(
    transport: str, tmp_path: Path
) -> None:
    account = "123456789012"
    arn = f"arn:aws:bedrock:us-east-1:{account}:provisioned-model/abcdef"
    profile = f"arn:aws:bedrock:us-east-1:{account}:inference-profile/us.amazon.nova-pro-v1:0"
    scenario = f"name: arns\nload: {{rate: 10/s, duration: 2s}}\ntransport: {transport}\n{FAST}"
    models = f"{arn}=amazon.nova-pro-v1:0,{profile}"
    ended = wait(start(tmp_path, scenario, "--model-id", models), tmp_path)

    assert ended.exit_code in (0, 5), ended.stderr
    assert [cell["status"] for cell in ended.run["cells"]] == ["finished", "finished"]
    masked = [text.replace(account, "<account>") for text in models.split(",")]
    assert {record["model_id"] for record in records_of(ended.directory)} == set(masked)
    assert {record["outcome"] for record in records_of(ended.directory)} == {"ok"}
    assert len(truth_of(ended.directory)) == len(records_of(ended.directory))
    assert account not in ended.stdout + ended.stderr
    files = [path for path in ended.directory.path.rglob("*") if path.is_file()]
    assert [path.name for path in files if account.encode() in path.read_bytes()] == []


def test_a_routing_file_of_another_folder_is_followed_by_every_cell(tmp_path: Path) -> None:
    routing = "schema_version: 1\nsimple: amazon.nova-2-lite-v1:0\ncomplex: amazon.nova-pro-v1:0\n"
    (tmp_path / "my.yaml").write_text(routing, encoding="utf-8")
    scenario = f"name: routed\nrouting: my.yaml\nload: {{rate: 10/s, duration: 2s}}\n{FAST}"
    ended = wait(start(tmp_path, scenario), tmp_path)

    assert [cell["status"] for cell in ended.run["cells"]] == ["finished"], ended.stderr
    sent = {record["model_id"] for record in records_of(ended.directory)}
    assert sent == {"us.amazon.nova-2-lite-v1:0", "us.amazon.nova-pro-v1:0"}
