"""`python -m benchmarks.emulator`: the ceiling of the emulator on one core, and what set it.

stdout has a table, `--json FILE` all numbers, stderr the progress; exit codes as in `benchmarks.command`.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.command import Parser, UsageError, check_writable, count, counts, run, tell
from benchmarks.emulator_rig import Rig
from benchmarks.emulator_streams import StreamStep, measure_streams
from benchmarks.emulator_tables import render
from benchmarks.emulator_whole import MemoryStep, WholeStep, measure_memory, measure_whole
from benchmarks.machine import describe_machine, pinned_to, usable_cores

SCHEMA_VERSION = 1

#: What `limits.streams_on_schedule` means: 99 of 100 events leave at most so late.
SEND_LATENESS_LIMIT_MS = 3.0

PARTS = ("streams", "whole", "memory")
#: More load processes than these do not find more connections to serve.
_MOST_LOAD_PROCESSES = 4


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to measure."""

    streams: Sequence[int]
    seconds: float
    stream_tokens: int
    connections: int
    requests: int


FULL = Effort(streams=(300, 600, 900, 1200, 1800), seconds=10.0, stream_tokens=150, connections=64, requests=1_000_000)
QUICK = Effort(streams=(20, 40), seconds=1.0, stream_tokens=25, connections=8, requests=3_000)


@dataclass(frozen=True, slots=True)
class Results:
    """All numbers; None and no steps for parts that were left out."""

    machine: dict[str, Any]
    streams: Sequence[StreamStep]
    whole: WholeStep | None
    memory: MemoryStep | None

    def to_dict(self) -> dict[str, Any]:
        """The content of the JSON file."""
        parts = asdict(self)
        return {"schema_version": SCHEMA_VERSION, **parts, "limits": limits(self)}


def limits(results: Results) -> dict[str, Any]:
    """The ceilings; None where they were not measured or, for streams, where no step kept the schedule."""
    on_schedule = [step for step in results.streams if is_on_schedule(step)]
    best = max(on_schedule, key=lambda step: step.streams, default=None)
    return {
        "send_lateness_limit_ms": SEND_LATENESS_LIMIT_MS,
        "streams_on_schedule": None if best is None else best.streams,
        "events_per_s_on_schedule": None if best is None else best.events_per_s,
        "events_per_s": max((step.events_per_s for step in results.streams), default=None),
        "requests_per_s": None if results.whole is None else results.whole.requests_per_s,
        "bytes_per_request": None if results.memory is None else results.memory.bytes_per_request,
    }


def is_on_schedule(step: StreamStep) -> bool:
    """Whether the step's events left in time, none of its answers missing."""
    p99 = step.send_lateness_ms.p99
    return p99 is not None and p99 <= SEND_LATENESS_LIMIT_MS and step.failed == 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and tell; returns the exit code."""
    return run(lambda: _run(_options(arguments)))


def _run(options: argparse.Namespace) -> None:
    core, load_cores = choose_cores(usable_cores(), options.core)
    if options.json is not None:
        check_writable(options.json)
    machine = describe_machine()  # before this process keeps off the emulator's core
    with _directory(options.truth_dir) as directory, pinned_to(load_cores):
        rig = Rig(core, load_cores, directory, options.seconds, options.seed)
        results = _measure(rig, options, machine)
    print(render(results.to_dict(), core))
    if options.json is not None:
        options.json.write_text(json.dumps(results.to_dict(), indent=2) + "\n", encoding="utf-8")


def _measure(rig: Rig, options: argparse.Namespace, machine: dict[str, Any]) -> Results:
    steps = []
    for streams in options.streams if "streams" in options.parts else ():
        tell(f"{streams} streams for {rig.seconds:g} s")
        steps.append(measure_streams(rig, streams, options.stream_tokens))
    whole = memory = None
    if "whole" in options.parts:
        tell(f"whole answers for {rig.seconds:g} s")
        whole = measure_whole(rig, options.connections)
    if "memory" in options.parts:
        tell(f"memory over {options.requests:,} requests")
        memory = measure_memory(rig, options.connections, options.requests)
    return Results(machine, steps, whole, memory)


def choose_cores(usable: Sequence[int], wanted: int | None) -> tuple[int, list[int]]:
    """The emulator's core, by default the last one, and those for the load. UsageError where there is no such."""
    if len(usable) < 2:
        raise UsageError(
            f"this machine lets it use {len(usable)} core(s) to pin processes to, and it needs two: "
            "one for the emulator alone, one for its clients"
        )
    core = usable[-1] if wanted is None else wanted
    if core not in usable:
        raise UsageError(f"core {core} is not one of those it may use: {', '.join(map(str, usable))}")
    return core, [other for other in usable if other != core][:_MOST_LOAD_PROCESSES]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options as given; what is left out comes from the quick or the full effort."""
    options = _parser().parse_args(arguments)
    effort = QUICK if options.quick else FULL
    for name, value in asdict(effort).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def _parser() -> Parser:
    parser = Parser(prog="python -m benchmarks.emulator", description="The emulator's ceiling on one core.")
    parser.add_argument("--streams", type=counts, metavar="N,...", help=f"concurrent streams {FULL.streams}")
    parser.add_argument("--seconds", type=_positive, help=f"measured time of each step ({FULL.seconds:g})")
    parser.add_argument("--stream-tokens", type=count, metavar="N", help=f"per stream ({FULL.stream_tokens})")
    parser.add_argument("--connections", type=count, metavar="N", help=f"for whole answers ({FULL.connections})")
    parser.add_argument("--requests", type=count, metavar="N", help=f"of the memory part ({FULL.requests:,})")
    parser.add_argument("--parts", type=_parts, default=PARTS, metavar="PART,...", help=f"of {', '.join(PARTS)} (all)")
    parser.add_argument("--quick", action="store_true", help="a few seconds of everything: does it work at all")
    parser.add_argument("--core", type=int, help="the emulator's core (the last one)")
    parser.add_argument("--seed", type=int, default=1, help="of phases and answers (1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    parser.add_argument("--truth-dir", type=Path, metavar="DIR", help="keep the emulators' truth logs there")
    return parser


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def _parts(text: str) -> list[str]:
    parts = text.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join(PARTS)}")
    return parts


@contextmanager
def _directory(kept: Path | None) -> Iterator[Path]:
    """Where truth logs go: a directory of the user's without earlier ones, or a temporary one."""
    if kept is None:
        with tempfile.TemporaryDirectory(prefix="emulator-benchmark-") as directory:
            yield Path(directory)
        return
    try:
        kept.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write to {kept}: {error.strerror}") from error
    if left := sorted(kept.glob("*.jsonl")):
        raise UsageError(f"{left[0]} exists; truth logs are appended to, so give a directory without any")
    yield kept


if __name__ == "__main__":
    sys.exit(main())
