"""Whether the generator measured what it claims: checks on itself, judged before any performance is.

A check is OK, WARN or FAIL, or NOT_MEASURED where its figures are missing; a check that makes no sense for the load
model is left out. Most checks look at each cell and report the worst, since one saturated cell hides in a mean.
One FAIL makes the run INVALID (and its verdict INCONCLUSIVE), one WARN makes it SUSPECT.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from analysis.evidence import CellEvidence
from analysis.percentiles import min_samples
from analysis.records import flags, floats
from bedrock.outcome import Outcome

#: Lag that adds 5 % to a time to first token of 400 ms shows in the results; half of that promise decides them.
LAG_WARN_MS, LAG_FAIL_MS = 20.0, 200.0

#: Locust itself warns at 90 % of one core; from there on greenlets wait for each other and times grow.
CPU_WARN_PCT, CPU_FAIL_PCT = 75.0, 95.0

#: Objectives promise a p95: with more than 5 % of the arrivals missing or cut off nobody knows it.
MISSING_WARN_SHARE, MISSING_FAIL_SHARE = 0.0, 0.05

#: Less than this share of the rate: 1 % is visible in a capacity figure, 5 % makes it one of another load.
RATE_WARN_SHARE, RATE_FAIL_SHARE = 0.99, 0.95

#: A record that cannot be read is a request nobody judges; 1 % of them can hide a whole p99.
LOST_WARN_SHARE, LOST_FAIL_SHARE = 0.0, 0.01

#: Below this many answers a cell has no p95; nothing is wrong with the generator then.
SAMPLES_WARN = float(min_samples(0.95))

#: A lag counts as the cell's once it happened this often: one late call in a short run is an accident.
_OCCURRENCES = 3


class CheckStatus(StrEnum):
    """How one check came out."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"
    NOT_MEASURED = "NOT_MEASURED"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: `limit` is where OK ends, `fail_limit` where FAIL begins, both in `unit`; `cell` is the worst one."""

    name: str
    observed: float | None
    limit: float
    fail_limit: float | None
    unit: str
    status: CheckStatus
    cell: str | None
    reason: str | None
    advice: str | None


@dataclass(frozen=True, slots=True)
class Validity:
    """VALID, SUSPECT or INVALID, and the checks it follows from."""

    status: str
    checks: tuple[Check, ...]

    def as_dict(self) -> dict[str, Any]:
        """The `validity` object of summary.json."""
        return {"status": self.status, "checks": [asdict(check) for check in self.checks]}

    def reasons(self, status: CheckStatus) -> list[str]:
        """A sentence for each check that came out so."""
        return [check.reason or check.name for check in self.checks if check.status is status]


@dataclass(frozen=True, slots=True)
class Rule:
    """A check to make on every cell: how to observe it, and from where on it is a warning or a failure."""

    name: str
    unit: str
    warn: float
    fail: float | None
    sentence: str
    advice: str
    observe: Callable[[CellEvidence], float | None]
    open_loop_only: bool = False
    low_is_bad: bool = False

    def status_of(self, observed: float) -> CheckStatus:
        """OK, WARN or FAIL of an observation."""
        sign = -1.0 if self.low_is_bad else 1.0
        if self.fail is not None and sign * observed > sign * self.fail:
            return CheckStatus.FAIL
        return CheckStatus.WARN if sign * observed > sign * self.warn else CheckStatus.OK


def check_validity(cells: Sequence[CellEvidence], skipped_lines: Mapping[str, int]) -> Validity:
    """All checks of a run, in the order in which an engineer would look."""
    started = [cell for cell in cells if cell.was_started]
    checks = [check for rule in RULES if (check := _apply(rule, started)) is not None]
    checks += [_unreadable_lines(cells, skipped_lines), _unfinished_cells(cells)]
    statuses = {check.status for check in checks}
    worst = (
        "INVALID" if CheckStatus.FAIL in statuses else "SUSPECT" if CheckStatus.WARN in statuses else "VALID"
    )  # fmt: skip
    return Validity(worst, tuple(checks))


def _apply(rule: Rule, cells: Sequence[CellEvidence]) -> Check | None:
    applicable = [cell for cell in cells if cell.is_open_loop or not rule.open_loop_only]
    if not applicable:
        return None
    observed = [(value, cell.name) for cell in applicable if (value := rule.observe(cell)) is not None]
    if not observed:
        return _check(rule, None, CheckStatus.NOT_MEASURED, None)
    value, cell_name = (min if rule.low_is_bad else max)(observed, key=lambda pair: pair[0])
    return _check(rule, value, rule.status_of(value), cell_name)


def _check(rule: Rule, observed: float | None, status: CheckStatus, cell: str | None) -> Check:
    wrong = status in (CheckStatus.WARN, CheckStatus.FAIL)
    return Check(
        name=rule.name,
        observed=observed,
        limit=rule.warn,
        fail_limit=rule.fail,
        unit=rule.unit,
        status=status,
        cell=cell,
        reason=_reason(rule, observed, cell) if wrong else "no figures" if observed is None else None,
        advice=rule.advice if wrong else None,
    )


def _reason(rule: Rule, observed: float | None, cell: str | None) -> str:
    return f"{rule.sentence.format(_shown(observed or 0.0, rule.unit))} in {cell}"


def _shown(value: float, unit: str) -> str:
    if unit == "share":
        return f"{value * 100:.2f} %"
    return f"{value:.0f}" if unit == "count" else f"{value:.1f} {unit}"


def typical_worst(values: np.ndarray) -> float | None:
    """The p99, but never more than the third-largest value; None below three values.

    Equal to the p99 from about 300 values on. In a short run the p99 is the largest value or nearly so, and one
    late call would condemn the run.
    """
    present = np.sort(values[~np.isnan(values)])
    if len(present) < _OCCURRENCES:
        return None
    return min(float(np.quantile(present, 0.99)), float(present[-_OCCURRENCES]))


def _send_lag_ms(cell: CellEvidence) -> float | None:
    population = flags(cell.records["sent"] & cell.records["measured"])
    return typical_worst(floats(cell.records["send_lag_ms"])[population])


def _dropped_share(cell: CellEvidence) -> float | None:
    measured = cell.records.loc[cell.records["measured"], "outcome"]
    return float((measured == Outcome.DROPPED).mean()) if len(measured) else None


def _achieved_share(cell: CellEvidence) -> float | None:
    offered, achieved = cell.metrics.offered_rps, cell.metrics.achieved_rps
    return achieved / offered if offered and achieved is not None else None


def _target_rate_share(cell: CellEvidence) -> float | None:
    """Arrivals scheduled as a share of the rate asked for, given the benefit of chance; a steady pattern only."""
    target, offered, duration_s = cell.info.rate_rps, cell.metrics.offered_rps, cell.metrics.duration_s
    if not target or offered is None or not duration_s or cell.info.raw.get("pattern") != "sustained":
        return None
    expected = target * duration_s
    # A random process deviates by its standard deviation (3 of them allowed); a regular one by an arrival at the edge.
    chance = 1.0 / expected if cell.info.raw.get("process") == "constant" else 3.0 / np.sqrt(expected)
    return float(min(1.0, offered / target + chance))


def _unaccounted_share(cell: CellEvidence) -> float | None:
    offered = cell.load.arrivals_offered
    if not offered or cell.load.ended_at is None:
        return None
    recorded = int((cell.records["attempt"] == 1).sum())
    return max(0.0, (offered - recorded) / offered)


def _lost_processes(cell: CellEvidence) -> float | None:
    return cell.load.processes_lost if cell.load.ended_at is not None else None


def _health_values(cell: CellEvidence, column: str) -> np.ndarray:
    """Health figures of the measured window; of the whole cell where the window is unknown."""
    at, values = floats(cell.health["at"]), floats(cell.health[column])
    inside = cell.window.covers(at)
    return values[inside] if inside.any() else values


def _hub_lag_ms(cell: CellEvidence) -> float | None:
    return typical_worst(_health_values(cell, "hub_lag_ms"))


def _cpu_pct(cell: CellEvidence) -> float | None:
    values = _health_values(cell, "cpu_pct")
    present = values[~np.isnan(values)]
    return float(np.quantile(present, 0.9)) if len(present) >= _OCCURRENCES else None


def _aborted_share(cell: CellEvidence) -> float | None:
    sent = cell.records.loc[cell.records["sent"], "outcome"]
    return float((sent == Outcome.ABORTED).mean()) if len(sent) else None


def _wrong_tier_share(cell: CellEvidence) -> float | None:
    answered = cell.records[cell.records["ok"] & cell.records["served_tier"].notna()]
    if answered.empty:
        return None
    return float((answered["served_tier"] != answered["service_tier"]).mean())


def _samples(cell: CellEvidence) -> float | None:
    return float((cell.records["ok"] & cell.records["measured"]).sum())


RULES = (
    Rule(
        "send_lag_p99_ms", "ms", LAG_WARN_MS, LAG_FAIL_MS, "Calls left {} after they were due",
        "Give the generator more processes or cores, or lower the rate.", _send_lag_ms, open_loop_only=True,
    ),
    Rule(
        "dropped_arrivals", "share", MISSING_WARN_SHARE, MISSING_FAIL_SHARE, "{} of the arrivals found no free slot",
        "Raise the number of slots (users) or of processes, or lower the rate.", _dropped_share, open_loop_only=True,
    ),
    Rule(
        "achieved_rate", "share", RATE_WARN_SHARE, RATE_FAIL_SHARE, "Only {} of the offered rate was sent",
        "Raise the number of slots (users) or of processes, or lower the rate.", _achieved_share,
        open_loop_only=True, low_is_bad=True,
    ),
    Rule(
        "target_rate", "share", RATE_WARN_SHARE, RATE_FAIL_SHARE, "Only {} of the configured rate was scheduled",
        "The arrival scheduler fell behind: look at hub lag and CPU.", _target_rate_share,
        open_loop_only=True, low_is_bad=True,
    ),
    Rule(
        "unaccounted_arrivals", "share", LOST_WARN_SHARE, LOST_FAIL_SHARE, "{} of the arrivals left no record",
        "A process was killed or its disk was full: look at locust.log.", _unaccounted_share, open_loop_only=True,
    ),
    Rule(
        "lost_processes", "count", 0.0, 0.0, "{} of the load generator's processes died",
        "Their share of the load was never sent: look at locust.log.", _lost_processes,
    ),
    Rule(
        "hub_lag_p99_ms", "ms", LAG_WARN_MS, LAG_FAIL_MS, "The generator's event loop was {} late",
        "Every time stamp may be late by as much: more processes, fewer users a process.", _hub_lag_ms,
    ),
    Rule(
        "generator_cpu_p90_pct", "%", CPU_WARN_PCT, CPU_FAIL_PCT, "A generator process used {} of a core",
        "Give the generator more processes or cores.", _cpu_pct,
    ),
    Rule(
        "samples", "count", SAMPLES_WARN, None, "Only {} answers in the measured window",
        "Run longer or at a higher rate: a p95 needs 72 answers, a p99 368.", _samples, low_is_bad=True,
    ),
    Rule(
        "served_tier", "share", MISSING_WARN_SHARE, MISSING_FAIL_SHARE,
        "{} of the answers came from another tier than the one asked for",
        "Compare by served tier, or find out why Bedrock moved the calls.", _wrong_tier_share,
    ),
    Rule(
        "aborted_calls", "share", MISSING_WARN_SHARE, MISSING_FAIL_SHARE, "{} of the calls were cut off by the end",
        "They are the slowest ones: raise the drain timeout.", _aborted_share,
    ),
)  # fmt: skip


def _unreadable_lines(cells: Sequence[CellEvidence], skipped: Mapping[str, int]) -> Check:
    bad, sound = sum(skipped.values()), sum(len(cell.records) for cell in cells)
    share = bad / (bad + sound) if bad + sound else None
    rule = Rule(
        "unreadable_lines", "share", LOST_WARN_SHARE, LOST_FAIL_SHARE, "", "Look at the record files.", lambda _: share
    )
    if share is None:
        return _check(rule, None, CheckStatus.NOT_MEASURED, None)
    check = _check(rule, share, rule.status_of(share), None)
    if not bad:
        return check
    kinds = ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items()))
    return _with_reason(check, f"{bad} record {'line was' if bad == 1 else 'lines were'} skipped: {kinds}")


def _unfinished_cells(cells: Sequence[CellEvidence]) -> Check:
    names = [cell.name for cell in cells if cell.is_unfinished]
    rule = Rule(
        "unfinished_cells", "count", 0.0, None, "", "Run again with --resume to complete the suite.", lambda _: None
    )
    check = _check(rule, float(len(names)), rule.status_of(float(len(names))), names[0] if names else None)
    return _with_reason(check, f"Not finished: {', '.join(names)}") if names else check


def _with_reason(check: Check, reason: str) -> Check:
    return Check(**{**asdict(check), "status": check.status, "reason": reason})
