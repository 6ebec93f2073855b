"""Regions on a virtual clock."""

import pytest

from bedrock.failover import Regions, speaks_against_region
from bedrock.outcome import Outcome


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_failed_region_is_left_out_for_its_cool_down_and_then_first_again() -> None:
    clock = Clock()
    regions = Regions(["a", "b"], clock)
    regions.failed("a")
    clock.now_s = 59.9
    assert regions.choose() == "b"
    clock.now_s = 60
    assert regions.choose() == "a"


def test_cool_downs_double_up_to_the_largest_and_a_success_resets_them() -> None:
    clock = Clock()
    regions = Regions(["a", "b"], clock)
    for cool_down_s in (60, 120, 240, 480, 600, 600):
        regions.failed("a")
        clock.now_s += cool_down_s - 1
        regions.failed("a")
        assert regions.choose() == "b"
        clock.now_s += 1
        assert regions.choose() == "a"
    regions.succeeded("a")
    regions.failed("a")
    clock.now_s += 60
    assert regions.choose() == "a"


def test_where_all_are_unhealthy_the_one_that_is_ready_first_is_taken() -> None:
    clock = Clock()
    regions = Regions(["a", "b"], clock)
    regions.failed("b")
    clock.now_s = 5
    regions.failed("a")
    assert regions.choose() == "b"
    assert regions.choose(tried={"b"}) == "a"
    assert regions.choose(tried={"a", "b"}) is None


@pytest.mark.parametrize(
    ("outcome", "status", "in_stream", "against"),
    [
        (Outcome.CONNECTION_ERROR, None, False, True),
        (Outcome.TIMEOUT, None, False, True),
        (Outcome.TIMEOUT, None, True, False),
        (Outcome.TIMEOUT, 408, False, False),
        (Outcome.OVERLOADED, 503, False, True),
        (Outcome.OVERLOADED, 429, False, False),
        (Outcome.CLIENT_ERROR, 400, False, False),
        (Outcome.THROTTLED, 429, False, False),
    ],
)
def test_only_failures_of_the_region_speak_against_it(
    outcome: Outcome, status: int | None, in_stream: bool, against: bool
) -> None:
    assert speaks_against_region(outcome, status, in_stream=in_stream) is against


@pytest.mark.parametrize("names", [[], ["a", "a"]])
def test_a_list_of_regions_must_name_each_once(names: list[str]) -> None:
    with pytest.raises(ValueError, match="at least one region"):
        Regions(names, Clock())


def test_calls_begun_before_the_outage_say_nothing_about_it() -> None:
    """A long answer that ends well during the cool-down must not end it, nor an old failure begin another."""
    clock = Clock()
    regions = Regions(["a", "b"], clock)
    clock.now_s = 10
    regions.failed("a", began_at_s=9)
    regions.succeeded("a", began_at_s=5)
    assert regions.choose() == "b"
    clock.now_s = 71
    regions.failed("a", began_at_s=8)
    assert regions.choose() == "a"
    regions.succeeded("a", began_at_s=70.5)
    regions.failed("a", began_at_s=70.6)
    clock.now_s = 132
    assert regions.choose() == "a"
