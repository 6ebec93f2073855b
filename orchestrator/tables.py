"""Plan and results as people read them: tables on a terminal, the same without borders in a pipe."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.plan_warnings import measured_text, plan_warnings
from orchestrator.preflight import Preparation, SessionsPlan, most_requests
from orchestrator.settings import Settings
from reports.sections import comparison
from reports.text import clean_tree
from scenarios.cells import Cell
from scenarios.model import Scenario
from scenarios.patterns import REPLAY
from scenarios.plan import EMULATOR, CellPlan, CostRange, Plan
from scenarios.promise import SLA_S
from scenarios.schedule import STAGES
from scenarios.units import format_duration, format_rate

#: Width of tables where the output is no terminal: nothing is cut off.
_PIPE_WIDTH = 200

#: Cells that a sentence names one by one.
_NAMED_CELLS = 3

_VERDICT_STYLES = {"PASS": "bold green", "FAIL": "bold red", "INCONCLUSIVE": "bold yellow"}
MISSING = "—"


def print_all(stream: TextIO, renderables: Iterable[Any]) -> None:
    """Print one after the other: with colours on a terminal, elsewhere as plain lines that are never cut off.

    Text is never read as markup.
    """
    if stream.isatty():
        _print(Console(file=stream, highlight=False), renderables)
        return
    plain = StringIO()
    _print(Console(file=plain, highlight=False, width=_PIPE_WIDTH, color_system=None), renderables)
    stream.write("".join(f"{line.rstrip()}\n" for line in plain.getvalue().splitlines()))
    stream.flush()


def _print(console: Console, renderables: Iterable[Any]) -> None:
    for renderable in renderables:
        console.print(Text(renderable) if isinstance(renderable, str) else renderable)


def make_table(title: str, columns: Sequence[str], left: int = 1) -> Table:
    """A table whose first `left` columns are text and the others numbers."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, title_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < left else "right", no_wrap=index == 0)
    return table


def plan_text(preparation: Preparation) -> list[Any]:
    """The plan: what is sent where, the cells, what is skipped, the quotas."""
    settings, plan = preparation.settings, preparation.plan
    lines: list[Any] = [_headline(settings), _cells_table(plan)]
    lines += _order_sentences(settings.scenario, len(plan.cells))
    lines += [f"Skipped: {cell.cell}: {cell.reason}" for cell in plan.skipped]
    lines += [f"Note: {doubt}" for doubt in preparation.doubts]
    lines += preparation.notes
    lines += [_quota_sentence(plan, index) for index in range(len(plan.quotas))]
    lines += _quota_cells(plan)
    cells = "1 cell" if len(plan.cells) == 1 else f"{len(plan.cells)} cells"
    lines.append(
        f"In all {cells}, about {_count(plan.requests)} requests, {_count(plan.input_tokens)} tokens in, "
        f"{_count(plan.output_tokens)} tokens out, {format_duration(plan.duration_s)} ({measured_text(preparation)}), "
        f"{_cost_range(plan.cost)}"
    )
    lines += _retry_sentence(preparation)
    if not settings.is_paid:
        lines.append("The target is an emulator: nothing is billed; costs are what AWS would charge.")
    if settings.options.record_responses:
        lines.append(
            "Prompts and answers will be written to cells/<cell>/responses-<process>.jsonl: they may be confidential."
        )
    return [*lines, *plan_warnings(preparation)]


def _order_sentences(scenario: Scenario, cells: int) -> list[str]:
    order = scenario.order
    parts = [f"in an order drawn by the seed {scenario.seed}" if order.shuffle else "in the order of the table"]
    parts += [f"in {order.rounds} rounds"] if order.rounds > 1 else []
    parts += [f"up to {order.parallel_cells} at once"] if order.parallel_cells > 1 else []
    parts += [f"with pauses of {format_duration(order.cool_down_s)}"] if order.cool_down_s else []
    return [f"Cells run {', '.join(parts)}."] if cells > 1 else []


def _retry_sentence(preparation: Preparation) -> list[str]:
    most = most_requests(preparation)
    if most is None:
        return []
    text = f"Retries are not counted in this: at most {_count(most)} requests if every attempt failed"
    return [f"{text}. A failed attempt has no output to pay for unless its stream broke off."]


def settings_table(settings: Settings) -> Table:
    """Every value in force and where it came from."""
    table = make_table("Settings", ("setting", "value", "from"), left=3)
    for row in settings.listing():
        table.add_row(row.name, Text(row.value, overflow="fold"), row.source)
    return table


def _headline(settings: Settings) -> str:
    scenario = settings.scenario
    where = settings.options.endpoint_url or (
        f"AWS {', '.join(settings.regions)}" if scenario.target == "aws" else "an emulator of its own"
    )
    about = f": {' '.join(scenario.description.split())}" if scenario.description else ""
    how = f"{', '.join(scenario.matrix.apis or (scenario.api,))} over {scenario.transport} · seed {scenario.seed}"
    if scenario.retry.policy != "none":
        how += f" · {scenario.retry.policy} retries, up to {scenario.retry.max_attempts} attempts"
    if scenario.failover.regions:
        how += f" · failover {' > '.join(scenario.failover.regions)}"
    return f"Scenario {scenario.name}{about}\nTarget {where} · {how}"


