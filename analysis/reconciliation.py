"""Client and service side by side: what the records say, what CloudWatch says, and how far apart they may be.

Metrics of the namespace AWS/Bedrock (Amazon Bedrock User Guide, "Monitoring with CloudWatch"): counted per minute and
model id, throttles per attempt, `Invocations` with or without requests that failed later, depending on the edition of
the guide. The expected range says so instead of choosing one. Other traffic of the account to the same model counts at
the service and not here.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from analysis.percentiles import min_samples
from analysis.records import flags, floats
from bedrock.outcome import Outcome

MINUTE_S = 60

#: Metrics that are summed over the window, and the two whose p50 is compared minute by minute.
SUMS = (
    "Invocations", "InvocationThrottles", "InvocationClientErrors", "InvocationServerErrors", "InputTokenCount",
    "OutputTokenCount", "CacheReadInputTokenCount", "CacheWriteInputTokenCount",
)  # fmt: skip
MEDIANS = ("TimeToFirstToken", "InvocationLatency")
MAXIMA = ("EstimatedTPMQuotaUsage",)

#: The client sees a first token this much (ms) before or after the service says it sent it: rounding, and network,
#: TLS and the generator's own lag.
_DELAY_MS = (-10.0, 150.0)

#: Sums may be this share apart: a request at the edge of a minute.
_TOLERANCE = 0.001

#: Attempts that were taken on and broke off: counted at the service or not, with tokens or without.
_BROKEN_OFF = (
    Outcome.TIMEOUT, Outcome.SERVER_ERROR, Outcome.STREAM_ERROR, Outcome.TRUNCATED, Outcome.CONNECTION_ERROR,
    Outcome.ABORTED,
)  # fmt: skip

AS_EXPECTED, DIFFERS, NO_DATA = "as expected", "differs", "no data"


@dataclass(frozen=True, slots=True)
class ServiceFigures:
    """CloudWatch's figures of one model id in one region: sums, and values by minute (Unix s of its start)."""

    sums: Mapping[str, float] = field(default_factory=dict)
    by_minute: Mapping[str, Mapping[int, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One figure: at the client, at the service, and the range in which the service's is expected."""

    figure: str
    unit: str
    client: float | None
    service: float | None
    expected_low: float | None
    expected_high: float | None
    status: str
    note: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The entry of the JSON document; an open end is None."""
        plain = asdict(self)
        return {key: None if isinstance(value, float) and math.isinf(value) else value for key, value in plain.items()}


def window_of(records: pd.DataFrame) -> tuple[int, int] | None:
    """Whole minutes (Unix s) that hold all sent attempts; None where nothing was sent."""
    sent = records[records["sent"] & records["started_at"].notna()]
    if sent.empty:
        return None
    last = float(np.nanmax(np.fmax(floats(sent["started_at"]), floats(sent["ended_at"]))))
    start = math.floor(float(sent["started_at"].min()) / MINUTE_S) * MINUTE_S
    return start, math.floor(last / MINUTE_S) * MINUTE_S + MINUTE_S


def reconcile(records: pd.DataFrame, service: ServiceFigures) -> list[Reconciled]:
    """Every figure of one model id's records in one region against the service's."""
    sent = records[records["sent"]]
    rows = [*_counts(sent, service.sums), *_tokens(sent, service.sums)]
    rows.append(_delay("time to first token, p50", "TimeToFirstToken", "service_ttft_ms", sent, service))
    rows.append(_delay("whole response, p50", "InvocationLatency", "service_e2e_ms", sent, service))
    peak = service.by_minute.get(MAXIMA[0], {})
    if peak:
        note = "burn-down and cache writes counted, without the max_tokens reservation: compare it with the quota"
        most = max(peak.values())
        rows.append(
            Reconciled("quota usage of the busiest minute", "tokens", None, most, None, None, AS_EXPECTED, note)
        )
    return rows


def _counts(sent: pd.DataFrame, sums: Mapping[str, float]) -> list[Reconciled]:
    of = {str(outcome): int((sent["outcome"] == outcome).sum()) for outcome in Outcome}
    status, ok, refused = floats(sent["http_status"]), of[Outcome.OK], of[Outcome.THROTTLED]
    broken = sum(of[outcome] for outcome in _BROKEN_OFF)
    throttled = flags(sent["outcome"] == Outcome.THROTTLED)
    in_stream, answered_5xx = int((throttled & (status == 200)).sum()), int((status >= 500).sum())
    at_most = {
        "Invocations": (ok, ok + broken + in_stream),
        "InvocationThrottles": (refused - in_stream, refused + of[Outcome.OVERLOADED]),
        "InvocationClientErrors": (of[Outcome.CLIENT_ERROR], of[Outcome.CLIENT_ERROR] + refused + of[Outcome.TIMEOUT]),
        "InvocationServerErrors": (answered_5xx, answered_5xx + broken + of[Outcome.OVERLOADED]),
    }
    notes = {
        "Invocations": "attempts that broke off may count or not" if broken or in_stream else None,
        "InvocationClientErrors": "all 4xx: throttles may count here, too" if refused else None,
    }
    return [_row(metric, "requests", expected, sums, notes.get(metric)) for metric, expected in at_most.items()]


def _tokens(sent: pd.DataFrame, sums: Mapping[str, float]) -> list[Reconciled]:
    silent = int((flags(sent["outcome"].isin(list(_BROKEN_OFF))) & flags(sent["input_tokens"].isna())).sum())
    note = f"{silent} attempts broke off without saying their tokens" if silent else None
    rows = []
    for metric, column in (
        ("InputTokenCount", "input_tokens"),
        ("OutputTokenCount", "output_tokens"),
        ("CacheReadInputTokenCount", "cache_read_tokens"),
        ("CacheWriteInputTokenCount", "cache_write_tokens"),
    ):
        counted = float(np.nansum(floats(sent[column])))
        if counted or metric in sums or not metric.startswith("Cache"):
            rows.append(_row(metric, "tokens", (counted, math.inf if silent else counted), sums, note))
    return rows


def _row(
    metric: str, unit: str, expected: tuple[float, float], sums: Mapping[str, float], note: str | None
) -> Reconciled:
    """A sum; CloudWatch has no data point where nothing happened, which is the one 0 that is meant."""
    low, high = expected
    service = sums.get(metric)
    seen, slack = (0.0 if service is None else service), _TOLERANCE * low
    status = AS_EXPECTED if low - slack <= seen <= high + slack else DIFFERS
    if service is None and low > 0:
        status = NO_DATA
    return Reconciled(metric, unit, low, service, low, high, status, note)


def _delay(figure: str, metric: str, column: str, sent: pd.DataFrame, service: ServiceFigures) -> Reconciled:
    """p50 by minute of the end, both sides, and the median of their differences: percentiles are not averaged."""
    answered = sent[sent["ok"] & sent[column].notna() & sent["ended_at"].notna()]
    minutes = (floats(answered["ended_at"]) // MINUTE_S).astype(np.int64) * MINUTE_S
    values, theirs = floats(answered[column]), service.by_minute.get(metric, {})
    pairs = [
        (float(np.median(values[minutes == minute])), theirs[int(minute)])
        for minute in np.unique(minutes)
        if int(minute) in theirs and (minutes == minute).sum() >= min_samples(0.5)
    ]
    if not pairs:
        why = "no minute in which both sides have a p50"
        return Reconciled(figure, "ms", None, None, None, None, NO_DATA, why)
    client, at_service = (float(np.median([pair[side] for pair in pairs])) for side in (0, 1))
    delay = float(np.median([mine - other for mine, other in pairs]))
    status = AS_EXPECTED if _DELAY_MS[0] <= delay <= _DELAY_MS[1] else DIFFERS
    note = f"the client sees it {delay:+.0f} ms later, over {len(pairs)} minutes: network, TLS, the generator"
    return Reconciled(figure, "ms", client, at_service, client - _DELAY_MS[1], client - _DELAY_MS[0], status, note)
