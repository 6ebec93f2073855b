"""Throttles: how many, when first, of which kind, and what a minute of load asked for, got, and was entitled to."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.inputs import RunInfo
from analysis.record_schema import flags, floats
from bedrock.catalog import Catalog, Quota, split_model_id
from bedrock.outcome import Outcome

#: Bedrock says which quota was hit in the message alone; the first match counts (bedrock service documentation).
_KINDS = (
    ("tokens_per_day", "tokens per day"),
    ("tokens", "too many tokens"),
    ("requests", "too many requests"),
)

_COLUMNS = ["cell", "model", "model_id", "service_tier", "started_at", "attempt", "outcome", "error_message",
            "input_tokens", "output_tokens", "cache_write_tokens"]  # fmt: skip


def throttle_kind(outcome: str, message: str | None) -> str:
    """`requests`, `tokens`, `tokens_per_day`, `overloaded` or `other` of a throttled or overloaded attempt."""
    if outcome == Outcome.OVERLOADED:
        return "overloaded"
    text = (message or "").lower()
    return next((kind for kind, words in _KINDS if words in text), "other")


def throttling_section(records: pd.DataFrame, run: RunInfo, catalog: Catalog) -> dict[str, Any]:
    """The `throttling` object of summary.json; every attempt of every phase counts."""
    sent = records.loc[flags(records["sent"]), _COLUMNS]
    sent["throttled"] = sent["outcome"] == Outcome.THROTTLED
    sent["overloaded"] = sent["outcome"] == Outcome.OVERLOADED
    start = _run_start(sent, run)
    minutes = _per_minute(sent, catalog)
    return {
        **_rates(sent, start),
        "kinds": _kinds(sent),
        "by_model": _by(sent, "model", start),
        "by_tier": _by(sent, "service_tier", start),
        "by_cell": _by(sent, "cell", start),
        "per_minute": minutes,
        "quota": _busiest(minutes),
    }


def _run_start(sent: pd.DataFrame, run: RunInfo) -> float | None:
    if run.started_at is not None:
        return run.started_at
    return float(sent["started_at"].min()) if sent["started_at"].notna().any() else None


def _rates(sent: pd.DataFrame, start: float | None) -> dict[str, Any]:
    throttled = flags(sent["throttled"])
    messages, count = int((sent["attempt"] == 1).sum()), int(throttled.sum())
    times = floats(sent["started_at"])[throttled]
    known = times[~np.isnan(times)]
    return {
        "attempts": len(sent),
        "messages": messages,
        "retry_amplification": len(sent) / messages if messages else None,
        "throttled": count,
        "rate": count / len(sent) if len(sent) else None,
        "first_throttle_s": None if not len(known) or start is None else float(known.min()) - start,
    }


def _kinds(sent: pd.DataFrame) -> dict[str, int]:
    refused = sent[sent["throttled"] | sent["overloaded"]]
    kinds = dict.fromkeys(("requests", "tokens", "tokens_per_day", "overloaded", "other"), 0)
    for key, count in refused.groupby(["outcome", "error_message"], dropna=False, observed=True).size().items():
        outcome, message = key if isinstance(key, tuple) else (key, None)
        kinds[throttle_kind(str(outcome), message if isinstance(message, str) else None)] += int(count)
    return kinds


def _by(sent: pd.DataFrame, key: str, start: float | None) -> list[dict[str, Any]]:
    needed = sent[[key, "throttled", "attempt", "started_at"]]
    return [{key: str(name), **_rates(part, start)} for name, part in needed.groupby(key, sort=True, observed=True)]


def _per_minute(sent: pd.DataFrame, catalog: Catalog) -> list[dict[str, Any]]:
    """Per cell, model and minute of the cell: requests and tokens, offered and accepted, and the quotas of them.

    Tokens a refused request would have used are estimated by the mean of the accepted ones of its cell and model;
    None where none was accepted. `quota_tokens` count as Bedrock's quota does: input and cache writes, and output
    times the model's burn-down.
    """
    timed = sent[sent["started_at"].notna()]
    burndown = timed["model_id"].map({str(name): _burndown(str(name), catalog) for name in timed["model_id"].unique()})
    tokens = timed["input_tokens"] + timed["output_tokens"]
    counted = (
        timed["input_tokens"]
        + timed["cache_write_tokens"].fillna(0)
        + timed["output_tokens"] * burndown.astype("Float64")
    )
    rows = pd.DataFrame(
        {
            "cell": timed["cell"],
            "model": timed["model"],
            "model_id": timed["model_id"],
            "minute": _minutes(timed),
            "throttled": timed["throttled"],
            "overloaded": timed["overloaded"],
            "tokens": floats(tokens),
            "quota_tokens": floats(counted),
        }
    )
    groups = rows.groupby(["cell", "model", "minute"], sort=True, observed=True)
    table = groups.agg(
        offered=("minute", "size"),
        throttled=("throttled", "sum"),
        overloaded=("overloaded", "sum"),
        model_id=("model_id", "first"),
    )
    table[["tokens", "quota_tokens"]] = groups[["tokens", "quota_tokens"]].sum(min_count=1)
    means = rows.groupby(["cell", "model"], observed=True)[["tokens", "quota_tokens"]].mean().add_prefix("mean_")
    entries = table.reset_index().merge(means.reset_index(), on=["cell", "model"])
    return [_minute({str(name): value for name, value in row.items()}, catalog) for row in entries.to_dict("records")]


def _minutes(timed: pd.DataFrame) -> np.ndarray:
    """The minute of each call, counted from the first call of its cell."""
    first = timed["started_at"].groupby(timed["cell"], observed=True).transform("min")
    return ((floats(timed["started_at"]) - floats(first)) // 60.0).astype(np.int64)


def _burndown(model_id: str, catalog: Catalog) -> float:
    model = catalog.find(model_id)
    return np.nan if model is None else float(model.burndown)


def _quota(model_id: Any, catalog: Catalog) -> Quota | None:
    """The account's default quota of a model as it was called; None where the catalogue does not know it."""
    model = catalog.find(model_id) if isinstance(model_id, str) else None
    if model is None:
        return None
    return model.cross_region_quota if split_model_id(model_id).prefix else model.quota


