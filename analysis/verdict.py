"""Objectives to PASS, FAIL or INCONCLUSIVE, and those to one verdict with an exit code."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.inputs import RunInfo
from analysis.metrics import Metrics, in_scope, measure_counts, sample_values
from analysis.percentiles import Interval, estimate_quantile, min_samples
from analysis.phases import Windows, measured_seconds
from analysis.shares import more_trials, share_interval
from analysis.validity import CheckStatus, Validity
from bedrock.outcome import Outcome
from scenarios.objective_units import QUANTITIES
from scenarios.objectives import Objective, ObjectiveError, parse_objective, quantile_of

PASS, FAIL, INCONCLUSIVE = "PASS", "FAIL", "INCONCLUSIVE"

#: Exit codes of the contract that a finished analysis can give.
EXIT_PASS, EXIT_FAIL, EXIT_INTERRUPTED, EXIT_INCONCLUSIVE, EXIT_LIMIT = 0, 1, 2, 5, 6

#: Outcomes of attempts that the service did not take on, and of those that were never finished or sent.
_REFUSED = (Outcome.CONNECTION_ERROR, Outcome.CLIENT_ERROR, Outcome.ABORTED, Outcome.DROPPED)

#: A mean or a maximum of fewer values says more about chance than about the service.
MIN_SAMPLES_MEAN = 30

#: Failures above this share change what the latencies of the rest are worth: every twentieth answer is missing.
UNCOVERED_SHARE = 0.05

#: More samples than this are never asked for: the observed share is too near to the allowed one.
MOST_SAMPLES = 10_000_000

#: Shares, rates and costs of fewer requests than this are anecdotes.
MIN_SAMPLES_SHARE = 20


@dataclass(frozen=True, slots=True)
class ObjectiveResult:
    """One objective judged; `observed` and `limit` are in the metric's internal unit, `observed_text` carries it."""

    objective: str
    metric: str | None
    stat: str | None
    scope: Mapping[str, str]
    observed: float | None
    observed_text: str | None
    limit: float | None
    margin_pct: float | None
    n: int
    min_samples: int | None
    more_requests_needed: int | None
    ci95: Interval | None
    status: str
    reason: str | None

    def as_dict(self) -> dict[str, Any]:
        """The entry of `objectives` in summary.json."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return plain | {"scope": dict(self.scope), "ci95": None if self.ci95 is None else list(self.ci95)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The run in one word, the process's exit code, and why."""

    status: str
    exit_code: int
    reasons: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The `verdict` object of summary.json."""
        return {"status": self.status, "exit_code": self.exit_code, "reasons": list(self.reasons)}


@dataclass(frozen=True, slots=True)
class Observation:
    """What a set of records says of an objective's metric; `n` is the number of samples it rests on."""

    value: float | None
    n: int
    interval: Interval | None = None
    #: What is held against `allowed`: the share of requests on the wrong side of a percentile's limit, or the share
    #: itself. None where no interval follows from it.
    share: float | None = None
    allowed: float = 0.0


def judge_text(text: str, records: pd.DataFrame, windows: Windows, run: RunInfo) -> ObjectiveResult:
    """Judge an objective as written; one that cannot be understood is inconclusive, with the reason."""
    try:
        objective = parse_objective(text)
    except ObjectiveError as error:
        return _not_understood(text, str(error))
    return judge_objective(objective, records, windows, run)


def _not_understood(text: str, why: str) -> ObjectiveResult:
    return ObjectiveResult(
        objective=text,
        metric=None,
        stat=None,
        scope={},
        observed=None,
        observed_text=None,
        limit=None,
        margin_pct=None,
        n=0,
        min_samples=None,
        more_requests_needed=None,
        ci95=None,
        status=INCONCLUSIVE,
        reason=why,
    )


def judge_objective(objective: Objective, records: pd.DataFrame, windows: Windows, run: RunInfo) -> ObjectiveResult:
    """Judge one objective on judged records: no data and too few samples are INCONCLUSIVE, never PASS."""
    chosen = in_scope(records, objective, run.cells)
    scoped = records if chosen.all() else records[chosen]
    seen = _observe(objective, scoped, windows, run)
    needed = objective.min_samples or default_min_samples(objective)
    more = _more_samples(objective, seen, needed)
    status, reason = _status(objective, seen, needed, more)
    return ObjectiveResult(
        objective=objective.text,
        metric=objective.metric,
        stat=objective.stat,
        scope=objective.scope,
        observed=seen.value,
        observed_text=None if seen.value is None else _quantity(objective, seen.value),
        limit=objective.limit,
        margin_pct=_margin_pct(objective, seen.value),
        n=seen.n,
        min_samples=needed,
        more_requests_needed=_as_requests(more, seen.n, int(scoped["measured"].sum())),
        ci95=seen.interval,
        status=status,
        reason=reason,
    )


