"""Every number of every cell and group against a plain computation from the record lines, to 1e-9."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from analysis.summary import analyse
from tests.support.run_builder import CellSpec, build_run

CELLS = [
    CellSpec("a", n=500, warmup_n=20, warmup_s=4.0, outcomes={"throttled": 0.05, "timeout": 0.02, "dropped": 0.01}),
    CellSpec("b", n=420, service_tier="flex", prompt_size="large", output_tokens=180, outcomes={"overloaded": 0.1}),
    CellSpec("c", n=90, users=10, rate_rps=None, pattern="spike", model_id="amazon.nova-2-lite-v1:0", processes=3),
]

Record = dict[str, Any]

KEYS: dict[str, Callable[[Record], str | None]] = {
    "query_type": lambda record: record["query_type"],
    "model": lambda record: record["model_id"].removeprefix("us."),
    "service_tier": lambda record: record["requested_tier"],
    "prompt_size": lambda record: record["prompt_size"],
    "language": lambda record: record["language"],
    "phase": lambda record: record["phase"],
    "region": lambda record: record["region"],
    "api": lambda record: record["api"],
}

VALUES: dict[str, Callable[[Record], float]] = {
    "ttft_ms": lambda r: (r["first_token_at"] - r["intended_at"]) * 1000,
    "first_answer_ms": lambda r: (r["first_answer_at"] - r["intended_at"]) * 1000,
    "service_ttft_ms": lambda r: (r["first_token_at"] - r["started_at"]) * 1000,
    "e2e_ms": lambda r: (r["ended_at"] - r["intended_at"]) * 1000,
    "service_e2e_ms": lambda r: (r["ended_at"] - r["started_at"]) * 1000,
    "tpot_ms": lambda r: (r["last_token_at"] - r["first_token_at"]) * 1000 / (r["output_tokens"] - 1),
    "send_lag_ms": lambda r: (r["started_at"] - r["intended_at"]) * 1000,
    "output_tokens_per_s": lambda r: (r["output_tokens"] - 1) / (r["last_token_at"] - r["first_token_at"]),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Record], dict[str, Any]]:
    """All record lines of a run, and its summary."""
    directory = build_run(tmp_path_factory.mktemp("oracle"), CELLS)
    return list(lines(directory)), analyse(directory).summary


def lines(directory: Path) -> Iterator[Record]:
    for path in sorted(directory.glob("cells/*/requests-*.jsonl")):
        yield from map(json.loads, path.read_text(encoding="utf-8").splitlines())


def parts(summary: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Callable[[Record], bool]]]:
    """Metrics of each cell, of each group and of all, and which records they are of."""
    yield summary["total"]["metrics"], lambda _: True
    for cell in summary["cells"]:
        yield cell["metrics"], lambda record, name=cell["cell"]: record["cell"] == name  # type: ignore[misc]
    for group, key in KEYS.items():
        for row in summary["groups"][group]:
            yield row["metrics"], lambda record, key=key, name=row["key"]: key(record) == name  # type: ignore[misc]


def test_all_cells_and_groups_are_there(run: tuple[list[Record], dict[str, Any]]) -> None:
    records, summary = run

    assert {name: [row["key"] for row in rows] for name, rows in summary["groups"].items()} == {
        name: sorted({str(key(record)) for record in records}) for name, key in KEYS.items()
    }


def test_counts_and_shares(run: tuple[list[Record], dict[str, Any]]) -> None:
    records, summary = run
    for metrics, belongs in parts(summary):
        own = [record for record in records if belongs(record)]
        outcomes = [record["outcome"] for record in own]
        sent = len(own) - outcomes.count("dropped")
        measured = [record for record in own if record["phase"] != "warmup"]
        in_time = sum(r["outcome"] == "ok" and r["ended_at"] - r["intended_at"] <= 3.0 for r in measured)

        assert metrics["requests"] == sent
        assert {name: count for name, count in metrics["outcomes"].items() if count} == {
            name: outcomes.count(name) for name in set(outcomes)
        }
        assert metrics["throttle_rate"] == pytest.approx(outcomes.count("throttled") / sent, rel=1e-9)
        errors = outcomes.count("timeout") + outcomes.count("overloaded")
        assert metrics["error_rate"] == pytest.approx(errors / sent, rel=1e-9)
        assert metrics["input_tokens"] == sum(record["input_tokens"] or 0 for record in own)
        if measured:
            assert metrics["sla_compliance"] == pytest.approx(in_time / len(measured), rel=1e-9)
            assert metrics["offered_rps"] == pytest.approx(len(measured) / metrics["duration_s"], rel=1e-9)


def test_latencies_and_their_intervals(run: tuple[list[Record], dict[str, Any]]) -> None:
    records, summary = run
    compared = 0
    for metrics, belongs in parts(summary):
        answered = [
            record for record in records
            if belongs(record) and record["outcome"] == "ok" and record["phase"] != "warmup"
        ]  # fmt: skip
        for name, value in VALUES.items():
            values = np.array([value(record) for record in answered])
            check_distribution(metrics[name], values)
            compared += 1
        for stat, field in (("p50", "gap_p50_ms"), ("p95", "gap_p95_ms"), ("p99", "gap_max_ms")):
            if metrics["gap_ms"][stat] is not None:
                exact = np.quantile([record[field] for record in answered], float(stat[1:]) / 100)
                assert metrics["gap_ms"][stat] == pytest.approx(exact, rel=1e-9)
    assert compared == 8 * sum(1 for _ in parts(summary))


def check_distribution(found: dict[str, Any], values: np.ndarray) -> None:
    n = len(values)
    assert found["n"] == n
    if n:
        assert found["mean"] == pytest.approx(values.mean(), rel=1e-9)
        assert found["max"] == pytest.approx(values.max(), rel=1e-9)
    for name, q in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99_9", 0.999)):
        if q**n > 0.025 or (1 - q) ** n > 0.025:
            assert found[name] is None
            assert found["ci95"][name] is None
            assert str(n) in found["insufficient"][name]
            continue
        ordered = np.sort(values)
        low, high = int(stats.binom.ppf(0.025, n, q)), int(stats.binom.ppf(0.975, n, q)) + 1
        assert found[name] == pytest.approx(np.quantile(values, q), rel=1e-9, abs=1e-9)
        assert found["ci95"][name] == pytest.approx([ordered[low - 1], ordered[high - 1]], rel=1e-9, abs=1e-9)
