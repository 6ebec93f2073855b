"""The records of a results directory, and what follows from each of them alone."""

from typing import Any, cast

import numpy as np
import pandas as pd

from analysis.latencies import latencies
from analysis.loading import RecordSet, load_records
from analysis.record_columns import with_columns
from analysis.record_schema import (
    COUNTS,
    INSTANTS,
    LATENCY_METRICS,
    NOT_MEASURED,
    SCHEMA,
    Flags,
    Floats,
    flags,
    floats,
)
from bedrock.catalog import Catalog, split_model_id
from bedrock.outcome import ERRORS, Outcome
from bedrock.pricing import cost_usd

__all__ = [
    "COUNTS", "INSTANTS", "LATENCY_FIELDS", "LATENCY_METRICS", "NOT_MEASURED", "SCHEMA", "Flags", "Floats",
    "RecordSet", "derive", "derive_latencies", "flags", "floats", "load_records", "moved_tiers", "record_costs",
]  # fmt: skip

#: Columns that latencies follow from.
_NEEDED = (
    "intended_at", "started_at", "first_token_at", "first_answer_at", "last_token_at", "ended_at", "output_tokens",
    "gap_p50_ms", "attempt",
)  # fmt: skip

#: Fields that latencies and populations follow from.
LATENCY_FIELDS = (*_NEEDED, "outcome", "phase")

#: Instants of which only differences are looked at.
_SPENT = ("first_token_at", "first_answer_at", "last_token_at")


def derive(frame: pd.DataFrame, catalog: Catalog) -> pd.DataFrame:
    """The frame with the derived columns of docs/metrics.md: latencies, cost, classes and populations.

    Definitions are those of the contract; a value that cannot be computed is NaN, never 0. Instants that say nothing
    beyond the latencies are left out: millions of records have to fit in memory.
    """
    found: dict[str, Any] = {
        **_latencies(frame),
        "gap_mean_ms": _mean_gaps_ms(frame),
        "cost_usd": record_costs(frame, catalog),
        "model": _base_ids(frame["model_id"]),
        "service_tier": frame["requested_tier"].fillna("default"),
        **_populations(frame),
    }
    return with_columns(frame, found, without=_SPENT)


def derive_latencies(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with latencies and populations alone, of the fields in `LATENCY_FIELDS`."""
    return with_columns(frame, _latencies(frame) | _populations(frame), without=_SPENT)


def _latencies(frame: pd.DataFrame) -> dict[str, Floats]:
    return latencies({name: floats(frame[name]) for name in _NEEDED})


def _populations(frame: pd.DataFrame) -> dict[str, Flags]:
    outcome = frame["outcome"]
    return {
        "ok": flags(outcome == Outcome.OK),
        "sent": flags(outcome != Outcome.DROPPED),
        "error": flags(outcome.isin(list(ERRORS))),
        "measured": ~flags(frame["phase"].isin(list(NOT_MEASURED))),
    }


def _mean_gaps_ms(frame: pd.DataFrame) -> Floats:
    """Mean gap of each request, in ms: the median alone would leave out every stall.

    The record has no count of content events, so the mean follows from a straight line through its three figures
    (median, p95, maximum; the lower half at the median).
    """
    middle, high, most = (floats(frame[f"gap_{name}_ms"]) for name in ("p50", "p95", "max"))
    return 0.5 * middle + 0.45 * (middle + high) / 2.0 + 0.05 * (high + most) / 2.0


def _base_ids(model_ids: "pd.Series[Any]") -> "pd.Series[Any]":
    """Each id without its inference profile, as categories; profiles of one model become one."""
    bases = {str(raw): split_model_id(str(raw)).base for raw in model_ids.cat.categories}
    names = pd.Index(sorted(set(bases.values())), dtype="str")
    places = np.array([*(names.get_loc(base) for base in bases.values()), -1], dtype=np.int64)
    return pd.Series(pd.Categorical.from_codes(places[model_ids.cat.codes], categories=names), index=model_ids.index)


def moved_tiers(records: pd.DataFrame) -> tuple[Flags, Flags]:
    """Which derived records are answers that name their tier, and which name another one than was asked for."""
    served, asked = records["served_tier"], records["service_tier"]
    return flags(records["ok"]) & flags(served.notna()), flags(served != asked)


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
