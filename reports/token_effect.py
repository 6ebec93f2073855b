"""Latency against tokens as a chart shows it: every request or counts of them, medians by size, lines by tier."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.record_schema import Floats, floats
from analysis.relation import Line, by_size, fit
from reports.curves import group_names
from reports.grids import Grid, count_in, log_edges, whole_edges
from reports.messages import GROUP_COLUMNS, Messages

#: More requests than this are counted in bins, not drawn one by one.
MAX_DOTS = 1_500
_COLUMNS = 64
#: More tiers than this are not told apart: their requests are one series.
_MAX_SERIES = 3
_FEWEST_MEDIANS = 6


@dataclass(frozen=True, slots=True)
class Series:
    """The requests of one tier (`name`; empty: of all): `bins` are `relation.by_size`, `line` may be missing."""

    name: str
    n: int
    bins: pd.DataFrame
    line: Line | None


@dataclass(frozen=True, slots=True)
class TokenEffect:
    """`metric` against the token count `tokens_of`: single requests in `dots` (`tokens`, `ms`), or a `grid` of many."""

    metric: str
    tokens_of: str
    n: int
    dots: pd.DataFrame
    grid: Grid | None
    series: tuple[Series, ...]


def token_effect(found: Messages, metric: str, tokens_of: str) -> TokenEffect:
    """How `metric` depends on `input_tokens` or `output_tokens`, of messages that have both and one token at least."""
    tokens, values = floats(found.answered[tokens_of]), floats(found.answered[metric])
    known = (tokens >= 1.0) & ~np.isnan(values)
    tokens, values = tokens[known], values[known]
    many = len(tokens) > MAX_DOTS
    return TokenEffect(
        metric=metric,
        tokens_of=tokens_of,
        n=len(tokens),
        dots=pd.DataFrame({"tokens": tokens, "ms": values}).iloc[: 0 if many else None],
        grid=count_in(tokens, values, whole_edges(tokens, _COLUMNS), log_edges(values)) if many else None,
        series=_series(found, known, tokens, values),
    )


def _series(found: Messages, known: "np.ndarray", tokens: Floats, values: Floats) -> tuple[Series, ...]:
    """One for each tier where there are two or three with enough requests for medians, else one of all."""
    by_tier = tuple(_by_tier(found, known, tokens, values))
    telling = all(series.bins["p50"].notna().sum() >= _FEWEST_MEDIANS for series in by_tier)
    return by_tier if 2 <= len(by_tier) <= _MAX_SERIES and telling else (_one("", tokens, values),)


def _by_tier(found: Messages, known: "np.ndarray", tokens: Floats, values: Floats) -> Iterator[Series]:
    column = found.answered[GROUP_COLUMNS["tier"]][known]
    groups = group_names(found, "tier")
    if len(groups) > _MAX_SERIES:
        return
    for value, name in zip(groups["value"], groups["name"], strict=True):
        own = (column == value).to_numpy(dtype=bool)
        if own.any():
            yield _one(str(name), tokens[own], values[own])


def _one(name: str, tokens: Floats, values: Floats) -> Series:
    bins = by_size(tokens, values)
    return Series(name, len(tokens), bins, fit(bins, tokens, values))
