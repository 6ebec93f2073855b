"""Runs to be compared, read from their directories: a run's baseline, and the tiers of the run itself."""

import json
from pathlib import Path
from typing import Any

from analysis.comparison import (
    DEFAULT_THRESHOLD,
    Comparison,
    Side,
    compare_cells,
    compare_runs,
    tier_pairs,
    without_baseline,
)
from analysis.inputs import RunInfo, read_run_info
from analysis.metrics import judge_messages
from analysis.records import LATENCY_FIELDS, derive_latencies, load_records
from bedrock.catalog import Catalog
from bedrock.prices import catalog_with
from scenarios.run_directory import RunDirectory, RunDirectoryError

#: Fields that are compared, with another run or with what the service counted; a second run takes little memory.
_READ = (
    *LATENCY_FIELDS, "region", "model_id", "http_status", "input_tokens", "output_tokens", "cache_read_tokens",
    "cache_write_tokens",
)  # fmt: skip


def read_side(directory: Path) -> Side:
    """A results directory as one side of a comparison; RunDirectoryError if it is none."""
    run = read_run_info(directory)
    records = derive_latencies(load_records(directory, run.run_id, columns=_READ).frame)
    # What was good by the objectives of either run is not compared: they may have had different ones.
    return Side(run, judge_messages(records, run.sla_s, (), run.cells), _validity_of(directory), str(directory))


def catalog_of(directory: Path, run: RunInfo) -> Catalog:
    """The prices of a run: of the file that replaces them now, else of the one that it was given; PricesError."""
    kept = RunDirectory(directory).prices_yaml
    given = run.raw.get("prices_file")
    return catalog_with(Path(given) if isinstance(given, str) else kept if kept.exists() else None)


def _validity_of(directory: Path) -> str | None:
    """The validity status in a run's summary; None where it was never analysed."""
    validity = read_summary(directory).get("validity")
    status = validity.get("status") if isinstance(validity, dict) else None
    return None if status is None else str(status)


def read_summary(directory: Path) -> dict[str, Any]:
    """Content of a run's summary.json; empty where it was never analysed, or the file is broken."""
    try:
        summary = json.loads(RunDirectory(directory).summary_json.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return summary if isinstance(summary, dict) else {}


def against_baseline(this: Side) -> Comparison | None:
    """The comparison with the run's baseline; None where it has none."""
    path = this.run.baseline
    if path is None:
        return None
    limit = this.run.regression_threshold
    threshold = DEFAULT_THRESHOLD if limit is None else limit
    try:
        return compare_runs(this, read_side(Path(path)), threshold=threshold)
    except RunDirectoryError as error:
        return without_baseline(path, str(error), threshold)


def between_tiers(this: Side) -> dict[str, Any] | None:
    """Each cell of another tier against the default tier; None in a run of one tier."""
    pairs = tier_pairs(this.run)
    return compare_cells(this, pairs, with_rounds=True).as_dict() if pairs else None