def _cells_table(plan: Plan) -> Table:
    table = make_table(
        "Plan",
        ("cell", "load", "requests", "tokens in", "tokens out", "in flight", "slots", "of quota", "time", "cost USD"),
        left=2,
    )
    for planned in plan.cells:
        table.add_row(
            planned.cell.cell,
            load_text(planned.cell),
            _count(planned.requests),
            _count(planned.input_tokens),
            _count(planned.output_tokens),
            f"{planned.peak_in_flight:.1f}",
            str(planned.slots) if planned.cell.is_open else MISSING,
            _quota_percent(plan.quota_share(planned)),
            format_duration(round(planned.duration_s)),
            _cost(planned.cost),
        )
    return table


def load_text(cell: Cell) -> str:
    """`5/s poisson spike, 20s`, `conversations at 2/s ...`, `30 users, 1m` or `up to 30 users spike, 1m`."""
    time = format_duration(cell.duration_s)
    if cell.rate_rps is None:
        return _users_text(cell, time)
    rate = format_rate(cell.rate_rps) if cell.sessions is None else f"conversations at {format_rate(cell.rate_rps)}"
    if cell.pattern == STAGES:
        return f"{len(cell.stages)} stages of {rate} on average, {time}"
    if cell.pattern == REPLAY:
        return f"{_replay_text(cell)}, {rate} on average, {time}"
    return f"{rate} {cell.process} {cell.pattern}, {time}"


def _users_text(cell: Cell, time: str) -> str:
    is_flat = cell.user_pattern is None or cell.user_pattern.is_flat
    return f"{cell.users} users, {time}" if is_flat else f"up to {cell.users} users {cell.pattern}, {time}"


def _replay_text(cell: Cell) -> str:
    """Which trace, and how much of it where the duration cuts it."""
    (replay,) = cell.schedule().replays()
    whole = len(replay.trace.times_s)
    part = "" if replay.count == whole else f", the first {_count(replay.count)} of {_count(whole)} messages"
    return f"replay of {Path(replay.trace.file).name}{part}"


def _quota_sentence(plan: Plan, index: int) -> str:
    use = plan.quotas[index]
    cells = use.requests_cell if use.requests_cell == use.tokens_cell else f"{use.requests_cell}; {use.tokens_cell}"
    asked = (
        f"{_count(use.requests_per_minute)} requests and {_count(use.tokens_per_minute)} tokens in the busiest minute"
    )
    quota = f"{_limit(use.rpm_quota)} and {_limit(use.tpm_quota)}"
    end = f"; expect throttling{_on_aws(plan)}" if use.exceeds else ""
    where = f" in {use.region}" if len({other.region for other in plan.quotas}) > 1 else ""
    return f"Quota: {use.model_id}{where}: {asked} ({cells}); {use.source} quota {quota}{end}"


def _quota_percent(share: float | None) -> str:
    return MISSING if share is None else f"{share * 100:.0f} %"


def _quota_cells(plan: Plan) -> list[str]:
    """A sentence on the cells that are throttled."""
    above = [planned.cell.cell for planned in plan.cells if (plan.quota_share(planned) or 0.0) > 1.0]
    if not above:
        return []
    named = ", ".join(above[:_NAMED_CELLS])
    if above[_NAMED_CELLS:]:
        is_all = len(above) == len(plan.cells)
        named = f"all {len(above)} cells" if is_all else f"{named} and {len(above) - _NAMED_CELLS} more"
    return [f"Above 100 % of its quota a cell measures the quota{_on_aws(plan)}, and not the model: {named}"]


def _on_aws(plan: Plan) -> str:
    """An emulator without quotas of its own throttles nothing."""
    return "" if any(use.source == EMULATOR for use in plan.quotas) else " on AWS"


def results_text(summary: Mapping[str, Any]) -> list[Any]:
    """Results by cell, the objectives, the verdict and its reasons."""
    summary = clean_tree(summary)  # error messages of the service must not steer the terminal
    lines: list[Any] = [_results_table(summary), ""]
    if summary["objectives"]:
        lines += [_objectives_table(summary), ""]
    if summary.get("comparison"):
        lines += [comparison.sentence(summary["comparison"]), ""]
    verdict = summary["verdict"]
    lines.append(Text(f"Verdict: {verdict['status']}", style=_VERDICT_STYLES.get(verdict["status"], "")))
    lines += [f"  {reason}" for reason in verdict["reasons"]]
    return lines


