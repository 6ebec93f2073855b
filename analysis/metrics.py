"""The metrics of the contract for any set of records: a cell, a group, the whole run. Formulas: docs/metrics.md.

Two populations: counts, outcomes, throttle and error rate, tokens and cost cover every attempt of every phase, so
that they agree with what the service counted and bills; latencies, rates per second, SLA compliance and goodput
cover the measured window.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.inputs import CellInfo
from analysis.percentiles import QUANTILES, Distribution, describe
from analysis.records import LATENCY_METRICS, Flags, Floats, flags, floats
from bedrock.outcome import NOT_ANSWERED_BY_SERVICE, Outcome
from scenarios.objectives import COMPARISONS, Objective, quantile_of

#: Parts of the traffic in `for` clauses that are columns of the records.
SCOPE_COLUMNS = frozenset(
    {"cell", "model", "service_tier", "prompt_size", "query_type", "language", "complexity", "phase", "api", "region"}
)


@dataclass(frozen=True, slots=True)
class Metrics:
    """All metrics of one set of records; None where there is nothing to tell them from."""

    requests: int
    measured_requests: int
    messages: int
    outcomes: Mapping[str, int]
    throttle_rate: float | None
    error_rate: float | None
    sla_compliance: float | None
    offered_rps: float | None
    achieved_rps: float | None
    goodput_rps: float | None
    good_messages: int | None
    duration_s: float | None
    input_tokens: int | None
    output_tokens: int | None
    total_output_tokens_per_s: float | None
    cost_usd: float | None
    billed_requests: int
    cost_per_request_usd: float | None
    cost_per_good_request_usd: float | None
    distributions: Mapping[str, Distribution]

    def as_dict(self) -> dict[str, Any]:
        """The `metrics` object of summary.json."""
        plain = {name: getattr(self, name) for name in self.__slots__ if name != "distributions"}
        return plain | {name: distribution.as_dict() for name, distribution in self.distributions.items()}


def judge_messages(
    records: pd.DataFrame, sla_s: float, objectives: Sequence[Objective], cells: Sequence[CellInfo]
) -> pd.DataFrame:
    """Add what became of each message: columns `ends_message`, `answerable`, `in_sla`, `good`.

    The last attempt stands for its message: `ends_message` marks it, and `answerable` too unless the end of the test
    cut it off. Its latency counts from the first attempt's intended start. `good` is 1 where it was answered within
    the SLA and within every objective that is a promise to the single request, 0 where not, NaN where such an
    objective's metric was not measured.
    """
    first_intended, is_last = _messages(records)
    waited_ms = (floats(records["intended_at"]) - first_intended) * 1000.0
    ok = flags(records["ok"])
    in_sla = ok & (floats(records["e2e_ms"]) + waited_ms <= sla_s * 1000.0)
    good = np.ones(len(records))
    for objective in objectives:
        if objective.limits_one_request:
            good *= _meets(records, objective, waited_ms, cells)
    good = np.where(in_sla, good, 0.0)
    answerable = is_last & flags(records["outcome"] != Outcome.ABORTED)
    return records.assign(ends_message=is_last, answerable=answerable, in_sla=in_sla, good=good)


def _messages(records: pd.DataFrame) -> tuple[Floats, Flags]:
    """First intended start of each record's message, and whether the record is its message's last attempt."""
    intended = floats(records["intended_at"])
    if not len(records) or int(records["attempt"].max()) <= 1:  # retries off: every attempt is its own message
        return intended, np.ones(len(records), dtype=bool)
    key = [records["cell"], records["process"], records["message_id"]]
    last_attempt = records["attempt"].groupby(key).transform("max")
    first = records["intended_at"].groupby(key).transform("min")
    return floats(first), flags(records["attempt"] == last_attempt)


def _meets(records: pd.DataFrame, objective: Objective, waited_ms: Floats, cells: Sequence[CellInfo]) -> Floats:
    """1 where the objective is met or does not apply, 0 where it is missed, NaN where its metric is missing."""
    from_intended = objective.metric in ("ttft_ms", "first_answer_ms", "e2e_ms")
    values = floats(records[column_of(objective.metric, objective.stat)]) + (waited_ms if from_intended else 0.0)
    applies = in_scope(records, objective, cells) & _where(records, objective)
    met = np.where(np.isnan(values), np.nan, objective.met_by(values))
    return np.where(applies, met, 1.0)


def in_scope(records: pd.DataFrame, objective: Objective, cells: Sequence[CellInfo]) -> Flags:
    """Which records belong to the part of the traffic that the objective's `for` names."""
    chosen = np.ones(len(records), dtype=bool)
    for key, value in objective.scope.items():
        if key in SCOPE_COLUMNS:
            column = records["model_id"] if key == "model" and value in set(records["model_id"]) else records[key]
            chosen &= flags(column == value)
        else:
            matching = [cell.name for cell in cells if cell.matches(key, value)]
            chosen &= flags(records["cell"].isin(matching))
    return chosen


def _where(records: pd.DataFrame, objective: Objective) -> Flags:
    chosen = np.ones(len(records), dtype=bool)
    for condition in objective.where:
        chosen &= COMPARISONS[condition.op](floats(records[condition.field]), condition.value)
    return chosen


