"""Which charts a report has, in which order, with what each one shows in words."""

from dataclasses import dataclass

from reports import style
from reports.charts import (
    avg_latency,
    cost_by_configuration,
    cost_what_if,
    generator_health,
    heatmap,
    latency_by_load,
    overview,
    percentiles,
    prompt_size,
    query_types,
    recovery,
    throttling,
    throughput,
)
from reports.charts.chart import Chart, unless_empty
from reports.charts.distributions import distribution_charts
from reports.frames import cells_frame, sizes_frame
from reports.material import Material
from reports.timeline import Timeline, limit_lines, p95_limits


@dataclass(frozen=True, slots=True)
class Pictures:
    """A chart drawn: SVG for the desktop and the phone in the light palette, PNG for the desktop."""

    wide_svg: bytes
    narrow_svg: bytes
    png: bytes


def all_charts(material: Material, time: Timeline) -> list[Chart]:
    """Every chart of the report in reading order, the overview first."""
    return [
        overview_chart(material, time),
        *cell_charts(material),
        *distribution_charts(material, time),
        *latency_by_load.charts(material),
        *recovery.charts(material),
        *throttling.charts(material),
        *cost_by_configuration.charts(material),
        *cost_what_if.charts(material),
        *query_types.charts(material),
        *generator_health.charts(material, time),
    ]


def overview_chart(material: Material, time: Timeline) -> Chart:
    """The chart of the first screen."""
    return Chart(
        "overview",
        "The run over time",
        overview.finding(time),
        "Four strips over elapsed time: arrivals per second, time to first token, whole response, failures per second.",
        "over-time",
        unless_empty(time.windows, lambda canvas: overview.overview(time, limit_lines(material), canvas)),
    )


def cell_charts(material: Material) -> list[Chart]:
    """The five charts that compare cells."""
    frame, dims = cells_frame(material), list(material.dimensions)
    answered = frame.dropna(subset=["e2e_ms_mean"])
    limits = p95_limits(material)
    how = prompt_size.split([cell for cell in material.cells if cell.metrics], dims)
    sizes = sizes_frame(material, how.facets, how.hue)
    return [
        Chart(
            "avg_latency_by_config",
            "Mean latency by configuration, with its p95",
            avg_latency.finding(frame, dims),
            "Bars of the mean whole response per cell, each with a marker at its p95.",
            "cells",
            unless_empty(answered, lambda canvas: avg_latency.avg_latency_by_config(answered, dims, canvas)),
        ),
        Chart(
            "p50_p95_comparison",
            "Typical and slow requests: p50 and p95",
            percentiles.finding(frame, dims, limits),
            "Per cell a line from p50 to p95, for time to first token and for the whole response.",
            "cells",
            unless_empty(answered, lambda canvas: percentiles.p50_p95_comparison(answered, dims, limits, canvas)),
        ),
        Chart(
            "latency_by_prompt_size",
            "Latency by prompt size",
            prompt_size.finding(sizes, how),
            "p50 to p95 of time to first token and whole response for each prompt size.",
            "groups",
            unless_empty(sizes, lambda canvas: prompt_size.latency_by_prompt_size(sizes, how, canvas)),
        ),
        Chart(
            "throughput_comparison",
            "Throughput: offered, sent, good",
            throughput.finding(frame, dims),
            "Per cell bars of the rate sent and of goodput, a tick at the offered rate, and output tokens per second.",
            "cells",
            unless_empty(frame, lambda canvas: throughput.throughput_comparison(frame, dims, canvas)),
        ),
        Chart(
            "latency_heatmap",
            "Permutation matrix: tier by prompt size",
            heatmap.finding(answered, dims),
            "Grid of squares, a row per service tier and a column per prompt size, coloured by whole response latency.",
            "cells",
            unless_empty(answered, lambda canvas: heatmap.latency_heatmap(answered, dims, canvas)),
        ),
    ]


def render(chart: Chart) -> Pictures:
    """Draw a chart for every place it is shown in."""
    with style.chart_style():
        wide = chart.draw(style.WIDE)
        return Pictures(style.svg_bytes(wide), style.svg_bytes(chart.draw(style.NARROW)), style.png_bytes(wide))
