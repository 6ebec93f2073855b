"""What each model was asked for and gave, minute by minute, on the time axis of the run."""

from typing import Any

import numpy as np
import pandas as pd

from analysis.throttling import minute_clocks
from bedrock.outcome import Outcome
from reports.material import Material

_MINUTE_S = 60.0
_SUMS = ("requests_accepted", "throttled", "overloaded", "tokens_accepted", "tokens_refused")
COLUMNS = ["model", "start_s", "end_s", *_SUMS, "rpm", "tpm"]


def minutes_frame(material: Material) -> pd.DataFrame:
    """One row per model and minute, by time: the summary's `throttling.per_minute` with its place in time.

    `start_s` and `end_s` are seconds since the first intended start; a last minute ends with the last call. Tokens
    are those that a quota counts, `tokens_refused` estimated; NaN where unknown. `rpm` and `tpm` are the account's
    default quotas; NaN for a model that was called in several Regions, each of which has a quota of its own.
    """
    rows = (material.summary.get("throttling") or {}).get("per_minute") or []
    if not rows:
        return pd.DataFrame(columns=COLUMNS)
    sent = material.records.loc[material.records["sent"], ["cell", "started_at"]].dropna()
    clocks, zero = minute_clocks(sent), float(material.records["intended_at"].min())
    found = pd.DataFrame([_row(row, *clocks[str(row["cell"])], zero) for row in rows])
    groups = found.groupby(["model", "start_s"], sort=True)
    table = groups[list(_SUMS)].sum(min_count=1)
    table["end_s"] = groups["end_s"].max()
    table[["rpm", "tpm"]] = groups[["rpm", "tpm"]].first()
    table = table.reset_index()
    regions = material.records.groupby("model", observed=True)["region"].nunique()
    table.loc[table["model"].map(regions).to_numpy() > 1, ["rpm", "tpm"]] = np.nan
    return table[COLUMNS]


def _row(row: dict[str, Any], begin: float, last: float, zero: float) -> dict[str, Any]:
    start = begin + _MINUTE_S * float(row["minute"])
    offered, accepted = row["quota_tokens_offered_estimated"], row["quota_tokens_accepted"]
    refused = np.nan if offered is None else float(offered) - float(accepted or 0.0)
    return {
        "model": str(row["model"]),
        "start_s": start - zero,
        "end_s": min(start + _MINUTE_S, max(last, start + 1.0)) - zero,
        "requests_accepted": float(row["requests_accepted"]),
        "throttled": float(row["throttled"]),
        "overloaded": float(row["overloaded"]),
        "tokens_accepted": np.nan if accepted is None else float(accepted),
        "tokens_refused": refused,
        "rpm": row["default_quota_rpm"],
        "tpm": row["default_quota_tpm"],
    }


def busiest(frame: pd.DataFrame, most_rows: int) -> tuple[pd.DataFrame, int]:
    """`minutes_frame` with at most `most_rows` rows a model, and how many minutes each stands for.

    Of minutes that share a row the one with the most requests is kept, over the time of all: no peak is lost.
    """
    longest = int(frame.groupby("model").size().max())
    share = -(-longest // most_rows)
    if share == 1:
        return frame, 1
    offered = frame["requests_accepted"] + frame["throttled"] + frame["overloaded"]
    group = frame.groupby("model").cumcount() // share
    keys = [frame["model"], group]
    kept = frame.loc[offered.groupby(keys).idxmax()].reset_index(drop=True)
    spans = frame.groupby(keys)
    return kept.assign(start_s=spans["start_s"].min().to_numpy(), end_s=spans["end_s"].max().to_numpy()), share


def first_throttles(material: Material) -> dict[str, float]:
    """When each model that throttled first did, in seconds since the first intended start."""
    records = material.records
    throttled = records[records["outcome"] == str(Outcome.THROTTLED)]
    if throttled.empty:
        return {}
    first = throttled.groupby("model", sort=True)["started_at"].min().dropna() - float(records["intended_at"].min())
    return {str(model): float(at) for model, at in first.items()}
