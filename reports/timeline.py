"""The run over time, as the overview draws it: windows, bands for cells and phases, single requests, limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from analysis.percentiles import QUANTILES
from analysis.records import NOT_MEASURED
from analysis.timeseries import per_window
from reports.frames import MIN_SAMPLES
from reports.material import Material
from reports.promises import objective_limits

#: More answered requests than this are not drawn one by one; the slowest of each window stands for them.
MAX_DOTS = 3_000
_MAX_WINDOWS = 120
_WIDTHS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
_METRICS = ("ttft_ms", "e2e_ms")
PERCENTILES = ("ttft_p50_ms", "ttft_p95_ms", "e2e_p50_ms", "e2e_p95_ms")
_LOUD_PHASES = frozenset({"spike", "burst"})


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of time, in seconds since the start: a cell's measured window or one of its phases."""

    start_s: float
    end_s: float
    label: str
    number: str
    strong: bool


@dataclass(frozen=True, slots=True)
class Limit:
    """A horizontal line: a promise about the metric, in ms."""

    value: float
    name: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """All that the overview shows; times are seconds since the first intended start.

    `windows` is `analysis.timeseries.per_window` of the whole run. `percentiles` are its percentile columns by cell,
    `percentile_width_s` wide, with `cell` (its label), `at_s` (middle of the window), `n`, and an empty row after
    each cell so that lines break there. `dots` has `at_s`, `ttft_ms`, `e2e_ms` of single requests.
    """

    windows: pd.DataFrame
    width_s: float
    span_s: float
    percentiles: pd.DataFrame
    percentile_width_s: float
    bands: tuple[Band, ...]
    dots: pd.DataFrame
    dot_name: str


def timeline(material: Material) -> Timeline:
    """The run over time; windows as narrow as makes at most 120 of them."""
    known = material.records["intended_at"].notna()
    records = material.records if known.all() else material.records[known]
    zero = float(records["intended_at"].min()) if len(records) else 0.0
    span_s = float(records["intended_at"].max()) - zero if len(records) else 0.0
    width_s = next((width for width in _WIDTHS_S if span_s / width <= _MAX_WINDOWS), _WIDTHS_S[-1])
    answered = records.loc[records["ok"], ["cell", "intended_at", *_METRICS]]
    dots = answered.assign(at_s=answered["intended_at"] - zero)[["cell", "at_s", *_METRICS]]
    percentile_width_s = _percentile_width_s(dots, width_s)
    is_thin = len(dots) > MAX_DOTS
    return Timeline(
        windows=per_window(records, width_s),
        width_s=float(width_s),
        span_s=span_s,
        percentiles=_percentiles(material, records, zero, percentile_width_s),
        percentile_width_s=float(percentile_width_s),
        bands=_bands(material, records, zero),
        dots=_slowest(dots, width_s) if is_thin else dots,
        dot_name="slowest" if is_thin else "each request",
    )


