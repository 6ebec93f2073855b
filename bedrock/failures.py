"""Why a call failed for reasons that are not an answer of the service: one closed list, the same for all transports."""

import errno
from collections.abc import Iterator
from enum import StrEnum

from bedrock.clock import now
from bedrock.invocation import InvocationRecord
from bedrock.outcome import Outcome, redact


class Failure(StrEnum):
    """A failure of the network or of the protocol; the value is a record's `error_code`."""

    CONNECT_TIMEOUT = "ConnectTimeout"
    CONNECTION_FAILED = "ConnectionFailed"
    OUT_OF_RESOURCES = "GeneratorOutOfResources"
    READ_TIMEOUT = "ReadTimeout"
    CONNECTION_CLOSED = "ConnectionClosed"
    INVALID_RESPONSE = "InvalidResponse"
    INVALID_STREAM = "InvalidEventStream"
    TRUNCATED_STREAM = "TruncatedStream"


_MESSAGES = {
    Failure.CONNECT_TIMEOUT: "no connection within the connect timeout",
    Failure.CONNECTION_FAILED: "the connection could not be made",
    Failure.OUT_OF_RESOURCES: "this machine had no port, file descriptor or memory left for a connection",
    Failure.READ_TIMEOUT: "nothing arrived within the read timeout",
    Failure.CONNECTION_CLOSED: "the connection was closed before the answer was complete",
    Failure.INVALID_RESPONSE: "the answer was not what the operation answers",
    Failure.INVALID_STREAM: "the event stream was corrupt",
    Failure.TRUNCATED_STREAM: "the stream ended without its closing event",
}


#: What the system says when it can give a process no further connection: the server had no part in it.
_EXHAUSTED = frozenset({errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def connection_failure(error: BaseException) -> Failure:
    """Why a connection could not be made: for want of something on this side, or for any other reason."""
    numbers = {each.errno for each in _chain(error) if isinstance(each, OSError)}
    return Failure.CONNECTION_FAILED if numbers.isdisjoint(_EXHAUSTED) else Failure.OUT_OF_RESOURCES


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


class CallFailedError(Exception):
    """A call failed; `failure` says how, the text says it for people.

    `http_status` and `request_id` are those of the answer's head, where whoever raises this has seen it.
    """

    def __init__(
        self, failure: Failure, detail: str = "", *, http_status: int | None = None, request_id: str | None = None
    ) -> None:
        self.failure = failure
        self.http_status = http_status
        self.request_id = request_id
        super().__init__(f"{_MESSAGES[failure]}: {detail}" if detail else _MESSAGES[failure])


def fill_failure(record: InvocationRecord, error: CallFailedError) -> None:
    """Close a record with a failure; what it saw until then stays."""
    record.ended_at = now()
    record.http_status = record.http_status or error.http_status
    record.request_id = record.request_id or error.request_id
    record.outcome = outcome_of(error.failure, in_stream=record.events is not None)
    record.error_code = error.failure.value
    record.error_message = redact(str(error))


def fill_unsent(record: InvocationRecord, code: str, message: str) -> None:
    """Close the record of a call that could not be sent for a reason of this side's own, such as no credentials."""
    record.ended_at = now()
    record.outcome = Outcome.CLIENT_ERROR
    record.error_code = code
    record.error_message = redact(message)


def outcome_of(failure: Failure, *, in_stream: bool) -> Outcome:
    """The outcome of a failed call; `in_stream` is whether the head of a stream had arrived."""
    match failure:
        case Failure.CONNECT_TIMEOUT | Failure.READ_TIMEOUT:
            return Outcome.TIMEOUT
        case Failure.INVALID_STREAM:
            return Outcome.STREAM_ERROR
        case Failure.TRUNCATED_STREAM:
            return Outcome.TRUNCATED
        case Failure.CONNECTION_CLOSED if in_stream:
            return Outcome.TRUNCATED
        case Failure.INVALID_RESPONSE:
            return Outcome.SERVER_ERROR
    return Outcome.CONNECTION_ERROR
