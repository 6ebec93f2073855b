"""The first screen: verdict, objectives, headline numbers, identity of the run."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from analysis.inputs import instant
from reports import numbers
from reports.material import Material
from reports.sections.metrics import LATENCIES, stat_entry
from reports.table import Column, Entry, Table, status_entry, text_column, tone_of
from scenarios.units import format_duration

#: What the process's exit code says (docs: exit codes of the command).
EXIT_CODES: Mapping[int, str] = {
    0: "all objectives met",
    1: "an objective failed",
    2: "interrupted, results are partial",
    3: "internal error",
    4: "configuration error, nothing sent",
    5: "inconclusive",
    6: "stopped by a safety limit",
}

_LOOPS = {
    "open": "Open loop: arrivals follow a schedule whatever the service does; latency counts from the intended start.",
    "closed": (
        "Closed loop: each user waits for the answer before asking again, so a slow service is asked less; "
        "latency counts from the actual start."
    ),
    "mixed": (
        "Open and closed loop, by cell: in the open loop arrivals follow a schedule and latency counts from the "
        "intended start; in the closed loop a user waits for the answer before asking again."
    ),
}


@dataclass(frozen=True, slots=True)
class VerdictView:
    """The verdict line: status word, its tone, the main reason, the other reasons, the exit code and its meaning."""

    status: str
    tone: str
    reason: str
    others: tuple[str, ...]
    exit_code: str
    meaning: str
    validity: str
    validity_tone: str


def verdict(material: Material) -> VerdictView:
    """The first line of the page."""
    found = material.summary.get("verdict") or {}
    status, code = str(found.get("status") or "INCONCLUSIVE"), found.get("exit_code")
    reasons = [str(reason) for reason in found.get("reasons") or []] or ["No reason was recorded"]
    validity = str((material.summary.get("validity") or {}).get("status") or "not judged")
    return VerdictView(
        status=status,
        tone=tone_of(status),
        reason=reasons[0],
        others=tuple(reasons[1:]),
        exit_code=numbers.MISSING if code is None else str(code),
        meaning=EXIT_CODES.get(code, "") if isinstance(code, int) else "",
        validity=validity,
        validity_tone=tone_of(validity),
    )


def banners(material: Material) -> list[str]:
    """Sentences that must be read before any number: partial results, a target that is not AWS."""
    found = []
    stopped = material.run.get("stopped_by")
    started = [cell for cell in material.cells if cell.status != "skipped"]
    done = [cell for cell in started if cell.status == "finished"]
    if stopped or any(cell.status in ("interrupted", "running", "pending") for cell in started):
        reasons = {None: "ended early", "interrupt": "interrupted"}
        why = reasons.get(stopped, f"stopped by its limit {stopped}")
        share = _share_done(material)
        at = f"stopped at {math.floor(share * 100)} % of the planned load time, " if share is not None else ""
        found.append(f"Partial results: {at}{why} after {len(done)} of {len(started)} cells.")
    skipped = sum(cell.status == "skipped" for cell in material.cells)
    if skipped:
        were = "was" if skipped == 1 else "were"
        found.append(f"{skipped} of {len(material.cells)} cells {were} skipped; the cells table says why.")
    if material.run.get("target") == "emulator":
        found.append("The target was the local emulator: these figures test the setup and say nothing about AWS.")
    return found


def _share_done(material: Material) -> float | None:
    """How much of the planned load time of all cells was spent under load; None where nothing was planned."""
    planned_s = {
        str(entry["cell"]): float(entry.get("warmup_s") or 0.0) + float(entry.get("duration_s") or 0.0)
        for entry in material.run.get("cells") or []
        if entry.get("status") != "skipped"
    }
    if not sum(planned_s.values()):
        return None
    at = material.records.groupby("cell", observed=True)["intended_at"]
    seen_s = (at.max() - at.min()).fillna(0.0).to_dict()
    finished = {cell.name for cell in material.cells if cell.status == "finished"}
    done_s = sum(s if name in finished else min(s, seen_s.get(name, 0.0)) for name, s in planned_s.items())
    return done_s / sum(planned_s.values())


def objectives_table(material: Material) -> Table:
    """Every objective with the limit, what was observed, how sure that is, and the status."""
    columns = (
        text_column("Objective"), text_column("Status"), Column("Observed"), Column("95 % interval"),
        Column("Limit"), Column("Margin"), Column("n"), text_column("Scope"),
    )  # fmt: skip
    rows = [_objective_row(entry) for entry in material.summary.get("objectives") or []]
    return Table("objectives", "Objectives", columns, rows, stacks=True)


def _objective_row(entry: Mapping[str, Any]) -> list[Entry]:
    metric = str(entry.get("metric") or "")
    interval, reason = entry.get("ci95"), entry.get("reason")
    low_high = numbers.quantity_range(metric, interval[0], interval[1]) if interval else None
    no_interval = reason or "this metric has no interval"
    return [
        Entry(str(entry.get("objective"))),
        status_entry(str(entry.get("status")), small=reason),
        Entry(numbers.quantity(metric, entry.get("observed")), reason),
        Entry(low_high or numbers.MISSING, None if low_high else no_interval),
        Entry(numbers.quantity(metric, entry.get("limit")), reason),
        Entry(numbers.signed_percent(entry.get("margin_pct")), "nothing observed, or a limit of 0"),
        Entry(numbers.count(entry.get("n"))),
        Entry(scope_text(entry.get("scope")).replace("=", " = ")),  # so that a narrow column breaks beside it
    ]


def scope_text(scope: Any) -> str:
    """`service_tier=priority`, or `whole run`."""
    if isinstance(scope, Mapping) and scope:
        return ", ".join(f"{key}={value}" for key, value in scope.items())
    return str(scope) if scope else "whole run"


def total_metrics(material: Material) -> Mapping[str, Any]:
    """The metrics of the whole run."""
    total = material.summary.get("total") or {}
    found: Mapping[str, Any] = total.get("metrics") or total
    return found


def headline_latency(material: Material) -> Table:
    """TTFT and whole response: p50, p95, p99 with n. No mean alone."""
    metrics = total_metrics(material)
    columns = (text_column("Latency"), Column("p50", "ms"), Column("p95", "ms"), Column("p99", "ms"), Column("n"))
    rows = [
        [
            Entry(name),
            *(stat_entry(metrics, metric, stat) for stat in ("p50", "p95", "p99")),
            Entry(numbers.count((metrics.get(metric) or {}).get("n"))),
        ]
        for metric, name in (("ttft_ms", "First token (TTFT)"), ("e2e_ms", "Whole response"))
    ]
    return Table("headline-latency", "Latency of the whole run", columns, rows)


@dataclass(frozen=True, slots=True)
class Figure:
    """One headline number: label, value, and what it rests on."""

    label: str
    value: str
    basis: str


def headline_figures(material: Material) -> list[Figure]:
    """Rates, shares, tokens and money of the whole run, each with its n."""
    total, sla_s = total_metrics(material), material.run.get("sla_s") or 3.0
    attempts, messages = f"n {numbers.count(total.get('requests'))}", f"n {numbers.count(total.get('messages'))}"
    return [
        Figure(f"Within {sla_s:g} s", numbers.percent(total.get("sla_compliance")), messages),
        Figure("Goodput", _per_s(total.get("goodput_rps")), f"{numbers.count(total.get('good_messages'))} messages"),
        Figure("Offered rate", _per_s(total.get("offered_rps")), f"sent {_per_s(total.get('achieved_rps'))}"),
        Figure("Throttled", numbers.percent(total.get("throttle_rate")), f"{attempts}{_first_throttle(material)}"),
        Figure("Errors", numbers.percent(total.get("error_rate")), attempts),
        Figure("Dropped arrivals", *_dropped(total.get("outcomes") or {})),
        Figure("Output tokens", _per_s(total.get("total_output_tokens_per_s")), _tokens(total)),
        Figure("Cost", numbers.usd(total.get("cost_usd")), f"{numbers.usd(_monthly(material))} a month"),
    ]


def _first_throttle(material: Material) -> str:
    first = (material.summary.get("throttling") or {}).get("first_throttle_s")
    return "" if first is None else f", first at {format_duration(max(0.0, float(first)))}"


def _dropped(outcomes: Mapping[str, Any]) -> tuple[str, str]:
    return numbers.count(outcomes.get("dropped")), f"{numbers.count(outcomes.get('aborted'))} calls cut off"


def _tokens(total: Mapping[str, Any]) -> str:
    return f"{numbers.count(total.get('output_tokens'))} in all"


def _monthly(material: Material) -> float | None:
    found: float | None = (material.summary.get("cost") or {}).get("projected_monthly_cost_usd")
    return found


def _per_s(value: float | None) -> str:
    return numbers.MISSING if value is None else f"{numbers.rate(value)}/s"


def identity(material: Material) -> list[tuple[str, str]]:
    """Who, what, where, when: enough to repeat the run and to refuse a wrong comparison."""
    run = material.run
    versions = run.get("versions") or {}
    tools = ", ".join(f"{name} {version}" for name, version in versions.items())
    called = [str(group["key"]) for group in (material.summary.get("groups") or {}).get("model") or []]
    models = called or sorted({cell.dims["model"] for cell in material.cells})
    target = " ".join(str(part) for part in (run.get("target"), run.get("endpoint_url")) if part)
    pairs = [
        ("Run", run.get("run_id")),
        ("Started", moment(run.get("started_at"))),
        ("Duration", _duration(run)),
        ("Target", target),
        ("Region, API", ", ".join(str(part) for part in (run.get("region"), run.get("api")) if part)),
        ("Models", ", ".join(models[:6])),
        ("Load model", f"{run.get('load_model')} loop" if run.get("load_model") else None),
        ("Transport", f"{_known(run.get('transport'))}, SDK retries {_known(run.get('sdk_retries'))}"),
        ("Generator", f"processes {_known(run.get('processes'))}, seed {_known(run.get('seed'))}"),
        *_order(run),
        ("Commit, tools", ", ".join(part for part in (_commit(run.get("git_commit")), tools) if part)),
    ]
    return [(label, str(value) if value else numbers.MISSING) for label, value in pairs]


def _order(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How often the suite was run and how many of its cells at once; nothing where it was one after the other, once."""
    order = run.get("order") or {}
    rounds, parallel = int(order.get("rounds") or 1), int(order.get("parallel_cells") or 1)
    parts = [f"{rounds} rounds"] if rounds > 1 else []
    parts += [f"up to {parallel} at once"] if parallel > 1 else []
    return [("Cells", ", ".join(parts))] if parts else []


