"""The latencies of single records from their time stamps. Formulas: docs/metrics.md."""

from collections.abc import Mapping

import numpy as np

from analysis.record_schema import Floats


def latencies(columns: Mapping[str, Floats]) -> dict[str, Floats]:
    """Every latency metric of the contract, one value a record; NaN where it did not happen.

    `columns` are the instants of the records (Unix s), `output_tokens`, `gap_p50_ms` and `attempt`, NaN for missing.
    """
    tokens, first_token = columns["output_tokens"], columns["first_token_at"]
    decode_s = np.where(tokens >= 2, columns["last_token_at"] - first_token, np.nan)
    lag_s = columns["started_at"] - columns["intended_at"]
    # A record that does not say its attempt is of the only one. A later attempt waited for the one before and for its
    # backoff: that is no lag of the generator.
    is_first = ~(columns["attempt"] != 1.0) | np.isnan(columns["attempt"])
    return {
        "ttft_ms": (first_token - columns["intended_at"]) * 1000.0,
        "first_answer_ms": (columns["first_answer_at"] - columns["intended_at"]) * 1000.0,
        "service_ttft_ms": (first_token - columns["started_at"]) * 1000.0,
        "e2e_ms": (columns["ended_at"] - columns["intended_at"]) * 1000.0,
        "service_e2e_ms": (columns["ended_at"] - columns["started_at"]) * 1000.0,
        "tpot_ms": decode_s * 1000.0 / (tokens - 1.0),
        "gap_ms": columns["gap_p50_ms"],
        "send_lag_ms": np.where(is_first, lag_s, np.nan) * 1000.0,
        "output_tokens_per_s": (tokens - 1.0) / np.where(decode_s > 0.0, decode_s, np.nan),
    }
