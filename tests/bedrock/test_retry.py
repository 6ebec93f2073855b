"""The standard retry policy against the SDK's own classes."""

import itertools
import random

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
)
from botocore.retries import quota, standard
from hypothesis import given
from hypothesis import strategies as st

from bedrock import retry
from bedrock.failures import Failure
from bedrock.retry import FailedAttempt, Fixed, RetryQuota, Standard

_SERVICE = botocore.session.get_session().get_service_model("bedrock-runtime")
_OPERATIONS = {
    "converse": "Converse",
    "converse_stream": "ConverseStream",
    "invoke_model": "InvokeModel",
    "invoke_model_stream": "InvokeModelWithResponseStream",
}
_MODELED = {error.name for name in _OPERATIONS.values() for error in _SERVICE.operation_model(name).error_shapes}
_CODES = sorted(_MODELED | retry.THROTTLING_CODES | retry.TRANSIENT_CODES | {"Unknown", "ConflictException"})
_STATUSES = (400, 403, 404, 408, 424, 429, 500, 501, 502, 503, 504)
_DETECTOR = standard.ThrottlingErrorDetector(standard.RetryEventAdapter())

failures = st.builds(
    FailedAttempt,
    number=st.integers(1, 12),
    http_status=st.sampled_from(_STATUSES),
    error_code=st.sampled_from(_CODES),
    retry_after_s=st.none() | st.integers(0, 60).map(float),
    api=st.sampled_from(sorted(_OPERATIONS)),
)


def _context(failed: FailedAttempt) -> standard.RetryContext:
    headers = {} if failed.retry_after_s is None else {"x-amz-retry-after": str(int(failed.retry_after_s * 1000))}
    response = AWSResponse("http://x", failed.http_status, headers, None)
    parsed = {"Error": {"Code": failed.error_code}}
    operation = _SERVICE.operation_model(_OPERATIONS[failed.api or "converse"])
    return standard.RetryContext(failed.number, operation, parsed, response)


@pytest.mark.parametrize("api", sorted(_OPERATIONS))
def test_the_same_failures_are_retried_as_by_the_sdk(api: str) -> None:
    """Every code under every status."""
    sdk = standard.StandardRetryConditions(99)
    for code, status in itertools.product(_CODES, _STATUSES):
        failed = FailedAttempt(1, status, code, api=api)
        assert retry.is_retryable(failed) == sdk.is_retryable(_context(failed)), (code, status)


@given(failures, st.integers())
def test_the_waits_are_those_of_the_sdk_for_the_same_random_numbers(failed: FailedAttempt, seed: int) -> None:
    sdk = standard.ExponentialBackoff(random=random.Random(seed).random, throttling_detector=_DETECTOR)
    assert retry.backoff_s(failed, random.Random(seed).random) == sdk.delay_amount(_context(failed))


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([5, 14, 1]))))
def test_the_retry_quota_holds_as_many_tokens_as_the_sdks(steps: list[tuple[bool, int]]) -> None:
    ours, sdk = RetryQuota(), quota.RetryQuota()
    for take, amount in steps:
        if take:
            assert ours.take(amount) == sdk.acquire(amount)
        else:
            ours.give_back(amount)
            sdk.release(amount)
        assert ours.available == sdk.available_capacity


def test_a_retry_costs_what_it_costs_in_the_sdk() -> None:
    checker = standard.RetryQuotaChecker
    ours = (RetryQuota.RETRY_COST, RetryQuota.THROTTLING_RETRY_COST, RetryQuota.SUCCESS_WITHOUT_RETRY)
    assert ours == (checker._RETRY_COST, checker._THROTTLING_RETRY_COST, checker._NO_RETRY_INCREMENT)


def test_a_failure_inside_a_stream_is_not_retried() -> None:
    assert not retry.is_retryable(FailedAttempt(1, 200, "ThrottlingException", in_stream=True))
    assert retry.is_retryable(FailedAttempt(1, None, "ReadTimeout"))


def test_an_outage_empties_the_quota_and_a_success_after_a_retry_gives_its_tokens_back() -> None:
    policy, failed = Standard(lambda: 0.5), FailedAttempt(1, 503, "ServiceUnavailableException")
    waits = [policy.wait_s(failed) for _ in range(36)]
    assert waits == [0.025] * 35 + [None]
    policy.succeeded(failed)
    assert policy.wait_s(failed) == 0.025


def test_both_policies_end_with_their_last_attempt() -> None:
    for policy in (Standard(lambda: 0.5, 3), Fixed(3, 2.0)):
        waits = [policy.wait_s(FailedAttempt(number, 500)) for number in (1, 2, 3)]
        assert [wait is None for wait in waits] == [False, False, True]
    assert Fixed(3, 2.0).wait_s(FailedAttempt(1, 400, "ValidationException")) is None
    assert Fixed(3, 2.0).wait_s(FailedAttempt(1, 500)) == 2.0


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (Failure.CONNECT_TIMEOUT, ConnectTimeoutError(endpoint_url="http://x")),
        (Failure.CONNECTION_FAILED, EndpointConnectionError(endpoint_url="http://x")),
        (Failure.READ_TIMEOUT, ReadTimeoutError(endpoint_url="http://x")),
        (Failure.CONNECTION_CLOSED, ConnectionClosedError(endpoint_url="http://x")),
    ],
)
def test_network_failures_are_retried_as_by_the_sdk(failure: Failure, error: HTTPClientError) -> None:
    context = standard.RetryContext(1, _SERVICE.operation_model("Converse"), caught_exception=error)
    failed = FailedAttempt(1, None, failure.value)
    assert standard.StandardRetryConditions(3).is_retryable(context)
    assert retry.is_retryable(failed)
    sdk = standard.ExponentialBackoff(random=lambda: 1.0, throttling_detector=_DETECTOR)
    assert retry.backoff_s(failed, lambda: 1.0) == sdk.delay_amount(context)
