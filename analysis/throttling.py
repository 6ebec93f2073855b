"""Throttles: how many, when first, of which kind, and what a minute of load asked for and got."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.inputs import RunInfo
from analysis.records import flags, floats
from bedrock.outcome import Outcome

#: Bedrock says which quota was hit in the message alone; the first match counts (bedrock service documentation).
_KINDS = (
    ("tokens_per_day", "tokens per day"),
    ("tokens", "too many tokens"),
    ("requests", "too many requests"),
)


def throttle_kind(outcome: str, message: str | None) -> str:
    """`requests`, `tokens`, `tokens_per_day`, `overloaded` or `other` of a throttled or overloaded attempt."""
    if outcome == Outcome.OVERLOADED:
        return "overloaded"
    text = (message or "").lower()
    return next((kind for kind, words in _KINDS if words in text), "other")


def throttling_section(records: pd.DataFrame, run: RunInfo) -> dict[str, Any]:
    """The `throttling` object of summary.json; every attempt of every phase counts."""
    sent = records[records["sent"]]
    start = _run_start(sent, run)
    return {
        **_rates(sent, start),
        "kinds": _kinds(sent),
        "by_model": _by(sent, ["model"], start),
        "by_tier": _by(sent, ["service_tier"], start),
        "by_cell": _by(sent, ["cell"], start),
        "per_minute": _per_minute(sent),
    }


def _run_start(sent: pd.DataFrame, run: RunInfo) -> float | None:
    if run.started_at is not None:
        return run.started_at
    return float(sent["started_at"].min()) if sent["started_at"].notna().any() else None


def _rates(sent: pd.DataFrame, start: float | None) -> dict[str, Any]:
    throttled = sent[sent["outcome"] == Outcome.THROTTLED]
    messages = int((sent["attempt"] == 1).sum())
    first = throttled["started_at"].min() if throttled["started_at"].notna().any() else None
    return {
        "attempts": len(sent),
        "messages": messages,
        "retry_amplification": len(sent) / messages if messages else None,
        "throttled": len(throttled),
        "rate": len(throttled) / len(sent) if len(sent) else None,
        "first_throttle_s": None if first is None or start is None else float(first) - start,
    }


def _kinds(sent: pd.DataFrame) -> dict[str, int]:
    refused = sent[sent["outcome"].isin([Outcome.THROTTLED, Outcome.OVERLOADED])]
    messages = refused["error_message"].fillna("")
    kinds = [throttle_kind(str(outcome), str(text)) for outcome, text in zip(refused["outcome"], messages, strict=True)]
    return {name: kinds.count(name) for name in ("requests", "tokens", "tokens_per_day", "overloaded", "other")}


def _by(sent: pd.DataFrame, keys: Sequence[str], start: float | None) -> list[dict[str, Any]]:
    return [
        {**dict(zip(keys, map(str, key), strict=True)), **_rates(part, start)}
        for key, part in sent.groupby(list(keys), sort=True)
    ]


def _per_minute(sent: pd.DataFrame) -> list[dict[str, Any]]:
    """Per cell, model and minute of the cell: requests and tokens, offered and accepted.

    Tokens a refused request would have used are estimated by the mean of the accepted ones of its cell and model;
    None where none was accepted.
    """
    timed = sent[sent["started_at"].notna()]
    rows: list[dict[str, Any]] = []
    for (cell, model), part in timed.groupby(["cell", "model"], sort=True):
        first = float(timed.loc[timed["cell"] == cell, "started_at"].min())
        minute = ((floats(part["started_at"]) - first) // 60.0).astype(np.int64)
        tokens = floats(part["input_tokens"]) + floats(part["output_tokens"])
        mean = float(np.nanmean(tokens)) if not np.isnan(tokens).all() else None
        refused = flags(part["outcome"].isin([Outcome.THROTTLED, Outcome.OVERLOADED]))
        for number in np.unique(minute):
            inside = minute == number
            rows.append(
                {"cell": str(cell), "model": str(model), "minute": int(number)}
                | _minute(tokens[inside], refused[inside], mean)
            )
    return rows


def _minute(tokens: np.ndarray, refused: np.ndarray, mean_tokens: float | None) -> dict[str, Any]:
    accepted_tokens = float(np.nansum(tokens))
    return {
        "requests_offered": len(refused),
        "requests_accepted": int((~refused).sum()),
        "tokens_accepted": accepted_tokens if not np.isnan(tokens).all() else None,
        "tokens_offered_estimated": (
            None if mean_tokens is None else accepted_tokens + mean_tokens * int(refused.sum())
        ),
    }