def default_min_samples(objective: Objective) -> int:
    """Samples an objective needs unless it names a number itself.

    A percentile needs what its interval needs. A share needs enough that one single miss does not decide it: with
    a limit of 1 % (or 99 %) that is 100.
    """
    if objective.per_request:
        q = quantile_of(objective.stat or "")
        return MIN_SAMPLES_MEAN if q is None else min_samples(q)
    room = min(objective.limit, 1.0 - objective.limit) if objective.kind == "share" else 0.0
    return max(MIN_SAMPLES_SHARE, math.ceil(round(1.0 / room, 6))) if room > 0.0 else MIN_SAMPLES_SHARE


def _observe(objective: Objective, records: pd.DataFrame, windows: Windows, run: RunInfo) -> Observation:
    if objective.per_request:
        return _observe_sample(objective, records, run)
    cells = sorted(records["cell"].unique())
    duration_s = measured_seconds(windows, cells, objective.scope.get("phase"))
    metrics = measure_counts(records, duration_s)
    value, n = _scalar(objective.metric, metrics, run), _sample_size(objective.metric, metrics)
    if objective.kind != "share" or value is None:
        return Observation(value, n)
    return Observation(value, n, share_interval(value, n), value, objective.limit)


def _observe_sample(objective: Objective, records: pd.DataFrame, run: RunInfo) -> Observation:
    values = sample_values(records, objective, run.include_failures)
    if not len(values):
        return Observation(None, 0)
    q = quantile_of(objective.stat or "")
    if q is None:
        return Observation(float(values.mean() if objective.stat == "mean" else values.max()), len(values))
    estimate = estimate_quantile(values, q)
    misses = float(np.mean(~objective.met_by(values)))
    allowed = 1.0 - q if objective.op in ("<", "<=") else q
    return Observation(estimate.value, len(values), estimate.interval, misses, allowed)


def _scalar(metric: str, metrics: Metrics, run: RunInfo) -> float | None:
    if metric == "projected_daily_cost_usd":
        return _times(metrics.cost_per_request_usd, run.daily_messages)
    if metric == "projected_monthly_cost_usd":
        return _times(metrics.cost_per_request_usd, run.daily_messages * 30.0)
    value: float | None = getattr(metrics, metric)
    return value


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _sample_size(metric: str, metrics: Metrics) -> int:
    """How many requests (or messages) a scalar metric rests on."""
    if metric in ("throttle_rate", "error_rate"):
        return metrics.requests
    if metric == "cost_per_good_request_usd":
        return metrics.good_messages or 0
    if "cost" in metric:
        return metrics.billed_requests
    return metrics.messages if metric in ("sla_compliance", "goodput_rps") else metrics.measured_requests


def _more_samples(objective: Objective, seen: Observation, needed: int) -> int | None:
    """How many more samples would settle an objective, if they are like these; None where it is settled or never is.

    A percentile meets its limit where the share of misses is small enough: that share, like one that is an objective
    itself, is settled once its exact interval leaves out the allowed one.
    """
    q = quantile_of(objective.stat or "")
    least = max(needed, min_samples(q)) if q is not None else needed
    if seen.n < least:
        return least - seen.n
    if seen.share is None or not _is_close(objective, seen.interval):
        return None
    return more_trials(seen.share, seen.allowed, seen.n, MOST_SAMPLES)


def _as_requests(samples: int | None, n: int, requests: int) -> int | None:
    """Requests that bring so many samples: `where` and failures leave only some of them."""
    if samples is None or not n or requests <= n:
        return samples
    return math.ceil(samples * requests / n)


def _is_close(objective: Objective, interval: Interval | None) -> bool:
    """Whether the limit lies in the interval. A share of 0 or 1 lies at its end, however many samples there are."""
    if interval is None or (objective.kind == "share" and objective.limit in (0.0, 1.0)):
        return False
    return interval[0] <= objective.limit <= interval[1]


