"""Cells as a reader meets them: which dimensions tell them apart, in which order, under which name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.numbers import MISSING
from reports.text import shorten
from scenarios.patterns import PATTERNS
from scenarios.schedule import STAGES

#: What a cell can differ in, from the outermost grouping to the innermost row. Its name counts only where cells
#: agree in all the rest.
DIMENSIONS = ("model", "region", "api", "pattern", "size", "load", "round", "tier", "name")

_SIZES = ("small", "medium", "large", "mixed")
_PATTERNS = (*PATTERNS, STAGES)
_TIERS = ("default", "priority", "flex", "reserved")


@dataclass(frozen=True, slots=True)
class CellResult:
    """One cell: where it stands in the run, what it was, what came out.

    `metrics` is None if it did not run, `verdict` (the run's objectives on this cell alone) if none were judged.
    """

    number: int
    name: str
    status: str
    reason: str | None
    is_open: bool
    dims: Mapping[str, str]
    order: tuple[Any, ...]
    metrics: Mapping[str, Any] | None
    verdict: str | None

    def label(self, dimensions: Sequence[str]) -> str:
        """The values of `dimensions`, or the cell's name where none is given."""
        return " · ".join(self.dims[name] for name in dimensions) or shorten(self.name, 40)


def cell_results(
    run_cells: Sequence[Mapping[str, Any]], summary_cells: Sequence[Mapping[str, Any]]
) -> list[CellResult]:
    """Every cell of the run in the order it ran, the ones without results included.

    `run.json` knows the cells that were skipped or never started, the summary those that were measured;
    a summary of records without a `run.json` entry still gets its cells.
    """
    measured = {cell["cell"]: cell for cell in summary_cells}
    planned = {cell["cell"]: cell for cell in run_cells}
    merged: list[Mapping[str, Any]] = [{**cell, **_present(measured.get(name, {}))} for name, cell in planned.items()]
    merged += [cell for name, cell in measured.items() if name not in planned]
    return [_result(number, cell) for number, cell in enumerate(merged, start=1)]


def _present(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if value is not None}


def _result(number: int, cell: Mapping[str, Any]) -> CellResult:
    return CellResult(
        number=number,
        name=str(cell["cell"]),
        status=str(cell.get("status") or "finished"),
        reason=cell.get("reason"),
        is_open=cell.get("load_model") == "open" or cell.get("users") is None,
        dims=_dims(cell),
        order=_order(cell),
        metrics=cell.get("metrics"),
        verdict=_worst(cell.get("objectives") or []),
    )


def _worst(objectives: Sequence[Mapping[str, Any]]) -> str | None:
    """The worst status; an objective `for` another part of the traffic says nothing about this cell."""
    found = {str(objective["status"]) for objective in objectives if objective.get("n") or not objective.get("scope")}
    return next((status for status in ("FAIL", "INCONCLUSIVE", "PASS") if status in found), None)


def _dims(cell: Mapping[str, Any]) -> dict[str, str]:
    return {
        "model": model_name(cell.get("model_id"), cell.get("routing")),
        "region": " ".join(filter(None, (cell.get("region"), str(cell.get("region_prefix") or "no prefix")))),
        "api": str(cell.get("api") or MISSING),
        "pattern": str(cell.get("pattern") or MISSING),
        "size": str(cell.get("prompt_size") or MISSING),
        "load": load_name(cell),
        "round": f"round {cell.get('round_number') or 1}",
        "tier": str(cell.get("service_tier") or "default"),
        "name": shorten(str(cell["cell"]), 40),
    }


def model_name(model_id: str | None, routing: str | None) -> str:
    """`nova-pro` for `us.amazon.nova-pro-v1:0`; a routing, which sends to several models, by its own name."""
    if model_id is None:
        return f"mix {routing}" if routing else MISSING
    words = model_id.split(".")
    short = words[-1] if len(words[-1]) > 3 else ".".join(words[-2:])
    return short.split(":", 1)[0].removesuffix("-v1").removesuffix("-v2") or model_id


def load_name(cell: Mapping[str, Any]) -> str:
    """`30 users` of the closed loop, `5/s` of the open one."""
    users, rate_rps = cell.get("users"), cell.get("rate_rps")
    if rate_rps is not None and (cell.get("load_model") == "open" or users is None):
        return f"{float(rate_rps):.4g}/s"
    if users is None:
        return MISSING
    return "1 user" if users == 1 else f"{users} users"


def _order(cell: Mapping[str, Any]) -> tuple[Any, ...]:
    dims = _dims(cell)
    load = cell.get("rate_rps") if cell.get("users") is None else cell.get("users")
    return (
        dims["model"],
        dims["region"],
        dims["api"],
        _rank(_PATTERNS, dims["pattern"]),
        _rank(_SIZES, dims["size"]),
        float(load or 0),
        int(cell.get("round_number") or 1),
        _rank(_TIERS, dims["tier"]),
    )


def size_order(size: str) -> tuple[int, str]:
    """Sort key of a prompt size: small, medium, large, mixed, then any other by name."""
    return _rank(_SIZES, size)


def tier_order(tier: str) -> tuple[int, str]:
    """Sort key of a service tier: default, priority, flex, reserved, then any other by name."""
    return _rank(_TIERS, tier)


def _rank(known: Sequence[str], value: str) -> tuple[int, str]:
    return (known.index(value) if value in known else len(known), value)


def varying(cells: Sequence[CellResult]) -> list[str]:
    """Dimensions in which the cells differ, outermost first; together they tell all cells apart."""
    found = [name for name in DIMENSIONS[:-1] if len({cell.dims[name] for cell in cells}) > 1]
    is_unique = len({tuple(cell.dims[name] for name in found) for cell in cells}) == len(cells)
    return found if is_unique else [*found, "name"]
