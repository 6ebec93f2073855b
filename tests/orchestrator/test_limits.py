"""When a suite must stop."""

from datetime import UTC, datetime, timedelta

import pytest

from bedrock.endpoint import Endpoint
from orchestrator.credential_expiry import credential_expiry, final_expiry
from orchestrator.doctor_credentials import CredentialFacts
from orchestrator.exit_codes import ExitCode, worst
from orchestrator.limits import EXPIRY_MARGIN_S, ErrorLimit, Limits, Spending, StopReason, limits_of
from scenarios.model import Budget


def test_without_limits_nothing_stops_a_suite():
    assert Limits().reached(Spending(10**9, 10.0**9), at=1e10) is None


def test_a_limit_is_reached_by_what_all_cells_together_used_up():
    limits = Limits(max_cost_usd=1.0, max_requests=100)

    assert limits.reached(Spending(60, 0.5) + Spending(39, 0.4)) is None
    assert limits.reached(Spending(60, 0.5) + Spending(40, 0.4)) is StopReason.MAX_REQUESTS
    assert limits.reached(Spending(60, 0.5) + Spending(39, 0.5)) is StopReason.MAX_COST_USD


def test_credentials_that_are_about_to_expire_end_the_suite_while_they_still_work():
    limits = Limits(expires_at=1000.0)

    assert limits.reached(Spending(), at=1000.0 - EXPIRY_MARGIN_S - 1.0) is None
    assert limits.reached(Spending(), at=1000.0 - EXPIRY_MARGIN_S) is StopReason.CREDENTIAL_EXPIRY


def test_the_error_rate_is_judged_only_by_enough_attempts():
    limit = ErrorLimit(share=0.2, window_s=30.0, min_requests=20)

    assert not limit.is_passed(attempts=19, failures=19)
    assert not limit.is_passed(attempts=20, failures=4)
    assert limit.is_passed(attempts=20, failures=5)


def test_the_budget_of_a_scenario_sets_the_limits():
    budget = Budget.model_validate({"max_requests": 5, "max_error_rate": "10%", "error_window": "1m"})

    assert limits_of(budget, 2.0, None) == Limits(2.0, 5, ErrorLimit(0.1, 60.0, 20))
    assert limits_of(Budget.model_validate({}), None, None) == Limits()


@pytest.mark.parametrize(
    ("facts", "expiry"),
    [
        (CredentialFacts("env", is_renewed=False, expires_at=datetime.fromtimestamp(1000.0, UTC)), 1000.0),
        (CredentialFacts("sso", is_renewed=True, expires_at=datetime.fromtimestamp(1000.0, UTC)), None),
        (CredentialFacts("a file"), None),
    ],
)
def test_only_credentials_that_nothing_renews_end(facts, expiry):
    assert final_expiry(facts) == expiry


def test_credentials_of_the_environment_end_when_it_says(monkeypatch):
    ends = datetime.now(UTC) + timedelta(hours=1)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
        "AWS_CREDENTIAL_EXPIRATION": ends.isoformat(),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)

    assert credential_expiry(Endpoint("us-east-1", None)) == pytest.approx(ends.timestamp())
    assert credential_expiry(Endpoint("us-east-1", "http://127.0.0.1:1")) is None


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
