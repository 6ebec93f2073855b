"""The `boto3` transport: the SDK as its users run it, with retries off and time stamps on every event.

Under Locust this module must be imported after locust: importing boto3 first breaks TLS contexts
(RecursionError in botocore.httpsession, boto3#4061).
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.exceptions
import urllib3.exceptions
from botocore.config import Config
from botocore.eventstream import ParserError

from bedrock.bodies import converse_arguments
from bedrock.clock import now
from bedrock.endpoint import Endpoint
from bedrock.invocation import Invocation, InvocationRecord, fill_gaps
from bedrock.outcome import Outcome, canonical_code, classify_http_error, classify_stream_exception, redact

_TIMEOUTS = (
    botocore.exceptions.ReadTimeoutError,
    botocore.exceptions.ConnectTimeoutError,
    urllib3.exceptions.TimeoutError,
)
_CONNECTION_ERRORS = (
    botocore.exceptions.ConnectionError,
    botocore.exceptions.HTTPClientError,
    urllib3.exceptions.HTTPError,
    OSError,
)


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
            # A bearer token in the environment must not reach an endpoint on plain HTTP.
            **({"signature_version": "v4"} if endpoint.is_loopback else {}),
        )
        credentials = endpoint.placeholder_credentials()
        self._client: Any = boto3.session.Session().client(
            "bedrock-runtime", region_name=endpoint.region, endpoint_url=endpoint.url, config=config, **credentials
        )

    def invoke(self, invocation: Invocation, record: InvocationRecord) -> None:
        """Make the call and fill the record as it proceeds.

        Whatever the service or the network does ends in `record.outcome`. Only what is not their doing is
        raised: a kill of the caller (BaseException), or a bug.
        """
        record.started_at = now()
        try:
            if invocation.api == "converse_stream":
                self._converse_stream(invocation, record)
            else:
                self._converse(invocation, record)
        except botocore.exceptions.ClientError as error:
            _fill_client_error(record, error)
        except _TIMEOUTS as error:
            _fill_failure(record, Outcome.TIMEOUT, error)
        except ParserError as error:
            _fill_failure(record, Outcome.STREAM_ERROR, error)
        except _CONNECTION_ERRORS as error:
            in_stream = record.http_status is not None
            _fill_failure(record, Outcome.TRUNCATED if in_stream else Outcome.CONNECTION_ERROR, error)
        except botocore.exceptions.BotoCoreError as error:  # invalid parameters, no credentials: never sent
            _fill_failure(record, Outcome.CLIENT_ERROR, error)
        if record.ended_at is None:
            record.ended_at = now()

    def _converse(self, invocation: Invocation, record: InvocationRecord) -> None:
        response = self._client.converse(**converse_arguments(invocation))
        record.ended_at = now()
        _fill_response_metadata(record, response)
        _fill_usage(record, response)
        record.stop_reason = response.get("stopReason")
        record.outcome = Outcome.OK

    def _converse_stream(self, invocation: Invocation, record: InvocationRecord) -> None:
        response = self._client.converse_stream(**converse_arguments(invocation))
        _fill_response_metadata(record, response)
        with contextlib.closing(response["stream"]) as stream:
            complete = _read_converse_stream(stream, record)
        record.ended_at = record.ended_at or now()
        record.outcome = Outcome.OK if complete else Outcome.TRUNCATED


def _read_converse_stream(stream: Iterator[dict[str, Any]], record: InvocationRecord) -> bool:
    """Read all events; True if both closing events (`messageStop`, `metadata`) came.

    Each event is stamped before anything else is done with it.
    """
    content_times: list[float] = []
    stopped = has_metadata = False
    record.events = 0
    try:
        for event in stream:
            arrived_at = now()
            record.events += 1
            if record.first_event_at is None:
                record.first_event_at = arrived_at
            if "contentBlockDelta" in event:
                _note_delta(record, event["contentBlockDelta"]["delta"], arrived_at, content_times)
            elif "messageStop" in event:
                stopped = True
                record.stop_reason = event["messageStop"].get("stopReason")
            elif "metadata" in event:
                has_metadata = True
                _fill_usage(record, event["metadata"])
        record.ended_at = now()
    finally:
        fill_gaps(record, content_times)
    return stopped and has_metadata


def _note_delta(record: InvocationRecord, delta: dict[str, Any], arrived_at: float, content_times: list[float]) -> None:
    """Stamp a content event: answer text, or reasoning, which is a first token but not a first answer."""
    is_answer = bool(delta.get("text"))
    if not is_answer and not delta.get("reasoningContent", {}).get("text"):
        return
    content_times.append(arrived_at)
    if record.first_token_at is None:
        record.first_token_at = arrived_at
    if is_answer and record.first_answer_at is None:
        record.first_answer_at = arrived_at
    record.last_token_at = arrived_at


def _fill_response_metadata(record: InvocationRecord, response: dict[str, Any]) -> None:
    metadata = response.get("ResponseMetadata", {})
    record.http_status = metadata.get("HTTPStatusCode") or record.http_status
    record.request_id = metadata.get("RequestId") or record.request_id


def _fill_usage(record: InvocationRecord, answer: dict[str, Any]) -> None:
    """Tokens, server latency and served tier: of the response body, or of the stream's `metadata` event."""
    usage = answer.get("usage", {})
    record.input_tokens = usage.get("inputTokens")
    record.output_tokens = usage.get("outputTokens")
    record.cache_read_tokens = usage.get("cacheReadInputTokens")
    record.cache_write_tokens = usage.get("cacheWriteInputTokens")
    record.server_latency_ms = answer.get("metrics", {}).get("latencyMs")
    record.served_tier = answer.get("serviceTier", {}).get("type")


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


def _fill_failure(record: InvocationRecord, outcome: Outcome, error: Exception) -> None:
    record.ended_at = now()
    record.outcome = outcome
    record.error_code = type(error).__name__
    record.error_message = redact(str(error))
