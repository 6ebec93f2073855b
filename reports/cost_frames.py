"""Money as the charts draw it: a row per configuration, a row per what-if."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from reports.cells import DIMENSIONS, model_name, tier_order
from reports.material import Material

#: What a message's cost consists of, as Bedrock bills it.
PARTS = ("input", "output", "cache_read", "cache_write")
_FIGURES = ("n", "per_1000_usd", "per_1000_good_usd", *PARTS)

AS_MEASURED = "as measured"


def model_costs(material: Material) -> pd.DataFrame:
    """One row per model and tier: `name`, `n` billed requests, USD per 1,000 messages and its parts.

    `per_1000_good_usd` counts good messages of the measured window alone. USD are NaN where a price is unknown.
    """
    found = (material.summary.get("cost") or {}).get("by_model_and_tier") or []
    ordered = sorted(found, key=lambda row: (str(row["model"]), tier_order(str(row["service_tier"]))))
    rows = [{"name": f"{model_name(row['model'], None)} {row['service_tier']}", **_figures(row)} for row in ordered]
    return pd.DataFrame(rows, columns=["name", *_FIGURES])


def cell_costs(material: Material) -> pd.DataFrame:
    """One row per cell with billed requests in reading order: its dimensions and the columns of `model_costs`."""
    found = {str(row["cell"]): row for row in (material.summary.get("cost") or {}).get("by_cell") or []}
    cells = [cell for cell in sorted(material.cells, key=lambda cell: cell.order) if cell.name in found]
    rows = [{**cell.dims, **_figures(found[cell.name])} for cell in cells]
    return pd.DataFrame(rows, columns=[*DIMENSIONS, *_FIGURES])


def _figures(row: Mapping[str, Any]) -> dict[str, float]:
    cost, good = row["cost_usd"], row["cost_per_good_request_usd"]
    per_1000 = _number(row["cost_per_1000_messages_usd"])
    parts = row.get("parts_usd") or {}
    shares = {part: _number(parts.get(part)) / cost if cost else float("nan") for part in PARTS}
    return {
        "n": float(row["billed_requests"]),
        "per_1000_usd": per_1000,
        "per_1000_good_usd": _number(good) * 1000.0,
        **{part: per_1000 * share for part, share in shares.items()},
    }


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def what_if_costs(material: Material) -> pd.DataFrame:
    """One row for the run as measured and one per what-if: `change`, `monthly_usd`, `delta_pct` (NaN for the first).

    Empty where the monthly cost is unknown or nothing was asked.
    """
    cost = material.summary.get("cost") or {}
    monthly, entries = cost.get("projected_monthly_cost_usd"), cost.get("what_if") or []
    rows = [{"change": AS_MEASURED, "monthly_usd": monthly, "delta_pct": float("nan")}]
    rows += [
        {"change": row["change"], "monthly_usd": row["projected_monthly_cost_usd"], "delta_pct": row["delta_pct"]}
        for row in entries
    ]
    is_known = monthly is not None and entries
    return pd.DataFrame(rows if is_known else [], columns=["change", "monthly_usd", "delta_pct"])
