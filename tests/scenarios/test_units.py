"""Quantities as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.units import (
    UnitError,
    format_duration,
    format_rate,
    parse_duration_range_s,
    parse_duration_s,
    parse_rate_rps,
    parse_share,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30.0), ("5m", 300.0), ("1m30s", 90.0), ("250ms", 0.25), ("2h", 7200.0), ("1d", 86400.0), ("1.5s", 1.5)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["30", "", "s", "-5s", "5 parsecs", "5s!", "1m 30"])
def test_a_duration_without_a_unit_is_refused_and_the_message_says_how_to_write_one(text: str) -> None:
    with pytest.raises(UnitError, match="30s, 5m"):
        parse_duration_s(text)


def test_a_bare_number_takes_the_unit_it_is_given() -> None:
    assert parse_duration_s("10", bare_unit="s") == 10.0
    assert parse_duration_s(10, bare_unit="s") == 10.0


@pytest.mark.parametrize(
    ("text", "rate_rps"),
    [("12/s", 12.0), ("600/min", 10.0), ("0.5/s", 0.5), ("86400/day", 1.0), ("3 per second", 3.0), ("36/h", 0.01)],
)
def test_rates(text: str, rate_rps: float) -> None:
    assert parse_rate_rps(text) == pytest.approx(rate_rps)


@pytest.mark.parametrize("text", ["12", "-1/s", "1/fortnight", "fast"])
def test_a_rate_without_a_unit_is_refused(text: str) -> None:
    with pytest.raises(UnitError, match="12/s"):
        parse_rate_rps(text)


@pytest.mark.parametrize(("text", "share"), [("40%", 0.4), ("0.4", 0.4), ("0%", 0.0), ("100%", 1.0)])
def test_shares(text: str, share: float) -> None:
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["140%", "-1", "half", "nan"])
def test_a_share_outside_its_range_is_refused(text: str) -> None:
    with pytest.raises(UnitError):
        parse_share(text)


def test_ranges() -> None:
    assert parse_duration_range_s("0.5s-1.5s") == (0.5, 1.5)
    assert parse_duration_range_s("1s") == (1.0, 1.0)
    with pytest.raises(UnitError, match="write a number and a unit"):
        parse_duration_range_s(1)
    with pytest.raises(UnitError, match="first must not exceed"):
        parse_duration_range_s("2s-1s")


@given(st.integers(min_value=1, max_value=86_399))
def test_what_is_shown_can_be_read_back(seconds: int) -> None:
    shown = parse_duration_s(format_duration(seconds))

    assert abs(shown - seconds) < 60.0
    if seconds < 3600:
        assert shown == seconds


def test_rates_are_shown_short() -> None:
    assert [format_rate(5.0), format_rate(1 / 3), format_rate(12.34)] == ["5/s", "0.333/s", "12.3/s"]


@pytest.mark.parametrize("digits", [12, 400])
def test_quantities_that_nobody_can_mean_are_refused_before_anything_is_computed_of_them(digits: int) -> None:
    with pytest.raises(UnitError, match="a hundred years"):
        parse_duration_s("9" * digits + "d")
    with pytest.raises(UnitError, match="rates end at 1000000000/s") as caught:
        parse_rate_rps("9" * digits + "/s")
    assert len(str(caught.value)) < 150, "the value is not repeated in full"
