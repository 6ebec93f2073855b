"""The machine under a benchmark: its cores, which process may use which, and who used how much of them."""

import os
import platform
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

_CPU_INFO = Path("/proc/cpuinfo")


def usable_cores() -> list[int]:
    """Numbers of the cores that this process may use; none where the system cannot pin processes (not Linux)."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def describe_machine() -> dict[str, Any]:
    """What numbers of different machines must be read with: processor, usable cores, Python, uvloop."""
    return {
        "cpu": _cpu_model(),
        "cores": len(usable_cores()),
        "python": platform.python_version(),
        "uvloop": version_of("uvloop"),
    }


def _cpu_model() -> str:
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def version_of(package: str) -> str | None:
    """Version of an installed package; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@contextmanager
def pinned_to(cores: Collection[int]) -> Iterator[None]:
    """This process, and whatever it starts meanwhile, uses these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True, slots=True)
class CpuReading:
    """Processor seconds used so far; `at` is `time.perf_counter()`."""

    at: float
    process_s: Mapping[int, float]
    core_busy_s: float | None


@dataclass(frozen=True, slots=True)
class CpuUse:
    """Shares of one core between two readings, in percent. None where the system does not tell."""

    seconds: float
    process_pct: Mapping[int, float]
    core_busy_pct: float | None

    def of(self, pid: int) -> float:
        """Share of one process."""
        return self.process_pct[pid]

    def beside(self, pid: int) -> float | None:
        """What everything but this process used of the watched core: other programs, interrupts, the hypervisor."""
        return None if self.core_busy_pct is None else max(0.0, self.core_busy_pct - self.of(pid))


def read_cpu(pids: Sequence[int], core: int) -> CpuReading:
    """Processor time of some processes, and of one core as a whole. The system counts it in steps of 10 ms."""
    return CpuReading(time.perf_counter(), {pid: _process_s(pid) for pid in pids}, _core_busy_s(core))


def cpu_use(begin: CpuReading, end: CpuReading) -> CpuUse:
    """What was used between two readings of the same processes."""
    seconds = end.at - begin.at

    def share(before: float, after: float) -> float:
        return 100.0 * (after - before) / seconds

    busy = None if begin.core_busy_s is None or end.core_busy_s is None else share(begin.core_busy_s, end.core_busy_s)
    return CpuUse(seconds, {pid: share(begin.process_s[pid], used) for pid, used in end.process_s.items()}, busy)


def _process_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _core_busy_s(core: int) -> float | None:
    cores = psutil.cpu_times(percpu=True)
    if core >= len(cores):  # a core below it is switched off, so that the list no longer counts as the system does
        return None
    times = cores[core]
    parts = ("user", "nice", "system", "irq", "softirq", "steal")
    return float(sum(getattr(times, part, 0.0) for part in parts))
