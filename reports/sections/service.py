"""Throttling, errors, validity of the measurement, and the run over time."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from reports import numbers
from reports.cells import tier_order
from reports.material import Material
from reports.minutes import first_throttles
from reports.sections.metrics import PERCENTILE_NOTE
from reports.table import Column, Entry, Table, cut, status_entry, text_column
from reports.text import shorten
from reports.timeline import Timeline
from scenarios.units import format_duration

MAX_ERROR_ROWS = 25
_BY = {"by_model": ("model", "Model"), "by_tier": ("service_tier", "Service tier"), "by_cell": ("cell", "Cell")}


def throttling_tables(material: Material) -> list[Table]:
    """The busiest minute against the quota; and where something was refused, by what, and minute by minute."""
    section = material.summary.get("throttling") or {}
    tables = [_throttled_by(section, name) for name in _BY] if section.get("throttled") else []
    tables = [table for table in tables if len(section.get(table.name.removeprefix("throttling-")) or []) > 1]
    return [table for table in (_quota(section), *tables) if table.rows] + _per_minute(section)


def _quota(section: Mapping[str, Any]) -> Table:
    used = section.get("quota") or []
    several = len({row.get("region") for row in used}) > 1
    rows, rest = cut([_quota_row(row) for row in used], 40)
    columns = (
        text_column("Model"), text_column("Region"), text_column("Quota of"), Column("Busiest minute", "offered"),
        Column("accepted"), Column("Default quota", "a minute"), Column("Used"), text_column("In cell"),
    )  # fmt: skip
    note = "Tokens count as the quota does: input and cache writes, and output times the model's burn-down."
    note += " Each Region has a quota of its own." if several else ""
    return Table("throttling-quota", "Busiest minute against the default quota", columns, rows, note=note, rest=rest)


def _quota_row(row: Mapping[str, Any]) -> list[Entry]:
    unknown, used = "the catalogue knows no quota of this model", row.get("used_pct")
    return [
        Entry(shorten(str(row.get("model")), 60)),
        Entry(shorten(str(row.get("region") or numbers.MISSING), 30), "no Region was recorded"),
        Entry(str(row.get("of"))),
        Entry(numbers.count(row.get("offered"))),
        Entry(numbers.count(row.get("accepted")), "nothing was accepted"),
        Entry(numbers.count(row.get("default_quota")), unknown),
        Entry(numbers.MISSING if used is None else numbers.percent(used / 100.0), unknown),
        Entry(shorten(str(row.get("cell")), 48), small=f"minute {numbers.count(row.get('minute'))}"),
    ]


def throttling_sentence(material: Material) -> str:
    """How many throttles, of which kind, when first."""
    section = material.summary.get("throttling") or {}
    if not section.get("attempts"):
        return "No attempt was sent."
    if not section.get("throttled"):
        return f"No throttles in {numbers.count(section['attempts'])} attempts.{_overloads(section)}"
    kinds = {name: n for name, n in (section.get("kinds") or {}).items() if name != "overloaded"}
    named = ", ".join(f"{name.replace('_', ' ')} {numbers.count(n)}" for name, n in kinds.items() if n)
    first = section.get("first_throttle_s")
    when = (
        ""
        if first is None
        else f" The first came {format_duration(max(0.0, float(first)))} into the run{_on_charts(material)}."
    )
    share = numbers.percent(section.get("rate"))
    text = f"{numbers.count(section['throttled'])} of {numbers.count(section['attempts'])} attempts throttled ({share})"
    return (
        (f"{text}, by quota: {named}.{when}" if named else f"{text}.{when}") + _overloads(section) + _retries(section)
    )


def _on_charts(material: Material) -> str:
    """The same moment as charts show it: they begin with the first arrival, some seconds into the run."""
    firsts = first_throttles(material).values()
    return f", at {numbers.clock(min(firsts))} of the charts, which begin with the first arrival" if firsts else ""


def _overloads(section: Mapping[str, Any]) -> str:
    """Refusals that no quota is behind; they are errors, and not in the share of throttles."""
    found = int((section.get("kinds") or {}).get("overloaded") or 0)
    return f" {numbers.count(found)} were turned away as overloaded (503): errors below, no throttles." if found else ""


def _retries(section: Mapping[str, Any]) -> str:
    """What retries made of the load; nothing where there were none."""
    factor = section.get("retry_amplification")
    if factor is None or factor <= 1.0:
        return ""
    return f" Retries made {numbers.significant(factor)} attempts of each message."


def _throttled_by(section: Mapping[str, Any], name: str) -> Table:
    key, heading = _BY[name]
    entries = [row for row in section.get(name) or [] if name != "by_cell" or row.get("throttled")]
    if key == "service_tier":
        entries = sorted(entries, key=lambda row: tier_order(str(row[key])))
    rows, rest = cut([_throttle_row(row, key) for row in entries], 50)
    columns = (text_column(heading), Column("Attempts"), Column("Throttled"), Column("Share"), Column("First after"))
    caption = f"Throttling {name.replace('_', ' ')}" + (", cells with throttles" if name == "by_cell" else "")
    return Table(f"throttling-{name}", caption, columns, rows, rest=rest)


def _throttle_row(row: Mapping[str, Any], key: str) -> list[Entry]:
    first = row.get("first_throttle_s")
    shown = numbers.MISSING if first is None else format_duration(max(0.0, float(first)))
    return [
        Entry(shorten(str(row.get(key)), 60)),
        Entry(numbers.count(row.get("attempts"))),
        Entry(numbers.count(row.get("throttled"))),
        Entry(numbers.percent(row.get("rate"))),
        Entry(shown, "never throttled"),
    ]


def _per_minute(section: Mapping[str, Any]) -> list[Table]:
    minutes = section.get("per_minute") or []
    if not any(row.get("requests_offered") != row.get("requests_accepted") for row in minutes):
        return []
    rows, rest = cut([_minute_row(row) for row in minutes], 100)
    columns = (
        text_column("Cell"), text_column("Model"), Column("Minute"), Column("Requests offered"), Column("accepted"),
        Column("Tokens offered", "estimated"), Column("accepted"),
    )  # fmt: skip
    note = "A minute counts from the first call of its cell, or of the cells that ran beside it."
    return [Table("throttling-per-minute", "Load and quota, minute by minute", columns, rows, note=note, rest=rest)]


def _minute_row(row: Mapping[str, Any]) -> list[Entry]:
    counts = ("requests_offered", "requests_accepted", "tokens_offered_estimated", "tokens_accepted")
    entries = [Entry(shorten(str(row.get("cell")), 48)), Entry(shorten(str(row.get("model")), 48))]
    entries.append(Entry(numbers.count(row.get("minute"))))
    return entries + [Entry(numbers.count(row.get(name)), "no request was accepted") for name in counts]


def errors_table(material: Material) -> Table:
    """What went wrong, by outcome, code and status: counts, when first, one message of each."""
    columns = (
        text_column("Outcome"), text_column("Code"), Column("HTTP"), Column("Count"), Column("Share"), Column("Cells"),
        Column("First after"), text_column("One of the messages", long=True),
    )  # fmt: skip
    records = material.records
    wrong = records[records["outcome"] != "ok"]
    rows, rest = cut(_error_rows(wrong, records), MAX_ERROR_ROWS)
    return Table("errors", "Attempts that did not end ok", columns, rows, rest=rest)


def no_errors_sentence(material: Material) -> str:
    """What stands in place of the errors table if it has no rows."""
    attempts = len(material.records)
    return f"All {numbers.count(attempts)} recorded attempts ended ok." if attempts else "No attempt was recorded."


def _error_rows(wrong: pd.DataFrame, records: pd.DataFrame) -> list[list[Entry]]:
    if wrong.empty:
        return []
    zero = float(records["intended_at"].min())
    codes = wrong["error_code"].astype(object).fillna("")
    keys = [wrong["outcome"], codes, wrong["http_status"].astype("Int64").fillna(-1)]
    found = wrong.groupby(keys, sort=True).agg(
        n=("outcome", "size"),
        cells=("cell", "nunique"),
        first=("intended_at", "min"),
        message=("error_message", "first"),
        messages=("error_message", "nunique"),
    )
    ordered = found.sort_values("n", ascending=False, kind="stable").reset_index()
    return [_error_row(row, zero, len(records)) for _, row in ordered.iterrows()]


def _error_row(row: "pd.Series[Any]", zero: float, attempts: int) -> list[Entry]:
    code, status, message = str(row["error_code"]), int(row["http_status"]), row["message"]
    others = int(row["messages"]) - 1
    return [
        Entry(str(row["outcome"])),
        Entry(code or numbers.MISSING, "the service gave no code"),
        Entry(numbers.MISSING if status < 0 else str(status), "no HTTP answer"),
        Entry(numbers.count(row["n"])),
        Entry(numbers.percent(row["n"] / attempts)),
        Entry(numbers.count(row["cells"])),
        Entry(
            numbers.clock(row["first"] - zero) if pd.notna(row["first"]) else numbers.MISSING, "no time was recorded"
        ),
        Entry(
            shorten(message, 200) if isinstance(message, str) else numbers.MISSING,
            "no message",
            small=f"and {others} other {'message' if others == 1 else 'messages'}" if others > 0 else None,
        ),
    ]


def validity_table(material: Material) -> Table:
    """The generator's checks on itself, with the worst cell and what to do."""
    columns = (
        text_column("Check"), text_column("Status"), Column("Observed"), Column("OK"), Column("Invalid"),
        text_column("Worst cell"), text_column("What it means, what to do", long=True),
    )  # fmt: skip
    checks = (material.summary.get("validity") or {}).get("checks") or []
    return Table("validity", "Checks of the measurement itself", columns, [_check_row(check) for check in checks])


