"""Whether the generator measured what it claims: checks on itself, judged before any performance is.

A check is OK, WARN or FAIL, or NOT_MEASURED where its figures are missing; a check that makes no sense for the load
model is left out. Most checks look at each cell and report the worst, since one saturated cell hides in a mean.
One FAIL makes the run INVALID (and its verdict INCONCLUSIVE), one WARN makes it SUSPECT.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from analysis.evidence import CellEvidence
from analysis.observations import (
    aborted_share,
    achieved_share,
    cache_mixed_share,
    cpu_pct,
    dropped_share,
    frozen_share,
    has_process_without_health,
    hub_lag_ms,
    little_share,
    lost_processes,
    measured_time_share,
    missing_records_share,
    pool_wait_ms,
    ramp_share,
    receive_lag_ms,
    samples,
    send_lag_ms,
    slow_first_share,
    starved_share,
    target_rate_share,
    unaccounted_share,
    wrong_tier_share,
)
from analysis.percentiles import min_samples

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

#: A cell ends when its time is over, to the millisecond; one that lost 1 % of it was ended by something else.
TIME_WARN_SHARE, TIME_FAIL_SHARE = 0.999, 0.99

#: A frozen generator delays what arrives meanwhile: 0.5 % of the time is half of what an SLA of 99 % may miss, 5 %
#: are the answers above a p95.
FROZEN_WARN_SHARE, FROZEN_FAIL_SHARE = 0.005, 0.05


#: In flight = rate x time holds for any system: 10 % is more than its edges explain, 50 % is another system.
LITTLE_WARN_SHARE, LITTLE_FAIL_SHARE = 0.10, 0.50

#: Answers from the cache are faster: one in twenty of the other kind decides a p95.
CACHE_WARN_SHARE = 0.05

#: Six of ten first answers above the p90 of the others are chance in one cell of 7,000.
FIRST_WARN_SHARE = 0.5

#: More start-up than measurement.
RAMP_WARN_SHARE = 0.5


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
    """A check to make on every cell: how to observe it, and from where on it is a warning or a failure.

    `needed` figures are written by every load generator that works: a started cell without them is a warning, and so
    is one where `is_blind` says that a part of them is missing.
    """

    name: str
    unit: str
    warn: float
    fail: float | None
    sentence: str
    advice: str
    observe: Callable[[CellEvidence], float | None]
    open_loop_only: bool = False
    low_is_bad: bool = False
    needed: bool = False
    #: A second opinion that not every platform gives: left out where there is none.
    optional: bool = False
    is_blind: Callable[[CellEvidence], bool] = lambda _: False

    def status_of(self, observed: float) -> CheckStatus:
        """OK, WARN or FAIL of an observation."""
        sign = -1.0 if self.low_is_bad else 1.0
        if self.fail is not None and sign * observed > sign * self.fail:
            return CheckStatus.FAIL
        return CheckStatus.WARN if sign * observed > sign * self.warn else CheckStatus.OK


def check_validity(
    cells: Sequence[CellEvidence], skipped_lines: Mapping[str, int], skipped_files: Sequence[str] = ()
) -> Validity:
    """All checks of a run, in the order in which an engineer would look.

    `skipped_lines` are the lines that were no records, by reason; `skipped_files` the files that have some.
    """
    started = [cell for cell in cells if cell.was_started]
    checks = [check for rule in RULES if (check := _apply(rule, started)) is not None]
    checks += [_unreadable_lines(cells, skipped_lines, skipped_files), _unfinished_cells(cells)]
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
    seen = {name for _, name in observed}
    missing = [cell.name for cell in applicable if rule.needed and (cell.name not in seen or rule.is_blind(cell))]
    if not observed and rule.optional:
        return None
    if not observed:
        check = _check(rule, None, CheckStatus.NOT_MEASURED, None)
        return _blind(check, rule, missing) if missing else check
    value, cell_name = (min if rule.low_is_bad else max)(observed, key=lambda pair: pair[0])
    check = _check(rule, value, rule.status_of(value), cell_name)
    return _blind(check, rule, missing) if missing else check


def _blind(check: Check, rule: Rule, missing: Sequence[str]) -> Check:
    """The check where some cells have no figures: nobody knows of those, so it is a warning at least."""
    sentence = f"No figures of {rule.name} in {', '.join(missing)}"
    if check.status in (CheckStatus.WARN, CheckStatus.FAIL):
        return replace(check, reason=f"{check.reason}. {sentence}")
    advice = "A process that left no figures may have been overloaded: look at its log and the disk."
    return replace(check, status=CheckStatus.WARN, cell=missing[0], reason=sentence, advice=advice)


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


RULES = (
    Rule(
        "measured_time", "share", TIME_WARN_SHARE, TIME_FAIL_SHARE, "Only {} of the planned time was measured",
        "The load generator was ended early: look at locust.log, and for a locust.conf that sets a run time.",
        measured_time_share, low_is_bad=True,
    ),
    Rule(
        "send_lag_p99_ms", "ms", LAG_WARN_MS, LAG_FAIL_MS, "Calls left {} after they were due",
        "Give the generator more processes or cores, or lower the rate.", send_lag_ms, open_loop_only=True,
        needed=True,
    ),
    Rule(
        "receive_lag_p99_ms", "ms", LAG_WARN_MS, LAG_FAIL_MS, "First tokens lay in the kernel for {} before being read",
        "The generator is late by as much: more processes, or fewer streams a process.", receive_lag_ms,
        optional=True,
    ),
    Rule(
        "dropped_arrivals", "share", MISSING_WARN_SHARE, MISSING_FAIL_SHARE, "{} of the arrivals found no free slot",
        "Raise the number of slots (users) or of processes, or lower the rate.", dropped_share, open_loop_only=True,
    ),
    Rule(
        "achieved_rate", "share", RATE_WARN_SHARE, RATE_FAIL_SHARE, "Only {} of the offered rate was sent",
        "Raise the number of slots (users) or of processes, or lower the rate.", achieved_share,
        open_loop_only=True, low_is_bad=True,
    ),
    Rule(
        "target_rate", "share", RATE_WARN_SHARE, RATE_FAIL_SHARE, "Only {} of the configured rate was scheduled",
        "The arrival scheduler fell behind: look at hub lag and CPU.", target_rate_share,
        open_loop_only=True, low_is_bad=True,
    ),
    Rule(
        "unaccounted_arrivals", "share", LOST_WARN_SHARE, LOST_FAIL_SHARE, "{} of the arrivals left no record",
        "A process was killed or its disk was full: look at locust.log.", unaccounted_share, open_loop_only=True,
    ),
    Rule(
        "missing_records", "share", LOST_WARN_SHARE, LOST_FAIL_SHARE, "{} of the numbered records are missing",
        "A disk was full, a process was killed, or a file was changed: look at locust.log.", missing_records_share,
    ),
    Rule(
        "lost_processes", "count", 0.0, 0.0, "{} of the load generator's processes died",
        "Their share of the load was never sent: look at locust.log.", lost_processes, needed=True,
    ),
    Rule(
        "hub_lag_p99_ms", "ms", LAG_WARN_MS, LAG_FAIL_MS, "The generator's event loop was {} late",
        "Every time stamp may be late by as much: more processes, fewer users a process.", hub_lag_ms, needed=True,
        is_blind=has_process_without_health,
    ),
    Rule(
        "frozen_time", "share", FROZEN_WARN_SHARE, FROZEN_FAIL_SHARE,
        "A generator process stood still for {} of the time",
        "The times of what happened meanwhile are the generator's: give it a machine of its own.", frozen_share,
    ),
    Rule(
        "generator_cpu_p90_pct", "%", CPU_WARN_PCT, CPU_FAIL_PCT, "A generator process used {} of a core",
        "Give the generator more processes or cores.", cpu_pct, needed=True,
        is_blind=has_process_without_health,
    ),
    Rule(
        "pool_wait_p99_ms", "ms", LAG_WARN_MS, LAG_FAIL_MS, "Calls waited {} for a free connection",
        "The connection pool is smaller than the load: this wait is the generator's, not the service's.", pool_wait_ms,
    ),
    Rule(
        "littles_law", "share", LITTLE_WARN_SHARE, LITTLE_FAIL_SHARE,
        "Calls in flight differ by {} from rate x time",
        "Records are missing, or times are wrong: look at missing_records and at locust.log.", little_share,
    ),
    Rule(
        "first_requests", "share", FIRST_WARN_SHARE, None,
        "{} of the first ten answers were slower than nine in ten of the others",
        "Connections, caches or the model were cold: add a warm-up, or make it longer.", slow_first_share,
    ),
    Rule(
        "cache_contamination", "share", CACHE_WARN_SHARE, None,
        "{} of the answers differ from the rest in whether the prompt came from the service's cache",
        "Two populations in one percentile: vary the prompts, or warm the cache up before measuring.",
        cache_mixed_share,
    ),
    Rule(
        "ramp_share", "share", RAMP_WARN_SHARE, None, "{} of the time was ramp and warm-up, which is not measured",
        "Run longer.", ramp_share,
    ),
    Rule(
        "local_resources", "share", LOST_WARN_SHARE, LOST_FAIL_SHARE,
        "This machine had no connection for {} of the calls",
        "Raise the limit of open files (ulimit -n), or use more machines: the service never saw these calls.",
        starved_share,
    ),
    Rule(
        "samples", "count", SAMPLES_WARN, None, "Only {} answers in the measured window",
        "Run longer or at a higher rate: a p95 needs 72 answers, a p99 368.", samples, low_is_bad=True,
    ),
    Rule(
        "served_tier", "share", MISSING_WARN_SHARE, MISSING_FAIL_SHARE,
        "{} of the answers came from another tier than the one asked for",
        "Compare by served tier, or find out why Bedrock moved the calls.", wrong_tier_share,
    ),
    Rule(
        "aborted_calls", "share", MISSING_WARN_SHARE, MISSING_FAIL_SHARE, "{} of the calls were cut off by the end",
        "They are the slowest ones: raise the drain timeout.", aborted_share,
    ),
)  # fmt: skip


def _unreadable_lines(cells: Sequence[CellEvidence], skipped: Mapping[str, int], files: Sequence[str]) -> Check:
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
    where = f" in {files[0]}" if len(files) == 1 else f" in {len(files)} files" if files else ""
    return _with_reason(check, f"{bad} record {'line was' if bad == 1 else 'lines were'} skipped{where}: {kinds}")


def _unfinished_cells(cells: Sequence[CellEvidence]) -> Check:
    names = [cell.name for cell in cells if cell.is_unfinished]
    rule = Rule("unfinished_cells", "count", 0.0, None, "", "Run the suite again to complete it.", lambda _: None)
    check = _check(rule, float(len(names)), rule.status_of(float(len(names))), names[0] if names else None)
    return _with_reason(check, f"Not finished: {', '.join(names)}") if names else check


def _with_reason(check: Check, reason: str) -> Check:
    return replace(check, reason=reason)
