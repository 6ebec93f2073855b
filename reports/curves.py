"""Distributions of latency as tidy frames of curves: the percentile spectrum of a run, ECDFs of its parts."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.curves import Curve, ecdf, spectrum
from analysis.percentiles import QUANTILES
from analysis.record_schema import Floats, floats
from reports.cells import model_name
from reports.frames import in_order
from reports.messages import GROUP_COLUMNS, Messages, share_of
from reports.promises import Promise, of_metric
from reports.text import shorten_to_columns

METRICS = ("ttft_ms", "e2e_ms")
#: More parts than this are not told apart on one chart: the largest are drawn.
MAX_GROUPS = 6
#: Longer names are cut, in legends and captions.
MAX_NAME = 28
_FROM_SENDING = {"ttft_ms": "service_ttft_ms", "e2e_ms": "service_e2e_ms"}
_CURVE_COLUMNS = ["metric", "curve", "n", "share", "value_ms"]
#: A curve is drawn within this share of a latency, which is about a pixel, ...
BOUND = 0.01
#: ... and read in captions at these quantiles, where it is exact.
EXACT_AT = tuple(QUANTILES.values())
#: The curves of a spectrum.
INTENDED, SENT = "intended", "sent"


def spectra(found: Messages, limits: Sequence[Promise]) -> pd.DataFrame:
    """The percentile spectrum of TTFT and whole response, counted from the intended start and from the sending.

    A row per point: `metric`, `curve` (`intended`, `sent`), `n` (values of the curve), `share` (the quantile, 0.5 and
    up), `value_ms`. A curve ends where fewer than 10 values lie beyond; with too few values it has no row. It is exact
    at the limits and at p50, p90, p95, p99 and p99.9.
    """
    parts = []
    for metric in METRICS:
        for name, column in ((INTENDED, metric), (SENT, _FROM_SENDING[metric])):
            curve = spectrum(floats(found.answered[column]), BOUND, EXACT_AT, _values(limits, metric))
            parts.append(_rows(curve, metric, name))
    return pd.concat(parts, ignore_index=True)


def _values(limits: Sequence[Promise], metric: str) -> list[float]:
    return [limit.limit_ms for limit in of_metric(limits, metric)]


def _rows(curve: Curve, metric: str, name: str) -> pd.DataFrame:
    columns = {"metric": metric, "curve": name, "n": curve.n, "share": curve.share, "value_ms": curve.value}
    return pd.DataFrame(columns, columns=_CURVE_COLUMNS)


def group_names(found: Messages, dimension: str) -> pd.DataFrame:
    """The parts of the messages along `tier`, `size` or `model`, in the order they are read.

    A row per part: `value` (of the column), `name` (as drawn), `n` (with a latency), `unanswered` (without one),
    `unanswered_share`.
    """
    column = GROUP_COLUMNS[dimension]
    kept, lost = (frame[column].value_counts() for frame in (found.answered, found.unanswered))
    values = in_order(sorted({*kept.index[kept > 0], *lost.index[lost > 0]}), dimension)
    names = _distinct([model_name(value, None) if dimension == "model" else value for value in values], values)
    rows = [
        {
            "value": value,
            "name": name,
            "n": int(kept.get(value, 0)),
            "unanswered": int(lost.get(value, 0)),
            "unanswered_share": share_of(int(lost.get(value, 0)), int(kept.get(value, 0))),
        }
        for value, name in zip(values, names, strict=True)
    ]
    return pd.DataFrame(rows, columns=["value", "name", "n", "unanswered", "unanswered_share"])


def _distinct(names: Sequence[str], values: Sequence[str]) -> list[str]:
    """The short names, or the values in full where short ones coincide; numbered where even those do when cut."""
    whole = [name if list(names).count(name) == 1 else value for name, value in zip(names, values, strict=True)]
    cut = [shorten_to_columns(name, MAX_NAME) for name in whole]
    return [name if cut.count(name) == 1 else f"{name} ({number})" for number, name in enumerate(cut, 1)]


def largest(groups: pd.DataFrame) -> pd.DataFrame:
    """The parts that are drawn: all, or the largest six in their old order."""
    if len(groups) <= MAX_GROUPS:
        return groups
    sizes = groups["n"] + groups["unanswered"]
    return groups.loc[sorted(sizes.nlargest(MAX_GROUPS, keep="first").index)].reset_index(drop=True)


def ecdfs(found: Messages, dimension: str, groups: pd.DataFrame, limits: Sequence[Promise]) -> pd.DataFrame:
    """The cumulative distributions of TTFT and whole response of the given parts (`group_names`).

    A row per point: `metric`, `curve` (the part's `name`), `n`, `share` (0 to 1), `value_ms`; exact as in `spectra`.
    """
    codes = found.answered[GROUP_COLUMNS[dimension]].cat.set_categories(list(groups["value"])).cat.codes
    parts = [pd.DataFrame(columns=_CURVE_COLUMNS)]
    for metric in METRICS:
        values: Floats = floats(found.answered[metric])
        for code, name in enumerate(groups["name"]):
            curve = ecdf(values[np.asarray(codes) == code], BOUND, EXACT_AT, _values(limits, metric))
            if curve.n:
                parts.append(_rows(curve, metric, str(name)))
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
