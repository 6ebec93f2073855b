"""Results directories for tests: small, seeded, shaped like what the load generator leaves behind.

`build_run(directory, [CellSpec("a"), ...])` writes `run.json`, the cells' `load.json`, health files and records of
a run in which everything happened at fixed instants. `write_run` takes hand-made records instead.
"""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedrock.invocation import InvocationRecord
from bedrock.outcome import Outcome

#: When every built run starts: 2027-01-15T08:00:00Z, in Unix seconds.
STARTED_AT = 1_800_000_000.0

#: Seconds between the end of one cell and the start of the next.
CELL_GAP_S = 2.0

QUERY_TYPES = (
    ("product_lookup", 0.25, "simple"),
    ("recommendation", 0.20, "complex"),
    ("price_check", 0.15, "simple"),
    ("japanese_query", 0.12, "mixed"),
    ("manga_summary", 0.10, "complex"),
    ("order_status", 0.10, "simple"),
    ("greeting", 0.08, "simple"),
)

ERRORS: Mapping[str, tuple[str | None, str | None, int | None]] = {
    "throttled": ("ThrottlingException", "Too many requests, please wait before trying again.", 429),
    "overloaded": ("ServiceUnavailableException", "Bedrock is unable to process your request.", 503),
    "timeout": (None, "no answer within 60 s", None),
    "server_error": ("InternalServerException", "The system encountered an unexpected error.", 500),
    "client_error": ("ValidationException", "The provided service tier is not supported for this model", 400),
    "stream_error": ("ModelStreamErrorException", "The model stopped.", 200),
    "truncated": (None, "the stream ended without messageStop", 200),
    "connection_error": (None, "connection refused", None),
    "aborted": (None, "cut off by the end of the test", None),
}


@dataclass(frozen=True)
class CellSpec:
    """One cell to invent: what `run.json` says of it, and how its calls went.

    `outcomes` gives shares of attempts that did not end `ok` (`{"throttled": 0.1}`); the rest is ok.
    Open loop where `rate_rps` is set, closed loop otherwise. `n` is the number of arrivals after warm-up.
    """

    cell: str
    n: int = 120
    model_id: str | None = "amazon.nova-pro-v1:0"
    region_prefix: str | None = "us"
    service_tier: str | None = "default"
    prompt_size: str = "small"
    users: int | None = None
    rate_rps: float | None = 5.0
    pattern: str = "sustained"
    warmup_n: int = 0
    warmup_s: float = 0.0
    ttft_ms: float = 300.0
    ttft_sigma: float = 0.25
    output_tokens: int = 60
    tokens_per_s: float = 95.0
    outcomes: Mapping[str, float] | None = None
    served_tier: str | None = "same"
    status: str = "finished"
    reason: str | None = None
    processes: int = 1
    hub_lag_ms: float = 1.0
    cpu_pct: float = 20.0

    @property
    def duration_s(self) -> float:
        """Length of the measured window: n arrivals at the rate (closed loop: two a second and user)."""
        rate = self.rate_rps or 0.5 * (self.users or 1)
        return self.n / rate

    def entry(self) -> dict[str, Any]:
        """This cell's entry in `run.json`."""
        return {
            "cell": self.cell,
            "status": self.status,
            "reason": self.reason,
            "model_id": self.model_id,
            "routing": None,
            "region_prefix": self.region_prefix,
            "service_tier": self.service_tier,
            "prompt_size": self.prompt_size,
            "api": "converse_stream",
            "load_model": "open" if self.rate_rps else "closed",
            "users": None if self.rate_rps else self.users,
            "rate_rps": self.rate_rps,
            "pattern": self.pattern,
            "process": "constant",
            "duration_s": self.duration_s,
            "warmup_s": self.warmup_s,
            "max_tokens": 512,
        }


