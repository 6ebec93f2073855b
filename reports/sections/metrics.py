"""Metrics objects of the summary as table entries, and the columns that cells and groups share."""

from collections.abc import Mapping, Sequence
from typing import Any

from reports import numbers
from reports.frames import MIN_SAMPLES
from reports.table import Column, Entry

Metrics = Mapping[str, Any]

#: Metric -> name in words, in the order of the page.
LATENCIES: Mapping[str, str] = {
    "ttft_ms": "Time to first token (TTFT)",
    "first_answer_ms": "First answer text",
    "e2e_ms": "Whole response",
    "service_ttft_ms": "Service TTFT (from the actual send)",
    "service_e2e_ms": "Service whole response",
    "tpot_ms": "Time per output token (TPOT)",
    "gap_ms": "Inter-chunk gap (p50 of medians, above it of the tails)",
    "send_lag_ms": "Send lag",
    "output_tokens_per_s": "Output tokens per second of a request",
}
STATS: Mapping[str, str] = {"p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99", "p99_9": "p99.9"}

#: What a dash under a percentile means, for the foot of a table.
PERCENTILE_NOTE = "Fewest requests: " + ", ".join(f"{STATS[name]} {n:,}" for name, n in MIN_SAMPLES.items()) + "."

#: Columns shared by the cells table and the groups tables.
SHARED_COLUMNS = (
    Column("Requests", "n"),
    Column("Throttled", "%"),
    Column("Errors", "%"),
    Column("In SLA", "%"),
    Column("Offered", "/s"),
    Column("Goodput", "/s"),
    Column("TTFT p50", "ms"),
    Column("TTFT p95", "ms"),
    Column("Response p50", "ms"),
    Column("Response p95", "ms"),
    Column("Response p99", "ms"),
    Column("Latency", "n"),
    Column("Output", "tokens/s"),
    Column("Cost", "USD"),
    Column("Per good", "USD/request"),
)


def stat_entry(metrics: Metrics, metric: str, stat: str, scale: float | None = None) -> Entry:
    """One statistic of a latency metric; a dash with the reason where the summary has none."""
    stats = metrics.get(metric) or {}
    value = stats.get(stat)
    if value is None:
        return Entry(numbers.MISSING, (stats.get("insufficient") or {}).get(stat) or "nothing was measured")
    shown = numbers.milliseconds(value) if numbers.unit_of(metric) == "ms" else numbers.rate(value)
    return Entry(shown, detail=interval_text(metric, (stats.get("ci95") or {}).get(stat)), bar=_bar(value, scale))


def interval_text(metric: str, interval: Sequence[float] | None) -> str | None:
    """`95 % interval 412 to 450 ms`, None where there is none."""
    if not interval:
        return None
    return f"95 % interval {numbers.quantity(metric, interval[0])} to {numbers.quantity(metric, interval[1])}"


def _bar(value: float, scale: float | None) -> float | None:
    return round(value / scale, 3) if scale else None


def shared_entries(metrics: Metrics, scales: Mapping[str, float]) -> list[Entry]:
    """Entries of `SHARED_COLUMNS`; `scales` are the largest values of the table, for the bars."""
    no_time = "the measured window is not known, or nothing was measured in it"
    no_price = "nothing was billed, or a price is not known"
    return [
        Entry(numbers.count(metrics.get("requests"))),
        _share(metrics, "throttle_rate"),
        _share(metrics, "error_rate"),
        _share(metrics, "sla_compliance"),
        Entry(numbers.rate(metrics.get("offered_rps")), no_time),
        Entry(numbers.rate(metrics.get("goodput_rps")), no_time),
        stat_entry(metrics, "ttft_ms", "p50"),
        stat_entry(metrics, "ttft_ms", "p95", scales.get("ttft_ms")),
        stat_entry(metrics, "e2e_ms", "p50"),
        stat_entry(metrics, "e2e_ms", "p95", scales.get("e2e_ms")),
        stat_entry(metrics, "e2e_ms", "p99"),
        Entry(numbers.count((metrics.get("e2e_ms") or {}).get("n"))),
        Entry(numbers.rate(metrics.get("total_output_tokens_per_s")), no_time),
        Entry(numbers.usd(metrics.get("cost_usd")), no_price),
        Entry(numbers.usd(metrics.get("cost_per_good_request_usd")), f"no good request, or {no_price}"),
    ]


def _share(metrics: Metrics, name: str) -> Entry:
    return Entry(numbers.percent(metrics.get(name)), "no request to take a share of")


def scales_of(all_metrics: Sequence[Metrics]) -> dict[str, float]:
    """The largest p95 of each latency with a bar, over the rows of one table."""
    found = {}
    for metric in ("ttft_ms", "e2e_ms"):
        values = [value for each in all_metrics if (value := (each.get(metric) or {}).get("p95")) is not None]
        if values:
            found[metric] = max(values)
    return found
