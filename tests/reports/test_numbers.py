import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports import numbers

FORMATTERS = [
    numbers.significant, numbers.milliseconds, numbers.percent, numbers.count, numbers.rate, numbers.usd,
    numbers.signed_percent,
]  # fmt: skip


@pytest.mark.parametrize("write", FORMATTERS)
@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_missing_is_a_dash_never_a_zero(write: object, value: float | None) -> None:
    assert write(value) == numbers.MISSING  # type: ignore[operator]


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.0, "0 %"), (1.0, "100 %"), (0.5, "50.0 %"), (0.0326, "3.26 %"), (0.99995, "99.99 %"), (0.999999, "99.99 %"),
        (0.9902, "99.02 %"), (0.00001, "< 0.01 %"),
        (3.075, "308 %"), (1.001, "100.10 %"), (1.00001, "100.01 %"),
    ],
)  # fmt: skip
def test_a_share_is_none_or_all_only_if_it_is_exactly(share: float, shown: str) -> None:
    assert numbers.percent(share) == shown


@settings(deadline=None)
@given(st.floats(1e-12, 1 - 1e-12))
def test_a_share_between_never_rounds_to_none_or_all(share: float) -> None:
    assert numbers.percent(share) not in ("0 %", "100 %", "0.00 %", "100.0 %", "100.00 %")


@pytest.mark.parametrize(
    ("value", "shown"), [(0.38, "0.4"), (38.24, "38.2"), (412.4, "412"), (1530.2, "1,530"), (0.0, "0.0")]
)
def test_latencies_carry_no_digits_that_mean_nothing(value: float, shown: str) -> None:
    assert numbers.milliseconds(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.000123456, "$0.000123"), (0.29, "$0.290"), (4.77, "$4.77"), (21889.4, "$21,889"), (0, "$0.00")],
)
def test_money_keeps_the_digits_that_a_call_costs(value: float, shown: str) -> None:
    assert numbers.usd(value) == shown


@pytest.mark.parametrize(
    ("metric", "value", "shown"),
    [
        ("ttft_ms", 412.0, "412 ms"),
        ("sla_compliance", 0.992, "99.20 %"),
        ("goodput_rps", 12.34, "12.3 /s"),
        ("cost_per_request_usd", 0.0007, "$0.000700"),
        ("input_tokens", 1200.0, "1,200 tokens"),
        ("", 3.0, "3.00"),
    ],
)
def test_a_quantity_has_the_unit_of_its_metric(metric: str, value: float, shown: str) -> None:
    assert numbers.quantity(metric, value) == shown


def test_a_range_names_its_unit_once() -> None:
    assert numbers.quantity_range("ttft_ms", 755.0, 787.0) == "755 – 787 ms"
