"""The records of a results directory as one typed, deterministically ordered DataFrame."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from analysis.jsonl import read_jsonl
from bedrock.catalog import Catalog, split_model_id
from bedrock.invocation import FIELD_NAMES
from bedrock.outcome import ERRORS, Outcome
from bedrock.pricing import cost_usd

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

TEXT = (
    "run_id", "cell", "process", "message_id", "phase", "query_type", "complexity", "language", "prompt_size",
    "prompt_id", "api", "transport", "region", "model_id", "requested_tier", "served_tier", "outcome", "error_code",
    "error_message", "stop_reason", "request_id", "session_id",
)  # fmt: skip
COUNTS = (
    "seq", "attempt", "max_tokens", "http_status", "input_tokens", "output_tokens", "cache_read_tokens",
    "cache_write_tokens", "events", "bytes_received", "turn",
)  # fmt: skip
INSTANTS = (
    "intended_at", "started_at", "first_byte_at", "first_event_at", "first_token_at", "first_answer_at",
    "last_token_at", "ended_at",
)  # fmt: skip
SPANS_MS = (
    "gap_p50_ms", "gap_p95_ms", "gap_max_ms", "server_latency_ms", "connect_ms", "pool_wait_ms", "tls_ms",
    "receive_lag_ms",
)  # fmt: skip
SHARES = ("burst_share",)

REQUIRED = ("cell", "process", "seq", "message_id", "outcome")

#: Phases whose requests are no part of the measured window.
NOT_MEASURED = frozenset({"ramp", "warmup", "drain"})

#: Latency metrics of the contract, in its order; each is a derived column of the frame.
LATENCY_METRICS = (
    "ttft_ms", "first_answer_ms", "service_ttft_ms", "e2e_ms", "service_e2e_ms", "tpot_ms", "gap_ms", "send_lag_ms",
    "output_tokens_per_s",
)  # fmt: skip

#: Unix seconds beyond this (the year 5138) are no instants, counts and spans beyond it no measurements.
_LARGEST = 1e11

#: No run lasts as long (s): an instant further than this from the middle of the run belongs to another clock.
_LONGEST_RUN_S = 30 * 24 * 3600.0

#: Events may precede the start by this much (s) before a record counts as impossible: one clock's rounding.
_CLOCK_ROUNDING_S = 0.001

_KINDS = (
    {name: pa.string() for name in TEXT}
    | {name: pa.int64() for name in COUNTS}
    | {name: pa.float64() for name in (*INSTANTS, *SPANS_MS, *SHARES)}
)
SCHEMA = pa.schema([(name, _KINDS[name]) for name in FIELD_NAMES])


@dataclass(frozen=True, slots=True)
class RecordSet:
    """All sound records of a run, sorted by cell, process, seq; and the lines that were none, by reason."""

    frame: pd.DataFrame
    skipped: Mapping[str, int]

    @property
    def skipped_lines(self) -> int:
        """How many lines were skipped."""
        return sum(self.skipped.values())


def load_records(directory: Path, run_id: str | None = None) -> RecordSet:
    """Every record under `cells/*/requests-*.jsonl`.

    Text columns are pandas strings, counts are nullable integers, instants (Unix s) and spans (ms) are floats with
    NaN for "did not happen". Lines that are no records are skipped and counted, and so are records of another run
    where `run_id` is known; an empty directory gives an empty frame with the same columns.
    """
    tables = [SCHEMA.empty_table()]
    skipped: Counter[str] = Counter()
    for path in sorted(directory.glob("cells/*/requests-*.jsonl")):
        parsed = read_jsonl(path, SCHEMA)
        sound = parsed.table.filter(_of_cell(parsed.table, path.parent.name))
        skipped += parsed.skipped
        skipped["record of another cell"] += parsed.table.num_rows - sound.num_rows
        tables.append(sound)
    frame = _to_pandas(pa.concat_tables(tables))
    frame = _without(frame, _faults(frame) | {"record of another run": _foreign(frame, run_id)}, skipped)
    return RecordSet(_ordered(frame, skipped), dict(sorted((+skipped).items())))


def _of_cell(table: pa.Table, cell: str) -> pa.ChunkedArray:
    # A record without a cell passes here and is counted as incomplete later.
    return pc.fill_null(pc.equal(table["cell"], cell), True)


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return frame


def _faults(frame: pd.DataFrame) -> dict[str, Flags]:
    """Which rows are no possible records, by reason; the first reason that applies counts."""
    missing = flags(frame[list(REQUIRED)].isna().any(axis=1))
    unknown = ~flags(frame["outcome"].isin(list(Outcome)))
    out_of_range = np.zeros(len(frame), dtype=bool)
    for name in (*COUNTS, *INSTANTS, *SPANS_MS):
        values = floats(frame[name])
        out_of_range |= (values < 0.0) | (values > _LARGEST)
    middle = float(frame["intended_at"].median()) if len(frame) else 0.0
    for name in INSTANTS:
        out_of_range |= np.abs(floats(frame[name]) - middle) > _LONGEST_RUN_S
    return {
        "missing field": missing,
        "unknown outcome": unknown,
        "impossible value": out_of_range,
        "times run backwards": _backwards(frame),
    }


def _foreign(frame: pd.DataFrame, run_id: str | None) -> Flags:
    """Records that name another run; one that names none may be of this one."""
    if run_id is None:
        return np.zeros(len(frame), dtype=bool)
    return flags(frame["run_id"].notna() & (frame["run_id"] != run_id))


def _backwards(frame: pd.DataFrame) -> Flags:
    started = floats(frame["started_at"]) - _CLOCK_ROUNDING_S
    backwards = np.zeros(len(frame), dtype=bool)
    for name in INSTANTS[2:]:
        backwards |= floats(frame[name]) < started
    return backwards


def _without(frame: pd.DataFrame, faults: Mapping[str, Flags], skipped: Counter[str]) -> pd.DataFrame:
    bad = np.zeros(len(frame), dtype=bool)
    for reason, rows in faults.items():
        skipped[reason] += int((rows & ~bad).sum())
        bad |= rows
    return frame[~bad] if bad.any() else frame


def _ordered(frame: pd.DataFrame, skipped: Counter[str]) -> pd.DataFrame:
    identity = ["cell", "process", "seq", "message_id", "attempt", "intended_at"]
    unique = frame.drop_duplicates(identity)
    skipped["duplicate"] += len(frame) - len(unique)
    ordered = unique.sort_values(identity, kind="stable", ignore_index=True)
    # A process counts up: where a number comes twice, two of them wrote one file, or one was started twice.
    repeated = flags(ordered.duplicated(["cell", "process", "seq"]))
    skipped["repeated seq"] += int(repeated.sum())
    ordered = ordered[~repeated].reset_index(drop=True)
    return ordered.assign(attempt=ordered["attempt"].fillna(1))


def floats(values: "pd.Series[float]") -> Floats:
    """A numeric column as float64 with NaN for missing."""
    return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)


def flags(values: "pd.Series[bool]") -> Flags:
    """A column of truths as an array."""
    return np.asarray(values, dtype=bool)


def derive(frame: pd.DataFrame, catalog: Catalog) -> pd.DataFrame:
    """The frame with the derived columns of docs/metrics.md: latencies, cost, classes and populations.

    Definitions are those of the contract; a value that cannot be computed is NaN, never 0.
    """
    at = {name: floats(frame[name]) for name in INSTANTS}
    tokens = floats(frame["output_tokens"])
    decode_s = np.where(tokens >= 2, at["last_token_at"] - at["first_token_at"], np.nan)
    outcome = frame["outcome"]
    is_first = flags(frame["attempt"] == 1)
    return frame.assign(
        ttft_ms=(at["first_token_at"] - at["intended_at"]) * 1000.0,
        first_answer_ms=(at["first_answer_at"] - at["intended_at"]) * 1000.0,
        service_ttft_ms=(at["first_token_at"] - at["started_at"]) * 1000.0,
        e2e_ms=(at["ended_at"] - at["intended_at"]) * 1000.0,
        service_e2e_ms=(at["ended_at"] - at["started_at"]) * 1000.0,
        tpot_ms=decode_s * 1000.0 / (tokens - 1.0),
        gap_ms=floats(frame["gap_p50_ms"]),
        gap_mean_ms=_mean_gaps_ms(frame),
        # A later attempt waited for the one before and for its backoff: that is no lag of the generator.
        send_lag_ms=np.where(is_first, at["started_at"] - at["intended_at"], np.nan) * 1000.0,
        output_tokens_per_s=(tokens - 1.0) / np.where(decode_s > 0.0, decode_s, np.nan),
        cost_usd=record_costs(frame, catalog),
        model=frame["model_id"].map(_base_ids(frame)).astype("str"),
        service_tier=frame["requested_tier"].fillna("default"),
        ok=flags(outcome == Outcome.OK),
        sent=flags(outcome != Outcome.DROPPED),
        error=flags(outcome.isin(list(ERRORS))),
        measured=~flags(frame["phase"].isin(list(NOT_MEASURED))),
    )


def _mean_gaps_ms(frame: pd.DataFrame) -> Floats:
    """Mean gap of each request, in ms: the median alone would leave out every stall.

    The record has no count of content events, so the mean follows from a straight line through its three figures
    (median, p95, maximum; the lower half at the median).
    """
    middle, high, most = (floats(frame[f"gap_{name}_ms"]) for name in ("p50", "p95", "max"))
    return 0.5 * middle + 0.45 * (middle + high) / 2.0 + 0.05 * (high + most) / 2.0


def _base_ids(frame: pd.DataFrame) -> dict[str, str]:
    return {str(raw): split_model_id(str(raw)).base for raw in frame["model_id"].dropna().unique()}


def record_costs(frame: pd.DataFrame, catalog: Catalog, tier: str | None = None) -> Floats:
    """USD of each record; NaN where the service reported no tokens or the price is unknown.

    Priced in the tier that served the call, else the one asked for; `tier` prices all in one tier instead.
    """
    costs = np.full(len(frame), np.nan)
    billed_tier = frame["served_tier"].fillna(frame["requested_tier"]).fillna("default")
    tokens = [
        floats(frame[name]) for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    ]
    tokens[2:] = [np.nan_to_num(cached) for cached in tokens[2:]]  # no cache figure in the usage: no cache used
    for key, rows in frame.groupby([frame["model_id"], billed_tier], sort=False).indices.items():
        model_id, served_tier = cast("tuple[str, str]", key)
        price = catalog.price(model_id, tier or served_tier)
        if price is not None:
            units = (
                cost_usd(price, 1.0, 0.0),
                cost_usd(price, 0.0, 1.0),
                cost_usd(price, 0.0, 0.0, 1.0),
                cost_usd(price, 0.0, 0.0, 0.0, 1.0),
            )
            costs[rows] = sum(count[rows] * unit for count, unit in zip(tokens, units, strict=True))
    return costs
