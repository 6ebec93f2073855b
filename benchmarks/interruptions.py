"""`python -m benchmarks.interruptions`: suites that are interrupted at random moments, resumed, and held to the truth.

Each interruption (SIGINT, SIGTERM, `kill -9` of the command, of Locust, of the emulator) is followed by `--resume`; a
suite that is complete is checked and another one begun. stdout has the figures as JSON, stderr the progress; exit codes
as in `benchmarks.command`, 3 also where anything was lost, stitched or left behind.
"""

import argparse
import contextlib
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.command import Parser, check_writable, count, duration_s, run, tell, work_directory
from benchmarks.interruption_checks import Complete, check_suite
from benchmarks.load_processes import BenchmarkError
from scenarios.run_directory import RunDirectory

SCHEMA_VERSION = 1
PROJECT = Path(__file__).parent.parent

#: Twelve cells of a second each, two at once, at an emulator that answers within a tenth of one.
SCENARIO = """name: interruptions
load: {rate: 15/s, duration: 1s, drain_timeout: 5s}
matrix:
  models: [amazon.nova-pro-v1:0, amazon.nova-premier-v1:0]
  service_tiers: [default, priority, flex]
  prompt_sizes: [small, medium]
order: {parallel_cells: 2}
emulator:
  default:
    latency: {ttft_ms: {distribution: fixed, median: 40}, tokens_per_second: {distribution: fixed, median: 400}}
    output_tokens: {distribution: fixed, median: 20}
"""

KINDS = ("SIGINT", "SIGTERM", "kill -9 orchestrator", "kill -9 locust", "kill -9 emulator")

#: Longest life of what an ended command leaves behind: an orphan ends in order, with its drain.
_LEAVE_S = 90.0
#: Longest time that a suite of this size may take on a busy machine.
_SUITE_S = 900.0
#: Exit codes that no interruption explains: an internal error, a refusal.
_NEVER = (3, 4)


@dataclass(slots=True)
class Report:
    """What happened: interruptions by kind, how long processes outlived a command at most, the suites."""

    landed: list[dict[str, Any]] = field(default_factory=list)
    longest_orphan_s: float = 0.0
    left_behind: list[str] = field(default_factory=list)
    suites: list[Complete] = field(default_factory=list)

    def to_dict(self, seed: int) -> dict[str, Any]:
        """The figures."""
        return {
            "schema_version": SCHEMA_VERSION,
            "seed": seed,
            "interruptions": self.landed,
            "by_kind": {kind: sum(each["kind"] == kind for each in self.landed) for kind in KINDS},
            "longest_orphan_s": round(self.longest_orphan_s, 1),
            "left_behind": self.left_behind,
            "suites": len(self.suites),
            "cells": sum(suite.cells for suite in self.suites),
            "completed_calls": sum(suite.calls for suite in self.suites),
            "problems": [problem for suite in self.suites for problem in suite.problems],
        }

    @property
    def is_sound(self) -> bool:
        """Whether nothing was lost, stitched or left behind."""
        return not self.left_behind and not any(suite.problems for suite in self.suites)


class Suite:
    """One suite in its directory, started and resumed as often as it takes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._scenario = folder / "scenario.yaml"
        self._scenario.write_text(SCENARIO, encoding="utf-8")
        self.log = folder / "log.txt"
        self.directory = RunDirectory(folder / "out")

    def start(self) -> "subprocess.Popen[bytes]":
        """The command, with `--resume` where there is something to resume."""
        command = [sys.executable, str(PROJECT / "run_tests.py"), str(self._scenario)]
        command += ["--results-dir", str(self.directory.path), "--no-charts"]
        command += ["--resume"] if self.directory.run_json.exists() else []
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603 - our own

    def processes(self) -> list[psutil.Process]:
        """All living processes of this suite but the command: Locust and the emulator name its directory."""
        found, mark = [], str(self.directory.path)
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                is_alive = process.status() != psutil.STATUS_ZOMBIE
                if is_alive and mark in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def part(self, name: str) -> psutil.Process | None:
        """Its Locust or its emulator, while there is one."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if name in process.cmdline():
                    return process
        return None