def make_record(seq: int = 0, **fields: Any) -> dict[str, Any]:
    """One sound record: ok, streamed, 300 ms to the first token, 60 output tokens; `fields` replace any of it.

    Times can be given relative to the run's start with `at` (intended start, s), `lag_ms`, `ttft_ms`, `e2e_ms`.
    """
    start_s = STARTED_AT + fields.pop("at", seq * 0.2)
    lag_s = fields.pop("lag_ms", 0.0) / 1000.0
    ttft_s = fields.pop("ttft_ms", 300.0) / 1000.0
    e2e_s = fields.pop("e2e_ms", 930.0) / 1000.0
    record = InvocationRecord(
        run_id="run-1", cell="a", process="0", seq=seq, message_id=f"m-{seq:06d}", phase="steady",
        query_type="product_lookup", complexity="simple", language="en", prompt_size="small", prompt_id="p-1",
        api="converse_stream", transport="boto3", region="us-east-1", model_id="us.amazon.nova-pro-v1:0",
        requested_tier="default", served_tier="default", max_tokens=512, intended_at=start_s,
        started_at=start_s + lag_s, first_event_at=start_s + ttft_s - 0.001, first_token_at=start_s + ttft_s,
        first_answer_at=start_s + ttft_s, last_token_at=start_s + e2e_s - 0.002, ended_at=start_s + e2e_s,
        outcome=Outcome.OK, http_status=200, stop_reason="end_turn", request_id=f"req-{seq:06d}", input_tokens=40,
        output_tokens=60, cache_read_tokens=0, cache_write_tokens=0, events=22, gap_p50_ms=30.0, gap_p95_ms=34.0,
        gap_max_ms=50.0, server_latency_ms=ttft_s * 1000.0 + 600.0, pool_wait_ms=0.0, bytes_received=4096,
    )  # fmt: skip
    raw: dict[str, Any] = json.loads(record.to_json())
    return {**raw, **_consequences(str(fields.get("outcome", "ok"))), **fields}


def _consequences(outcome: str) -> dict[str, Any]:
    """What else is different in a record whose outcome is not ok."""
    if outcome == "ok":
        return {}
    unanswered = dict.fromkeys(
        ("first_event_at", "first_token_at", "first_answer_at", "last_token_at", "stop_reason", "input_tokens",
         "output_tokens", "cache_read_tokens", "cache_write_tokens", "events", "gap_p50_ms", "gap_p95_ms",
         "gap_max_ms", "server_latency_ms", "served_tier")
    )  # fmt: skip
    if outcome == "dropped":
        return {**unanswered, "started_at": None, "ended_at": None, "http_status": None, "request_id": None}
    code, message, status = ERRORS[outcome]
    return {**unanswered, "error_code": code, "error_message": message, "http_status": status}


def synthetic_records(spec: CellSpec, seed: int, cell_start_s: float) -> list[dict[str, Any]]:
    """The records of one invented cell that starts `cell_start_s` after the run."""
    rng = random.Random(f"{seed}/{spec.cell}")
    records = []
    for seq in range(spec.warmup_n + spec.n):
        warm = seq < spec.warmup_n
        at = cell_start_s + _arrival_s(spec, seq, warm)
        records.append(_synthetic_record(spec, rng, seq, at, _phase(spec, seq - spec.warmup_n)))
    return records


def _arrival_s(spec: CellSpec, seq: int, warm: bool) -> float:
    if warm:
        return spec.warmup_s * seq / max(spec.warmup_n, 1)
    return spec.warmup_s + spec.duration_s * (seq - spec.warmup_n) / spec.n


def _phase(spec: CellSpec, index: int) -> str:
    if index < 0:
        return "warmup"
    if spec.pattern != "spike":
        return "steady"
    position = index / spec.n
    return "baseline" if position < 0.4 else "spike" if position < 0.6 else "recovery"


