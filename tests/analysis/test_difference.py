"""Differences of quantiles, shares and ranks: against scipy, and against what chance alone does."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.difference import (
    RESAMPLES,
    compare_quantile,
    compare_share,
    design_effect,
    holm,
    mann_whitney,
    sample_of,
)

QUANTILES = (0.50, 0.95, 0.99)

Draw = Callable[[np.random.Generator, int], np.ndarray]


def lognormal(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.lognormal(6.0, 0.5, n)


def bimodal(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.where(rng.random(n) < 0.7, rng.lognormal(5.7, 0.2, n), rng.lognormal(7.0, 0.2, n))


def worse(draw: Draw, n: int, factor: float, seed: int, threshold: float) -> bool:
    """Whether any quantile is called worse: as comparisons decide it, with Holm and the interval."""
    rng = np.random.default_rng(seed)
    new, old = sample_of(draw(rng, n) * factor), sample_of(draw(rng, n))
    found = [row for row in (compare_quantile(new, old, q) for q in QUANTILES) if row.p_value is not None]
    corrected = holm([row.p_value or 0.0 for row in found])
    return any(
        p < 0.05 and row.change_interval is not None and row.change_interval[0] > 0.0 and (row.change or 0) >= threshold
        for p, row in zip(corrected, found, strict=True)
    )


@pytest.mark.parametrize("draw", [lognormal, bimodal])
def test_identical_runs_are_called_worse_in_at_most_one_of_twenty_draws(draw: Draw) -> None:
    """`python -m benchmarks.statistics` makes 500 draws of more services (docs/accuracy.md)."""
    assert sum(worse(draw, 500, 1.0, seed, threshold=0.0) for seed in range(120)) <= 6


def test_a_shift_of_15_percent_is_found_in_at_least_95_percent_of_the_draws() -> None:
    assert sum(worse(lognormal, 2_000, 1.15, seed, threshold=0.10) for seed in range(60)) >= 57


@pytest.mark.parametrize("q", QUANTILES)
def test_the_bootstrap_is_the_one_that_resamples_every_value(q: float) -> None:
    rng = np.random.default_rng(3)
    new, old = rng.lognormal(6.0, 0.5, 600), rng.lognormal(6.1, 0.4, 600)
    spread = np.arange(600).reshape(20, 30).T.ravel()  # every batch like every other: no design effect

    found = compare_quantile(sample_of(np.sort(new)[spread]), sample_of(np.sort(old)[spread]), q)
    drawn = [
        np.quantile(rng.choice(new, len(new)), q) / np.quantile(rng.choice(old, len(old)), q) - 1.0
        for _ in range(RESAMPLES)
    ]

    assert found.new == pytest.approx(float(np.quantile(new, q)), rel=1e-12)
    assert found.change_interval == pytest.approx(tuple(np.quantile(drawn, (0.025, 0.975))), abs=0.02)


def test_the_same_samples_give_the_same_interval() -> None:
    values = np.random.default_rng(1).lognormal(6.0, 0.5, 500)

    assert compare_quantile(sample_of(values), sample_of(values), 0.95) == compare_quantile(
        sample_of(values), sample_of(values), 0.95
    )


def test_too_few_values_are_said_to_be_too_few() -> None:
    found = compare_quantile(sample_of(np.arange(1.0, 101.0)), sample_of(np.arange(1.0, 501.0)), 0.99)

    assert (found.new, found.old) == (None, pytest.approx(495.01))
    assert found.p_value is found.change is None
    assert found.reason == "100 against 500 samples; 368 needed on each side"


def test_zero_has_no_relative_change() -> None:
    assert compare_quantile(sample_of(np.zeros(50)), sample_of(np.ones(50)), 0.5).change is None


def test_values_without_spread_differ_for_certain_or_not_at_all() -> None:
    same, other = (compare_quantile(sample_of([x] * 50), sample_of([2.0] * 50), 0.5) for x in (2.0, 3.0))

    assert (same.p_value, same.change_interval) == (1.0, (0.0, 0.0))
    assert (other.p_value, other.change) == (0.0, 0.5)


def test_slow_minutes_widen_the_interval() -> None:
    rng = np.random.default_rng(2)
    old = sample_of(rng.lognormal(6.0, 0.3, 3_000))
    waves = np.repeat(rng.normal(0.0, 0.3, 30), 100)
    values = np.exp(6.0 + waves + rng.normal(0.0, 0.1, 3_000))

    clustered = compare_quantile(sample_of(values), old, 0.5).change_interval
    shuffled = compare_quantile(sample_of(rng.permutation(values)), old, 0.5).change_interval

    assert clustered is not None
    assert shuffled is not None
    assert clustered[1] - clustered[0] > 3 * (shuffled[1] - shuffled[0])


def test_the_design_effect_of_whole_batches_is_their_size() -> None:
    hits = np.repeat(np.random.default_rng(1).random(30) < 0.5, 100)

    assert design_effect(hits) == pytest.approx(100 * 30 / 29)
    assert design_effect(np.tile([True, False], 500)) == 1.0
    assert design_effect(np.zeros(1000, dtype=bool)) == design_effect(hits[:50]) == 1.0


@given(
    st.lists(st.integers(0, 20).map(float), min_size=1, max_size=60),
    st.lists(st.integers(0, 20).map(float), min_size=1, max_size=60),
)
def test_mann_whitney_is_that_of_scipy_ties_included(new: list[float], old: list[float]) -> None:
    found = mann_whitney(sample_of(new), sample_of(old))
    expected = stats.mannwhitneyu(new, old, method="asymptotic")

    assert found is not None
    assert found.u == expected.statistic
    assert found.p_new_larger == pytest.approx(expected.statistic / (len(new) * len(old)))
    assert found.p_value == pytest.approx(1.0 if math.isnan(expected.pvalue) else expected.pvalue, rel=1e-9)


def test_no_values_have_no_ranks() -> None:
    assert mann_whitney(sample_of([]), sample_of([1.0])) is None


def test_the_interval_of_a_difference_of_shares_is_newcombes_published_one() -> None:
    """Newcombe 1998, table II, example (a), method 10: 56/70 - 48/80 is 0.2, 0.0524 to 0.3339."""
    rng = np.random.default_rng(1)
    found = compare_share(rng.permutation([True] * 56 + [False] * 14), rng.permutation([True] * 48 + [False] * 32), 20)

    assert found.delta == pytest.approx(0.2)
    assert found.delta_interval == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert found.p_value == pytest.approx(float(stats.fisher_exact(np.array([[56, 14], [48, 32]])).pvalue))


def test_throttles_that_come_in_one_burst_are_weaker_evidence_than_scattered_ones() -> None:
    calm = np.zeros(3_000, dtype=bool)
    burst = np.arange(3_000) < 60

    scattered = compare_share(np.random.default_rng(1).permutation(burst), calm, 20)
    clustered = compare_share(burst, calm, 20)

    assert (scattered.p_value or 1.0) < 1e-9
    assert (clustered.p_value or 0.0) > 1e-3


def test_shares_of_too_few_trials_are_not_compared() -> None:
    found = compare_share(np.ones(5, dtype=bool), np.ones(50, dtype=bool), 20)

    assert (found.new, found.delta, found.reason) == (1.0, None, "5 against 50 samples; 20 needed on each side")


def test_holm_is_the_textbook_correction() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0.0, 1.0), max_size=20))
def test_holm_never_lowers_a_p_and_never_changes_the_order(p_values: list[float]) -> None:
    corrected = holm(p_values)

    assert all(after >= before for before, after in zip(p_values, corrected, strict=True))
    assert [corrected[i] for i in np.argsort(p_values, kind="stable")] == sorted(corrected)
