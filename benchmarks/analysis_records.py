"""A results directory of any size for the benchmark of the analysis: the same bytes for the same size and seed.

The lines are those that the load generator writes, field by field (a test reads them as its records). Cells follow
one another and differ in service tier and prompt size; each was loaded by several processes at a constant rate.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bedrock.invocation import InvocationRecord
from bedrock.outcome import Outcome
from scenarios.run_directory import RunDirectory

STARTED_AT = 1_800_000_000.0
RATE_RPS = 400.0
PROCESSES = 2
#: Rows made at once: enough for numpy's speed, little memory.
_CHUNK = 50_000

#: Tier, prompt size, median TTFT in ms, median output tokens.
CELLS = (
    ("default", "small", 300.0, 60),
    ("default", "large", 420.0, 180),
    ("priority", "small", 240.0, 60),
    ("flex", "medium", 600.0, 110),
)

QUERIES = (
    ("product_lookup", "simple", "en"), ("recommendation", "complex", "en"), ("price_check", "simple", "ja"),
    ("japanese_query", "mixed", "ja"), ("manga_summary", "complex", "en"), ("order_status", "simple", "en"),
    ("greeting", "simple", "ja"),
)  # fmt: skip
_QUERY_SHARES = (0.25, 0.20, 0.15, 0.12, 0.10, 0.10, 0.08)

MODELS = ("us.amazon.nova-pro-v1:0", "us.amazon.nova-2-lite-v1:0")

#: Outcome, share, and what its record says.
_THROTTLE = "Too many requests, please wait before trying again."
OUTCOMES: tuple[tuple[Outcome, float, str | None, str | None, int | None], ...] = (
    (Outcome.OK, 0.965, None, None, 200),
    (Outcome.THROTTLED, 0.02, "ThrottlingException", _THROTTLE, 429),
    (Outcome.OVERLOADED, 0.005, "ServiceUnavailableException", "Bedrock is unable to process your request.", 503),
    (Outcome.TIMEOUT, 0.005, None, "no answer within 60 s", None),
    (Outcome.SERVER_ERROR, 0.005, "InternalServerException", "The system encountered an unexpected error.", 500),
)


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the records: one process of one cell."""

    seed: int
    cell: int
    process: int
    first: int
    count: int


def write_directory(directory: Path, records: int, seed: int = 0) -> int:
    """Write a finished run with so many records; the size of its record files in bytes.

    Another seed gives another run of the same service.
    """
    run = RunDirectory(directory)
    per_cell = [len(part) for part in np.array_split(np.arange(records), len(CELLS))]
    written = 0
    starts = np.cumsum([0, *(count / RATE_RPS + 2.0 for count in per_cell)]) + STARTED_AT
    entries = []
    for number, count in enumerate(per_cell):
        folder = run.cell(_cell_name(number)).path
        folder.mkdir(parents=True)
        written += sum(_write_process(directory, share, starts[number]) for share in _shares(seed, number, count))
        run.cell(_cell_name(number)).load_json.write_text(json.dumps(_load(count, starts[number])), encoding="utf-8")
        entries.append(_entry(number, count))
    run.write_run(_run(entries))
    return written


def _shares(seed: int, cell: int, count: int) -> list[Share]:
    return [Share(seed, cell, process, process, len(range(process, count, PROCESSES))) for process in range(PROCESSES)]


def _cell_name(number: int) -> str:
    tier, size = CELLS[number][:2]
    return f"us-{tier}-{size}-{RATE_RPS:g}rps"


def _write_process(directory: Path, share: Share, cell_start: float) -> int:
    path = RunDirectory(directory).cell(_cell_name(share.cell)).requests(f"worker-{share.process}")
    with path.open("w", encoding="utf-8") as file:
        for first in range(0, share.count, _CHUNK):
            file.writelines(_lines(share, first, min(_CHUNK, share.count - first), cell_start))
    return path.stat().st_size


def _lines(share: Share, first: int, count: int, cell_start: float) -> Iterator[str]:
    """Lines of some records of one process, each as `InvocationRecord.to_json` writes it."""
    rng = np.random.default_rng([20270115 + share.seed, share.cell, share.process, first])
    columns = _columns(share, first, count, cell_start, rng)
    names = list(columns)
    templates = [_template(share, *outcome) for outcome in OUTCOMES]
    picked = rng.choice(len(OUTCOMES), count, p=[outcome[1] for outcome in OUTCOMES]).tolist()
    written = np.argsort(columns["ended"])  # a record is written when its call ends
    for outcome, *values in zip(picked, *(column[written].tolist() for column in columns.values()), strict=True):
        yield templates[outcome] % dict(zip(names, values, strict=True))