def _synthetic_record(spec: CellSpec, rng: random.Random, seq: int, at: float, phase: str) -> dict[str, Any]:
    query_type, _, complexity = rng.choices(QUERY_TYPES, weights=[entry[1] for entry in QUERY_TYPES])[0]
    tokens = max(2, round(spec.output_tokens * rng.lognormvariate(0.0, 0.3)))
    ttft_ms = spec.ttft_ms * rng.lognormvariate(0.0, spec.ttft_sigma)
    served = spec.service_tier if spec.served_tier == "same" else spec.served_tier
    fields: dict[str, Any] = {
        "cell": spec.cell,
        "process": str(seq % spec.processes),
        "at": at,
        "phase": phase,
        "query_type": query_type,
        "complexity": complexity,
        "language": "ja" if query_type == "japanese_query" or rng.random() < 0.3 else "en",
        "prompt_size": spec.prompt_size,
        "model_id": f"{spec.region_prefix}.{spec.model_id}" if spec.region_prefix else spec.model_id,
        "requested_tier": spec.service_tier,
        "lag_ms": rng.uniform(0.0, 2.0) if spec.rate_rps else 0.0,
        "ttft_ms": ttft_ms,
        "e2e_ms": ttft_ms + tokens / spec.tokens_per_s * 1000.0,
    }
    outcome = _pick_outcome(spec, rng)
    if outcome == "ok":
        fields |= {"served_tier": served, "input_tokens": rng.randint(20, 60), "output_tokens": tokens}
    elif outcome != "timeout":
        fields |= {"e2e_ms": rng.uniform(5.0, 20.0)}
    else:
        fields |= {"e2e_ms": 60_000.0}
    return make_record(seq, **fields, outcome=outcome)


def _pick_outcome(spec: CellSpec, rng: random.Random) -> str:
    shares = dict(spec.outcomes or {})
    shares["ok"] = 1.0 - sum(shares.values())
    return rng.choices(list(shares), weights=list(shares.values()))[0]


def run_json(cells: Sequence[Mapping[str, Any]], **overrides: Any) -> dict[str, Any]:
    """The content of a finished run's `run.json`; `overrides` replace any key."""
    content = {
        "schema_version": 1,
        "run_id": "run-1",
        "scenario": "built-for-tests",
        "description": "A run that never happened",
        "command": "python run_tests.py run",
        "versions": {"project": "0.1.0", "python": "3.11", "locust": "2.47.0", "boto3": "1.44.5", "botocore": "1.44.5"},
        "git_commit": None,
        "target": "emulator",
        "endpoint_url": None,
        "region": "us-east-1",
        "transport": "boto3",
        "api": "converse_stream",
        "routing": None,
        "load_model": _load_model(cells),
        "seed": 1,
        "processes": 1,
        "sla_s": 3.0,
        "include_failures": False,
        "fail_on": "sla",
        "daily_messages": 1_000_000,
        "monthly_cost_limit_usd": 50_000,
        "objectives": ["ttft_ms p95 < 600ms", "sla_compliance >= 99%"],
        "sdk_retries": "off",
        "started_at": "2027-01-15T08:00:00Z",
        "ended_at": "2027-01-15T08:10:00Z",
        "exit_code": None,
        "stopped_by": None,
        "cells": list(cells),
    }
    return {**content, **overrides}


def _load_model(cells: Sequence[Mapping[str, Any]]) -> str:
    models = {cell["load_model"] for cell in cells}
    return models.pop() if len(models) == 1 else "mixed"


def write_run(
    directory: Path,
    records: Mapping[str, Sequence[Mapping[str, Any]]],
    cells: Sequence[Mapping[str, Any]] | None = None,
    loads: Mapping[str, Mapping[str, Any]] | None = None,
    **run_overrides: Any,
) -> Path:
    """Write a results directory from given records by cell; cells without an entry get a default one."""
    entries = list(cells) if cells is not None else [CellSpec(name).entry() for name in records]
    write_json(directory / "run.json", run_json(entries, **run_overrides))
    for cell, lines in records.items():
        write_records(directory, cell, lines)
    for cell, load in (loads or {}).items():
        write_json(directory / "cells" / cell / "load.json", load)
    return directory


