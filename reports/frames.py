"""Tidy data for the charts: a row per cell, a row per prompt size, a row per window of time."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.metrics import latency_population
from analysis.percentiles import QUANTILES, min_samples
from reports.cells import DIMENSIONS, CellResult, size_order, tier_order
from reports.material import Material

#: Fewest samples for which a percentile is firm, by its name; below it a value is indicative only: drawn hollow in
#: charts, a dash in tables.
MIN_SAMPLES: Mapping[str, int] = {name: min_samples(share) for name, share in QUANTILES.items()}

_STATS = ("p50", "p95")
_LATENCIES = ("ttft_ms", "e2e_ms")
_PLAIN = (
    "requests",
    "total_output_tokens_per_s",
    "offered_rps",
    "achieved_rps",
    "goodput_rps",
    "sla_compliance",
    "throttle_rate",
    "error_rate",
)


def cells_frame(material: Material) -> pd.DataFrame:
    """One row per measured cell in reading order.

    Columns: number, the cell's dimensions, `n`, `verdict`, rates, and for `ttft_ms` and `e2e_ms`
    `<metric>_mean`, `_p50`, `_p95`, `_<stat>_firm` (enough samples) and `_<stat>_low`/`_high` (95 % interval).
    """
    answered = _answered(material, "cell")
    by_cell = dict(iter(answered.groupby("cell"))) if not answered.empty else {}
    measured = sorted((cell for cell in material.cells if cell.metrics), key=lambda cell: cell.order)
    return pd.DataFrame([_cell_row(cell, by_cell.get(cell.name)) for cell in measured], columns=_CELL_COLUMNS)


_CELL_COLUMNS = (
    ["number", *DIMENSIONS, *_PLAIN, "n", "verdict"]
    + [f"{metric}_mean" for metric in _LATENCIES]
    + [f"{metric}_{stat}{end}" for metric in _LATENCIES for stat in _STATS for end in ("", "_firm", "_low", "_high")]
)


def _answered(material: Material, *columns: str) -> pd.DataFrame:
    """The requests that latency statistics are about: the given columns and the latencies."""
    records = material.records
    covered = latency_population(records, material.run.get("include_failures") is True)
    return records[[*columns, *_LATENCIES]][covered]


def _cell_row(cell: CellResult, answered: pd.DataFrame | None) -> dict[str, Any]:
    metrics = cell.metrics or {}
    row: dict[str, Any] = {"number": cell.number, **cell.dims}
    row |= {name: metrics.get(name) for name in _PLAIN}
    row["n"] = (metrics.get("e2e_ms") or {}).get("n") or 0
    row["verdict"] = cell.verdict
    for metric in _LATENCIES:
        values = None if answered is None else answered[metric].dropna()
        row |= _latency_columns(metric, metrics.get(metric) or {}, values)
    return row


def _latency_columns(metric: str, stats: Mapping[str, Any], values: "pd.Series[float] | None") -> dict[str, Any]:
    columns: dict[str, Any] = {f"{metric}_mean": stats.get("mean")}
    for stat in _STATS:
        value = stats.get(stat)
        indicative = (
            float(values.quantile(QUANTILES[stat])) if value is None and values is not None and len(values) else None
        )
        low, high = (stats.get("ci95") or {}).get(stat) or (None, None)
        columns |= {
            f"{metric}_{stat}": indicative if value is None else value,
            f"{metric}_{stat}_firm": value is not None,
            f"{metric}_{stat}_low": low,
            f"{metric}_{stat}_high": high,
        }
    return columns


def sizes_frame(material: Material, facets: Sequence[str], hue: str | None) -> pd.DataFrame:
    """Latency by prompt size: one row per facet, hue value, prompt size and metric.

    Percentiles are taken from the requests themselves, merged over whatever is not a facet or the hue:
    columns `facet`, `hue`, `size`, `metric`, `n`, `p50`, `p95`.
    """
    answered = _answered(material, "cell", "prompt_size")
    if answered.empty:
        return pd.DataFrame(columns=["facet", "hue", "size", "metric", "n", "p50", "p95"])
    dims = {cell.name: cell for cell in material.cells}
    known = answered[answered["cell"].isin(dims) & answered["prompt_size"].notna()]
    cells = known["cell"].astype(object)
    facet = cells.map({name: cell.label(facets) if facets else "" for name, cell in dims.items()})
    colour = cells.map({name: cell.dims[hue] if hue else "" for name, cell in dims.items()})
    keyed = known.assign(facet=facet, hue=colour, prompt_size=known["prompt_size"].astype(object))
    tall = pd.concat([_size_rows(keyed, metric) for metric in _LATENCIES], ignore_index=True)
    return tall.sort_values(["size", "hue"], key=_display_rank, kind="stable").reset_index(drop=True)


def _size_rows(keyed: pd.DataFrame, metric: str) -> pd.DataFrame:
    grouped = keyed.dropna(subset=[metric]).groupby(["facet", "hue", "prompt_size"], sort=True)[metric]
    table = grouped.agg(n="size", p50=lambda v: v.quantile(0.50), p95=lambda v: v.quantile(0.95)).reset_index()
    return table.rename(columns={"prompt_size": "size"}).assign(metric=metric)


def _display_rank(column: "pd.Series[str]") -> "pd.Series[Any]":
    order = size_order if column.name == "size" else tier_order
    ranked = sorted(set(column), key=order)
    return column.map({value: position for position, value in enumerate(ranked)})


def in_order(values: Iterable[str], dimension: str) -> list[str]:
    """Distinct values of a dimension in the order people expect: sizes and tiers by rank, others as they come."""
    distinct = list(dict.fromkeys(values))
    if dimension == "tier":
        return sorted(distinct, key=tier_order)
    if dimension == "size":
        return sorted(distinct, key=size_order)
    return distinct


def groups_frame(material: Material, group: str) -> pd.DataFrame:
    """One row per value of a group of the summary (`query_type`), slowest median first.

    Columns: `name`, `n`, and the latency columns of `cells_frame`.
    """
    answered = _answered(material, group)
    by_value = dict(iter(answered.groupby(group))) if not answered.empty else {}
    rows = []
    for entry in (material.summary.get("groups") or {}).get(group) or []:
        row: dict[str, Any] = {"name": str(entry["key"]), "n": (entry["metrics"].get("e2e_ms") or {}).get("n") or 0}
        own = by_value.get(entry["key"])
        for metric in _LATENCIES:
            row |= _latency_columns(
                metric, entry["metrics"].get(metric) or {}, None if own is None else own[metric].dropna()
            )
        rows.append(row)
    frame = pd.DataFrame(rows, columns=["name", "n", *(name for name in _CELL_COLUMNS if name.startswith(_LATENCIES))])
    return frame.sort_values(["e2e_ms_p50", "name"], ascending=[False, True], kind="stable", ignore_index=True)
