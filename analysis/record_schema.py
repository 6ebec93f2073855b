"""The fields of a record as typed columns, and what the analysis keeps of them in memory."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from bedrock.invocation import FIELD_NAMES

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

_KINDS = (
    {name: pa.string() for name in TEXT}
    | {name: pa.int64() for name in COUNTS}
    | {name: pa.float64() for name in (*INSTANTS, *SPANS_MS, *SHARES)}
)
SCHEMA = pa.schema([(name, _KINDS[name]) for name in FIELD_NAMES])

#: Fields that no figure is computed from: they are in the record files and in requests.parquet, not in memory.
ONLY_ON_DISK = frozenset(
    {"request_id", "first_byte_at", "first_event_at", "events", "bytes_received", "server_latency_ms", "connect_ms",
     "tls_ms", "burst_share"}
)  # fmt: skip

#: Texts of which (nearly) every record has its own; the others repeat, and are held as categories.
UNIQUE_TEXT = frozenset({"message_id", "request_id"})

KEPT = tuple(name for name in FIELD_NAMES if name not in ONLY_ON_DISK)


def floats(values: "pd.Series[Any]") -> Floats:
    """A numeric column as float64 with NaN for missing."""
    return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)


def flags(values: "pd.Series[Any]") -> Flags:
    """A column of truths as an array."""
    return np.asarray(values, dtype=bool)
