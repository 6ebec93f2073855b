"""The `boto3` transport: the SDK as its users run it, with retries off and time stamps on every event.

Under Locust this module must be imported after locust: importing boto3 first breaks TLS contexts
(RecursionError in botocore.httpsession, boto3#4061).
"""

import contextlib
import json
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import boto3
import botocore.exceptions
import botocore.parsers
import urllib3.exceptions
from botocore.config import Config
from botocore.eventstream import ParserError

from bedrock.answers import UNREADABLE, UNREADABLE_EVENT, StreamReader
from bedrock.bodies import ApiRequest, api_request, sdk_arguments
from bedrock.clock import now
from bedrock.endpoint import Endpoint
from bedrock.failures import CallFailedError, Failure, connection_failure, fill_failure, fill_unsent
from bedrock.invocation import Invocation, InvocationRecord
from bedrock.outcome import Outcome, canonical_code, classify_http_error, classify_stream_exception, redact
from bedrock.transcript import Transcript

_METHODS = {
    "converse": "converse",
    "converse_stream": "converse_stream",
    "invoke_model": "invoke_model",
    "invoke_model_stream": "invoke_model_with_response_stream",
}

#: The SDK's exceptions by what they mean, the special ones before the general.
_FAILURES: tuple[tuple[tuple[type[Exception], ...], Failure], ...] = (
    ((botocore.exceptions.ConnectTimeoutError, urllib3.exceptions.ConnectTimeoutError), Failure.CONNECT_TIMEOUT),
    ((botocore.exceptions.ReadTimeoutError, urllib3.exceptions.TimeoutError), Failure.READ_TIMEOUT),
    ((botocore.exceptions.EndpointConnectionError, botocore.exceptions.SSLError), Failure.CONNECTION_FAILED),
    ((ParserError,), Failure.INVALID_STREAM),
    ((botocore.exceptions.ConnectionError, botocore.exceptions.HTTPClientError), Failure.CONNECTION_CLOSED),
    ((urllib3.exceptions.HTTPError, OSError), Failure.CONNECTION_CLOSED),
    ((botocore.parsers.ResponseParserError,), Failure.INVALID_RESPONSE),
)
_EXPECTED = tuple(kind for kinds, _ in _FAILURES for kind in kinds)

#: Whether the SDK has an answer to parse; odd ones make its parser stumble with any of UNREADABLE. One for each call:
#: greenlets have contexts of their own.
_has_answer: ContextVar[bool] = ContextVar("has_answer", default=False)


class SdkTransport:
    """Calls Bedrock through one boto3 client.

    Create one per process, after any fork: sessions are expensive (60-110 ms) and sockets must not be shared.
    """

    name = "boto3"

    def __init__(
        self, endpoint: Endpoint, *, pool_size: int, connect_timeout_s: float = 10.0, read_timeout_s: float = 300.0
    ) -> None:
        config = Config(
            # Retries hide throttles and put their back-off into the latency; every attempt is a record here.
            retries={"total_max_attempts": 1, "mode": "standard"},
            # The pool does not cap concurrency: above its size connections are opened and thrown away.
            max_pool_connections=max(pool_size, 10),
            connect_timeout=connect_timeout_s,
            read_timeout=read_timeout_s,
            tcp_keepalive=True,
            # Where calls go is said by the endpoint alone: the variable that points SDKs at an emulator must not
            # turn a run against AWS into one against it.
            ignore_configured_endpoint_urls=True,
            # A bearer token in the environment must not reach an endpoint on plain HTTP.
            **({"signature_version": "v4"} if endpoint.is_loopback else {}),
        )
        credentials = endpoint.placeholder_credentials()
        self._client: Any = boto3.session.Session().client(
            "bedrock-runtime", region_name=endpoint.region, endpoint_url=endpoint.url, config=config, **credentials
        )
        self._client.meta.events.register("before-parse.bedrock-runtime", _check_body)

    def invoke(self, invocation: Invocation, record: InvocationRecord, transcript: Transcript | None = None) -> None:
        """Make the call and fill the record as it proceeds, and the transcript where there is one.

        Whatever the service or the network does ends in `record.outcome`. Only what is not their doing is
        raised: a kill of the caller (BaseException), or a bug.
        """
        request = api_request(invocation)
        call = getattr(self._client, _METHODS[invocation.api])
        arguments = sdk_arguments(invocation, request)
        record.started_at = now()
        _has_answer.set(False)
        try:
            response = call(**arguments)
            _fill_response_metadata(record, response)
            if request.is_streamed:
                headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
                _read_stream(response, request.stream_reader(record, headers, transcript), record)
            else:
                _read_whole(request, response, record, transcript)
        except botocore.exceptions.ClientError as error:
            _fill_client_error(record, error)
        except CallFailedError as error:
            fill_failure(record, error)
        except _EXPECTED as error:
            fill_failure(record, CallFailedError(_failure_of(error), _detail(error)))
        except botocore.exceptions.BotoCoreError as error:  # invalid parameters, no credentials: never sent
            fill_unsent(record, type(error).__name__, str(error))
        except UNREADABLE:
            if not _has_answer.get():
                raise
            fill_failure(record, CallFailedError(Failure.INVALID_RESPONSE, http_status=200))
        if record.ended_at is None:
            record.ended_at = now()

    def close(self) -> None:
        """Close the connections of the SDK's pool."""
        self._client.close()


