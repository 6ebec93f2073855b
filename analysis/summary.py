"""A results directory to `summary.json`: the same input gives the same bytes."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.comparison import Side
from analysis.cost import cost_section
from analysis.evidence import CellEvidence
from analysis.findings import find
from analysis.inputs import HEALTH_SCHEMA, CellInfo, RunInfo, read_health, read_load_info, read_run_info
from analysis.metrics import Metrics, judge_messages
from analysis.parts import Parts, find_windows, measure_parts, rows_of
from analysis.phases import Windows
from analysis.records import RecordSet, derive, load_records
from analysis.recovery import Recovery, recoveries
from analysis.saturation import saturation_section
from analysis.sides import against_baseline, between_tiers, catalog_of
from analysis.spread import repeated_cells
from analysis.throttling import throttling_section
from analysis.validity import check_validity
from analysis.verdict import ObjectiveResult, decide, judge_objective, judge_text, why_no_data
from bedrock.catalog import Catalog
from scenarios.objectives import Objective, ObjectiveError, parse_objective
from scenarios.run_directory import RunDirectory, write_text

SUMMARY_SCHEMA_VERSION = 1

#: Is entered around each stage of the analysis, with the stage's name: so that it can be timed and weighed.
Watch = Callable[[str], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class Analysis:
    """The content of summary.json, the records with their derived columns, run.json as it is, the generator's health.

    `health` is `inputs.read_health` of all cells one after the other, with their names as `cell`.
    """

    summary: dict[str, Any]
    records: pd.DataFrame
    run: dict[str, Any]
    health: pd.DataFrame


def analyse(
    directory: Path,
    catalog: Catalog | None = None,
    overrides: Mapping[str, Any] | None = None,
    watch: Watch = nullcontext,
) -> Analysis:
    """Analyse a results directory, finished or not; RunDirectoryError if it has no usable run.json.

    Leaves `requests.parquet` in it, for the next time. `overrides` replaces values of run.json: another baseline,
    another `fail_on`. `watch` is entered around each stage, to time it.
    """
    run = read_run_info(directory)
    run = replace(run, raw={**run.raw, **overrides}) if overrides else run
    prices = catalog or catalog_of(directory, run)
    judged = _judged(directory, run, prices, watch)
    with watch("metrics"):
        parts = measure_parts(judged.frame, run, find_windows(directory, judged.frame, run))
        cells = [_evidence(directory, cell, judged.frame, run, parts) for cell in run.cells]
    summary = _summary(run, judged, cells, parts=parts, catalog=prices, watch=watch)
    return Analysis(summary, judged.frame, dict(run.raw), _health(cells))


def _judged(directory: Path, run: RunInfo, prices: Catalog, watch: Watch) -> RecordSet:
    """The records with all that follows from each of them; what was only needed for that is given back."""
    with watch("load"):
        loaded = load_records(directory, run.run_id, keep_parquet=True)
    with watch("derive"):
        judged = judge_messages(derive(loaded.frame, prices), run.sla_s, _understood(run), run.cells)
    return replace(loaded, frame=judged)


def _health(cells: Sequence[CellEvidence]) -> pd.DataFrame:
    frames = [cell.health.assign(cell=cell.name) for cell in cells if len(cell.health)]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["cell", *HEALTH_SCHEMA.names])


def write_summary(directory: Path, analysis: Analysis) -> list[Path]:
    """Write summary.json; its path, and that of the records in columns (`load_records` writes them)."""
    names = RunDirectory(directory)
    text = json.dumps(analysis.summary, ensure_ascii=False, indent=2, allow_nan=False)
    write_text(names.summary_json, text + "\n")
    return [names.summary_json, names.requests_parquet]


def _understood(run: RunInfo) -> list[Objective]:
    objectives = []
    for text in run.objectives:
        try:
            objectives.append(parse_objective(text))
        except ObjectiveError:
            continue  # judged, as inconclusive, with the others
    return objectives


def _evidence(directory: Path, cell: CellInfo, records: pd.DataFrame, run: RunInfo, parts: Parts) -> CellEvidence:
    window = parts.windows[cell.name]
    return CellEvidence(
        info=cell,
        is_open_loop=cell.is_open_loop or ("load_model" not in cell.raw and run.default_load_model == "open"),
        records=records.iloc[rows_of(records, cell.name)],
        load=read_load_info(directory, cell.name),
        window=window,
        health=read_health(directory, cell.name),
        metrics=parts.cells.get(cell.name) or replace(parts.nothing, duration_s=window.seconds()),
    )


def _summary(
    run: RunInfo, judged: RecordSet, cells: Sequence[CellEvidence], *, parts: Parts, catalog: Catalog, watch: Watch
) -> dict[str, Any]:
    records, windows, total = judged.frame, parts.windows, parts.total
    with watch("objectives"):
        results = [judge_text(text, records, windows, run) for text in run.objectives]
        per_cell = {cell.name: _judge_cell(cell, windows, run) for cell in cells}
    with watch("validity"):
        validity = check_validity(cells, judged.skipped, list(judged.skipped_by_file))
    this = Side(run, records, validity.status)
    with watch("comparison"):
        comparison = against_baseline(this)
    with watch("tier comparison"):
        tiers = between_tiers(this)
    with watch("verdict"):
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
    with watch("cost"):
        cost = cost_section(records, total, run, catalog)
    with watch("throttling"):
        throttling = throttling_section(records, run, catalog)
    with watch("saturation"):
        saturation = saturation_section(cells)
    with watch("rounds"):
        repeated = repeated_cells(this, cells, parts.rounds)
    with watch("findings"):
        findings = find(
            cells=cells,
            records=records,
            total=total,
            cost=cost,
            throttling=throttling,
            saturation=saturation,
            comparison=comparison,
            repeated=repeated,
            run=run,
        )
    with watch("recovery"):
        recovered = {cell.name: recoveries(cell.records, cell.window) for cell in cells}
    content = {
        "schema_version": SUMMARY_SCHEMA_VERSION,
        "run": {key: value for key, value in run.raw.items() if key not in ("cells", "exit_code")},
        "verdict": verdict.as_dict(),
        "objectives": [result.as_dict() for result in results],
        "validity": validity.as_dict() | _skipped(judged),
        "cells": [_cell(cell, per_cell[cell.name], recovered[cell.name]) for cell in cells],
        "rounds": [each.as_dict() for each in repeated],
        "groups": {name: _group(groups) for name, groups in parts.groups.items()},
        "total": {"metrics": total.as_dict()},
        "cost": cost,
        "throttling": throttling,
        "saturation": saturation,
        "recommendations": [finding.as_dict() for finding in findings],
        "comparison": None if comparison is None else comparison.as_dict(),
        "tier_comparison": tiers,
    }
    return {name: finite(part) for name, part in content.items()}


def _skipped(loaded: RecordSet) -> dict[str, Any]:
    """Lines that were no records, by reason, and by file and reason."""
    files = [
        {"file": file, "reason": reason, "lines": count}
        for file, reasons in loaded.skipped_by_file.items()
        for reason, count in reasons.items()
    ]
    return {"skipped_lines": dict(loaded.skipped), "skipped_files": files}


def _judge_cell(cell: CellEvidence, windows: Windows, run: RunInfo) -> list[ObjectiveResult]:
    """The run's objectives on this cell alone: where a promise breaks, not whether the run keeps it."""
    return [judge_objective(objective, cell.records, windows, run) for objective in _understood(run)]


def _cell(cell: CellEvidence, results: Sequence[ObjectiveResult], found: Sequence[Recovery] | None) -> dict[str, Any]:
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
        "recovery": None if found is None else [entry.as_dict() for entry in found],
    }


def _group(groups: Mapping[str, Metrics]) -> list[dict[str, Any]]:
    return [{"key": key, "metrics": metrics.as_dict()} for key, metrics in groups.items()]


def finite(value: Any) -> Any:
    """The same with None for NaN and infinities, which JSON has no words for."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
