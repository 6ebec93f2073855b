"""The metrics of the contract for any set of records: a cell, a group, the whole run. Formulas: docs/metrics.md.

Two populations: counts, outcomes, throttle and error rate, tokens and cost cover every attempt of every phase, so
that they agree with what the service counted and bills; latencies, rates per second, SLA compliance and goodput
cover the measured window.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.inputs import CellInfo
from analysis.percentiles import QUANTILES, Distribution, describe
from analysis.record_columns import with_columns
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
    return with_columns(records, {"ends_message": is_last, "answerable": answerable, "in_sla": in_sla, "good": good})


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


#: Every column that a statistic of a latency metric is taken of.
_LATENCY_COLUMNS = tuple(
    dict.fromkeys(column_of(metric, stat) for metric in LATENCY_METRICS for stat in ("mean", "max", *QUANTILES))
)


def sample_values(records: pd.DataFrame, objective: Objective, include_failures: bool) -> Floats:
    """Values of a per-request objective's metric over its population, `where` applied."""
    chosen = latency_population(records, include_failures) & _where(records, objective)
    values = floats(records[column_of(objective.metric, objective.stat)])[chosen]
    return values[~np.isnan(values)]


@dataclass(frozen=True, slots=True)
class RecordArrays:
    """Judged records as plain arrays of one length: what metrics of any part of them are computed from.

    `outcome` numbers the names in `outcomes`; tokens and costs are NaN where unknown; `covered` marks the records
    that latency statistics are about, `rateable` the last attempts that promises are held against.
    """

    outcome: NDArray[np.integer[Any]]
    outcomes: tuple[str, ...]
    sent: Flags
    measured: Flags
    error: Flags
    is_first: Flags
    rateable: Flags
    in_sla: Flags
    covered: Flags
    good: Floats
    input_tokens: Floats
    output_tokens: Floats
    cost_usd: Floats
    latencies: Mapping[str, Floats]

    def part(self, rows: "NDArray[np.intp]") -> "RecordArrays":
        """Some of the records, by ascending positions, without their latencies."""
        if len(rows) == len(self.outcome):
            return replace(self, latencies={})
        chosen: dict[str, Any] = {name: getattr(self, name)[rows] for name in _ARRAYS}
        return replace(self, **chosen, latencies={})


_ARRAYS = tuple(each.name for each in fields(RecordArrays) if each.name not in ("outcomes", "latencies"))


def arrays_of(records: pd.DataFrame, include_failures: bool) -> RecordArrays:
    """The arrays of judged records (`judge_messages`)."""
    outcome, measured = records["outcome"].astype("category"), flags(records["measured"])
    return RecordArrays(
        outcome=outcome.cat.codes.to_numpy(),
        outcomes=tuple(outcome.cat.categories),
        sent=flags(records["sent"]),
        measured=measured,
        error=flags(records["error"]),
        is_first=flags(records["attempt"] == 1),
        rateable=measured & flags(records["answerable"]),
        in_sla=flags(records["in_sla"]),
        covered=latency_population(records, include_failures),
        good=floats(records["good"]),
        input_tokens=floats(records["input_tokens"]),
        output_tokens=floats(records["output_tokens"]),
        cost_usd=floats(records["cost_usd"]),
        latencies={name: floats(records[name]) for name in _LATENCY_COLUMNS},
    )


def measure(records: pd.DataFrame, duration_s: float | None, include_failures: bool) -> Metrics:
    """Metrics of judged records (`judge_messages`) that were measured for `duration_s` seconds."""
    arrays = arrays_of(records, include_failures)
    described = {name: describe(values[arrays.covered]) for name, values in arrays.latencies.items()}
    return measure_with(arrays, duration_s, combine(described))


def measure_counts(records: pd.DataFrame, duration_s: float | None) -> Metrics:
    """The same without distributions: what is not a latency."""
    return measure_with(arrays_of(records, include_failures=False), duration_s, {})


def measure_with(records: RecordArrays, duration_s: float | None, distributions: Mapping[str, Distribution]) -> Metrics:
    """The same where the distributions of the latency metrics are known."""
    counts = _outcome_counts(records)
    requests, sent_measured = int(records.sent.sum()), int((records.sent & records.measured).sum())
    messages = int(records.rateable.sum())
    good = _good_messages(records)
    billed = ~(np.isnan(records.input_tokens) | np.isnan(records.output_tokens))
    cost = _cost(records.cost_usd[billed])
    measured_cost = _cost(records.cost_usd[billed & records.measured])
    return Metrics(
        requests=requests,
        measured_requests=sent_measured,
        messages=messages,
        outcomes=counts,
        throttle_rate=_ratio(counts[Outcome.THROTTLED], requests),
        error_rate=_ratio(int(records.error.sum()), requests),
        sla_compliance=_ratio(int((records.in_sla & records.rateable).sum()), messages),
        offered_rps=_ratio(int((records.measured & records.is_first).sum()), duration_s),
        achieved_rps=_ratio(sent_measured, duration_s),
        goodput_rps=_ratio(good, duration_s),
        good_messages=good,
        duration_s=duration_s,
        input_tokens=_total(records.input_tokens),
        output_tokens=_total(records.output_tokens),
        total_output_tokens_per_s=_ratio(_total(records.output_tokens[records.measured]), duration_s),
        cost_usd=cost,
        billed_requests=int(billed.sum()),
        cost_per_request_usd=_ratio(cost, int(billed.sum())),
        cost_per_good_request_usd=_ratio(measured_cost, good),
        distributions=distributions,
    )


def combine(described: Mapping[str, Distribution]) -> dict[str, Distribution]:
    """Distributions of the latency metrics from those of the columns that their statistics are taken of."""
    return {name: _distribution(described, name) for name in LATENCY_METRICS}


def _distribution(described: Mapping[str, Distribution], metric: str) -> Distribution:
    """Each statistic over the column it is taken of."""

    def of(stat: str) -> Distribution:
        return described[column_of(metric, stat)]

    return Distribution(
        n=of("p50").n,
        mean=of("mean").mean,
        maximum=of("max").maximum,
        estimates={name: of(name).estimates[name] for name in QUANTILES},
    )


def _outcome_counts(records: RecordArrays) -> dict[str, int]:
    """Counts of every outcome of the contract, those that never happened included: they were counted, and are 0."""
    counts = dict(zip(records.outcomes, np.bincount(records.outcome, minlength=len(records.outcomes)), strict=True))
    return {str(outcome): int(counts.get(str(outcome), 0)) for outcome in Outcome}


def _good_messages(records: RecordArrays) -> int | None:
    """How many messages were good; None if that cannot be told of any message that was in time."""
    in_time = records.good[records.rateable & records.in_sla]
    return None if len(in_time) and np.isnan(in_time).all() else int(np.nansum(in_time))


def _cost(costs: Floats) -> float | None:
    """USD of billed requests; None if there is none or one has no known price."""
    return float(costs.sum()) if len(costs) and not np.isnan(costs).any() else None


def _total(tokens: Floats) -> int | None:
    return None if np.isnan(tokens).all() else int(np.nansum(tokens))


def _ratio(part: float | None, whole: float | None) -> float | None:
    return None if part is None or whole is None or whole <= 0 else part / whole