def _check_body(response_dict: dict[str, Any], **_: Any) -> None:
    """What the SDK would take for an empty answer, or stumble over, before it parses it."""
    _has_answer.set(True)
    _refuse_half_a_body(response_dict)
    body = response_dict["body"]
    if isinstance(body, bytes) and not body.lstrip().startswith(b"{") and _is_json(body):
        if response_dict["status_code"] == 200:
            raise CallFailedError(Failure.INVALID_RESPONSE, http_status=200, request_id=_request_id(response_dict))
        response_dict["body"] = b"{}"


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except UNREADABLE:
        return False
    return True


def _request_id(response_dict: Mapping[str, Any]) -> str | None:
    found: str | None = response_dict["headers"].get("x-amzn-requestid")
    return found


def _refuse_half_a_body(response_dict: Mapping[str, Any]) -> None:
    """The SDK takes a body that was cut off, and then is no JSON, for an empty answer."""
    body, headers = response_dict["body"], response_dict["headers"]
    announced = headers.get("content-length")
    if isinstance(body, bytes) and announced is not None and len(body) < int(announced):
        raise CallFailedError(
            Failure.CONNECTION_CLOSED,
            http_status=response_dict["status_code"],
            request_id=_request_id(response_dict),
        )


def _read_whole(
    request: ApiRequest, response: Mapping[str, Any], record: InvocationRecord, transcript: Transcript | None
) -> None:
    body: Any = response
    if request.api == "invoke_model":
        raw = response["body"].read()
        try:
            body = json.loads(raw)
        except ValueError as error:
            raise CallFailedError(Failure.INVALID_RESPONSE) from error
    record.ended_at = now()
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    request.read_whole(record, body if isinstance(body, dict) else {}, headers, transcript)
    record.outcome = Outcome.OK


def _read_stream(response: Mapping[str, Any], reader: StreamReader, record: InvocationRecord) -> None:
    """Read all events; each is stamped before anything else is done with it."""
    stream = response["stream"] if "stream" in response else response["body"]
    try:
        with contextlib.closing(stream):
            for event in stream:
                at = now()
                for name, document in event.items():
                    reader.event(name, document, at)
        record.ended_at = now()
    except (botocore.parsers.ResponseParserError, *UNREADABLE) as error:
        raise CallFailedError(Failure.INVALID_STREAM, UNREADABLE_EVENT) from error
    finally:
        reader.finish()
    if not reader.is_complete:
        raise CallFailedError(Failure.TRUNCATED_STREAM)
    record.outcome = Outcome.OK


def _fill_response_metadata(record: InvocationRecord, response: Mapping[str, Any]) -> None:
    metadata = response.get("ResponseMetadata", {})
    record.http_status = metadata.get("HTTPStatusCode") or record.http_status
    record.request_id = metadata.get("RequestId") or record.request_id


def _fill_client_error(record: InvocationRecord, error: botocore.exceptions.ClientError) -> None:
    """An error the service sent: as an HTTP status, or as an exception frame of a stream that had begun."""
    record.ended_at = now()
    details = error.response.get("Error", {})
    code, message = str(details.get("Code", "")), str(details.get("Message", ""))
    if isinstance(error, botocore.exceptions.EventStreamError):
        record.outcome = classify_stream_exception(code)
    else:
        _fill_response_metadata(record, dict(error.response))
        record.outcome = classify_http_error(record.http_status or 0, code, message)
    record.error_code = canonical_code(code) or None
    record.error_message = redact(message)


def _failure_of(error: Exception) -> Failure:
    failure = next(failure for kinds, failure in _FAILURES if isinstance(error, kinds))
    return connection_failure(error) if failure is Failure.CONNECTION_FAILED else failure


def _detail(error: Exception) -> str:
    """What the SDK adds to the failure's own words: nothing, where it only says the same with an address."""
    return "" if isinstance(error, botocore.exceptions.BotoCoreError | urllib3.exceptions.HTTPError) else str(error)
