"""`reconcile`: a run on AWS against what CloudWatch counted of it; reads AWS, writes nothing."""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.exceptions
import botocore.session
from botocore.config import Config
from rich import box
from rich.table import Table

from analysis.reconciliation import (
    DIFFERS,
    MAXIMA,
    MEDIANS,
    MINUTE_S,
    NO_DATA,
    SUMS,
    Reconciled,
    ServiceFigures,
    reconcile,
    window_of,
)
from analysis.sides import read_side
from bedrock.catalog import is_arn
from bedrock.endpoint import Endpoint
from bedrock.outcome import mask_accounts
from orchestrator.answer import Answer, RefusalError
from orchestrator.exit_codes import ExitCode
from orchestrator.tables import MISSING
from reports.text import clean

DESCRIPTION = "Hold a run on AWS against what CloudWatch counted of it; nothing is written."
EPILOG = "Exit codes: 0 as expected, 1 a figure differs, 4 usage error, 5 CloudWatch has no figures (yet)."

SCHEMA_VERSION = 1

NAMESPACE = "AWS/Bedrock"

#: CloudWatch has a minute complete this long (s) after its end.
LAG_S = 120.0

_TIMEOUT_S = 20.0

ClientOf = Callable[[str], Any]


class ReconcileError(RefusalError):
    """The run cannot be held against CloudWatch; the text says why."""


class TooEarlyError(ReconcileError):
    """CloudWatch has not counted the run to its end yet."""


@dataclass(frozen=True, slots=True)
class ModelReconciliation:
    """All figures of one model id in one region."""

    model_id: str
    region: str
    rows: tuple[Reconciled, ...]


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """A run against CloudWatch; the window is whole minutes in Unix seconds. `left_out` are sentences."""

    started_at: int
    ended_at: int
    models: tuple[ModelReconciliation, ...]
    left_out: tuple[str, ...]

    @property
    def exit_code(self) -> ExitCode:
        """1 where a figure differs, 5 where CloudWatch has none, else 0."""
        statuses = {row.status for model in self.models for row in model.rows}
        if DIFFERS in statuses:
            return ExitCode.FAILED
        return ExitCode.INCONCLUSIVE if NO_DATA in statuses or not statuses else ExitCode.OK


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `reconcile` takes."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="results directory of a run on AWS")


def answer(namespace: argparse.Namespace) -> Answer:
    """The command's answer; ReconcileError or RunDirectoryError says why there is none."""
    try:
        found = reconcile_run(namespace.directory)
    except TooEarlyError as error:
        return Answer(ExitCode.INCONCLUSIVE, {"schema_version": SCHEMA_VERSION, "reason": str(error)}, [str(error)])
    return Answer(found.exit_code, reconciliation_document(found), reconciliation_text(found))


def reconcile_run(
    directory: Path, client_of: ClientOf | None = None, now: Callable[[], float] = time.time
) -> Reconciliation:
    """A run's records against CloudWatch; ReconcileError or RunDirectoryError says why that cannot be done."""
    side = read_side(directory)
    target, url = side.run.raw.get("target"), side.run.raw.get("endpoint_url")
    if Endpoint("", url).is_loopback or (target != "aws" and url is None):
        where = "the emulator" if target == "emulator" else mask_accounts(str(url or target))
        raise ReconcileError(f"This run was sent to {where}, not to AWS: CloudWatch knows nothing of it")
    window = window_of(side.records)
    if window is None:
        raise ReconcileError("Nothing was sent in this run: there is nothing to hold against CloudWatch")
    if now() < window[1] + LAG_S:
        raise TooEarlyError("CloudWatch has not counted the end of this run yet: try again in two minutes")
    groups = list(side.records[side.records["sent"]].groupby(["region", "model_id"], sort=True))
    known = [(key, part) for key, part in groups if not is_arn(str(key[1]))]
    models = tuple(
        ModelReconciliation(str(model_id), str(region), tuple(reconcile(part, _figures(client, str(model_id), window))))
        for (region, model_id), part in known
        for client in [(client_of or _client)(str(region))]
    )
    return Reconciliation(*window, models, tuple(_left_out(groups)))


def _left_out(groups: Sequence[tuple[Any, Any]]) -> Iterator[str]:
    for (_, model_id), part in groups:
        if is_arn(str(model_id)):
            yield f"{model_id}: {len(part)} attempts left out, since the account in its ARN is not recorded"


