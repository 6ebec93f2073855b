"""How many streams the emulator keeps on schedule."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.emulator_load import LoadPlan
from benchmarks.emulator_rig import Measured, Rig, exact_config, load_seconds, loaded, measure, sdk_requests
from benchmarks.emulator_truth import (
    StreamShape,
    StreamTruth,
    arrival_lateness_ms,
    arrivals_in,
    clock_offset,
    pairs,
    read_stream_truth,
    receive_delay_ms,
    send_lateness_ms,
)
from benchmarks.summaries import Summary, summarise

TOKENS_PER_SECOND = 50.0


@dataclass(frozen=True, slots=True)
class StreamStep:
    """One number of concurrent streams. Rates and CPU are those of the measured window, counts those of the step.

    `answers` had all their frames, `failed` did not. `events_seen` by clients and `events_in_truth` are equal unless
    something was lost.
    """

    streams: int
    seconds: float
    scheduled_events_per_s: float
    events_per_s: float
    cpu_pct: float
    core_others_pct: float | None
    client_cpu_pct: float
    send_lateness_ms: Summary
    arrival_lateness_ms: Summary
    receive_delay_ms: Summary
    clock_uncertainty_ms: float | None
    limited_by: Sequence[str]
    answers: int
    failed: int
    events_seen: int
    events_in_truth: int


def stream_shape(tokens: int) -> StreamShape:
    """50 events a second from the first moment on: `messageStart` at once, the first token an interval later."""
    interval_s = 1.0 / TOKENS_PER_SECOND
    return StreamShape(tokens, ttft_s=interval_s, interval_s=interval_s)


def measure_streams(rig: Rig, streams: int, tokens: int) -> StreamStep:
    """So many connections with one stream after the other, at random phases to each other."""
    shape = stream_shape(tokens)
    ramp_s = shape.seconds  # by then every connection has begun, and the first streams give way to the second
    plan = LoadPlan(
        address=("", 0),
        connections=streams,
        requests=sdk_requests("converse-stream"),
        seed=rig.seed,
        spread_s=ramp_s,
        seconds=load_seconds(rig, ramp_s),
    )
    name = f"streams-{streams}"
    with loaded(rig, name, exact_config(shape.ttft_s, TOKENS_PER_SECOND, tokens), plan) as (emulator, load):
        measured = measure(rig, emulator, load, ramp_s)
    return judge(streams, shape, measured, read_stream_truth(rig.truth_log(name)))


def judge(streams: int, shape: StreamShape, measured: Measured, truth: StreamTruth) -> StreamStep:
    """The numbers of a step, from what the clients and what the emulator noted."""
    window, result = measured.window, measured.result
    matched = pairs(result.streamed, truth.lines, shape)
    offset = clock_offset(matched)
    return StreamStep(
        streams=streams,
        seconds=window.seconds,
        scheduled_events_per_s=streams * TOKENS_PER_SECOND,
        events_per_s=arrivals_in(result.streamed, window) / window.seconds,
        cpu_pct=measured.cpu_pct,
        core_others_pct=measured.core_others_pct,
        client_cpu_pct=measured.client_cpu_pct,
        send_lateness_ms=summarise(
            send_lateness_ms(truth.lines, shape, window.moved(offset.seconds)) if offset else []
        ),
        arrival_lateness_ms=summarise(arrival_lateness_ms(matched, shape, offset, window) if offset else []),
        receive_delay_ms=summarise(receive_delay_ms(matched, offset, window) if offset else []),
        clock_uncertainty_ms=offset.uncertainty_s * 1000.0 if offset else None,
        limited_by=measured.limited_by,
        answers=len(matched),
        failed=result.failed + len(result.streamed) - len(matched),
        events_seen=result.events,
        events_in_truth=truth.events,
    )