def _commit(commit: Any) -> str:
    """The first characters of a commit's hash, and whether the tree had changes (`-dirty`)."""
    if not commit:
        return "no commit"
    name, dash, state = str(commit).partition("-")
    return f"{name[:12]}{dash}{state}"


def _known(value: Any) -> str:
    return "not recorded" if value is None else str(value)


def loop_sentence(material: Material) -> str:
    """Open or closed loop, said plainly."""
    return _LOOPS.get(str(material.run.get("load_model")), "The load model of this run was not recorded.")


def moment(value: Any) -> str | None:
    """`2027-01-15 08:00:00 UTC` of Unix seconds or an ISO text; None if it is neither."""
    at = instant(value)
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _duration(run: Mapping[str, Any]) -> str | None:
    start, end = instant(run.get("started_at")), instant(run.get("ended_at"))
    return None if start is None or end is None else format_duration(max(0.0, end - start))


def all_latencies(material: Material) -> Table:
    """Every latency metric of the whole run with all its statistics."""
    metrics = total_metrics(material)
    columns = (
        text_column("Metric"), Column("n"), Column("mean"), Column("p50"), Column("p90"), Column("p95"),
        Column("p99"), Column("p99.9"), Column("max"), text_column("95 % interval of the p95"),
    )  # fmt: skip
    rows = []
    for metric, name in LATENCIES.items():
        stats = metrics.get(metric) or {}
        interval = (stats.get("ci95") or {}).get("p95")
        shown = numbers.quantity_range(metric, interval[0], interval[1]) if interval else numbers.MISSING
        rows.append(
            [
                Entry(f"{name}, {'ms' if metric.endswith('_ms') else 'tokens/s'}"),
                Entry(numbers.count(stats.get("n"))),
                *(stat_entry(metrics, metric, s) for s in ("mean", "p50", "p90", "p95", "p99", "p99_9", "max")),
                Entry(shown, "too few requests"),
            ]
        )
    return Table("all-latencies", "Latency of the whole run, all metrics", columns, rows, wide=True)