def _status(objective: Objective, seen: Observation, needed: int, more: int | None) -> tuple[str, str | None]:
    if seen.n == 0:
        return INCONCLUSIVE, "no data"
    if seen.n < needed:
        return INCONCLUSIVE, f"{_needs(needed - seen.n)} ({seen.n} of {needed})"
    if seen.value is None:
        return INCONCLUSIVE, _why_unknown(objective, seen.n)
    return (PASS if objective.met_by(seen.value) else FAIL), _closeness(objective, seen.interval, more)


def _closeness(objective: Objective, interval: Interval | None, more: int | None) -> str | None:
    """A note where another run of the same service might come out on the other side of the limit."""
    if interval is None or not _is_close(objective, interval):
        return None
    low, high = (_quantity(objective, end) for end in interval)
    settled = f"; about {more:,} more samples like these would settle it" if more else ""
    return f"close call: the 95 % interval, {low} to {high}, includes the limit{settled}"


def _needs(count: int) -> str:
    return f"needs {count} more {'sample' if count == 1 else 'samples'}"


def _why_unknown(objective: Objective, n: int) -> str:
    q = quantile_of(objective.stat or "")
    if q is not None and n < min_samples(q):
        return f"{_needs(min_samples(q) - n)}: {objective.stat} has no interval below {min_samples(q)}"
    if objective.kind == "money":
        return "the price of a model that was called is not known"
    return "could not be computed from the records"


def _margin_pct(objective: Objective, observed: float | None) -> float | None:
    """Room left to the limit in percent of it; negative beyond it. None for a limit of 0."""
    if observed is None or objective.limit == 0.0:
        return None
    room = objective.limit - observed if objective.op in ("<", "<=") else observed - objective.limit
    return room / objective.limit * 100.0


def decide(
    results: Sequence[ObjectiveResult],
    validity: Validity,
    run: RunInfo,
    *,
    records: pd.DataFrame,
    total: Metrics,
    unclosed: Sequence[str],
    no_data: str | None,
    regressions: Sequence[str] = (),
    not_compared: Sequence[str] = (),
) -> Verdict:
    """The verdict of a run; `no_data` says why its records (if any) tell nothing of the service.

    `unclosed` names finished cells whose load generator left no end. `regressions` are sentences about what got worse
    than the baseline, `not_compared` about what could not be held against it; both decide where the run asked for it.

    In this order: nothing measured, a spoiled generator, a missed objective, an open question, PASS. The exit code
    follows the status, except that a stopped run says by what it was stopped, and that `fail_on: never` keeps
    objectives out of it.
    """
    worse = [f"Regressed: {sentence}" for sentence in regressions]
    doubts = _doubts(run, records, unclosed)
    remarks = [] if no_data else uncovered(results, total)
    if run.fails_on_regression:
        doubts += not_compared
    else:
        remarks += [*worse, *not_compared]
        worse = []
    status, reasons = _status_of_run(results, validity, doubts, no_data, worse)
    warnings = validity.reasons(CheckStatus.WARN) if not no_data else []
    exit_code = _exit_code(status, run, validity, doubts, no_data, has_regressed=bool(worse))
    return Verdict(status, exit_code, (*reasons, *remarks, *warnings))


def uncovered(results: Sequence[ObjectiveResult], total: Metrics) -> list[str]:
    """A sentence for each kind of failure that is common and that no objective would have noticed."""
    promised = {result.metric for result in results}
    shares = {"error_rate": (total.error_rate, "failed"), "throttle_rate": (total.throttle_rate, "were throttled")}
    return [
        f"{share * 100.0:.2f} % of the attempts {what}, and no objective covers it (add {metric} or sla_compliance)"
        for metric, (share, what) in shares.items()
        if share is not None and share > UNCOVERED_SHARE and not {metric, "sla_compliance"} & promised
    ]