def _results_table(summary: Mapping[str, Any]) -> Table:
    sla_s = float((summary.get("run") or {}).get("sla_s") or SLA_S)
    table = make_table(
        "Results",
        ("cell", "n", "TTFT p50 ms", "p95", "e2e p50 ms", "p95", "throttled", f"in {sla_s:g} s", "cost USD", "status"),
    )
    for cell in summary["cells"]:
        table.add_row(cell["cell"], *_metric_columns(cell["metrics"]), str(cell.get("status") or MISSING))
    table.add_section()
    table.add_row("all", *_metric_columns(summary["total"]["metrics"]), "")
    return table


def _metric_columns(metrics: Mapping[str, Any] | None) -> list[str]:
    if metrics is None:
        return [MISSING] * 8
    latencies = [_ms((metrics.get(name) or {}).get(stat)) for name in ("ttft_ms", "e2e_ms") for stat in ("p50", "p95")]
    return [
        _count((metrics.get("e2e_ms") or {}).get("n")),  # what the percentiles beside it rest on
        *latencies,
        _percent(metrics.get("throttle_rate")),
        _percent(metrics.get("sla_compliance")),
        MISSING if metrics.get("cost_usd") is None else f"{metrics['cost_usd']:.4f}",
    ]


def _objectives_table(summary: Mapping[str, Any]) -> Table:
    table = make_table("Objectives", ("objective", "status", "observed", "n"), left=2)
    for result in summary["objectives"]:
        shown = MISSING if result["observed"] is None else result["observed_text"]
        table.add_row(result["objective"], result["status"], shown, str(result["n"]))
    return table


def _count(value: float | None) -> str:
    return MISSING if value is None else f"{value:,.0f}"


def _limit(value: float | None) -> str:
    return "no limit" if value is None else f"{value:,}"


def _ms(value: float | None) -> str:
    return MISSING if value is None else f"{value:,.0f}"


def _percent(value: float | None) -> str:
    return MISSING if value is None else f"{value * 100:.1f} %"


def _cost(cost: CostRange | None) -> str:
    return MISSING if cost is None else f"{cost.expected_usd:.4f}"


def _cost_range(cost: CostRange | None) -> str:
    if cost is None:
        return "cost unknown: a model has no price in this tier"
    return (
        f"{_usd(cost.expected_usd)} ({_usd(cost.low_usd)} with short answers, "
        f"{_usd(cost.high_usd)} if every answer were max_tokens long)"
    )


def _usd(value: float) -> str:
    return f"${value:,.2f}" if value >= 1.0 else f"${value:.4f}"


def plan_document(preparation: Preparation) -> dict[str, Any]:
    """The plan as one JSON document."""
    plan = preparation.plan
    return {
        "schema_version": 1,
        "scenario": preparation.settings.scenario.name,
        "settings": [
            {"name": row.name, "value": row.value, "from": row.source} for row in preparation.settings.listing()
        ],
        "system_prompt": None if preparation.system is None else preparation.system.summary(),
        "sessions": None if preparation.sessions is None else _sessions_document(preparation.sessions),
        "notes": list(preparation.doubts),
        "warnings": plan_warnings(preparation),
        "cells": [_planned_cell(planned, plan) for planned in plan.cells],
        "skipped": [{"cell": cell.cell, "reason": cell.reason} for cell in plan.skipped],
        "total": {
            "cells": len(plan.cells),
            "requests": plan.requests,
            "most_requests": most_requests(preparation),
            "input_tokens": plan.input_tokens,
            "output_tokens": plan.output_tokens,
            "peak_in_flight": plan.peak_in_flight,
            "duration_s": plan.duration_s,
            "measured_s": sum(planned.cell.duration_s for planned in plan.cells),
            "cost_usd": _cost_document(plan.cost),
        },
        "quotas": [
            {
                "model_id": use.model_id,
                "region": use.region,
                "cell": use.tokens_cell,
                "requests_cell": use.requests_cell,
                "tokens_cell": use.tokens_cell,
                "requests_per_minute": use.requests_per_minute,
                "rpm_quota": use.rpm_quota,
                "tokens_per_minute": use.tokens_per_minute,
                "tpm_quota": use.tpm_quota,
                "source": use.source,
                "exceeds": use.exceeds,
            }
            for use in plan.quotas
        ],
    }


def _sessions_document(sessions: SessionsPlan) -> dict[str, Any]:
    return {"name": sessions.name, **asdict(sessions.shape), "history_tokens": sessions.history_tokens}


def _planned_cell(planned: CellPlan, plan: Plan) -> dict[str, Any]:
    return planned.cell.to_dict() | {
        "requests": planned.requests,
        "input_tokens": planned.input_tokens,
        "output_tokens": planned.output_tokens,
        "peak_in_flight": planned.peak_in_flight,
        "slots": planned.slots,
        "quota_share": plan.quota_share(planned),
        "planned_duration_s": planned.duration_s,
        "cost_usd": _cost_document(planned.cost),
    }


def _cost_document(cost: CostRange | None) -> dict[str, float] | None:
    if cost is None:
        return None
    return {"low": cost.low_usd, "expected": cost.expected_usd, "high": cost.high_usd}
