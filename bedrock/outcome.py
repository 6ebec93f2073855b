"""How an attempt ended: one closed enum, and the rules that map Bedrock's errors to it."""

import re
from enum import StrEnum


class Outcome(StrEnum):
    """The end of one attempt; every record has exactly one."""

    OK = "ok"
    THROTTLED = "throttled"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    SERVER_ERROR = "server_error"
    CLIENT_ERROR = "client_error"
    STREAM_ERROR = "stream_error"
    TRUNCATED = "truncated"
    CONNECTION_ERROR = "connection_error"
    ABORTED = "aborted"
    DROPPED = "dropped"


#: Outcomes that say nothing about the service: cut off by the end of the test, or never sent.
NOT_ANSWERED_BY_SERVICE = frozenset({Outcome.ABORTED, Outcome.DROPPED})

#: Outcomes counted by `error_rate`: neither ok, throttled, aborted nor dropped.
ERRORS = frozenset(Outcome) - {Outcome.OK, Outcome.THROTTLED, Outcome.ABORTED, Outcome.DROPPED}

_BY_CODE = {
    "ThrottlingException": Outcome.THROTTLED,
    "ServiceQuotaExceededException": Outcome.THROTTLED,
    "ModelNotReadyException": Outcome.OVERLOADED,
    "ServiceUnavailableException": Outcome.OVERLOADED,
    "ModelTimeoutException": Outcome.TIMEOUT,
    "ModelErrorException": Outcome.SERVER_ERROR,
    "InternalServerException": Outcome.SERVER_ERROR,
    "ModelStreamErrorException": Outcome.STREAM_ERROR,
}

_OVERLOADED_MESSAGE = re.compile(r"overloaded", re.IGNORECASE)


def canonical_code(code: str) -> str:
    """Spell an error code as the service's exception class.

    Exception frames inside a stream carry camelCase member names (`throttlingException`), HTTP errors the
    class name, possibly with a namespace (`ThrottlingException:http://...`, `aws#ThrottlingException`).
    """
    bare = code.split(":", 1)[0].rsplit("#", 1)[-1]
    return bare[:1].upper() + bare[1:]


def classify_http_error(status: int, code: str, message: str = "") -> Outcome:
    """Outcome of a call that the service answered with an HTTP error.

    A 429 is a quota throttle unless its text says that the model is overloaded: Bedrock uses
    ThrottlingException for both, and only the quota kind is the account's own doing.
    """
    by_code = _BY_CODE.get(canonical_code(code))
    if by_code is Outcome.THROTTLED and _OVERLOADED_MESSAGE.search(message):
        return Outcome.OVERLOADED
    if by_code is Outcome.STREAM_ERROR:  # as an HTTP status 424 it never became a stream
        return Outcome.SERVER_ERROR
    return by_code or _classify_status(status)


def _classify_status(status: int) -> Outcome:
    if status == 429:
        return Outcome.THROTTLED
    if status in (408, 504):
        return Outcome.TIMEOUT
    if status == 503:
        return Outcome.OVERLOADED
    if status == 424 or status >= 500:
        return Outcome.SERVER_ERROR
    return Outcome.CLIENT_ERROR


def classify_stream_exception(code: str) -> Outcome:
    """Outcome of a stream that an exception frame ended: a throttle stays one, all else is a stream error."""
    if canonical_code(code) == "ThrottlingException":
        return Outcome.THROTTLED
    return Outcome.STREAM_ERROR


_ARN_ACCOUNT = re.compile(r"(arn(?::|%3A)aws[\w-]*(?::|%3A)[\w-]*(?::|%3A)[\w-]*(?::|%3A))\d{12}(?!\d)", re.IGNORECASE)

_SECRETS = (
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), "<access-key>"),
    (re.compile(r"\bABSK[A-Za-z0-9+/=]{16,}|\bbedrock-api-key-[A-Za-z0-9+/=_-]{8,}"), "<api-key>"),
)


#: An account id, or a whole request id: its last group may happen to be all digits.
_ACCOUNT = re.compile(
    r"(?<![\w-])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![\w-])|(?<!\d)\d{12}(?!\d)", re.IGNORECASE
)
_ACCOUNT_DIGITS = 12


def _without_account(found: re.Match[str]) -> str:
    return "<account>" if len(found.group()) == _ACCOUNT_DIGITS else found.group()


def redact(text: str, limit: int = 300) -> str:
    """Service text fit for an output file: account ids, access keys and API keys masked, cut to `limit` characters."""
    text = mask_accounts(text)
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    text = _ACCOUNT.sub(_without_account, text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def mask_accounts(text: str) -> str:
    """Text with the account id in every ARN masked, also where the ARN is percent-encoded; all else stays."""
    return _ARN_ACCOUNT.sub(r"\1<account>", text)
