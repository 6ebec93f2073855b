"""`python -m benchmarks.generator`: how far the load generator's own times are from the truth.

stdout has two tables, `--json FILE` all numbers, stderr the progress; `benchmarks.command` has the exit codes.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bedrock.client import TRANSPORTS
from benchmarks.command import (
    Parser,
    check_writable,
    counts,
    duration_s,
    run,
    tell,
    work_directory,
)
from benchmarks.generator_rig import (
    MEASURABLE,
    REFERENCES,
    TOKENS_PER_SECOND,
    TTFT_S,
    Rig,
    Step,
    Timing,
    choose_cores,
    measure,
)
from benchmarks.generator_rows import TTFT_ERROR_LIMIT_MS, Row, capacity, make_row, tls_costs
from benchmarks.generator_tables import render
from benchmarks.generator_truth import read_records, read_truth
from benchmarks.machine import describe_machine, pinned_to, usable_cores, version_of

SCHEMA_VERSION = 1

_LIBRARIES = ("locust", "gevent", "httptools", "boto3")


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to measure: `ramp_s` ahead of the measured time and `tail_s` behind it do not count."""

    streams: Sequence[int]
    seconds: float
    ramp_s: float
    tail_s: float
    tokens: tuple[int, int]


FULL = Effort(streams=(50, 144, 300, 720, 1200), seconds=20.0, ramp_s=3.0, tail_s=1.0, tokens=(50, 150))
QUICK = Effort(streams=(10,), seconds=2.0, ramp_s=0.7, tail_s=0.3, tokens=(10, 20))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and tell; returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    return run(lambda: _run(given))


def _run(arguments: Sequence[str]) -> None:
    options = _options(arguments)
    cores = choose_cores(usable_cores())
    if options.json is not None:
        check_writable(options.json)
    machine = describe_machine()  # before this process keeps off the generator's core
    with work_directory(options.keep) as directory, pinned_to({cores.benchmark}):
        timing = Timing(options.effort.ramp_s, options.duration, options.effort.tail_s)
        rig = Rig(cores, directory, timing, options.effort.tokens, options.seed)
        rows = [_measure(rig, step) for step in steps(options)]
    command = shlex.join(["python", "-m", "benchmarks.generator", *arguments])
    results = to_dict(rows, machine, rig, command)
    print(render(results))
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def _measure(rig: Rig, step: Step) -> Row:
    scheme = "https" if step.tls else "http"
    tell(f"{step.transport} over {scheme}, {step.streams} streams for {rig.timing.seconds:g} s")
    measured = measure(rig, step)
    records, truth = read_records(measured.records), read_truth(measured.truth_log)
    return make_row(step, rig.rate_rps(step.streams), measured, records, truth)


def steps(options: argparse.Namespace) -> list[Step]:
    """What to measure, in this order: the small loads of all transports first."""
    schemes = {None: (False,), "only": (True,), "both": (False, True)}[options.tls]
    wanted = [
        (transport, streams, tls)
        for streams in options.streams
        for transport in options.transports
        for tls in schemes
    ]  # fmt: skip
    return [Step(number, *what) for number, what in enumerate(wanted, 1)]


def to_dict(rows: Sequence[Row], machine: dict[str, Any], rig: Rig, command: str) -> dict[str, Any]:
    """The content of the JSON file."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "machine": machine,
        "versions": {name: version_of(name) for name in _LIBRARIES},
        "method": {
            "emulator_core": rig.cores.emulator,
            "generator_core": rig.cores.generator,
            **asdict(rig.timing),
            "ttft_ms": TTFT_S * 1000.0,
            "tokens_per_second": TOKENS_PER_SECOND,
            "tokens": list(rig.tokens),
            "seed": rig.seed,
        },
        "ttft_error_limit_ms": TTFT_ERROR_LIMIT_MS,
        "rows": [asdict(row) for row in rows],
        "capacity": capacity(rows),
        "tls_costs": tls_costs(rows),
    }


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    """The options as given; what is left out comes from the quick or the full effort."""
    options = _parser().parse_args(arguments)
    options.effort = QUICK if options.quick else FULL
    if options.streams is None:
        options.streams = list(options.effort.streams)
    if options.duration is None:
        options.duration = options.effort.seconds
    return options


def _parser() -> Parser:
    parser = Parser(prog="python -m benchmarks.generator", description="The load generator's own error on one core.")
    parser.add_argument("--streams", type=counts, metavar="N,...", help=f"concurrent streams {FULL.streams}")
    parser.add_argument(
        "--transports",
        type=_transports,
        default=list(TRANSPORTS),
        metavar="NAME,...",
        help=f"of {', '.join(TRANSPORTS)}; for comparison {', '.join(REFERENCES)}, which parse nothing (wire,boto3)",
    )
    parser.add_argument("--duration", type=duration_s, metavar="TIME", help=f"measured per row ({FULL.seconds:g}s)")
    parser.add_argument(
        "--tls", nargs="?", const="only", choices=("only", "both"), help="over HTTPS; both: over HTTP, too, to compare"
    )
    parser.add_argument("--quick", action="store_true", help="a few seconds and streams: does it work at all")
    parser.add_argument("--seed", type=int, default=1, help="of arrivals and answers (1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep records, truth logs and Locust's output there")
    return parser


def _transports(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in MEASURABLE]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join(MEASURABLE)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