def _minute(row: Mapping[str, Any], catalog: Catalog) -> dict[str, Any]:
    refused = int(row["throttled"]) + int(row["overloaded"])
    quota = _quota(row["model_id"], catalog)
    return {
        "cell": str(row["cell"]),
        "model": str(row["model"]),
        "minute": int(row["minute"]),
        "requests_offered": int(row["offered"]),
        "requests_accepted": int(row["offered"]) - refused,
        "throttled": int(row["throttled"]),
        "overloaded": int(row["overloaded"]),
        "throttle_rate": int(row["throttled"]) / int(row["offered"]),
        "tokens_accepted": _known(row["tokens"]),
        "tokens_offered_estimated": _offered(row["tokens"], row["mean_tokens"], refused),
        "quota_tokens_accepted": _known(row["quota_tokens"]),
        "quota_tokens_offered_estimated": _offered(row["quota_tokens"], row["mean_quota_tokens"], refused),
        "default_quota_rpm": None if quota is None else quota.rpm,
        "default_quota_tpm": None if quota is None else quota.tpm,
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _offered(accepted: float, mean: float, refused: int) -> float | None:
    return None if np.isnan(mean) else float(np.nan_to_num(accepted)) + float(mean) * refused


#: What is held against a quota, and which: offered, accepted, quota.
_USES = (
    ("requests", "requests_offered", "requests_accepted", "default_quota_rpm"),
    ("tokens", "quota_tokens_offered_estimated", "quota_tokens_accepted", "default_quota_tpm"),
)


def _busiest(minutes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The busiest minute of each model, of requests and of tokens, against the account's default quota a minute.

    `used_pct` is what was offered in percent of the quota; None where either is unknown.
    """
    rows = []
    for model in sorted({row["model"] for row in minutes}):
        own = [row for row in minutes if row["model"] == model]
        for what, offered, accepted, quota in _USES:
            known = [row for row in own if row[offered] is not None]
            if not known:
                continue
            busiest = max(known, key=lambda row: row[offered])
            limit = busiest[quota]
            rows.append(
                {
                    "model": model,
                    "of": what,
                    "cell": busiest["cell"],
                    "minute": busiest["minute"],
                    "offered": busiest[offered],
                    "accepted": busiest[accepted],
                    "default_quota": limit,
                    "used_pct": busiest[offered] / limit * 100.0 if limit else None,
                }
            )
    return rows
