import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bedrock.outcome import Outcome
from reports.tables import consolidated_csv, token_lines
from tests.reports.pages import Rendered, material_of
from tests.support.run_builder import CellSpec, build_run, make_record, write_run


def cells_of(run: Rendered) -> list[dict[str, str]]:
    path = next(run.directory.glob("consolidated_results_*.csv"))
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def requests_of(run: Rendered) -> list[dict[str, object]]:
    return [json.loads(line) for line in run.text("token_data.jsonl").splitlines()]


def test_the_csv_has_a_row_per_cell_with_the_numbers_of_the_summary(small_run: Rendered) -> None:
    rows = cells_of(small_run)
    summary = small_run.analysis.summary["cells"]

    assert [row["cell"] for row in rows] == [cell["cell"] for cell in summary]
    for row, cell in zip(rows, summary, strict=True):
        if cell["metrics"] is None:
            continue
        assert int(row["requests"]) == cell["metrics"]["requests"]
        assert float(row["ttft_ms_p50"]) == pytest.approx(cell["metrics"]["ttft_ms"]["p50"])
        assert sum(int(row[f"outcome_{outcome}"]) for outcome in Outcome) >= cell["metrics"]["requests"]
        assert row["service_tier"] == cell["service_tier"]


def test_what_is_not_known_is_empty_not_zero(small_run: Rendered) -> None:
    rows = {row["cell"]: row for row in cells_of(small_run)}
    skipped = rows["us-reserved-small-5rps"]

    assert skipped["status"] == "skipped"
    assert skipped["requests"] == ""
    assert skipped["ttft_ms_p95"] == ""
    assert rows["us-default-small-5rps"]["ttft_ms_p99"] == ""
    assert rows["us-default-small-5rps"]["outcome_throttled"] == "0"


def test_a_spreadsheet_takes_no_text_for_a_formula(tmp_path: Path) -> None:
    cell = CellSpec("=cmd|calc", status="skipped", reason="＝HYPERLINK(x)", service_tier="@SUM(1)", pattern="\t+1")
    text = consolidated_csv(material_of(build_run(tmp_path / "run", [cell])))
    (row,) = csv.DictReader(io.StringIO(text))

    assert (row["cell"], row["reason"], row["service_tier"]) == ("'=cmd|calc", "'＝HYPERLINK(x)", "'@SUM(1)")
    assert not [value for value in row.values() if value.startswith(("=", "+", "-", "@", "\t"))]


def test_token_data_has_a_line_per_attempt_and_the_same_totals(small_run: Rendered) -> None:
    lines = requests_of(small_run)
    total = small_run.analysis.summary["total"]["metrics"]

    assert len(lines) == len(small_run.analysis.records)
    assert sum(int(str(line["output_tokens"] or 0)) for line in lines) == total["output_tokens"]
    assert sum(int(str(line["input_tokens"] or 0)) for line in lines) == total["input_tokens"]


def test_token_data_joins_with_the_cells(small_run: Rendered) -> None:
    requests, cells = pd.DataFrame(requests_of(small_run)), pd.DataFrame(cells_of(small_run))
    joined = requests.merge(cells, on="cell", suffixes=("", "_of_cell"))

    assert len(joined) == len(requests)
    assert (joined["prompt_size"] == joined["prompt_size_of_cell"]).all()
    closed = joined[joined["cell"] == "us-flex-large-30u"]
    assert set(closed["users"]) == {30}
    assert closed["rate_rps"].isna().all()


def test_a_line_keeps_what_is_missing_missing(tmp_path: Path) -> None:
    records = [make_record(0, e2e_ms=930.0), make_record(1, outcome="throttled"), make_record(2, outcome="dropped")]
    material = material_of(write_run(tmp_path / "run", {"a": records}))
    ok, throttled, dropped = map(json.loads, "".join(token_lines(material)).splitlines())

    assert ok["total_tokens"] == 100
    assert ok["response_time_ms"] == pytest.approx(930.0, abs=0.01)
    assert throttled["total_tokens"] is None
    assert throttled["response_time_ms"] is not None
    assert dropped["response_time_ms"] is None
    assert dropped["outcome"] == "dropped"


def test_lines_stay_lines_whatever_stands_in_them_and_however_many_there_are(small_run: Rendered) -> None:
    material = material_of(small_run.directory)
    hostile = '"},{"cell":"x"}\n{"cell":"y'
    rows = material.records.head(2).assign(message_id=[hostile, None]).iloc[np.arange(60_001) % 2]
    blocks = list(token_lines(replace(material, records=rows.reset_index(drop=True))))
    lines = "".join(blocks).split("\n")

    assert len(blocks) > 1
    assert lines.pop() == ""
    assert len(lines) == len(rows)
    assert [json.loads(line)["message_id"] for line in lines[-3:]] == [hostile, None, hostile]