def _status_of_run(
    results: Sequence[ObjectiveResult],
    validity: Validity,
    doubts: Sequence[str],
    no_data: str | None,
    worse: Sequence[str],
) -> tuple[str, list[str]]:
    failed = [*(_sentence(result) for result in results if result.status == FAIL), *worse]
    unclear = [_sentence(result) for result in results if result.status == INCONCLUSIVE]
    if no_data:
        return INCONCLUSIVE, [no_data, *doubts]
    if validity.status == "INVALID":
        spoiled = validity.reasons(CheckStatus.FAIL)
        return INCONCLUSIVE, [*(f"The measurement is invalid: {reason}" for reason in spoiled), *failed, *doubts]
    if failed:
        return FAIL, [*failed, *unclear, *doubts]
    if unclear or doubts:
        return INCONCLUSIVE, [*unclear, *doubts]
    if not results:
        return PASS, ["No objectives were set: the run was measured, not judged"]
    return PASS, [f"All {len(results)} objectives were met" if len(results) > 1 else "The objective was met"]


def _doubts(run: RunInfo, records: pd.DataFrame, unclosed: Sequence[str]) -> list[str]:
    """Reasons of the run itself why it cannot be a clean PASS: stopped early, cells failed or without answers."""
    seen = set(records["cell"].unique())
    doubts = []
    if len(records) and not (records["ok"] & records["measured"]).any():
        doubts.append("No request was answered in the measured window")
    if run.stopped_by is not None:
        doubts.append(_stop_sentence(run.stopped_by))
    for cell in run.cells:
        if cell.status == "failed":
            doubts.append(f"Cell {cell.name} failed: {cell.reason or 'no reason was recorded'}")
        elif cell.status in ("interrupted", "running", "pending") and run.stopped_by is None:
            doubts.append(f"Cell {cell.name} did not finish (status {cell.status})")
        elif cell.status == "finished" and cell.name not in seen:
            doubts.append(f"Cell {cell.name} left no records")
        elif cell.name in unclosed:
            doubts.append(f"Cell {cell.name} has no recorded end: its load generator was killed or its file is lost")
    return doubts


def _stop_sentence(stopped_by: str) -> str:
    if stopped_by == "interrupt":
        return "The run was interrupted; results are partial"
    if stopped_by == "credential_expiry":
        return "The run was stopped before its credentials expire; results are partial"
    return f"The run was stopped by its limit {stopped_by}; results are partial"


def _exit_code(
    status: str, run: RunInfo, validity: Validity, doubts: Sequence[str], no_data: str | None, *, has_regressed: bool
) -> int:
    if run.stopped_by is not None:
        return EXIT_INTERRUPTED if run.stopped_by == "interrupt" else EXIT_LIMIT
    if no_data or validity.status == "INVALID":
        return EXIT_INCONCLUSIVE
    if has_regressed:
        return EXIT_FAIL
    if not run.fails_on_objectives:
        return EXIT_INCONCLUSIVE if doubts else EXIT_PASS
    return {PASS: EXIT_PASS, FAIL: EXIT_FAIL}.get(status, EXIT_INCONCLUSIVE)


def _sentence(result: ObjectiveResult) -> str:
    if result.status == FAIL:
        return f"Missed: {result.objective} (observed {result.observed_text}, n = {result.n})"
    return f"Undecided: {result.objective}: {result.reason}"


def _quantity(objective: Objective, value: float) -> str:
    return QUANTITIES[objective.kind].format(float(f"{value:.4g}"))


def why_no_data(records: pd.DataFrame, run: RunInfo) -> str | None:
    """Why the records say nothing of the service's performance; None if they do."""
    if records.empty:
        started = [cell for cell in run.cells if cell.status not in ("skipped", "pending")]
        return "No request was recorded" if started else "Nothing was sent: no cell was started"
    refused = records["outcome"].isin(_REFUSED)
    # A timeout is the service's failure, unless nothing ever came back: then there may be no service.
    silent = (records["outcome"] == Outcome.TIMEOUT) & bool(records["http_status"].isna().all())
    return f"No request was accepted by the service{_commonest_error(records)}" if (refused | silent).all() else None


def _commonest_error(records: pd.DataFrame) -> str:
    errors = records[records["error_message"].notna() | records["error_code"].notna()]
    if errors.empty:
        return ""
    counts = errors.groupby(["error_code", "error_message"], dropna=False).size()
    commonest = counts.index[counts == counts.max()].to_frame()
    return f"; most often {min(map(_error_sentence, commonest['error_code'], commonest['error_message']))}"


def _error_sentence(code: Any, message: Any) -> str:
    return f"{code if isinstance(code, str) else 'error'}: {message if isinstance(message, str) else 'no message'}"
