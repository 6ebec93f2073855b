"""Findings: each a sentence with its number, the threshold it crossed, and what to do. None without data."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from analysis.comparison import DEFAULT_THRESHOLD, SHARE_THRESHOLD, Comparison
from analysis.evidence import CellEvidence
from analysis.inputs import RunInfo
from analysis.metrics import Metrics
from analysis.records import moved_tiers
from analysis.saturation import LINEAR_SHARE, SLA_TARGET
from analysis.spread import Repeated, Spread
from analysis.verdict import MIN_SAMPLES_SHARE
from bedrock.outcome import ERRORS, Outcome

#: Cells that a finding names before it stops.
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, the limit it crossed, the figures it rests on, and what to do about it."""

    finding: str
    threshold: str
    evidence: str
    advice: str

    def as_dict(self) -> dict[str, Any]:
        """The entry of `recommendations` in summary.json; the sentence names its threshold, too."""
        return asdict(self) | {"finding": f"{self.finding} (threshold: {self.threshold})"}


def find(
    *,
    cells: Sequence[CellEvidence],
    records: pd.DataFrame,
    total: Metrics,
    cost: Mapping[str, Any],
    throttling: Mapping[str, Any],
    saturation: Sequence[Mapping[str, Any]],
    comparison: Comparison | None,
    repeated: Sequence[Repeated],
    run: RunInfo,
) -> list[Finding]:
    """All findings of a run, the gravest kind first."""
    return [
        *_regressions(comparison),
        *_unsteady_rounds(repeated),
        *_throttles(total, throttling),
        *_sla(total, run),
        *_errors(total),
        *_timeouts(total),
        *_first_to_break(cells, run),
        *_curves(saturation),
        *_monthly_cost(cost),
        *_wrong_tier(records),
    ]


def _throttles(total: Metrics, throttling: Mapping[str, Any]) -> Iterator[Finding]:
    if not total.throttle_rate:
        return
    worst = max(throttling["by_cell"], key=lambda row: row["rate"])
    kinds = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in throttling["kinds"].items() if count)
    first = throttling["first_throttle_s"]
    when = "" if first is None else f"; the first after {first:.1f} s"
    yield Finding(
        f"{_percent(total.throttle_rate)} of the attempts were throttled",
        "none",
        f"{total.outcomes['throttled']} of {total.requests} attempts, by kind: {kinds}{when}; "
        f"most in {worst['cell']} ({_percent(worst['rate'])})",
        "Ask for a higher quota of that kind, spread the load over profiles or Regions, or queue messages.",
    )


def _sla(total: Metrics, run: RunInfo) -> Iterator[Finding]:
    if total.sla_compliance is None or total.messages < MIN_SAMPLES_SHARE or total.sla_compliance >= SLA_TARGET:
        return
    yield Finding(
        f"{_percent(total.sla_compliance)} of the messages were answered within {run.sla_s:g} s",
        _percent(SLA_TARGET),
        f"{total.messages} messages; failures and dropped arrivals count as misses",
        "Answer more from the cache, route more to the faster model, shorten prompts or answers.",
    )


def _errors(total: Metrics) -> Iterator[Finding]:
    """Errors but timeouts, which are a finding of their own."""
    counts = {str(kind): total.outcomes[kind] for kind in Outcome if kind in ERRORS and total.outcomes[kind]}
    counts.pop(Outcome.TIMEOUT, None)
    if not counts:
        return
    kinds = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())
    yield Finding(
        f"{_percent(sum(counts.values()) / total.requests)} of the attempts failed",
        "none",
        f"{sum(counts.values())} of {total.requests} attempts, by outcome: {kinds}",
        "Read the error messages in the records; latencies cover only the requests that were answered.",
    )


def _timeouts(total: Metrics) -> Iterator[Finding]:
    count = total.outcomes[Outcome.TIMEOUT]
    if count:
        yield Finding(
            f"{count} {'attempt' if count == 1 else 'attempts'} timed out",
            "none",
            f"{count} of {total.requests} attempts, {_percent(count / total.requests)}",
            "Ask for shorter answers (max_tokens), stream them, or give the call more time.",
        )


def _first_to_break(cells: Sequence[CellEvidence], run: RunInfo) -> Iterator[Finding]:
    """Which cell misses the SLA at the lowest load, unless all or none do: those are no ranking."""
    judged = [cell for cell in cells if cell.metrics.messages >= MIN_SAMPLES_SHARE]
    broken = [cell for cell in judged if (cell.metrics.sla_compliance or 0.0) < SLA_TARGET]
    if not broken or len(broken) == len(judged):
        return
    first = min(broken, key=_load_order)
    yield Finding(
        f"{_describe(first)} is the first to miss the SLA, at {_load(first)}",
        _percent(SLA_TARGET),
        f"{_percent(first.metrics.sla_compliance or 0.0)} of {first.metrics.messages} messages within {run.sla_s:g} s; "
        f"{len(broken)} of {len(judged)} cells miss it",
        "Keep this combination below that load, or move its traffic to one that holds.",
    )


def _load_order(cell: CellEvidence) -> tuple[float, float]:
    load = cell.info.rate_rps if cell.info.rate_rps is not None else cell.info.users
    return (load if load is not None else float("inf"), cell.metrics.sla_compliance or 0.0)


def _describe(cell: CellEvidence) -> str:
    raw = cell.info.raw
    what = raw.get("model_id") or raw.get("routing") or cell.name
    return f"{what} in the {raw.get('service_tier') or 'default'} tier with {raw.get('prompt_size')} prompts"


