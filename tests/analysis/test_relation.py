"""Latency against tokens: medians by size, and a line only where there is one."""

import numpy as np
import pytest

from analysis.relation import MAX_BINS, by_size, fit

RNG = np.random.default_rng(11)
TOKENS = np.floor(RNG.lognormal(5.0, 0.8, 3000)) + 1.0
NOISE = RNG.lognormal(0.0, 0.25, 3000)


def test_the_slope_is_found_in_spite_of_a_tail() -> None:
    latency = (200.0 + 3.0 * TOKENS) * NOISE
    latency[:90] *= 40.0

    line = fit(by_size(TOKENS, latency), TOKENS, latency)

    assert line is not None
    assert line.is_relation
    assert line.slope_low < 3.0 < line.slope_high
    assert line.slope_ms == pytest.approx(3.0, rel=0.15)
    assert line.spread_low < 0.8
    assert line.spread_high > 1.2


def test_latency_that_knows_nothing_of_size_has_no_relation() -> None:
    line = fit(by_size(TOKENS, 300.0 * NOISE), TOKENS, 300.0 * NOISE)

    assert line is not None
    assert not line.is_relation


def test_sizes_that_many_requests_share_are_bins_of_their_own() -> None:
    sizes = np.repeat([7.0, 200.0], 120)
    latency = np.where(sizes == 7.0, 100.0, 400.0)

    bins = by_size(sizes, latency)

    assert bins["tokens"].tolist() == [7.0, 200.0]
    assert bins["p50"].tolist() == [100.0, 400.0]
    assert fit(bins, sizes, latency) is None


@pytest.mark.parametrize("n", [0, 1, 5, 40, 500, 3000])
def test_every_request_is_in_one_bin(n: int) -> None:
    latency = np.where(np.arange(n) % 7 == 0, np.nan, 100.0)

    bins = by_size(TOKENS[:n], latency)

    assert bins["n"].sum() == np.count_nonzero(~np.isnan(latency))
    assert len(bins) <= MAX_BINS
    assert (bins["n"] > 0).all()
    assert bins["tokens"].dropna().is_monotonic_increasing
