"""How many whole answers the emulator gives per second, and what becomes of its memory after a million of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import psutil

from benchmarks.emulator_load import LoadPlan, clock
from benchmarks.emulator_rig import Rig, exact_config, load_seconds, loaded, measure, pid_of, sdk_requests
from benchmarks.emulator_truth import count_lines
from benchmarks.summaries import Summary, slope, summarise

#: A short answer that is due at once.
_TOKENS = 20
_CONFIG = exact_config(ttft_s=0.0, tokens_per_second=1_000_000.0, tokens=_TOKENS)

_RAMP_S = 0.5
_RECONNECT_EVERY = 1_000
#: Resident memory is read so often over the run, and at least this long apart.
_SAMPLES = 100
_TICK_S = 0.02


@dataclass(frozen=True, slots=True)
class WholeStep:
    """Converse in closed loop. Rate, latency and CPU are those of the measured window, counts those of the step."""

    connections: int
    seconds: float
    requests_per_s: float
    latency_ms: Summary
    cpu_pct: float
    core_others_pct: float | None
    client_cpu_pct: float
    limited_by: Sequence[str]
    answers: int
    failed: int
    lines_in_truth: int


@dataclass(frozen=True, slots=True)
class MemoryStep:
    """Resident memory of the emulator over so many Converse requests; `samples` are (answers so far, bytes).

    `rss_warm_bytes` is that after the first tenth. `bytes_per_request` is the slope over the last four fifths: None
    without enough samples.
    """

    requests: int
    failed: int
    requests_per_s: float
    rss_start_bytes: int
    rss_warm_bytes: int | None
    rss_end_bytes: int
    bytes_per_request: float | None
    truth_log_bytes: int
    lines_in_truth: int
    samples: Sequence[tuple[int, int]]


def measure_whole(rig: Rig, connections: int) -> WholeStep:
    """As many answers as it can."""
    plan = replace(_plan(rig, connections), seconds=load_seconds(rig, _RAMP_S))
    with loaded(rig, "whole", _CONFIG, plan) as (emulator, load):
        measured = measure(rig, emulator, load, _RAMP_S)
    window, result = measured.window, measured.result
    answers = zip(result.ended_at, result.latency_s, strict=True)
    latencies_ms = [latency_s * 1000.0 for ended_at, latency_s in answers if ended_at in window]
    return WholeStep(
        connections=connections,
        seconds=window.seconds,
        requests_per_s=len(latencies_ms) / window.seconds,
        latency_ms=summarise(latencies_ms),
        cpu_pct=measured.cpu_pct,
        core_others_pct=measured.core_others_pct,
        client_cpu_pct=measured.client_cpu_pct,
        limited_by=measured.limited_by,
        answers=len(result.ended_at),
        failed=result.failed,
        lines_in_truth=count_lines(rig.truth_log("whole")),
    )


def measure_memory(rig: Rig, connections: int, requests: int) -> MemoryStep:
    """Resident memory while requests go on; connections are renewed now and then, as those of real clients are."""
    plan = replace(_plan(rig, connections), total=requests, reconnect_every=_RECONNECT_EVERY)
    with loaded(rig, "memory", _CONFIG, plan) as (emulator, load):
        process = psutil.Process(pid_of(emulator))
        samples = [(0, process.memory_info().rss)]

        def sample() -> None:
            answered = load.answered
            if answered * _SAMPLES >= requests * len(samples):
                samples.append((answered, process.memory_info().rss))

        began_at = clock()
        load.begin(began_at)
        result = load.result(sample, _TICK_S)
        seconds = clock() - began_at
        end_bytes = process.memory_info().rss
    truth_log = rig.truth_log("memory")
    return MemoryStep(
        requests=len(result.ended_at),
        failed=result.failed,
        requests_per_s=len(result.ended_at) / seconds,
        rss_start_bytes=samples[0][1],
        rss_warm_bytes=next((rss for answered, rss in samples if answered >= requests // 10), None),
        rss_end_bytes=end_bytes,
        bytes_per_request=slope([(answered, rss) for answered, rss in samples if answered >= requests // 5]),
        truth_log_bytes=truth_log.stat().st_size,
        lines_in_truth=count_lines(truth_log),
        samples=samples,
    )


def _plan(rig: Rig, connections: int) -> LoadPlan:
    return LoadPlan(address=("", 0), connections=connections, requests=sdk_requests("converse"), seed=rig.seed)
