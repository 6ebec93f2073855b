"""`run_tests.py reconcile`: client and service side by side, and the runs that it refuses."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.stub import Stubber

from analysis.reconciliation import ServiceFigures, reconcile, window_of
from analysis.sides import read_side
from orchestrator.cli import main
from orchestrator.reconcile_command import (
    ReconcileError,
    TooEarlyError,
    questions,
    reconcile_run,
    reconciliation_document,
    reconciliation_text,
)
from orchestrator.tables import print_all
from tests.support.run_builder import STARTED_AT, make_record, write_run

MODEL = "us.amazon.nova-pro-v1:0"
LATER = STARTED_AT + 86_400

AWS = {"target": "aws", "endpoint_url": None}


def aws_run(directory: Path, records: list[dict[str, Any]], **run: Any) -> Path:
    return write_run(directory, {"a": records}, **{**AWS, **run})


def ten_and_two() -> list[dict[str, Any]]:
    """Ten answers (40 tokens in, 60 out, first token after 300 ms) and two throttles, in one minute."""
    answered = [make_record(seq) for seq in range(10)]
    return [*answered, *(make_record(10 + seq, outcome="throttled", http_status=429) for seq in range(2))]


def statuses(rows: Any) -> dict[str, str]:
    return {row.figure: row.status for row in rows}


MINUTE = int(STARTED_AT // 60 * 60)
AGREEING = ServiceFigures(
    {"Invocations": 10.0, "InvocationThrottles": 2.0, "InputTokenCount": 400.0, "OutputTokenCount": 600.0},
    {"TimeToFirstToken": {MINUTE: 285.0}, "InvocationLatency": {MINUTE: 900.0}},
)


def test_figures_that_agree_are_as_expected_with_the_clients_delay_said(tmp_path: Path) -> None:
    rows = reconcile(read_side(aws_run(tmp_path, ten_and_two())).records, AGREEING)

    assert set(statuses(rows).values()) == {"as expected"}
    (ttft,) = (row for row in rows if row.figure.startswith("time to first token"))
    assert (ttft.client, ttft.service) == (pytest.approx(300.0), 285.0)
    assert "the client sees it +15 ms later" in (ttft.note or "")


@pytest.mark.parametrize(
    ("sums", "figure"),
    [({"Invocations": 12.0}, "Invocations"), ({"OutputTokenCount": 700.0}, "OutputTokenCount"),
     ({"InvocationThrottles": 6.0}, "InvocationThrottles")],
)  # fmt: skip
def test_what_the_service_counted_otherwise_differs(tmp_path: Path, sums: dict[str, float], figure: str) -> None:
    service = ServiceFigures({**AGREEING.sums, **sums}, AGREEING.by_minute)

    found = statuses(reconcile(read_side(aws_run(tmp_path, ten_and_two())).records, service))

    assert {name for name, status in found.items() if status == "differs"} == {figure}


def test_attempts_that_broke_off_widen_what_is_expected(tmp_path: Path) -> None:
    records = [*ten_and_two(), make_record(12, outcome="truncated")]
    service = ServiceFigures({**AGREEING.sums, "Invocations": 11.0, "OutputTokenCount": 650.0}, AGREEING.by_minute)

    rows = {row.figure: row for row in reconcile(read_side(aws_run(tmp_path, records)).records, service)}

    assert rows["Invocations"].status == rows["OutputTokenCount"].status == "as expected"
    assert (rows["Invocations"].expected_low, rows["Invocations"].expected_high) == (10, 11)
    assert "broke off" in (rows["OutputTokenCount"].note or "")


def test_a_service_without_figures_is_no_data_and_not_zero(tmp_path: Path) -> None:
    rows = {row.figure: row for row in reconcile(read_side(aws_run(tmp_path, ten_and_two())).records, ServiceFigures())}

    assert rows["Invocations"].status == "no data"
    assert rows["Invocations"].service is None
    assert rows["InvocationServerErrors"].status == "as expected"  # none here, and no data point there


def test_the_window_is_whole_minutes(tmp_path: Path) -> None:
    records = [make_record(0, at=30.0), make_record(1, at=119.5)]

    assert window_of(read_side(aws_run(tmp_path, records)).records) == (MINUTE, MINUTE + 180)


def stubbed(*pages: dict[str, Any], region: str = "us-east-1") -> tuple[Any, Stubber]:
    client = botocore.session.get_session().create_client(
        "cloudwatch",
        region_name=region,
        aws_access_key_id="a",
        aws_secret_access_key="b",  # noqa: S106 - a made-up one; nothing is sent
    )
    stubber = Stubber(client)
    for page in pages:
        stubber.add_response("get_metric_data", page)
    return client, stubber


def recorded(**values: float) -> dict[str, Any]:
    """An answer of GetMetricData with one data point for each metric."""
    ids = {query["Label"]: query["Id"] for query in questions(MODEL)}
    at = datetime.fromtimestamp(MINUTE, UTC)
    results = [
        {"Id": ids[name], "Label": name, "Timestamps": [at], "Values": [value], "StatusCode": "Complete"}
        for name, value in values.items()
    ]
    return {"MetricDataResults": results}


def test_the_command_asks_cloudwatch_and_shows_both_sides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    client, stubber = stubbed(
        {**recorded(Invocations=10.0, InvocationThrottles=2.0, TimeToFirstToken=290.0), "NextToken": "more"},
        recorded(InputTokenCount=400.0, OutputTokenCount=600.0, InvocationLatency=920.0, EstimatedTPMQuotaUsage=1000.0),
    )
    asked: list[str] = []

    def client_of(region: str) -> Any:
        asked.append(region)
        return client

    with stubber:
        found = reconcile_run(aws_run(tmp_path, ten_and_two()), client_of, lambda: LATER)

    assert asked == ["us-east-1"]
    assert found.exit_code == 0
    document = json.loads(json.dumps(reconciliation_document(found), allow_nan=False))
    assert document["models"][0]["model_id"] == MODEL
    print_all(sys.stdout, reconciliation_text(found))
    shown = capsys.readouterr().out
    assert "Invocations, requests" in shown
    assert "quota usage of the busiest minute" in shown


def test_refusals_and_missing_permissions_are_one_sentence(tmp_path: Path) -> None:
    directory = aws_run(tmp_path, ten_and_two())
    client, stubber = stubbed()
    stubber.add_client_error("get_metric_data", "AccessDenied", "arn:aws:iam::123456789012:user/x may not", 403)

    with stubber, pytest.raises(ReconcileError, match="allow cloudwatch:GetMetricData") as caught:
        reconcile_run(directory, lambda _: client, lambda: LATER)
    assert "123456789012" not in str(caught.value)

    with pytest.raises(TooEarlyError, match="try again in two minutes"):
        reconcile_run(directory, lambda _: client, lambda: STARTED_AT + 61)


def test_models_whose_account_is_not_recorded_are_left_out_and_named(tmp_path: Path) -> None:
    arn = "arn:aws:bedrock:us-east-1:<account>:provisioned-model/abc"
    found = reconcile_run(aws_run(tmp_path, [make_record(0, model_id=arn)]), lambda _: None, lambda: LATER)

    assert found.models == ()
    assert found.exit_code == 5
    assert "1 attempts left out" in found.left_out[0]


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ({"target": "emulator", "endpoint_url": "http://127.0.0.1:8700"}, "sent to the emulator, not to AWS"),
        ({"target": "aws", "endpoint_url": "http://127.0.0.1:8700"}, "sent to http://127.0.0.1:8700, not to AWS"),
        ({}, "Nothing was sent in this run"),
    ],
)
def test_a_run_that_cloudwatch_cannot_know_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], run: dict[str, Any], said: str
) -> None:
    aws_run(tmp_path, ten_and_two() if run else [], **run)

    assert main(["reconcile", str(tmp_path)]) == 4
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
