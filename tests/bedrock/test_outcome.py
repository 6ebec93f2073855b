"""From Bedrock's errors to outcomes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.outcome import (
    ERRORS,
    NOT_ANSWERED_BY_SERVICE,
    Outcome,
    canonical_code,
    classify_http_error,
    classify_stream_exception,
    mask_accounts,
    redact,
)


@pytest.mark.parametrize(
    ("status", "code", "message", "outcome"),
    [
        (429, "ThrottlingException", "Too many requests, please wait before trying again.", Outcome.THROTTLED),
        (429, "ThrottlingException", "Too many tokens per day, please wait before trying again.", Outcome.THROTTLED),
        (429, "ThrottlingException", "Model X is currently overloaded. Please try again later.", Outcome.OVERLOADED),
        (429, "ModelNotReadyException", "Model is not ready for inference.", Outcome.OVERLOADED),
        (400, "ServiceQuotaExceededException", "", Outcome.THROTTLED),
        (503, "ServiceUnavailableException", "Too many connections", Outcome.OVERLOADED),
        (408, "ModelTimeoutException", "", Outcome.TIMEOUT),
        (424, "ModelErrorException", "", Outcome.SERVER_ERROR),
        (424, "ModelStreamErrorException", "", Outcome.SERVER_ERROR),
        (500, "InternalServerException", "", Outcome.SERVER_ERROR),
        (400, "ValidationException", "", Outcome.CLIENT_ERROR),
        (403, "AccessDeniedException", "", Outcome.CLIENT_ERROR),
        (404, "ResourceNotFoundException", "", Outcome.CLIENT_ERROR),
        (429, "", "", Outcome.THROTTLED),
        (504, "SomethingNew", "", Outcome.TIMEOUT),
        (502, "", "", Outcome.SERVER_ERROR),
    ],
)
def test_http_errors(status: int, code: str, message: str, outcome: Outcome) -> None:
    assert classify_http_error(status, code, message) is outcome


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("throttlingException", Outcome.THROTTLED),
        ("modelStreamErrorException", Outcome.STREAM_ERROR),
        ("serviceUnavailableException", Outcome.STREAM_ERROR),
        ("internalServerException", Outcome.STREAM_ERROR),
        ("", Outcome.STREAM_ERROR),
    ],
)
def test_exception_frames(code: str, outcome: Outcome) -> None:
    assert classify_stream_exception(code) is outcome


def test_codes_are_spelt_one_way() -> None:
    spellings = [
        "throttlingException",
        "ThrottlingException",
        "ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/",
        "com.amazon.coral.service#ThrottlingException",
    ]

    assert {canonical_code(spelling) for spelling in spellings} == {"ThrottlingException"}


def test_every_outcome_is_an_answer_an_error_a_throttle_or_no_answer() -> None:
    assert {Outcome.OK, Outcome.THROTTLED} | ERRORS | NOT_ANSWERED_BY_SERVICE == set(Outcome)
    assert not ERRORS & NOT_ANSWERED_BY_SERVICE


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/x",
            "arn:aws:bedrock:us-east-1:<account>:inference-profile/x",
        ),
        ("User 123456789012 may not", "User <account> may not"),
        ("token ABSKQmVkcm9ja0FQSUtleS0xMjM0 leaked", "token <api-key> leaked"),
        ("bedrock-api-key-YmVkcm9jay5hbWF6b24", "<api-key>"),
        ("role_123456789012_admin", "role_<account>_admin"),
        ("key AKIAIOSFODNN7EXAMPLE leaked", "key <access-key> leaked"),
        ("amazon.nova-pro-v1:0 answered 1234567 tokens", "amazon.nova-pro-v1:0 answered 1234567 tokens"),
    ],
)
def test_accounts_and_keys_do_not_reach_the_outputs(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_a_request_id_is_no_account_id_though_its_last_group_may_be_all_digits() -> None:
    text = "0b5d9a4e-8f1c-4a7e-9c3d-123456789012 of bucket-2026-123456789012 and x-123456789012"

    assert redact(text) == "0b5d9a4e-8f1c-4a7e-9c3d-123456789012 of bucket-2026-<account> and x-<account>"


@given(st.text(max_size=2000))
def test_service_text_is_cut(text: str) -> None:
    assert len(redact(text)) <= 300


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("arn:aws:bedrock:us-east-1:123456789012:custom-model/x", "arn:aws:bedrock:us-east-1:<account>:custom-model/x"),
        ("arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ax", "arn%3Aaws%3Abedrock%3Aus-east-1%3A<account>%3Ax"),
        ("arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:x", "arn:aws-us-gov:bedrock:us-gov-west-1:<account>:x"),
        ("arn:aws:bedrock:us-east-1::foundation-model/m", "arn:aws:bedrock:us-east-1::foundation-model/m"),
        ("seed: 123456789012", "seed: 123456789012"),
    ],
)  # fmt: skip
def test_accounts_of_arns_are_masked_and_other_numbers_stay(text: str, masked: str) -> None:
    assert mask_accounts(text) == masked
    assert mask_accounts(masked) == masked
