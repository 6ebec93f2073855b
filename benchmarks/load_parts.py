"""The four parts of the load benchmark: what runs, and when something is done to it."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import psutil

from bedrock.clock import now
from benchmarks.command import tell
from benchmarks.emulator_truth import Window
from benchmarks.generator_process import GeneratorProcess
from benchmarks.load_bystander import bystander
from benchmarks.load_rig import MANGAASSIST, Rig, records_of
from benchmarks.load_rows import (
    FrozenRow,
    Ledger,
    RateRow,
    ReplayRow,
    SlotsRow,
    balance,
    frozen_row,
    rate_row,
    replay_row,
    slots_row,
)
from benchmarks.load_trace import make_trace, write_trace
from scenarios.schedule import Stage, make_schedule

_MODEL = ("--model-id", "amazon.nova-pro-v1:0")
#: 15 ms for an answer, a little of Locust's own, and 20 ms to think: two users call about 50 times a second.
_CLOSED_LOOP_USERS = 2
_THINK_TIME = "20ms"
#: Far more than the answers need, so that slots are no limit.
_SLOTS_PER_RPS = 0.5
_MIN_SLOTS = 20
#: No message is due within the time that idle slots are looked at.
_IDLE_RATE = "0.01/s"
_SETTLE_S = 2.0
#: What is a process's after its users are there and before its memory is read, and then some.
_IDLE_S = 4.0


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to measure. Rates in arrivals a second."""

    frozen_s: float
    stall_s: float
    frozen_rps: float
    rate_s: float
    rate_rps: float
    arrivals: int
    replay_rps: float
    slots: int


FULL = Effort(
    frozen_s=30.0, stall_s=1.4, frozen_rps=50.0, rate_s=60.0, rate_rps=200.0, arrivals=10_000, replay_rps=200.0,
    slots=5_000,
)  # fmt: skip
QUICK = Effort(
    frozen_s=8.0, stall_s=1.0, frozen_rps=50.0, rate_s=2.0, rate_rps=50.0, arrivals=100, replay_rps=50.0, slots=200
)


@dataclass(frozen=True, slots=True)
class Frozen:
    """Both load models through the same freeze of the same service."""

    seconds: float
    stall_s: float
    rows: list[FrozenRow]
    ledger: Ledger


def measure_frozen(rig: Rig, effort: Effort) -> Frozen:
    """Load the emulator in open and closed loop at once, and stop its process for a while in the middle."""
    tell(f"an emulator that freezes for {effort.stall_s:g} s, {effort.frozen_s:g} s in open and closed loop")
    duration = ("--test-duration", f"{effort.frozen_s:g}s")
    slots = _slots(effort.frozen_rps * (1.0 + effort.stall_s))
    rate = ("--rate", f"{effort.frozen_rps:g}/s", "--arrival-process", "constant")
    users = ("-u", str(_CLOSED_LOOP_USERS), "-r", str(_CLOSED_LOOP_USERS), "--think-time", _THINK_TIME)
    with (
        rig.emulator("frozen") as emulator,
        rig.locust("frozen-open", emulator.url, *_MODEL, *_users(slots), *rate, *duration) as opened,
        rig.locust("frozen-closed", emulator.url, *_MODEL, *users, *duration) as closed,
    ):
        windows = [Window(*generator.await_schedule()) for generator in (opened, closed)]
        middle_at = (max(window.begin for window in windows) + min(window.end for window in windows)) / 2.0
        _sleep_until(middle_at - effort.stall_s / 2.0)
        with _stopped(emulator.pid) as began_at:
            _sleep_until(began_at + effort.stall_s)
        frozen = Window(began_at, now())
        loads = [records_of(generator) for generator in (opened, closed)]
    rows = [
        frozen_row(name, count, records, window, frozen)
        for name, count, records, window in zip(
            ("open", "closed"), (slots, _CLOSED_LOOP_USERS), loads, windows, strict=True
        )
    ]
    ledger = balance([record for records in loads for record in records], emulator.truth())
    return Frozen(effort.frozen_s, frozen.seconds, rows, ledger)