def _load(cell: CellEvidence) -> str:
    if cell.info.rate_rps is not None:
        return f"{cell.info.rate_rps:g} arrivals/s ({cell.info.raw.get('pattern')})"
    return f"{cell.info.users:g} users" if cell.info.users is not None else "its load"


def _regressions(comparison: Comparison | None) -> Iterator[Finding]:
    """What got worse than the baseline, cell by cell."""
    if comparison is None or not comparison.regressions:
        return
    yield Finding(
        f"{len(comparison.regressions)} of {len(comparison.cells)} cells regressed against the baseline",
        f"{comparison.threshold * 100.0:g} % of a latency, and more than chance",
        "; ".join(comparison.regressions[:_MOST_NAMED]),
        "Compare the versions of both runs and what changed between them; repeat both before blaming the service.",
    )


def _unsteady_rounds(repeated: Sequence[Repeated]) -> Iterator[Finding]:
    """Configurations that another round showed otherwise, by more than chance and by as much as matters."""
    apart = [(each, rows) for each in repeated if (rows := [row for row in each.spread if _is_unsteady(row)])]
    if not apart:
        return
    yield Finding(
        f"{len(apart)} of {len(repeated)} repeated cells differ from round to round",
        f"{DEFAULT_THRESHOLD * 100.0:g} % of a latency, {SHARE_THRESHOLD * 100.0:g} percentage points of a share, "
        "and more than chance",
        "; ".join(f"{each.cell}: {', '.join(map(_range, rows))}" for each, rows in apart[:_MOST_NAMED]),
        "The service or the generator changed between the rounds: plan with their range, since the 95 % interval of "
        "all of them is too narrow then, and run more of them.",
    )


def _is_unsteady(row: Spread) -> bool:
    if not row.beyond_chance or row.minimum is None or row.maximum is None:
        return False
    if row.stat is None:
        return row.maximum - row.minimum >= SHARE_THRESHOLD
    return row.range_pct is not None and row.range_pct >= DEFAULT_THRESHOLD * 100.0


def _range(row: Spread) -> str:
    low, high = row.minimum or 0.0, row.maximum or 0.0
    if row.stat is None:
        return f"{row.metric} {_percent(low)} to {_percent(high)}"
    return f"{row.metric} {row.stat} {low:,.0f} to {high:,.0f} ms"


def _curves(saturation: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Bends and bad scaling over the load, one finding for each series that has any."""
    for series in saturation:
        unit = "arrivals/s" if series["load"] == "rate_rps" else "users"
        what = f"{_of_series(series['series'])}, over {len(series['points'])} loads"
        knee, scaling, broken = series["knee"]["load"], series["scaling"], series["breaking_point"]
        if knee is not None:
            yield Finding(
                f"The p95 of the whole response bends upwards at {knee:g} {unit}",
                "more than chance below a straight line",
                f"{what}: {_curve(series['points'], unit)}",
                _below(knee, broken["last_good_load"], unit),
            )
        if scaling["kind"] in ("degraded", "retrograde"):
            falls = "falls" if scaling["kind"] == "retrograde" else "no longer follows the load"
            yield Finding(
                f"Throughput {falls} from {scaling['from_load']:g} {unit} on",
                f"{_percent(LINEAR_SHARE)} of the best throughput per load",
                f"{what}; {_percent(scaling['efficiency'])} of it is left at the highest load",
                "More load only makes answers slower or refused: ask for a higher quota, or spread it over Regions.",
            )


def _of_series(traits: Mapping[str, Any]) -> str:
    what = traits.get("model") or traits.get("routing") or "the mix"
    return f"{what} in the {traits.get('service_tier') or 'default'} tier with {traits.get('prompt_size')} prompts"


def _curve(points: Sequence[Mapping[str, Any]], unit: str) -> str:
    known = [point for point in points if point["e2e_p95_ms"] is not None]
    return ", ".join(f"{point['e2e_p95_ms']:,.0f} ms at {point['load']:g} {unit}" for point in known)


def _below(knee: float, last_good: float | None, unit: str) -> str:
    safe = knee if last_good is None else min(knee, last_good)
    return f"Plan for no more than {safe:g} {unit} of this combination; loads in between would tell it more exactly."


def _monthly_cost(cost: Mapping[str, Any]) -> Iterator[Finding]:
    monthly, limit = cost["projected_monthly_cost_usd"], cost["monthly_cost_limit_usd"]
    if monthly is None or monthly <= limit:
        return
    yield Finding(
        f"{cost['daily_messages']:,.0f} messages a day would cost {monthly:,.0f} USD a month",
        f"{limit:,.0f} USD",
        f"{cost['cost_per_request_usd'] * 1000.0:.4f} USD per 1,000 requests over "
        f"{cost['billed_requests']} billed requests",
        "Route more to the cheaper model, answer more from the cache, cap answers; see the what-ifs.",
    )


def _wrong_tier(records: pd.DataFrame) -> Iterator[Finding]:
    named, moved = moved_tiers(records)
    answers, others = int(named.sum()), int((named & moved).sum())
    if others:
        yield Finding(
            f"{_percent(others / answers)} of the answers came from another tier than asked for",
            "none",
            f"{others} of {answers} answers that name their tier",
            "Results by tier are by the tier asked for: compare the served tiers before choosing one.",
        )


def _percent(share: float) -> str:
    return f"{share * 100.0:.2f} %"
