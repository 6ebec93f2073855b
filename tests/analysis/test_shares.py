"""Intervals of shares against scipy's, and the number of trials that settles them."""

import pytest
from scipy import stats

from analysis.percentiles import min_samples
from analysis.shares import more_trials, share_interval


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (0, 368), (1, 20), (7, 100), (50, 100), (999, 1000), (1000, 1000)])
def test_the_interval_is_the_exact_binomial_one(hits: int, n: int) -> None:
    expected = stats.binomtest(hits, n).proportion_ci(0.95, method="exact")

    assert share_interval(hits / n, n) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_without_a_single_hit_as_many_trials_settle_it_as_a_percentile_needs() -> None:
    assert 100 + (more_trials(0.0, 0.01, 100, 10**7) or 0) == min_samples(0.99)
    assert 10 + (more_trials(1.0, 0.95, 10, 10**7) or 0) == min_samples(0.95)


@pytest.mark.parametrize(("share", "limit"), [(0.005, 0.01), (0.02, 0.01), (0.985, 0.99), (0.4, 0.5)])
def test_with_so_many_more_trials_the_limit_is_just_outside(share: float, limit: float) -> None:
    more = more_trials(share, limit, 100, 10**7)

    assert more is not None
    (low, high), (low_before, high_before) = (share_interval(share, 100 + extra) for extra in (more, more - 1))
    assert not low <= limit <= high
    assert low_before <= limit <= high_before


@pytest.mark.parametrize(("share", "limit"), [(0.01, 0.01), (0.010001, 0.01), (0.0, 0.0), (1.0, 1.0)])
def test_what_no_reasonable_number_settles_is_not_asked_for(share: float, limit: float) -> None:
    assert more_trials(share, limit, 100, 10**7) is None


def test_one_more_is_the_least_that_is_asked_for() -> None:
    assert more_trials(0.5, 0.1, 100, 10**7) == 1