def _columns(share: Share, first: int, count: int, cell_start: float, rng: np.random.Generator) -> dict[str, Any]:
    _, _, ttft_ms, output_tokens = CELLS[share.cell]
    seq = np.arange(first, first + count)
    intended = cell_start + (seq * PROCESSES + share.first) / RATE_RPS
    started = intended + rng.exponential(0.0006, count)
    first_token = started + ttft_ms / 1000.0 * rng.lognormal(0.0, 0.35, count)
    tokens = np.maximum(2, rng.lognormal(np.log(output_tokens), 0.4, count).astype(np.int64))
    last_token = first_token + (tokens - 1) / (95.0 * rng.lognormal(0.0, 0.1, count))
    query = rng.choice(len(QUERIES), count, p=_QUERY_SHARES)
    gap = rng.lognormal(np.log(30.0), 0.15, count)
    return {
        "seq": seq,
        "intended": intended,
        "started": started,
        "first_byte": first_token - 0.0021,
        "first_token": first_token,
        "last_token": last_token,
        "ended": last_token + 0.0013,
        "output": tokens,
        "input": rng.integers(20, 900, count),
        "events": tokens // 3 + 4,
        "gap": gap,
        "gap_high": gap * 1.4,
        "gap_max": gap * (1.6 + rng.exponential(1.0, count)),
        "receive_lag": rng.exponential(0.05, count),
        "bytes": tokens * 61 + 1200,
        "request": rng.integers(0, 2**62, count),
        "query_type": np.array([query[0] for query in QUERIES])[query],
        "complexity": np.array([query[1] for query in QUERIES])[query],
        "language": np.array([query[2] for query in QUERIES])[query],
        "model": np.array(MODELS)[(query % 2 == 0).astype(int)],
        "phase": np.where(seq * PROCESSES / RATE_RPS < 20.0, "warmup", "steady"),
    }


_ALWAYS: Mapping[str, str] = {
    "seq": "%(seq)d", "message_id": '"m-%(seq)08d"', "phase": '"%(phase)s"', "query_type": '"%(query_type)s"',
    "complexity": '"%(complexity)s"', "language": '"%(language)s"', "prompt_id": '"%(query_type)s-%(language)s-1"',
    "model_id": '"%(model)s"', "intended_at": "%(intended).6f", "started_at": "%(started).6f",
    "ended_at": "%(ended).6f",
}  # fmt: skip

_ANSWERED: Mapping[str, str] = {
    "first_event_at": "%(first_token).6f", "first_token_at": "%(first_token).6f",
    "first_answer_at": "%(first_token).6f", "last_token_at": "%(last_token).6f", "first_byte_at": "%(first_byte).6f",
    "request_id": '"%(request)032x-0000"', "input_tokens": "%(input)d", "output_tokens": "%(output)d",
    "events": "%(events)d", "gap_p50_ms": "%(gap).4f", "gap_p95_ms": "%(gap_high).4f", "gap_max_ms": "%(gap_max).4f",
    "bytes_received": "%(bytes)d", "receive_lag_ms": "%(receive_lag).4f",
}  # fmt: skip


def _template(
    share: Share, outcome: Outcome, _: float, code: str | None, message: str | None, status: int | None
) -> str:
    """A line of an outcome with a printf field for all that differs from record to record."""
    tier, size = CELLS[share.cell][:2]
    answered = outcome is Outcome.OK
    record = InvocationRecord(
        run_id="benchmark", cell=_cell_name(share.cell), process=f"worker-{share.process}", seq=0, message_id="",
        prompt_size=size, api="converse_stream", transport="wire", region="us-east-1", requested_tier=tier,
        served_tier=tier if answered else None, max_tokens=4096, outcome=outcome, error_code=code,
        error_message=message, http_status=status, stop_reason="end_turn" if answered else None,
        cache_read_tokens=0 if answered else None, cache_write_tokens=0 if answered else None,
        server_latency_ms=412.0 if answered else None, pool_wait_ms=0.0, burst_share=0.0625 if answered else None,
    )  # fmt: skip
    fields = {**_ALWAYS, **(_ANSWERED if answered else {})}
    plain = json.loads(record.to_json())
    parts = (f"{json.dumps(name)}:{fields.get(name) or json.dumps(value)}" for name, value in plain.items())
    return "{" + ",".join(parts) + "}\n"


def _load(count: int, start: float) -> dict[str, Any]:
    end = start + count / RATE_RPS
    warm = min(start + 20.0, end)
    return {
        "schema_version": 1, "record_schema_version": 1, "load_model": "open", "started_at": start, "ended_at": end,
        "phases": [
            {"name": "warmup", "started_at": start, "ended_at": warm},
            {"name": "steady", "started_at": warm, "ended_at": end},
        ],
        "arrivals_offered": count, "open_at_stop": 0, "aborted": 0, "dropped": 0, "processes": PROCESSES,
        "processes_lost": 0, "users": 2000,
    }  # fmt: skip


def _entry(number: int, count: int) -> dict[str, Any]:
    tier, size = CELLS[number][:2]
    return {
        "cell": _cell_name(number), "status": "finished", "reason": None, "model_id": None, "routing": "nova",
        "region_prefix": "us", "service_tier": tier, "prompt_size": size, "api": "converse_stream",
        "load_model": "open", "users": None, "rate_rps": RATE_RPS, "pattern": "sustained", "process": "constant",
        "duration_s": max(0.0, count / RATE_RPS - 20.0), "warmup_s": 20.0, "max_tokens": 4096,
    }  # fmt: skip


def _run(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "schema_version": 1, "run_id": "benchmark", "scenario": "benchmark-of-the-analysis", "target": "emulator",
        "region": "us-east-1", "load_model": "open", "seed": 1, "processes": PROCESSES, "sla_s": 3.0,
        "objectives": ["ttft_ms p95 < 600ms", "sla_compliance >= 99%"], "started_at": STARTED_AT, "ended_at": None,
        "exit_code": None, "stopped_by": None, "cells": list(cells),
    }  # fmt: skip
