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

_COLUMNS = ["cell", "model", "model_id", "region", "service_tier", "started_at", "attempt", "outcome", "error_message",
            "input_tokens", "output_tokens", "cache_write_tokens"]  # fmt: skip

_NO_REGION = ""
_MINUTE_KEYS = ["cell", "model", "model_id", "region", "minute"]
_COUNTS = ["offered", "throttled", "overloaded"]
_TOKENS = ["tokens", "quota_tokens", "offered_tokens", "offered_quota_tokens"]


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
    minutes = _by_minute(sent, catalog)
    return {
        **_rates(sent, start),
        "kinds": _kinds(sent),
        "by_model": _by(sent, "model", start),
        "by_tier": _by(sent, "service_tier", start),
        "by_cell": _by(sent, "cell", start),
        "per_minute": _per_minute(minutes, catalog),
        "quota": _busiest(minutes, catalog),
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


def _by_minute(sent: pd.DataFrame, catalog: Catalog) -> pd.DataFrame:
    """Per cell, model id, region and minute: attempts and refusals, tokens as reported and as the quota counts them.

    `quota_tokens` count as Bedrock's quota does: input and cache writes, and output times the model's burn-down. The
    `offered` ones add what refused requests would have used, by the mean of the accepted ones of their cell and model.
    """
    timed = sent[sent["started_at"].notna()]
    burndown = timed["model_id"].map({str(name): _burndown(str(name), catalog) for name in timed["model_id"].unique()})
    tokens = timed["input_tokens"] + timed["output_tokens"]
    counted = (
        timed["input_tokens"]
        + timed["cache_write_tokens"].fillna(0)
        + timed["output_tokens"] * burndown.astype("Float64")
    )
    first_calls = {cell: begin for cell, (begin, _) in minute_clocks(timed).items()}
    since_s = floats(timed["started_at"]) - floats(timed["cell"].map(first_calls).astype(np.float64))
    rows = pd.DataFrame(
        {
            "cell": timed["cell"],
            "model": timed["model"],
            "model_id": timed["model_id"],
            "region": _with_blank(timed["region"]),
            "minute": (since_s // 60.0).astype(np.int64),
            "throttled": timed["throttled"],
            "overloaded": timed["overloaded"],
            "tokens": floats(tokens),
            "quota_tokens": floats(counted),
        }
    )
    groups = rows.groupby(_MINUTE_KEYS, sort=True, observed=True)
    table = groups.agg(offered=("minute", "size"), throttled=("throttled", "sum"), overloaded=("overloaded", "sum"))
    for name in ("tokens", "quota_tokens"):
        table[name] = groups[name].sum(min_count=1)
        known = pd.DataFrame({"sum": table[name], "count": groups[name].count()})
        sums = known.groupby(["cell", "model"], observed=True).transform("sum")
        mean = sums["sum"] / sums["count"].where(sums["count"] > 0)
        # A mean that nobody knows leaves the sum unknown.
        table[f"offered_{name}"] = table[name].fillna(0.0) + mean * (table["throttled"] + table["overloaded"])
    table = table.reset_index()
    table["clock"] = table["cell"].map(first_calls).astype(np.float64)
    return table


def _with_blank(regions: "pd.Series[Any]") -> "pd.Series[Any]":
    names = dict.fromkeys([*regions.cat.categories, _NO_REGION])
    return regions.cat.set_categories(list(names)).fillna(_NO_REGION)


def minute_clocks(sent: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """The instants (Unix s) from which a cell's minutes count, its first call, and of its last call; by cell.

    Cells that ran at the same time share the first call of them all: they use the same quota in the same minutes.
    """
    spans = sent["started_at"].groupby(sent["cell"], observed=True).agg(["min", "max"]).sort_values(["min", "max"])
    clocks: dict[str, tuple[float, float]] = {}
    begin = busy_until = float("-inf")
    for cell, first, last in spans.itertuples():
        begin = begin if first < busy_until else float(first)
        busy_until = max(busy_until, float(last))
        clocks[str(cell)] = begin, float(last)
    return clocks


def _summed(table: pd.DataFrame, keys: list[str]) -> list[dict[str, Any]]:
    """The figures by other keys, `cells` naming those they are of; tokens NaN where none is known."""
    groups = table.groupby(keys, sort=True, observed=True)
    found = groups[_COUNTS].sum()
    found[_TOKENS] = groups[_TOKENS].sum(min_count=1)
    found["first_model_id"] = groups["model_id"].first()
    found["cells"] = groups["cell"].agg(lambda names: ", ".join(dict.fromkeys(map(str, names))))
    return [{str(name): value for name, value in row.items()} for row in found.reset_index().to_dict("records")]


def _per_minute(minutes: pd.DataFrame, catalog: Catalog) -> list[dict[str, Any]]:
    """Per cell, model and minute of the cell: requests and tokens, offered and accepted, and the quotas of them."""
    return [_minute(row, catalog) for row in _summed(minutes, ["cell", "model", "minute"])]


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
    quota = _quota(row["first_model_id"], catalog)
    return {
        "cell": str(row["cell"]),
        "model": str(row["model"]),
        "minute": int(row["minute"]),
        "requests_offered": int(row["offered"]),
        "requests_accepted": _accepted(row),
        "throttled": int(row["throttled"]),
        "overloaded": int(row["overloaded"]),
        "throttle_rate": int(row["throttled"]) / int(row["offered"]),
        "tokens_accepted": _known(row["tokens"]),
        "tokens_offered_estimated": _known(row["offered_tokens"]),
        "quota_tokens_accepted": _known(row["quota_tokens"]),
        "quota_tokens_offered_estimated": _known(row["offered_quota_tokens"]),
        "default_quota_rpm": None if quota is None else quota.rpm,
        "default_quota_tpm": None if quota is None else quota.tpm,
    }


def _accepted(row: Mapping[str, Any]) -> int:
    return int(row["offered"]) - int(row["throttled"]) - int(row["overloaded"])


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _busiest(minutes: pd.DataFrame, catalog: Catalog) -> list[dict[str, Any]]:
    """The busiest minute of each model id in each Region, of requests and of tokens, against the default quota.

    An account has a quota for each of these, whichever cells use it: those that ran at the same time are added up.
    """
    shared = _summed(minutes, ["model", "model_id", "region", "clock", "minute"])
    found = []
    for model_id, region in dict.fromkeys((row["model_id"], row["region"]) for row in shared):
        own = [row for row in shared if (row["model_id"], row["region"]) == (model_id, region)]
        quota = _quota(model_id, catalog)
        limits = (None, None) if quota is None else (quota.rpm, quota.tpm)
        uses = [_use(own, of, limit) for of, limit in zip(("requests", "tokens"), limits, strict=True)]
        found += [use for use in uses if use is not None]
    return found


def _use(rows: list[dict[str, Any]], of: str, limit: float | None) -> dict[str, Any] | None:
    """The busiest minute of one model id in one Region; None where nothing is known of any.

    `used_pct` is what was offered in percent of the quota; None where there is no known one.
    """
    name = "offered" if of == "requests" else "offered_quota_tokens"
    known = [row for row in rows if _known(row[name]) is not None]
    if not known:
        return None
    busiest = max(known, key=lambda row: row[name])
    offered = busiest[name]
    return {
        "model": str(busiest["model"]),
        "model_id": str(busiest["model_id"]),
        "region": None if busiest["region"] == _NO_REGION else str(busiest["region"]),
        "of": of,
        "cell": busiest["cells"],
        "minute": int(busiest["minute"]),
        "offered": offered,
        "accepted": _accepted(busiest) if of == "requests" else _known(busiest["quota_tokens"]),
        "default_quota": limit,
        "used_pct": offered / limit * 100.0 if limit else None,
    }
