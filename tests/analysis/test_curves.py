"""Curves to draw: few points, and no quantile farther off than stated."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.curves import MAX_ABSOLUTE_ERROR, MAX_RELATIVE_ERROR, MIN_VALUES_BEYOND, ecdf, spectrum

SHARES = np.linspace(0.0, 1.0, 1001)

values_to_draw = st.lists(st.floats(-10.0, 1e6) | st.sampled_from([0.0, 300.0]), min_size=1, max_size=300)


def bound(exact: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(exact) * MAX_RELATIVE_ERROR, MAX_ABSOLUTE_ERROR) * (1.0 + 1e-9)


@settings(deadline=None)
@given(values_to_draw)
def test_no_quantile_moves_by_more_than_the_bound(values: list[float]) -> None:
    curve = ecdf(np.array(values))

    drawn = np.array([curve.at(q) for q in SHARES])

    exact = np.quantile(values, SHARES)
    assert (np.abs(drawn - exact) <= bound(np.maximum(np.abs(exact), np.abs(drawn)))).all()


@pytest.mark.parametrize("n", [10_000, 200_000])
def test_many_values_make_few_points_that_keep_every_tail(n: int) -> None:
    rng = np.random.default_rng(7)
    values = np.concatenate([rng.lognormal(5.7, 0.4, n), rng.normal(60_000.0, 10.0, 20)])

    curve = ecdf(values)

    assert curve.n == n + 20
    assert len(curve.value) < 1500
    assert (curve.value[0], curve.value[-1]) == (values.min(), values.max())
    for q in (0.01, 0.5, 0.95, 0.99, 0.999, 0.9999):
        exact = np.quantile(values, q)
        assert abs(curve.at(q) - exact) <= bound(np.array(exact))


def test_points_ascend_and_missing_values_are_left_out() -> None:
    curve = ecdf(np.array([3.0, np.nan, 1.0, 2.0, 2.0]))

    assert curve.n == 4
    assert curve.value.tolist() == [1.0, 2.0, 2.0, 3.0]
    assert curve.share.tolist() == pytest.approx([0.0, 1 / 3, 2 / 3, 1.0])


def test_no_value_no_point() -> None:
    assert len(ecdf(np.zeros(0)).value) == len(spectrum(np.full(3, np.nan)).value) == 0


def test_the_spectrum_ends_where_single_requests_would_draw_it() -> None:
    values = np.arange(1000.0)

    curve = spectrum(values)

    assert curve.share[0] == 0.5
    assert curve.share[-1] == 1.0 - MIN_VALUES_BEYOND / 1000
    assert (values > curve.value[-1]).sum() == MIN_VALUES_BEYOND
    assert np.abs(curve.value - np.quantile(values, curve.share)).max() <= 1000 * MAX_RELATIVE_ERROR
    assert len(spectrum(values[:20]).value) == 0


def test_a_coarse_curve_is_exact_where_it_is_asked_to_be() -> None:
    values = np.random.default_rng(5).lognormal(6.0, 0.5, 5000)

    curve = ecdf(values, 0.2, quantiles=(0.5, 0.95, 0.999), through=(600.0, 1.0, 1e9))

    assert len(curve.value) < 60
    for q in (0.5, 0.95, 0.999):
        assert curve.at(q) == pytest.approx(np.quantile(values, q), rel=1e-12)
    ordered = np.sort(values)
    assert np.interp(600.0, curve.value, curve.share) == pytest.approx(
        np.interp(600.0, ordered, np.arange(5000) / 4999), rel=1e-12
    )