def not_read_sentence(material: Material) -> str:
    """Lines of the records files that were no records; empty where all were."""
    lines = (material.summary.get("validity") or {}).get("skipped_lines") or {}
    if not lines:
        return ""
    named = ", ".join(f"{numbers.count(count)} {reason}" for reason, count in lines.items())
    files = len({entry["file"] for entry in material.summary["validity"].get("skipped_files") or []})
    return f"Lines that could not be read as records: {named}, in {files} {'file' if files == 1 else 'files'}."


def _check_row(check: Mapping[str, Any]) -> list[Entry]:
    unit = str(check.get("unit") or "")
    advice = ". ".join(str(part).rstrip(".") for part in (check.get("reason"), check.get("advice")) if part)
    return [
        Entry(check_title(str(check.get("name")))),
        status_entry(str(check.get("status"))),
        Entry(check_value(check.get("observed"), unit), str(check.get("reason") or "not measured")),
        Entry(check_bounds(check)[0]),
        Entry(check_bounds(check)[1], "this check only warns"),
        Entry(shorten(str(check.get("cell") or numbers.MISSING), 48), "it is about the whole run"),
        Entry(f"{advice}." if advice else "fine"),
    ]


def check_title(name: str) -> str:
    """`send_lag_p99_ms` as `send lag p99`: the unit stands beside the value."""
    return name.removesuffix("_ms").removesuffix("_pct").replace("_", " ")