def latency_population(records: pd.DataFrame, include_failures: bool) -> Flags:
    """Which records latency statistics cover: those that ended their message ok, in the measured window.

    With failures all that ended one, if they were sent and not cut off.
    """
    measured = flags(records["measured"]) & flags(records["ends_message"])
    if not include_failures:
        return measured & flags(records["ok"])
    return measured & ~flags(records["outcome"].isin(list(NOT_ANSWERED_BY_SERVICE)))


def column_of(metric: str, stat: str | None) -> str:
    """The column that a statistic of a metric is taken of: that of the metric, except for gaps.

    A request has many gaps, and its record keeps three figures of them. The tail of all gaps lies in the tails of
    the requests; their medians would hide every stall.
    """
    if metric != "gap_ms":
        return metric
    q = quantile_of(stat or "")
    if stat == "mean":
        return "gap_mean_ms"
    if stat == "max" or (q is not None and q > 0.95):
        return "gap_max_ms"
    return "gap_p95_ms" if q is not None and q > 0.5 else "gap_p50_ms"


def sample_values(records: pd.DataFrame, objective: Objective, include_failures: bool) -> Floats:
    """Values of a per-request objective's metric over its population, `where` applied."""
    chosen = latency_population(records, include_failures) & _where(records, objective)
    values = floats(records[column_of(objective.metric, objective.stat)])[chosen]
    return values[~np.isnan(values)]


def measure(records: pd.DataFrame, duration_s: float | None, include_failures: bool) -> Metrics:
    """Metrics of judged records (`judge_messages`) that were measured for `duration_s` seconds."""
    sent, measured = flags(records["sent"]), flags(records["measured"])
    requests, sent_measured = int(sent.sum()), int((sent & measured).sum())
    arrivals = int((measured & flags(records["attempt"] == 1)).sum())
    rateable = measured & flags(records["answerable"])
    good = _good_messages(records, rateable)
    cost, billed = _cost(records)
    measured_cost, _ = _cost(records[measured])
    return Metrics(
        requests=requests,
        measured_requests=sent_measured,
        messages=int(rateable.sum()),
        outcomes=_outcome_counts(records),
        throttle_rate=_ratio(int((records["outcome"] == Outcome.THROTTLED).sum()), requests),
        error_rate=_ratio(int(records["error"].sum()), requests),
        sla_compliance=_ratio(int((flags(records["in_sla"]) & rateable).sum()), int(rateable.sum())),
        offered_rps=_ratio(arrivals, duration_s),
        achieved_rps=_ratio(sent_measured, duration_s),
        goodput_rps=_ratio(good, duration_s),
        good_messages=good,
        duration_s=duration_s,
        input_tokens=_total(records["input_tokens"]),
        output_tokens=_total(records["output_tokens"]),
        total_output_tokens_per_s=_ratio(_total(records.loc[measured, "output_tokens"]), duration_s),
        cost_usd=cost,
        billed_requests=billed,
        cost_per_request_usd=_ratio(cost, billed),
        cost_per_good_request_usd=_ratio(measured_cost, good),
        distributions=_distributions(records, include_failures),
    )


def _distributions(records: pd.DataFrame, include_failures: bool) -> dict[str, Distribution]:
    covered = latency_population(records, include_failures)
    return {name: _distribution(records, name, covered) for name in LATENCY_METRICS}


def _distribution(records: pd.DataFrame, metric: str, covered: Flags) -> Distribution:
    """Each statistic over the column it is taken of."""
    by_column: dict[str, Distribution] = {}

    def of(stat: str) -> Distribution:
        column = column_of(metric, stat)
        if column not in by_column:
            by_column[column] = describe(floats(records[column])[covered])
        return by_column[column]

    return Distribution(
        n=of("p50").n,
        mean=of("mean").mean,
        maximum=of("max").maximum,
        estimates={name: of(name).estimates[name] for name in QUANTILES},
    )


def _outcome_counts(records: pd.DataFrame) -> dict[str, int]:
    """Counts of every outcome of the contract, those that never happened included: they were counted, and are 0."""
    counts = records["outcome"].value_counts()
    return {str(outcome): int(counts.get(outcome, 0)) for outcome in Outcome}


def _good_messages(records: pd.DataFrame, rateable: Flags) -> int | None:
    """How many messages were good; None if that cannot be told of any message that was in time."""
    in_time = floats(records["good"])[rateable & flags(records["in_sla"])]
    return None if len(in_time) and np.isnan(in_time).all() else int(np.nansum(in_time))


def _cost(records: pd.DataFrame) -> tuple[float | None, int]:
    """USD and number of requests that reported tokens; the sum is None if none did or one has no known price."""
    billed = records["input_tokens"].notna() & records["output_tokens"].notna()
    costs = floats(records.loc[billed, "cost_usd"])
    known = len(costs) > 0 and not np.isnan(costs).any()
    return (float(costs.sum()) if known else None), len(costs)


def _total(tokens: "pd.Series[int]") -> int | None:
    return int(tokens.sum()) if tokens.notna().any() else None


def _ratio(part: float | None, whole: float | None) -> float | None:
    return None if part is None or whole is None or whole <= 0 else part / whole
