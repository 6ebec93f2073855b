"""The charts of latency distributions: the tail, the shape by tier, size and model, the course, the effect of size."""

from functools import partial

from reports.charts import ecdf, latency_by_tokens, latency_over_time, percentile_spectrum
from reports.charts.chart import Chart, nothing_to_draw, unless_empty
from reports.course import course
from reports.curves import ecdfs, group_names, largest, spectra
from reports.material import Material
from reports.messages import Messages, messages
from reports.promises import Promise, promises
from reports.timeline import Timeline
from reports.token_effect import token_effect

_SECTION = "distribution"


def distribution_charts(material: Material, time: Timeline) -> list[Chart]:
    """Every chart of this kind that the run has data for, in reading order; their captions state the findings."""
    found, limits = messages(material), promises(material)
    return [_spectrum(found, limits), *_by_part(found, limits), _over_time(material, time), *_by_tokens(found)]


def _spectrum(found: Messages, limits: list[Promise]) -> Chart:
    frame = spectra(found, limits)
    return Chart(
        "percentile_spectrum",
        "The tail: every percentile from the median up",
        percentile_spectrum.finding(frame, limits, found),
        "Curves of latency over percentile, both axes logarithmic, with the limits as a staircase.",
        "latency",
        unless_empty(found.answered, partial(percentile_spectrum.percentile_spectrum, frame, limits)),
        _SECTION,
    )


def _over_time(material: Material, time: Timeline) -> Chart:
    found, labels = course(material, time), {cell.name: material.label(cell) for cell in material.cells}
    return Chart(
        "latency_over_time_heatmap",
        "Every request over time",
        latency_over_time.finding(found, labels),
        "Two heat maps over elapsed time, latency on a logarithmic axis, coloured by the number of requests.",
        "over-time",
        unless_empty(found.lines, partial(latency_over_time.latency_over_time_heatmap, found, time)),
        _SECTION,
    )


def _by_part(found: Messages, limits: list[Promise]) -> list[Chart]:
    """A chart for each of tier, size and model that has two values or more."""
    charts = []
    for dimension, title in (("tier", "service tier"), ("size", "prompt size"), ("model", "model")):
        groups = group_names(found, dimension)
        if len(groups) < 2:
            continue
        shown = largest(groups)
        frame = ecdfs(found, dimension, shown, limits)
        charts.append(
            Chart(
                f"ecdf_by_{dimension}",
                f"The shape of the latencies by {title}",
                ecdf.finding(frame, groups, limits, found),
                f"Cumulative distributions of latency on a logarithmic axis, a line per {title}.",
                "groups",
                unless_empty(frame, partial(ecdf.ecdf_by_part, frame, shown, limits)),
                _SECTION,
            )
        )
    return charts


def _by_tokens(found: Messages) -> list[Chart]:
    charts = []
    for name, metric, tokens_of, title in (
        ("ttft_by_input_tokens", "ttft_ms", "input_tokens", "Time to first token by input tokens"),
        ("e2e_by_output_tokens", "e2e_ms", "output_tokens", "Whole response by output tokens"),
    ):
        effect = token_effect(found, metric, tokens_of)
        charts.append(
            Chart(
                name,
                title,
                latency_by_tokens.finding(effect, found),
                "Latency over tokens, both axes logarithmic, with medians by size and fitted lines.",
                "groups",
                partial(latency_by_tokens.latency_by_tokens, effect) if effect.n else nothing_to_draw,
                _SECTION,
            )
        )
    return charts
