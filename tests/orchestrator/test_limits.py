"""When a suite must stop."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.exit_codes import ExitCode, worst
from orchestrator.limits import Limits, Spending, StopReason


def test_without_limits_nothing_stops_a_suite():
    assert Limits().reached(Spending(10**9, 10.0**9, 10**6)) is None


def test_calls_in_flight_count_because_they_are_sent_and_paid_for():
    limits = Limits(max_requests=100)

    assert limits.reached(Spending(requests=90, cost_usd=0.0, in_flight=9)) is None
    assert limits.reached(Spending(requests=90, cost_usd=0.0, in_flight=10)) is StopReason.MAX_REQUESTS


def test_the_cost_of_calls_in_flight_is_taken_as_the_mean_so_far():
    limits = Limits(max_cost_usd=1.0)

    assert limits.reached(Spending(requests=90, cost_usd=0.9, in_flight=9)) is None
    assert limits.reached(Spending(requests=90, cost_usd=0.9, in_flight=11)) is StopReason.MAX_COST_USD
    assert limits.reached(Spending(requests=0, cost_usd=0.0, in_flight=11)) is None


@given(st.integers(0, 10**6), st.floats(0, 1e4), st.integers(0, 10**4), st.integers(1, 10**6), st.floats(0.001, 1e4))
def test_more_spending_never_takes_a_stop_back(requests, cost, in_flight, max_requests, max_cost):
    limits = Limits(max_cost, max_requests)

    if limits.reached(Spending(requests, cost, in_flight)) is not None:
        assert limits.reached(Spending(requests + 1, cost + 1.0, in_flight)) is not None


def test_several_suites_end_with_the_worst_of_their_codes():
    assert worst([]) is ExitCode.OK
    assert worst([ExitCode.OK, ExitCode.INCONCLUSIVE, ExitCode.FAILED]) is ExitCode.FAILED
    assert worst([ExitCode.LIMIT_REACHED, ExitCode.INTERRUPTED]) is ExitCode.INTERRUPTED


def test_exit_codes_are_those_of_the_contract():
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0,
        "FAILED": 1,
        "INTERRUPTED": 2,
        "INTERNAL_ERROR": 3,
        "USAGE_ERROR": 4,
        "INCONCLUSIVE": 5,
        "LIMIT_REACHED": 6,
    }
