"""A results directory to `summary.json`: the same input gives the same bytes."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.comparison import (
    DEFAULT_THRESHOLD,
    Comparison,
    Side,
    compare_cells,
    compare_runs,
    tier_pairs,
    without_baseline,
)
from analysis.cost import cost_section
from analysis.evidence import CellEvidence
from analysis.findings import find
from analysis.inputs import CellInfo, RunInfo, read_health, read_load_info, read_run_info
from analysis.metrics import Metrics, judge_messages, measure
from analysis.phases import Windows, measured_seconds, window_of
from analysis.records import RecordSet, derive, load_records
from analysis.saturation import saturation_section
from analysis.throttling import throttling_section
from analysis.validity import check_validity
from analysis.verdict import ObjectiveResult, decide, judge_objective, judge_text, why_no_data
from bedrock.catalog import Catalog
from bedrock.prices import catalog_with
from scenarios.objectives import Objective, ObjectiveError, parse_objective
from scenarios.run_directory import RunDirectory, RunDirectoryError, write_text

SUMMARY_SCHEMA_VERSION = 1

#: Group of the summary -> column of the records.
GROUPS = {
    "query_type": "query_type",
    "model": "model",
    "service_tier": "service_tier",
    "prompt_size": "prompt_size",
    "language": "language",
    "phase": "phase",
}


@dataclass(frozen=True, slots=True)
class Analysis:
    """The content of summary.json, the records with their derived columns, and run.json as it is."""

    summary: dict[str, Any]
    records: pd.DataFrame
    run: dict[str, Any]


def analyse(directory: Path, catalog: Catalog | None = None, overrides: Mapping[str, Any] | None = None) -> Analysis:
    """Analyse a results directory, finished or not; RunDirectoryError if it has no usable run.json.

    `overrides` replaces values of run.json: another baseline, another `fail_on`.
    """
    run = _with(read_run_info(directory), overrides)
    prices = catalog or _catalog_of(directory, run)
    loaded, records = _judged_records(directory, run, prices)
    cells = [_evidence(directory, cell, records, run) for cell in run.cells]
    return Analysis(_summary(run, loaded, records, cells, prices), records, dict(run.raw))


def read_side(directory: Path, catalog: Catalog | None = None) -> Side:
    """A results directory as one side of a comparison; RunDirectoryError if it is none."""
    run = read_run_info(directory)
    _, records = _judged_records(directory, run, catalog or _catalog_of(directory, run))
    return Side(run, records, _validity_of(directory), str(directory))


def _catalog_of(directory: Path, run: RunInfo) -> Catalog:
    """The prices of the run: of the file that replaces them now, else of the one that it was given; PricesError."""
    kept = RunDirectory(directory).prices_yaml
    given = run.raw.get("prices_file")
    return catalog_with(Path(given) if isinstance(given, str) else kept if kept.exists() else None)


def _with(run: RunInfo, overrides: Mapping[str, Any] | None) -> RunInfo:
    return replace(run, raw={**run.raw, **overrides}) if overrides else run


def _judged_records(directory: Path, run: RunInfo, prices: Catalog) -> tuple[RecordSet, pd.DataFrame]:
    loaded = load_records(directory, run.run_id)
    return loaded, judge_messages(derive(loaded.frame, prices), run.sla_s, _understood(run), run.cells)


def _validity_of(directory: Path) -> str | None:
    """The validity status in a run's summary; None where it was never analysed."""
    try:
        summary = json.loads(RunDirectory(directory).summary_json.read_text(encoding="utf-8"))
        return str(summary["validity"]["status"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_summary(directory: Path, analysis: Analysis) -> list[Path]:
    """Write summary.json and requests.parquet; their paths."""
    names = RunDirectory(directory)
    text = json.dumps(analysis.summary, ensure_ascii=False, indent=2, allow_nan=False)
    write_text(names.summary_json, text + "\n")
    analysis.records.to_parquet(names.requests_parquet, index=False)
    return [names.summary_json, names.requests_parquet]


def _understood(run: RunInfo) -> list[Objective]:
    objectives = []
    for text in run.objectives:
        try:
            objectives.append(parse_objective(text))
        except ObjectiveError:
            continue  # judged, as inconclusive, with the others
    return objectives


def _evidence(directory: Path, cell: CellInfo, records: pd.DataFrame, run: RunInfo) -> CellEvidence:
    own = records[records["cell"] == cell.name]
    load = read_load_info(directory, cell.name)
    window = window_of(load, own)
    return CellEvidence(
        info=cell,
        is_open_loop=cell.is_open_loop or ("load_model" not in cell.raw and run.default_load_model == "open"),
        records=own,
        load=load,
        window=window,
        health=read_health(directory, cell.name),
        metrics=measure(own, window.seconds(), run.include_failures),
    )


def _summary(
    run: RunInfo, loaded: RecordSet, records: pd.DataFrame, cells: Sequence[CellEvidence], catalog: Catalog
) -> dict[str, Any]:
    windows: Windows = {cell.name: cell.window for cell in cells}
    results = [judge_text(text, records, windows, run) for text in run.objectives]
    validity = check_validity(cells, loaded.skipped)
    total = measure(records, measured_seconds(windows, sorted(records["cell"].unique())), run.include_failures)
    this = Side(run, records, validity.status)
    comparison = _against_baseline(this, catalog)
    unclosed = [cell.name for cell in cells if cell.books_unclosed]
    verdict = decide(
        results,
        validity,
        run,
        records=records,
        total=total,
        unclosed=unclosed,
        no_data=why_no_data(records, run),
        regressions=comparison.regressions if comparison else (),
        not_compared=comparison.gaps if comparison else run.missing_baseline,
    )
    cost = cost_section(records, total, run, catalog)
    throttling = throttling_section(records, run)
    saturation = saturation_section(cells)
    findings = find(
        cells=cells,
        records=records,
        total=total,
        cost=cost,
        throttling=throttling,
        saturation=saturation,
        comparison=comparison,
        run=run,
    )
    per_cell = {cell.name: _judge_cell(cell, windows, run) for cell in cells}
    content = {
        "schema_version": SUMMARY_SCHEMA_VERSION,
        "run": {key: value for key, value in run.raw.items() if key not in ("cells", "exit_code")},
        "verdict": verdict.as_dict(),
        "objectives": [result.as_dict() for result in results],
        "validity": validity.as_dict() | {"skipped_lines": dict(loaded.skipped)},
        "cells": [_cell(cell, per_cell[cell.name]) for cell in cells],
        "groups": {name: list(_groups(records, windows, column, run)) for name, column in GROUPS.items()},
        "total": {"metrics": total.as_dict()},
        "cost": cost,
        "throttling": throttling,
        "saturation": saturation,
        "recommendations": [finding.as_dict() for finding in findings],
        "comparison": None if comparison is None else comparison.as_dict(),
        "tier_comparison": _between_tiers(this),
    }
    return {name: finite(part) for name, part in content.items()}


def _against_baseline(this: Side, catalog: Catalog) -> Comparison | None:
    """The comparison with the run's baseline; None where it has none."""
    path = this.run.baseline
    if path is None:
        return None
    limit = this.run.regression_threshold
    threshold = DEFAULT_THRESHOLD if limit is None else limit
    try:
        return compare_runs(this, read_side(Path(path), catalog), threshold=threshold)
    except RunDirectoryError as error:
        return without_baseline(path, str(error), threshold)


def _between_tiers(this: Side) -> dict[str, Any] | None:
    """Each cell of another tier against the default tier; None in a run of one tier."""
    pairs = tier_pairs(this.run)
    return compare_cells(this, pairs).as_dict() if pairs else None


def _judge_cell(cell: CellEvidence, windows: Windows, run: RunInfo) -> list[ObjectiveResult]:
    """The run's objectives on this cell alone: where a promise breaks, not whether the run keeps it."""
    return [judge_objective(objective, cell.records, windows, run) for objective in _understood(run)]


def _cell(cell: CellEvidence, results: Sequence[ObjectiveResult]) -> dict[str, Any]:
    shown = {key: cell.info.raw.get(key) for key in ("model_id", "region_prefix", "service_tier", "prompt_size")}
    load = {key: cell.info.raw.get(key) for key in ("users", "rate_rps", "pattern")}
    rest = {key: value for key, value in cell.info.raw.items() if key not in {"cell", "status", *shown, *load}}
    expected = cell.was_started or len(cell.records) > 0
    return {
        "cell": cell.name,
        **shown,
        **load,
        "status": cell.info.status,
        "reason": cell.info.reason,
        **{key: value for key, value in rest.items() if key != "reason"},
        "objectives": [result.as_dict() for result in results] if expected else [],
        "metrics": cell.metrics.as_dict() if expected else None,
    }


def _groups(records: pd.DataFrame, windows: Windows, column: str, run: RunInfo) -> Iterator[dict[str, Any]]:
    for key, part in records.groupby(column, sort=True):
        phase = str(key) if column == "phase" else None
        duration_s = measured_seconds(windows, sorted(part["cell"].unique()), phase)
        metrics: Metrics = measure(part, duration_s, run.include_failures)
        yield {"key": str(key), "metrics": metrics.as_dict()}


def finite(value: Any) -> Any:
    """The same with None for NaN and infinities, which JSON has no words for."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