def _client(region: str) -> Any:
    config = Config(connect_timeout=_TIMEOUT_S, read_timeout=_TIMEOUT_S, retries={"total_max_attempts": 3})
    try:
        return botocore.session.get_session().create_client("cloudwatch", region_name=region, config=config)
    except (botocore.exceptions.BotoCoreError, ValueError) as error:
        raise ReconcileError(f"CloudWatch cannot be asked: {mask_accounts(str(error))}") from error


def questions(model_id: str) -> list[dict[str, Any]]:
    """The metric queries of one model id, for GetMetricData: a value a minute."""
    wanted = [*((name, "Sum") for name in SUMS), *((name, "p50") for name in MEDIANS)]
    wanted += [(name, "Sum") for name in MAXIMA]
    dimensions = [{"Name": "ModelId", "Value": model_id}]
    return [
        {
            "Id": f"m{number}",
            "Label": name,
            "MetricStat": {
                "Metric": {"Namespace": NAMESPACE, "MetricName": name, "Dimensions": dimensions},
                "Period": MINUTE_S,
                "Stat": stat,
            },
            "ReturnData": True,
        }
        for number, (name, stat) in enumerate(wanted)
    ]


def _figures(client: Any, model_id: str, window: tuple[int, int]) -> ServiceFigures:
    asked = questions(model_id)
    names = {query["Id"]: str(query["Label"]) for query in asked}
    by_minute: dict[str, dict[int, float]] = {}
    for result in _results(client, asked, window):
        values = by_minute.setdefault(names[result["Id"]], {})
        points = zip(result["Timestamps"], result["Values"], strict=True)
        values.update({int(at.timestamp()): float(value) for at, value in points})
    sums = {name: sum(values.values()) for name, values in by_minute.items() if name in SUMS and values}
    return ServiceFigures(sums, {name: values for name, values in by_minute.items() if name not in SUMS})


def _results(client: Any, asked: list[dict[str, Any]], window: tuple[int, int]) -> Iterator[Mapping[str, Any]]:
    start, end = (datetime.fromtimestamp(at, UTC) for at in window)
    try:
        pages = client.get_paginator("get_metric_data").paginate(
            MetricDataQueries=asked, StartTime=start, EndTime=end, ScanBy="TimestampAscending"
        )
        for page in pages:
            yield from page["MetricDataResults"]
    except botocore.exceptions.NoCredentialsError as error:
        raise ReconcileError("No AWS credentials found: CloudWatch cannot be asked") from error
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        text = mask_accounts(str(error))
        raise ReconcileError(f"CloudWatch cannot be asked: {text} (allow cloudwatch:GetMetricData)") from error


def reconciliation_document(found: Reconciliation) -> dict[str, Any]:
    """The reconciliation as one JSON document."""
    return {
        "schema_version": SCHEMA_VERSION,
        "exit_code": int(found.exit_code),
        "started_at": found.started_at,
        "ended_at": found.ended_at,
        "models": [
            {"model_id": model.model_id, "region": model.region, "rows": [row.as_dict() for row in model.rows]}
            for model in found.models
        ],
        "left_out": list(found.left_out),
    }


def reconciliation_text(found: Reconciliation) -> list[Any]:
    """Client and service side by side, a table for each model."""
    times = " to ".join(
        f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}" for at in (found.started_at, found.ended_at)
    )
    lines: list[Any] = [f"CloudWatch, {times} UTC"]
    lines += [_table(model) for model in found.models]
    lines += [clean(sentence) for sentence in found.left_out]
    lines.append("Other traffic of the account to the same model counts at the service and not here.")
    return lines


def _table(model: ModelReconciliation) -> Table:
    title = f"{clean(model.model_id)} in {clean(model.region)}"
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(("figure", "client", "service", "expected", "status", "note")):
        table.add_column(column, justify="right" if index in (1, 2, 3) else "left", no_wrap=index == 0)
    for row in model.rows:
        table.add_row(
            f"{row.figure}, {row.unit}", _number(row.client), _number(row.service), _range(row), row.status,
            row.note or "", style="bold red" if row.status == DIFFERS else "",
        )  # fmt: skip
    return table


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:,.0f}"


def _range(row: Reconciled) -> str:
    if row.expected_low is None or row.expected_high is None:
        return MISSING
    if row.expected_high == float("inf"):
        return f"{row.expected_low:,.0f} or more"
    if row.expected_low == row.expected_high:
        return f"{row.expected_low:,.0f}"
    return f"{row.expected_low:,.0f} to {row.expected_high:,.0f}"