def interrupt(suite: Suite, command: "subprocess.Popen[bytes]", kind: str, after_s: float) -> bool:
    """Do it `after_s` seconds after it has its directory; whether there was still something to be interrupted."""
    while command.poll() is None and not suite.directory.run_json.exists():
        time.sleep(0.02)
    with contextlib.suppress(subprocess.TimeoutExpired):
        command.wait(after_s)
        return False
    target = kind.removeprefix("kill -9 ")
    while command.poll() is None:
        if target == "orchestrator":
            command.kill()
            return True
        if target not in ("locust", "emulator"):
            command.send_signal(getattr(signal, target))
            return True
        if (part := suite.part(target)) is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                part.kill()
                return True
        time.sleep(0.02)
    return False


def outlived_s(suite: Suite) -> float | None:
    """How long processes of the suite outlive their command; None where they do not end."""
    began = time.monotonic()
    while suite.processes():
        if time.monotonic() - began > _LEAVE_S:
            return None
        time.sleep(0.2)
    return time.monotonic() - began


def end_of(suite: Suite, command: "subprocess.Popen[bytes]", report: Report) -> None:
    """Wait for a command's end and for that of everything it had started."""
    if command.wait(_SUITE_S) in _NEVER:
        raise BenchmarkError(f"the command ended with exit code {command.returncode}; its log is {suite.log}")
    lasted_s = outlived_s(suite)
    if lasted_s is None:
        report.left_behind += [" ".join(process.cmdline()) for process in suite.processes()]
    report.longest_orphan_s = max(report.longest_orphan_s, lasted_s or 0.0)


def is_complete(suite: Suite) -> bool:
    """Whether every cell is finished and the report is written."""
    if not suite.directory.run_json.exists() or not suite.directory.run_json.stat().st_size:
        return False
    content = suite.directory.read_run()
    return content["exit_code"] is not None and all(cell["status"] == "finished" for cell in content["cells"])


def measure(folder: Path, moments: int, window_s: float, seed: int) -> Report:
    """Interrupt suites at `moments` moments, each up to `window_s` after a start, and check those that are complete."""
    rng, report = random.Random(seed), Report()
    kinds = [KINDS[index % len(KINDS)] for index in range(moments)]
    rng.shuffle(kinds)
    suite = Suite(folder / "suite-1")
    while kinds or not is_complete(suite):
        if is_complete(suite):
            report.suites.append(check_suite(suite.directory))
            suite = Suite(folder / f"suite-{len(report.suites) + 1}")
        command = suite.start()
        try:
            after_s = rng.uniform(0.5, window_s)
            if kinds and interrupt(suite, command, kinds[-1], after_s):
                report.landed.append(
                    {"kind": kinds.pop(), "after_s": round(after_s, 2), "suite": len(report.suites) + 1}
                )
                tell(f"{len(report.landed)} of {moments}: {report.landed[-1]['kind']} after {after_s:.1f} s")
            end_of(suite, command, report)
        finally:
            command.kill()
    report.suites.append(check_suite(suite.directory))
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it."""
    parser = Parser(prog="python -m benchmarks.interruptions", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--moments", type=count, default=20, help="interruptions (20)")
    parser.add_argument("--window", type=duration_s, default=20.0, help="latest moment after a start (20s)")
    parser.add_argument("--seed", type=int, default=1, help="of kinds and moments (1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file, too")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="an empty directory for all results")

    def act() -> None:
        options: argparse.Namespace = parser.parse_args(arguments)
        if options.json is not None:
            check_writable(options.json)
        with work_directory(options.keep) as folder:
            report = measure(folder, options.moments, options.window, options.seed)
        text = json.dumps(report.to_dict(options.seed), indent=2) + "\n"
        sys.stdout.write(text)
        if options.json is not None:
            options.json.write_text(text, encoding="utf-8")
        if not report.is_sound:
            raise BenchmarkError("a suite did not survive its interruptions; see problems and left_behind")

    return run(act)


if __name__ == "__main__":
    sys.exit(main())
