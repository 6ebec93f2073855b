"""Process trees: real ones, small ones."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.processes import ProcessTree, last_lines

POLITE = """
import signal, sys, time
def leave(*_):
    print("leaving in order", flush=True)
    sys.exit(7)
signal.signal(signal.SIGINT, leave)
print("ready", flush=True)
time.sleep(60)
"""

#: A leader that ignores SIGINT, and a worker of its own.
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
worker = os.fork()
if worker:
    print("ready", worker, flush=True)
time.sleep(60)
"""

#: A leader that goes and leaves its worker behind.
FORGETFUL = """
import os, time
worker = os.fork()
if worker == 0:
    time.sleep(60)
print("ready", worker, flush=True)
"""


def start(folder: Path, script: str) -> ProcessTree:
    return ProcessTree(
        [sys.executable, "-c", script],
        environment={"PATH": os.environ["PATH"]},
        folder=folder,
        console=folder / "logs" / "console.log",
    )


def console(folder: Path) -> str:
    """What the process itself said: the first line is its command."""
    command, _, said = (folder / "logs" / "console.log").read_text(encoding="utf-8").partition("\n")
    assert command.startswith("$ ")
    return said


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that is bound to happen; the limit only ends a broken test."""
    give_up_at = time.monotonic() + 30.0
    while not condition():
        assert time.monotonic() < give_up_at, "it did not happen"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    """Whether a process has ended; a zombie that nobody reaps in a container has, too."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def test_an_interrupted_process_may_end_in_order(tmp_path):
    tree = start(tmp_path, POLITE)
    until(lambda: "ready" in console(tmp_path))
    assert tree.poll() is None

    tree.interrupt()
    until(lambda: tree.poll() is not None)
    tree.interrupt()
    tree.reap()

    assert tree.poll() == 7
    assert console(tmp_path).splitlines() == ["ready", "leaving in order"]


def test_a_process_that_does_not_listen_is_killed_with_all_its_workers(tmp_path):
    tree = start(tmp_path, STUBBORN)
    until(lambda: "ready" in console(tmp_path))
    worker = int(console(tmp_path).split()[1])

    tree.interrupt()
    tree.kill()

    assert tree.poll() == -9
    until(lambda: is_gone(worker))


def test_workers_that_outlive_their_leader_do_not_stay(tmp_path):
    tree = start(tmp_path, FORGETFUL)
    until(lambda: tree.poll() is not None)
    worker = int(console(tmp_path).split()[1])

    tree.reap()

    until(lambda: is_gone(worker))


def test_a_child_has_a_session_of_its_own_so_that_ctrl_c_does_not_reach_it(tmp_path):
    tree = start(tmp_path, POLITE)

    assert os.getsid(tree.pid) == tree.pid
    tree.kill()


def test_the_last_lines_are_those_of_the_first_log_that_has_any(tmp_path):
    empty, full = tmp_path / "empty.log", tmp_path / "full.log"
    empty.write_text("\n", encoding="utf-8")
    full.write_bytes(b"one\n\ntwo\nthree \xff\n")

    assert last_lines([tmp_path / "missing.log", empty, full], count=2) == "two\nthree \N{REPLACEMENT CHARACTER}"
    assert last_lines([tmp_path / "missing.log"]) == ""


def test_a_console_begins_with_the_command_which_is_nothing_that_the_process_said(tmp_path):
    tree = ProcessTree(
        ["true", "a b", "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/x"],
        environment={"PATH": os.environ["PATH"]},
        folder=tmp_path,
        console=tmp_path / "console.log",
    )
    until(lambda: tree.poll() is not None)

    said = (tmp_path / "console.log").read_text(encoding="utf-8")
    assert said == "$ true 'a b' 'arn:aws:bedrock:us-east-1:<account>:provisioned-model/x'\n"
    assert last_lines([tmp_path / "console.log"]) == ""
