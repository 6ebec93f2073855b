"""The benchmark's statistics against numpy."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmarks.summaries import Summary, quantile, slope, summarise

values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300)
points = st.lists(st.tuples(st.integers(0, 1_000_000), st.integers(0, 10**9)), min_size=2, max_size=100)


@given(values, st.floats(0.0, 1.0))
def test_quantiles_are_numpys(sample: list[float], q: float) -> None:
    assert quantile(sorted(sample), q) == pytest.approx(float(np.quantile(sample, q)), rel=1e-9, abs=1e-6)


@given(values)
def test_a_summary_does_not_depend_on_the_order(sample: list[float]) -> None:
    found = summarise(sample)

    assert found == summarise(sample[::-1])
    assert found.n == len(sample)
    assert found.max == max(sample)
    assert found.p50 == pytest.approx(float(np.median(sample)), abs=1e-6)
    assert found.p99 == pytest.approx(float(np.percentile(sample, 99)), abs=1e-6)


def test_nothing_has_no_summary() -> None:
    assert summarise([]) == Summary(0, None, None, None)


@given(points)
def test_the_slope_is_that_of_least_squares(sample: list[tuple[int, int]]) -> None:
    x, y = np.array(sample, dtype=float).T
    assume(np.ptp(x) > 0)
    found = slope(sample)

    assert found is not None
    expected = float(np.cov(x, y, bias=True)[0, 1] / np.var(x))
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-3)


@given(st.floats(-1e3, 1e3), st.integers(0, 10**6), st.lists(st.integers(0, 10**6), min_size=2, unique=True))
def test_memory_that_grows_evenly_has_exactly_that_slope(per_request: float, start: int, requests: list[int]) -> None:
    found = slope([(done, start + per_request * done) for done in requests])

    assert found == pytest.approx(per_request, rel=1e-6, abs=1e-3)


@pytest.mark.parametrize("sample", [[], [(1.0, 5.0)], [(1.0, 5.0), (1.0, 6.0)]])
def test_a_slope_needs_two_places(sample: list[tuple[float, float]]) -> None:
    assert slope(sample) is None
