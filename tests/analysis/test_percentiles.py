"""Percentiles against numpy, intervals against the binomial law and against simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.percentiles import QUANTILES, describe, estimate_quantile, interval_ranks, min_samples

latencies = st.lists(st.floats(0.001, 1e7), min_size=1, max_size=500)


def test_the_minimum_number_of_samples_is_the_contracts() -> None:
    assert {name: min_samples(q) for name, q in QUANTILES.items()} == {
        "p50": 6, "p90": 36, "p95": 72, "p99": 368, "p99_9": 3688,
    }  # fmt: skip


@pytest.mark.parametrize("q", QUANTILES.values())
def test_at_the_minimum_the_interval_has_both_ends_and_one_below_it_does_not(q: float) -> None:
    n = min_samples(q)

    assert interval_ranks(n, q) is not None
    assert interval_ranks(n - 1, q) is None
    assert q**n <= 0.025 < q ** (n - 1)


def test_quantiles_outside_zero_and_one_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        min_samples(1.0)


@pytest.mark.parametrize("n", [6, 36, 72, 100, 368, 1000, 3688, 5000])
@pytest.mark.parametrize("q", [0.25, *QUANTILES.values()])
def test_the_order_statistics_enclose_the_quantile_with_95_percent_and_no_narrower_pair_of_tails_does(
    n: int, q: float
) -> None:
    ranks = interval_ranks(n, q)
    if ranks is None:
        assert n < min_samples(q)
        return
    lower, upper = ranks  # from 0: x[lower] is the (lower + 1)-th smallest
    law = stats.binom(n, q)
    # x[lower] exceeds the quantile if at most `lower` values lie below it; x[upper] misses it if upper + 1 or more do.
    assert law.cdf(lower) <= 0.025
    assert law.sf(upper) <= 0.025
    assert law.cdf(lower + 1) > 0.025
    assert law.sf(upper - 1) > 0.025


@pytest.mark.parametrize("seed", range(5))
def test_values_equal_numpy_percentiles_to_1e_9(seed: int) -> None:
    values = np.random.default_rng(seed).lognormal(6.0, 0.5, 4000)

    described = describe(values).as_dict()

    for name, q in QUANTILES.items():
        assert described[name] == pytest.approx(np.percentile(values, q * 100), rel=1e-9)
    assert described["mean"] == pytest.approx(values.mean(), rel=1e-9)
    assert described["max"] == values.max()
    assert described["n"] == 4000
    assert described["insufficient"] == {}


def test_a_worked_example_by_hand() -> None:
    described = describe([float(value) for value in range(1, 11)]).as_dict()

    # n = 10, median between 5 and 6. P(B <= 1) = 11/1024 = 0.011, P(B <= 2) = 56/1024 = 0.055: ranks 2 and 9.
    assert described["p50"] == 5.5
    assert described["ci95"]["p50"] == [2.0, 9.0]
    assert described["p90"] is None
    assert described["ci95"]["p90"] is None
    assert described["insufficient"]["p90"] == "10 samples; 36 needed"


def test_too_few_values_give_nulls_with_reasons_but_a_mean_and_a_maximum() -> None:
    described = describe([5.0, 7.0]).as_dict()

    assert [described[name] for name in QUANTILES] == [None] * 5
    assert described["insufficient"]["p50"] == "2 samples; 6 needed"
    assert (described["n"], described["mean"], described["max"]) == (2, 6.0, 7.0)
    assert describe([5.0]).as_dict()["insufficient"]["p99"] == "1 sample; 368 needed"


@pytest.mark.parametrize("values", [[], [math.nan, math.nan]])
def test_no_values_give_nulls_and_never_zeros(values: list[float]) -> None:
    described = describe(values).as_dict()

    assert described["n"] == 0
    assert described["mean"] is described["max"] is described["p50"] is None


def test_missing_values_do_not_count() -> None:
    assert describe([1.0, math.nan, 3.0, 2.0, math.nan, 5.0, 4.0, 6.0]).as_dict()["p50"] == 3.5


@settings(deadline=None)
@given(latencies, st.sampled_from(sorted(QUANTILES.values())))
def test_adding_a_slower_request_never_lowers_a_percentile(values: list[float], q: float) -> None:
    before = estimate_quantile(values, q)
    after = estimate_quantile([*values, max(values) + 1.0], q)

    if before.value is not None and before.interval is not None:
        assert after.value is not None
        assert after.interval is not None
        assert after.value >= before.value * (1.0 - 1e-12)
        assert after.interval[1] >= before.interval[1]


@settings(deadline=None)
@given(latencies, st.randoms(use_true_random=False))
def test_order_changes_nothing_and_estimates_are_ordered(values: list[float], rng: object) -> None:
    shuffled = list(values)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    described, other = describe(values).as_dict(), describe(shuffled).as_dict()

    known = [described[name] for name in QUANTILES if described[name] is not None]
    assert [described[name] for name in QUANTILES] == [other[name] for name in QUANTILES]
    assert described["ci95"] == other["ci95"]
    assert known == sorted(known)
    for name, interval in described["ci95"].items():
        if interval is not None:
            # Interpolation between two equal values may miss them by one rounding.
            assert interval[0] * (1 - 1e-12) <= described[name] <= interval[1] * (1 + 1e-12)


@pytest.mark.parametrize("shape", ["lognormal", "bimodal"])
@pytest.mark.parametrize(("name", "n"), [("p50", 300), ("p95", 1000), ("p99", 2000)])
def test_intervals_cover_the_true_quantile_in_about_95_percent_of_2000_runs(shape: str, name: str, n: int) -> None:
    q, draws = QUANTILES[name], 2000
    sample, truth = _population(shape, q)
    ranks = interval_ranks(n, q)
    assert ranks is not None

    values = np.partition(sample(np.random.default_rng(20270115), (draws, n)), ranks, axis=1)
    covered = np.mean((values[:, ranks[0]] <= truth) & (truth <= values[:, ranks[1]]))

    assert 0.93 <= covered <= 0.97


def _population(shape: str, q: float):  # type: ignore[no-untyped-def]
    """A sampler and its true q-quantile: a lognormal latency, or a fast and a slow mode 80 to 20."""
    if shape == "lognormal":
        law = stats.lognorm(0.5, scale=400.0)
        return (lambda rng, size: rng.lognormal(np.log(400.0), 0.5, size)), float(law.ppf(q))
    fast, slow = stats.norm(300.0, 20.0), stats.norm(1200.0, 150.0)
    grid = np.linspace(100.0, 2500.0, 240_001)
    truth = float(grid[np.searchsorted(0.8 * fast.cdf(grid) + 0.2 * slow.cdf(grid), q)])

    def sample(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
        return np.where(rng.random(size) < 0.8, rng.normal(300.0, 20.0, size), rng.normal(1200.0, 150.0, size))

    return sample, truth