@contextmanager
def _stopped(pid: int) -> Iterator[float]:
    """A process that stands still for the time of the `with`; the instant from which it does."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield now()
    finally:
        os.kill(pid, signal.SIGCONT)


Launch = Callable[..., AbstractContextManager[GeneratorProcess]]


def measure_rate(rig: Rig, effort: Effort) -> list[RateRow]:
    """The same rate on two forked workers, and on two that were started apart and ship their records."""
    ways: dict[str, Launch] = {
        "--processes 2": rig.two_processes,
        "--master and two --worker": rig.master_and_workers,
    }
    return [_measure_rate(rig, effort, name, f"rate-{number}", way) for number, (name, way) in enumerate(ways.items())]


def _measure_rate(rig: Rig, effort: Effort, name: str, folder: str, launch: Launch) -> RateRow:
    tell(f"{effort.rate_rps:g} arrivals/s for {effort.rate_s:g} s on {name}")
    stage = Stage("sustained", effort.rate_rps, effort.rate_s, "poisson")
    rate = ("--rate", f"{effort.rate_rps:g}/s", "--test-duration", f"{effort.rate_s:g}s")
    users = _users(_slots(effort.rate_rps))
    with rig.emulator(folder) as emulator, launch(folder, emulator.url, *_MODEL, *users, *rate) as generator:
        window = Window(*generator.await_schedule())
        with bystander(rig.cores.generators) as late_ms:
            _sleep_until(window.end)
        records = records_of(generator)
    schedule = list(make_schedule([stage]).arrivals(rig.seed))
    return rate_row(name, schedule, records, emulator.truth(), window, late_ms=late_ms)


def measure_replay(rig: Rig, effort: Effort) -> ReplayRow:
    """A trace of the mix's query types in one process."""
    tell(f"replay of {effort.arrivals:,} arrivals, {effort.replay_rps:g}/s on average")
    trace = make_trace(effort.arrivals, effort.replay_rps, rig.seed)
    path = rig.directory / "trace.csv"
    write_trace(path, trace)
    replay = ("--pattern", "replay", "--trace-file", str(path), "--routing", "nova")
    # Clusters are many times the mean rate.
    slots = _users(4 * _slots(effort.replay_rps))
    with (
        rig.emulator("replay") as emulator,
        rig.locust("replay", emulator.url, *slots, *replay, file=MANGAASSIST) as generator,
    ):
        start_at, end_at = generator.await_schedule("replay")
        with bystander(rig.cores.generators) as late_ms:
            _sleep_until(end_at)
        records = records_of(generator)
    return replay_row(trace, records, emulator.truth(), start_at, late_ms=late_ms)


def measure_slots(rig: Rig, effort: Effort) -> SlotsRow:
    """Memory of idle slots: two processes side by side, one with a single slot."""
    tell(f"memory of {effort.slots:,} idle slots")
    options = (*_MODEL, "--rate", _IDLE_RATE, "--arrival-process", "constant", "--test-duration", f"{_IDLE_S:g}s")
    with (
        rig.emulator("slots") as emulator,
        rig.locust("slots-1", emulator.url, *options, "-u", "1") as one,
        rig.locust("slots-many", emulator.url, *options, *_users(effort.slots)) as many,
    ):
        one_mb, many_mb = _idle_mb(one), _idle_mb(many)
        for generator in (one, many):
            generator.await_end()
    return slots_row(effort.slots, one_mb, many_mb)


def _idle_mb(generator: GeneratorProcess) -> float:
    """Resident memory once all users are there and wait, in MB."""
    began_at, _ = generator.await_schedule()
    _sleep_until(began_at + _SETTLE_S)
    generator.check_running()
    return float(psutil.Process(generator.pid).memory_info().rss) / 1e6


def _users(count: int) -> tuple[str, ...]:
    return "-u", str(count), "-r", str(count)


def _slots(rate_rps: float) -> int:
    return max(_MIN_SLOTS, round(rate_rps * _SLOTS_PER_RPS))


def _sleep_until(at: float) -> None:
    time.sleep(max(0.0, at - now()))
