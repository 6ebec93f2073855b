"""Flat tables for spreadsheets and scripts: a row per cell, a line per request."""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from bedrock.outcome import Outcome
from reports.cells import CellResult
from reports.material import Material
from reports.sections.metrics import LATENCIES, STATS

_IDENTITY = (
    "model_id", "routing", "region", "region_prefix", "service_tier", "prompt_size", "api", "load_model", "users",
    "rate_rps", "pattern", "process", "duration_s", "warmup_s", "max_tokens",
)  # fmt: skip
_SCALARS = (
    "requests", "measured_requests", "messages", "throttle_rate", "error_rate", "sla_compliance", "offered_rps",
    "achieved_rps", "goodput_rps", "input_tokens", "output_tokens", "total_output_tokens_per_s", "cost_usd",
    "cost_per_request_usd", "cost_per_good_request_usd",
)  # fmt: skip
_STATISTICS = ("n", "mean", *STATS, "max")
#: Lines of `token_data.jsonl` made at once: enough for pandas' speed, little memory.
_BLOCK = 50_000

#: A spreadsheet takes a text that begins so for a formula; the wide ones where it is set to Japanese.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def consolidated_csv(material: Material) -> str:
    """One row per cell in the order it ran, with a header; what is not known is empty.

    Columns: identity of the cell, `measured_duration_s`, scalars of the contract's metrics, `outcome_<name>` counts,
    and `<metric>_<statistic>` for every latency metric, units in the names.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    entries = _entries(material)
    rows = [_row(cell, entries.get(cell.name, {})) for cell in material.cells]
    writer.writerow(_header())
    writer.writerows([_plain(row.get(name)) for name in _header()] for row in rows)
    return buffer.getvalue()


def _entries(material: Material) -> dict[str, Mapping[str, Any]]:
    """What `run.json` and the summary say of each cell beside its metrics."""
    merged: dict[str, dict[str, Any]] = {}
    for entry in [*(material.run.get("cells") or []), *(material.summary.get("cells") or [])]:
        merged.setdefault(str(entry["cell"]), {}).update({k: v for k, v in entry.items() if v is not None})
    return dict(merged)


def _header() -> list[str]:
    latencies = [f"{metric}_{stat}" for metric in LATENCIES for stat in _STATISTICS]
    outcomes = [f"outcome_{outcome}" for outcome in Outcome]
    return ["cell", "status", "reason", "verdict", *_IDENTITY, "measured_duration_s", *_SCALARS, *outcomes, *latencies]


def _row(cell: CellResult, entry: Mapping[str, Any]) -> dict[str, Any]:
    metrics = cell.metrics or {}
    row = {"cell": cell.name, "status": cell.status, "reason": cell.reason, "verdict": cell.verdict}
    row |= {name: entry.get(name) for name in _IDENTITY}
    row |= {name: metrics.get(name) for name in _SCALARS}
    row["measured_duration_s"] = metrics.get("duration_s")
    row |= {f"outcome_{outcome}": (metrics.get("outcomes") or {}).get(outcome) for outcome in Outcome}
    for metric in LATENCIES:
        stats = metrics.get(metric) or {}
        row |= {f"{metric}_{stat}": stats.get(stat) for stat in _STATISTICS}
    return row


def _plain(value: Any) -> str | int | float:
    if value is None:
        return ""
    if isinstance(value, float):
        return round(value, 9)
    if isinstance(value, int):
        return value
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def token_lines(material: Material) -> Iterator[str]:
    """One JSON object per attempt, a line each: what it was, its tokens, how long it took, how it ended.

    `total_tokens` is null unless both parts are known; `response_time_ms` is end minus intended start, null for
    arrivals that were dropped. `users`, `rate_rps`, `service_tier` and `prompt_size` join it with the cells. The
    lines come in blocks, so that those of a long run are never in memory all at once.
    """
    entries = _entries(material)
    for first in range(0, len(material.records), _BLOCK):
        yield _lines(_token_frame(material.records.iloc[first : first + _BLOCK], entries))


def _lines(frame: pd.DataFrame) -> str:
    """The rows as JSON, a line each: what pandas writes with `lines=True`, in about half the time.

    A quote inside a value is escaped: the text between two rows cannot stand in a value.
    """
    rows: str = frame.to_json(orient="records", force_ascii=False, double_precision=3)
    key = f'{{"{frame.columns[0]}":'
    return rows[1:-1].replace(f"}},{key}", f"}}\n{key}") + "\n"


def _token_frame(records: pd.DataFrame, entries: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "cell": records["cell"],
            "process": records["process"],
            "seq": records["seq"],
            "message_id": records["message_id"],
            "attempt": records["attempt"],
            "phase": records["phase"],
            "measured": records["measured"],
            "model_id": records["model_id"],
            "service_tier": records["service_tier"],
            "prompt_size": records["prompt_size"],
            "query_type": records["query_type"],
            **{name: _of_cell(records["cell"], entries, name) for name in ("users", "rate_rps")},
            "input_tokens": records["input_tokens"].astype("Int64"),
            "output_tokens": records["output_tokens"].astype("Int64"),
            "total_tokens": (records["input_tokens"] + records["output_tokens"]).astype("Int64"),
            "response_time_ms": records["e2e_ms"].astype(float),
            "outcome": records["outcome"],
        }
    )


def _of_cell(cells: "pd.Series[str]", entries: Mapping[str, Mapping[str, Any]], name: str) -> "pd.Series[Any]":
    """A number of each record's cell; NaN (null in the file) where the cell has none."""
    values = {cell: entry.get(name) for cell, entry in entries.items()}
    found = cells.map({cell: np.nan if value is None else float(value) for cell, value in values.items()}).astype(float)
    return found.astype("Int64") if name == "users" else found
