"""latency_by_query_type: which kind of question is slow, and how far its tail is from its typical answer."""

from collections.abc import Iterator

import pandas as pd

from reports.charts.chart import Chart
from reports.charts.percentiles import p50_p95_comparison
from reports.charts.wording import highest, lower_is_better, lowest
from reports.frames import MIN_SAMPLES, groups_frame
from reports.material import Material
from reports.numbers import count, milliseconds
from reports.text import shorten

#: A ratio below this is no finding.
_WORTH_SAYING = 1.05


def charts(material: Material) -> Iterator[Chart]:
    """The chart of a run with two query types that were answered; none for others."""
    frame = groups_frame(material, "query_type").dropna(subset=["e2e_ms_p50"])
    if len(frame) > 1:
        yield Chart(
            "latency_by_query_type",
            "Latency by query type: p50 and p95",
            finding(frame),
            "Per query type a line from p50 to p95, for time to first token and for the whole response.",
            "by-query_type",
            lambda canvas: p50_p95_comparison(frame, [], {}, canvas),
            section="groups",
        )


def finding(frame: pd.DataFrame) -> str:
    """The caption's sentence: the slowest type against the fastest, by p95 where both have enough requests."""
    firm = frame[frame["e2e_ms_p95_firm"].astype(bool)]
    stat, known = ("p95", firm) if len(firm) > 1 else ("p50", frame)
    column = f"e2e_ms_{stat}"
    slow, fast = highest(known, column), lowest(known, column)
    ratio = slow[column] / fast[column] if fast[column] > 0 else 1.0
    times = f", {ratio:.1f} times {shorten(str(fast['name']), 40)}" if ratio >= _WORTH_SAYING else ""
    few = len(frame) - len(firm)
    rough = (
        f" {few} of {len(frame)} types have fewer than the {MIN_SAMPLES['p95']} requests of a firm p95." if few else ""
    )
    return (
        f"Whole response {stat} is highest for {shorten(str(slow['name']), 40)}: {milliseconds(slow[column])} ms "
        f"(n = {count(slow['n'])}){times}.{rough} Requests of all cells are pooled. {lower_is_better()}"
    )
