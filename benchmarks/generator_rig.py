"""The set-up of every measurement: the emulator on one core, one process of the generator on another."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedrock.client import TRANSPORTS
from bedrock.clock import now
from benchmarks.command import UsageError
from benchmarks.emulator_rig import pid_of
from benchmarks.emulator_truth import Window
from benchmarks.generator_process import GeneratorProcess, environment
from benchmarks.load_processes import BenchmarkError
from benchmarks.machine import CpuUse, cpu_use, pinned_to, read_cpu
from emulator.process import EmulatorProcess
from scenarios.plan import slots_for

#: Minimal readers that parse nothing: the ceiling of what a transport could reach on this machine.
REFERENCES = ("raw_gevent", "raw_epoll")
#: Everything that can be measured.
MEASURABLE = (*TRANSPORTS, *REFERENCES)

TTFT_S = 0.4
TOKENS_PER_SECOND = 50.0

_LOCUSTFILE = "locustfiles/single_prompt.py"


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where. The benchmark itself only waits; where there is no core for it, it does so on the emulator's."""

    emulator: int
    generator: int
    benchmark: int


@dataclass(frozen=True, slots=True)
class Timing:
    """One step's arrivals: `ramp_s` that do not count, `seconds` that do, `tail_s` that do not."""

    ramp_s: float
    seconds: float
    tail_s: float

    @property
    def total_s(self) -> float:
        """How long arrivals go on."""
        return self.ramp_s + self.seconds + self.tail_s


@dataclass(frozen=True, slots=True)
class Rig:
    """Where to measure, and what. Answers have between `tokens[0]` and `tokens[1]` tokens, all lengths alike."""

    cores: Cores
    directory: Path
    timing: Timing
    tokens: tuple[int, int]
    seed: int

    @property
    def answer_s(self) -> float:
        """Mean time of an answer."""
        return TTFT_S + (sum(self.tokens) / 2.0 - 1.0) / TOKENS_PER_SECOND

    def rate_rps(self, streams: int) -> float:
        """Arrivals per second that keep so many answers open on average (Little's law)."""
        return streams / self.answer_s


@dataclass(frozen=True, slots=True)
class Step:
    """One measurement: `transport` is one of TRANSPORTS or REFERENCES; `number` is its place in the run."""

    number: int
    transport: str
    streams: int
    tls: bool

    @property
    def is_reference(self) -> bool:
        """Whether it is none of the load generator's."""
        return self.transport in REFERENCES


@dataclass(frozen=True, slots=True)
class Measured:
    """What is left of a step: files, the window of calls, and processors over `cpu_window` (the same, as it came out).

    Times are Unix seconds of the generator's clock; shares are percent of a core. `others_pct` is what everything but
    the generator used of its core.
    """

    records: Sequence[Path]
    truth_log: Path
    window: Window
    cpu_window: Window
    generator_pct: float
    others_pct: float | None
    emulator_pct: float


def choose_cores(usable: Sequence[int]) -> Cores:
    """The last core for the emulator, the first for the generator. UsageError where there is only one."""
    if len(usable) < 2:
        raise UsageError(
            f"this machine lets it use {len(usable)} core(s) to pin processes to, and it needs two: "
            "one for the emulator, one for the load generator"
        )
    return Cores(emulator=usable[-1], generator=usable[0], benchmark=usable[1])


def emulator_config(tokens: tuple[int, int]) -> dict[str, Any]:
    """Exact times, one token an event; lengths differ, so that calls do not march in step."""
    return {
        "auth": "accept",
        "default": {
            "latency": {
                "ttft_ms": {"distribution": "fixed", "median": TTFT_S * 1000.0},
                "prefill_ms_per_token": 0.0,
                "tokens_per_second": {"distribution": "fixed", "median": TOKENS_PER_SECOND},
                "tokens_per_event": 1,
            },
            "output_tokens": {"distribution": "empirical", "values": list(range(tokens[0], tokens[1] + 1))},
            "tail": {"share": 0.0},
        },
    }


def measure(rig: Rig, step: Step) -> Measured:
    """Run the emulator and the generator once; BenchmarkError or EmulatorError where one does not get through."""
    directory = rig.directory / f"{step.number:02}-{step.transport}-{step.streams}{'-tls' if step.tls else ''}"
    directory.mkdir()
    truth_log = directory / "truth.jsonl"
    emulator = EmulatorProcess(emulator_config(rig.tokens), seed=rig.seed, truth_log=truth_log, tls=step.tls)
    with pinned_to({rig.cores.emulator}):
        emulator.start()
    try:
        command = _command(rig, step, directory, emulator)
        with pinned_to({rig.cores.generator}):
            generator = GeneratorProcess(command, environment(emulator.ca_bundle), directory)
        with generator:
            window, cpu_window, use = _watch(rig, generator, pid_of(emulator))
            generator.await_end()
        if not emulator.is_running:
            raise BenchmarkError("the emulator ended during the measurement")
        emulator_pct = use.of(pid_of(emulator))
    finally:
        emulator.stop()
    return Measured(
        records=generator.records(),
        truth_log=truth_log,
        window=window,
        cpu_window=cpu_window,
        generator_pct=use.of(generator.pid),
        others_pct=use.beside(generator.pid),
        emulator_pct=emulator_pct,
    )


def _command(rig: Rig, step: Step, directory: Path, emulator: EmulatorProcess) -> list[str]:
    rate_rps, results = rig.rate_rps(step.streams), str(directory / "results")
    if step.is_reference:
        command = [sys.executable, "-m", "benchmarks.generator_raw", step.transport, "--url", emulator.url]
        command += ["--rate", f"{rate_rps:.6f}", "--seconds", f"{rig.timing.total_s:g}"]
        command += ["--connections", str(step.streams), "--seed", str(rig.seed), "--results-dir", results]
        return command + (["--ca", str(emulator.ca_bundle)] if step.tls else [])
    slots = str(slots_for(step.streams))
    command = [sys.executable, "-m", "locust", "-f", _LOCUSTFILE, "--headless", "--only-summary"]
    command += ["--users", slots, "--spawn-rate", slots, "--exit-code-on-error", "0"]
    command += ["--transport", step.transport, "--endpoint-url", emulator.url, "--results-dir", results]
    command += ["--rate", f"{rate_rps:.6f}/s", "--test-duration", f"{rig.timing.total_s:g}s", "--seed", str(rig.seed)]
    return command


def _watch(rig: Rig, generator: GeneratorProcess, emulator_pid: int) -> tuple[Window, Window, CpuUse]:
    """The window of calls, that of the processors, and what they did in it."""
    begin_at, end_at = generator.await_schedule()
    window = Window(begin_at + rig.timing.ramp_s, end_at - rig.timing.tail_s)
    pids = [generator.pid, emulator_pid]
    _sleep_until(window.begin)
    begin, begin_seen_at = read_cpu(pids, rig.cores.generator), now()
    _sleep_until(window.end)
    generator.check_running()
    end, end_seen_at = read_cpu(pids, rig.cores.generator), now()
    return window, Window(begin_seen_at, end_seen_at), cpu_use(begin, end)


def _sleep_until(at: float) -> None:
    time.sleep(max(0.0, at - now()))