def write_records(directory: Path, cell: str, records: Iterable[Mapping[str, Any]]) -> None:
    """Append records to the cell's files, one file a process."""
    folder = directory / "cells" / cell
    folder.mkdir(parents=True, exist_ok=True)
    for record in records:
        with (folder / f"requests-{record['process']}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def write_json(path: Path, content: Any) -> None:
    """Write one JSON file, creating its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2), encoding="utf-8")


def load_json(spec: CellSpec, records: Sequence[Mapping[str, Any]], cell_start_s: float) -> dict[str, Any]:
    """The content of a finished cell's `load.json`."""
    start = STARTED_AT + cell_start_s
    bounds = _phase_bounds(spec, start)
    dropped = sum(record["outcome"] == "dropped" for record in records)
    return {
        "schema_version": 1,
        "record_schema_version": 1,
        "load_model": "open" if spec.rate_rps else "closed",
        "started_at": start,
        "ended_at": bounds[-1]["ended_at"],
        "phases": bounds,
        "arrivals_offered": len(records) if spec.rate_rps else None,
        "open_at_stop": 0,
        "aborted": sum(record["outcome"] == "aborted" for record in records),
        "dropped": dropped,
        "processes": spec.processes,
        "processes_lost": 0,
        "users": spec.users or 10,
    }


def _phase_bounds(spec: CellSpec, start: float) -> list[dict[str, Any]]:
    steps = [("warmup", spec.warmup_s)] if spec.warmup_n else []
    if spec.pattern == "spike":
        steps += [("baseline", 0.4), ("spike", 0.2), ("recovery", 0.4)]
        steps = [(name, part * spec.duration_s if name != "warmup" else part) for name, part in steps]
    else:
        steps.append(("steady", spec.duration_s))
    steps.append(("drain", 1.0))
    phases = []
    for name, length in steps:
        phases.append({"name": name, "started_at": start, "ended_at": start + length})
        start += length
    return phases


def health_lines(spec: CellSpec, records: Sequence[Mapping[str, Any]], cell_start_s: float) -> list[dict[str, Any]]:
    """One line a second of the generator's own condition; calls in flight as its records have them on average."""
    start = STARTED_AT + cell_start_s
    seconds = int(spec.warmup_s + spec.duration_s) + 1
    open_s = sum(record["ended_at"] - record["started_at"] for record in records if record["ended_at"] is not None)
    in_flight = open_s / (spec.warmup_s + spec.duration_s)
    return [
        {
            "at": start + second, "process": "0", "hub_lag_ms": spec.hub_lag_ms, "cpu_pct": spec.cpu_pct,
            "in_flight": round(in_flight, 1), "slots": 10, "rss_mb": 120.0,
        }
        for second in range(seconds)
    ]  # fmt: skip


def build_run(directory: Path, cells: Sequence[CellSpec], seed: int = 1, **run_overrides: Any) -> Path:
    """Invent a whole run: one cell after the other, each with its records, `load.json` and health file.

    Cells whose status is `skipped` or `pending` get an entry in `run.json` and nothing else.
    """
    write_json(directory / "run.json", run_json([spec.entry() for spec in cells], **run_overrides))
    at = 1.0
    for spec in cells:
        if spec.status in ("skipped", "pending"):
            continue
        records = synthetic_records(spec, seed, at)
        write_records(directory, spec.cell, records)
        folder = directory / "cells" / spec.cell
        write_json(folder / "load.json", load_json(spec, records, at))
        lines = "".join(json.dumps(line) + "\n" for line in health_lines(spec, records, at))
        (folder / "health-0.jsonl").write_text(lines, encoding="utf-8")
        at += spec.warmup_s + spec.duration_s + CELL_GAP_S
    return directory


def small_suite() -> list[CellSpec]:
    """Six cells such as a demo has: two tiers, two sizes, a spike that throttles, and one refused combination."""
    return [
        CellSpec("us-default-small-5rps", n=150, warmup_n=10, warmup_s=2.0),
        CellSpec("us-default-large-5rps", n=150, prompt_size="large", ttft_ms=420.0, output_tokens=180),
        CellSpec("us-flex-small-5rps", n=150, service_tier="flex", ttft_ms=650.0),
        CellSpec("us-flex-large-30u", n=90, service_tier="flex", prompt_size="large", users=30, rate_rps=None),
        CellSpec(
            "us-priority-small-spike", n=400, service_tier="priority", pattern="spike", rate_rps=20.0, ttft_ms=260.0,
            outcomes={"throttled": 0.08, "timeout": 0.005, "dropped": 0.005},
        ),
        CellSpec(
            "us-reserved-small-5rps", service_tier="reserved", status="skipped",
            reason="amazon.nova-pro-v1:0 does not serve the reserved tier",
        ),
    ]  # fmt: skip
