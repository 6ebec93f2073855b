"""`python -m benchmarks.load`: whether the load is what was asked for, and what a user gets to see of a stall.

stdout has a table for each part, `--json FILE` all numbers, stderr the progress; `benchmarks.command` has the exit
codes. The parts: `frozen`, a service that stands still for a while, in open and closed loop; `rate`, a rate held by two
processes; `replay`, a trace; `slots`, the memory of idle slots. `load_average` is the machine's over the minute before
each part: others' work is in every figure.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from benchmarks.command import Parser, check_writable, run, work_directory
from benchmarks.load_parts import FULL, QUICK, Effort, measure_frozen, measure_rate, measure_replay, measure_slots
from benchmarks.load_rig import Cores, Rig, share_cores
from benchmarks.load_tables import render
from benchmarks.machine import describe_machine, usable_cores, version_of

SCHEMA_VERSION = 1

_LIBRARIES = ("locust", "gevent", "httptools")

PARTS: dict[str, Callable[[Rig, Effort], Any]] = {
    "frozen": lambda rig, effort: asdict(measure_frozen(rig, effort)),
    "rate": lambda rig, effort: [asdict(row) for row in measure_rate(rig, effort)],
    "replay": lambda rig, effort: asdict(measure_replay(rig, effort)),
    "slots": lambda rig, effort: asdict(measure_slots(rig, effort)),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and tell; returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    return run(lambda: _run(given))


def _run(arguments: Sequence[str]) -> None:
    options = _parser().parse_args(arguments)
    if options.json is not None:
        check_writable(options.json)
    effort, cores = QUICK if options.quick else FULL, share_cores(usable_cores())
    with work_directory(options.keep) as directory:
        rig = Rig(cores, directory.absolute(), options.seed)
        measured, busy = {}, {}
        for name in options.parts:
            busy[name] = round(psutil.getloadavg()[0], 2)
            measured[name] = PARTS[name](rig, effort)
    command = shlex.join(["python", "-m", "benchmarks.load", *arguments])
    results = to_dict(measured, cores, effort, options.seed, command) | {"load_average": busy}
    print(render(results))
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def to_dict(measured: dict[str, Any], cores: Cores, effort: Effort, seed: int, command: str) -> dict[str, Any]:
    """The content of the JSON file."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "machine": describe_machine(),
        "versions": {name: version_of(name) for name in _LIBRARIES},
        "cores": {
            "emulator": None if cores.emulator is None else sorted(cores.emulator),
            "generators": None if cores.generators is None else sorted(cores.generators),
        },
        "method": asdict(effort) | {"seed": seed},
        "parts": measured,
    }


def _parser() -> Parser:
    parser = Parser(prog="python -m benchmarks.load", description="Whether the load is what was asked for.")
    parser.add_argument(
        "--parts", type=_parts, default=list(PARTS), metavar="NAME,...", help=f"of {', '.join(PARTS)} (all)"
    )
    parser.add_argument("--quick", action="store_true", help="a few seconds each: does it work at all")
    parser.add_argument("--seed", type=int, default=1, help="of arrivals, trace and answers (1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep records, truth logs and Locust's output there")
    return parser


def _parts(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in PARTS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join(PARTS)}")
    return list(dict.fromkeys(names))


if __name__ == "__main__":
    sys.exit(main())