def check_bounds(check: Mapping[str, Any]) -> tuple[str, str]:
    """Where OK ends and where INVALID begins: `≤ 20 ms` and `> 200 ms`; a dash where a check only warns."""
    limit, fail_limit, unit = check.get("limit"), check.get("fail_limit"), str(check.get("unit") or "")
    is_floor = check.get("name") == "samples" or (limit is not None and fail_limit is not None and fail_limit < limit)
    good, bad = ("≥", "<") if is_floor else ("≤", ">")
    return (
        numbers.MISSING if limit is None else f"{good} {check_value(limit, unit)}",
        numbers.MISSING if fail_limit is None else f"{bad} {check_value(fail_limit, unit)}",
    )


def check_value(value: float | None, unit: str) -> str:
    """A check's figure in its unit: `1.9 ms`, `0 %`, `47`."""
    if value is None:
        return numbers.MISSING
    if unit == "share":
        return numbers.percent(value)
    shown = numbers.count(value) if unit == "count" else numbers.milliseconds(value)
    return shown if unit in ("count", "") else f"{shown} {unit}"


def time_table(time: Timeline) -> Table:
    """The overview's windows in numbers."""
    columns = (
        text_column("Cell"), Column("Window from", "min:s"), Column("Answered", "n"), Column("TTFT p50", "ms"),
        Column("TTFT p95", "ms"), Column("Response p50", "ms"), Column("Response p95", "ms"),
    )  # fmt: skip
    frame = time.percentiles[time.percentiles["n"].fillna(0) > 0].sort_values("at_s", kind="stable")
    why = "fewer requests than the percentile needs"
    rows, rest = cut(
        [
            [
                Entry(shorten(str(row["cell"]), 60)),
                Entry(numbers.clock(row["at_s"] - time.percentile_width_s / 2)),
                Entry(numbers.count(row["n"])),
                *(
                    Entry(numbers.milliseconds(row[name]), why)
                    for name in ("ttft_p50_ms", "ttft_p95_ms", "e2e_p50_ms", "e2e_p95_ms")
                ),
            ]
            for _, row in frame.iterrows()
        ]
    )
    caption = f"Latency over time, windows of {time.percentile_width_s:g} s"
    return Table("over-time", caption, columns, rows, note=PERCENTILE_NOTE, rest=rest)