def _percentile_width_s(dots: pd.DataFrame, narrowest_s: float) -> float:
    """The narrowest window that usually holds the 72 requests of a p95, else the 6 of a p50, else the widest.

    For a p95 a cell must keep four windows, for a p50 two, or nothing would be left of its course.
    """
    if dots.empty:
        return narrowest_s
    within = dots["at_s"] - dots.groupby("cell")["at_s"].transform("min")
    length_s = float(within.groupby(dots["cell"]).max().median())
    widest = narrowest_s
    for needed, fewest_windows in ((MIN_SAMPLES["p95"], 4), (MIN_SAMPLES["p50"], 2)):
        for width in (each for each in _WIDTHS_S if narrowest_s <= each <= length_s / fewest_windows):
            if dots.groupby([dots["cell"], within // width]).size().median() >= needed:
                return width
            widest = width
    return widest


def _percentiles(material: Material, records: pd.DataFrame, zero: float, width_s: float) -> pd.DataFrame:
    names = {cell.name: material.label(cell) for cell in material.cells}
    parts = []
    for name, part in records.groupby("cell", sort=False):
        windows = per_window(part, width_s)[[*PERCENTILES, "n"]]
        at_s = windows.index + float(part["intended_at"].min()) - zero + width_s / 2
        parts.append(windows.assign(at_s=at_s, cell=names.get(str(name), str(name))))
        parts.append(pd.DataFrame({"at_s": [at_s[-1]]}))
    columns = ["cell", "at_s", "n", *PERCENTILES]
    return pd.concat(parts, ignore_index=True).reindex(columns=columns) if parts else pd.DataFrame(columns=columns)


def _slowest(dots: pd.DataFrame, width_s: float) -> pd.DataFrame:
    return dots.groupby(dots["at_s"] // width_s, sort=True)[["at_s", *_METRICS]].max().reset_index(drop=True)


def _bands(material: Material, records: pd.DataFrame, zero: float) -> tuple[Band, ...]:
    """One band per cell over its measured phases, and darker ones for bursts; one per phase if the run has one cell.

    Cells that ran at once share a band.
    """
    numbers = {cell.name: cell for cell in material.cells}
    spans = records.groupby(["cell", "phase"])["intended_at"].agg(["min", "max"]).sub(zero).reset_index()
    spans = spans.sort_values("min", kind="stable", ignore_index=True)
    following = spans.groupby("cell", sort=False)["min"].shift(-1)
    spans["max"] = spans["max"].where(following.isna(), following)
    single = spans["cell"].nunique() == 1
    bands = []
    for name, phases in spans.groupby("cell", sort=False):
        cell = numbers.get(str(name))
        loud = phases[phases["phase"].map(_is_loud)]
        measured = phases[~phases["phase"].isin(NOT_MEASURED)]
        if single:
            bands += [_band(row, str(row["phase"]), "") for _, row in measured.iterrows()]
            continue
        if len(measured) and cell is not None:
            whole = {"min": measured["min"].min(), "max": measured["max"].max(), "phase": ""}
            bands.append(_band(whole, material.label(cell), str(cell.number)))
        bands += [_band(row, "", "") for _, row in loud.iterrows()]
    weak = [band for band in bands if not band.strong]
    shared = weak if single else joined(sorted(weak, key=lambda band: band.start_s))
    return tuple(
        sorted([*shared, *(band for band in bands if band.strong)], key=lambda band: (band.strong, band.start_s))
    )


def joined(bands: Sequence[Band]) -> list[Band]:
    """Bands in order of their start, with those that overlap put together."""
    found: list[Band] = []
    for band in bands:
        if found and band.start_s < found[-1].end_s:
            found[-1] = _both(found[-1], band)
        else:
            found.append(band)
    return found


def _both(one: Band, other: Band) -> Band:
    label, number = f"{one.label} + {other.label}", f"{one.number}+{other.number}"
    return replace(one, end_s=max(one.end_s, other.end_s), label=label, number=number)


def _is_loud(phase: object) -> bool:
    """Whether a phase is a spike or a burst, alone or of a stage (`stage2-spike`)."""
    return str(phase).rpartition("-")[2] in _LOUD_PHASES


def _band(span: "Mapping[str, Any] | pd.Series[Any]", label: str, number: str) -> Band:
    return Band(float(span["min"]), float(span["max"]), label, number, strong=_is_loud(span["phase"]))


def limit_lines(material: Material) -> dict[str, list[Limit]]:
    """Lines for the latency strips: p95 objectives that hold for all traffic, and the SLA on the whole response."""
    lines: dict[str, list[Limit]] = {"ttft_ms": [], "e2e_ms": []}
    for metric, limit in p95_limits(material).items():
        lines[metric].append(Limit(limit, "p95 limit"))
    sla_s = material.run.get("sla_s")
    if sla_s and all(limit.value != sla_s * 1000 for limit in lines["e2e_ms"]):
        lines["e2e_ms"].append(Limit(sla_s * 1000.0, f"SLA {sla_s:g} s"))
    return lines


def p95_limits(material: Material) -> dict[str, float]:
    """Limits in ms of p95 objectives without a condition or a scope, by metric; the strictest of several."""
    found: dict[str, float] = {}
    for limit in objective_limits(material):
        if limit.share == QUANTILES["p95"]:
            found[limit.metric] = min(limit.limit_ms, found.get(limit.metric, float("inf")))
    return found
