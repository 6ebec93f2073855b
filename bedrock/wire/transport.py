"""The `wire` transport: invocations in, records out, with time stamps taken as the bytes arrive."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import quote

from bedrock.answers import UNREADABLE, UNREADABLE_EVENT, StreamReader
from bedrock.bodies import ApiRequest, api_request
from bedrock.clock import now
from bedrock.failures import CallFailedError, Failure, fill_failure, fill_unsent
from bedrock.invocation import Invocation, InvocationRecord
from bedrock.outcome import Outcome, canonical_code, classify_http_error, classify_stream_exception, redact
from bedrock.transcript import Transcript
from bedrock.wire.frames import FrameKind, FrameScanner, InvalidFramesError
from bedrock.wire.pool import ConnectionPool
from bedrock.wire.signing import Authorizer, CannotSignError

_EVENT_STREAM = "application/vnd.amazon.eventstream"


class WireTransport:
    """Calls one endpoint over its own connections. Create one per process, after any fork."""

    name = "wire"

    def __init__(self, pool: ConnectionPool, authorizer: Authorizer, host: str, read_timeout_s: float) -> None:
        self._pool = pool
        self._authorizer = authorizer
        #: The host that is called, with its port where that is not the scheme's own.
        self.host = host
        self._read_timeout_s = read_timeout_s

    def invoke(self, invocation: Invocation, record: InvocationRecord, transcript: Transcript | None = None) -> None:
        """Make the call and fill the record as it proceeds, and the transcript where there is one.

        Whatever the service or the network does ends in `record.outcome`. Only what is not their doing is raised: a
        kill of the caller (BaseException), or a bug.
        """
        request = api_request(invocation)
        record.started_at = now()
        sink = _Answer(request, record, transcript)
        try:
            self._call(request, record, sink)
            sink.finish()
        except _StreamRefusedError:
            pass  # the record says so already
        except CallFailedError as error:
            fill_failure(record, error)
        except CannotSignError as error:
            fill_unsent(record, error.code, str(error))
        except OSError as error:  # TLS
            fill_failure(record, CallFailedError(Failure.CONNECTION_CLOSED, str(error)))
        finally:
            sink.close()
        if record.ended_at is None:
            record.ended_at = now()

    def close(self) -> None:
        """Close the connections; one that is in use, when its call ends."""
        self._pool.close()

    def _call(self, request: ApiRequest, record: InvocationRecord, sink: "_Answer") -> None:
        encoded = self._encode(request)
        record.started_at = now()  # writing and signing the request is the generator's time, not the service's
        connection, record.pool_wait_ms = self._pool.lend()
        try:
            is_new = connection.calls == 0
            record.connect_ms = connection.connect_ms if is_new else 0.0
            record.tls_ms = connection.tls_ms if is_new else None
            connection.exchange(encoded, sink, self._read_timeout_s)
        finally:
            record.bytes_received = connection.bytes_received
            record.receive_lag_ms = connection.receive_lag_ms
            self._pool.take_back(connection)

    def _encode(self, request: ApiRequest) -> bytes:
        path = f"/model/{quote(request.model_id, safe='')}/{request.operation}"
        fields = {"Host": self.host, **request.headers}
        fields.update(self._authorizer.headers(path, fields, request.body))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"POST {path} HTTP/1.1\r\n{head}Content-Length: {len(request.body)}\r\n\r\n".encode() + request.body


class _StreamRefusedError(Exception):
    """The service ended a stream by an exception or an error in it: nothing of the answer is of interest any more."""


class _Answer:
    """Takes one answer: a stream of events, a body in one piece, or an error."""

    def __init__(self, request: ApiRequest, record: InvocationRecord, transcript: Transcript | None) -> None:
        self._request = request
        self._record = record
        self._transcript = transcript
        self._headers: Mapping[str, str] = {}
        self._body: list[bytes] = []
        self._scanner = FrameScanner()
        self._reader: StreamReader | None = None

    def head(self, status: int, headers: dict[str, str], at: float) -> None:
        """Status and headers."""
        record = self._record
        record.first_byte_at = at
        record.http_status = status
        record.request_id = headers.get("x-amzn-requestid")
        self._headers = headers
        if status == 200 and self._request.is_streamed:
            self._reader = self._request.stream_reader(record, headers, self._transcript)

    @property
    def has_begun(self) -> bool:
        """Whether the first token of a stream has come; a body in one piece has begun when it is whole."""
        return self._record.first_token_at is not None

    def body(self, data: bytes, at: float) -> None:
        """A part of the body."""
        self._record.ended_at = at
        reader = self._reader
        if reader is None:
            self._body.append(data)
            return
        try:
            frames = self._scanner.feed(data)
        except InvalidFramesError as invalid:
            self._read(reader, invalid.frames, at)
            raise CallFailedError(Failure.INVALID_STREAM, str(invalid)) from invalid
        self._read(reader, frames, at)

    def _read(self, reader: StreamReader, frames: list[tuple[FrameKind, bytes]], at: float) -> None:
        try:
            for kind, payload in frames:
                if kind.message_type != "event":
                    self._refuse(kind, payload)
                reader.raw_event(kind.name, payload, at)
        except UNREADABLE as error:
            raise CallFailedError(Failure.INVALID_STREAM, UNREADABLE_EVENT) from error

    def finish(self) -> None:
        """The answer is whole: what it means."""
        record = self._record
        if self._reader is not None:
            self._finish_stream(self._reader)
        elif record.http_status == 200:
            self._request.read_whole(record, _document(b"".join(self._body)), self._headers, self._transcript)
            record.outcome = Outcome.OK
        else:
            self._fill_error()

    def close(self) -> None:
        """Sum up, however the call ended."""
        if self._reader is not None:
            self._reader.finish()

    def _finish_stream(self, reader: StreamReader) -> None:
        try:
            self._scanner.close()
        except ValueError as error:
            raise CallFailedError(Failure.TRUNCATED_STREAM) from error
        if not reader.is_complete:
            raise CallFailedError(Failure.TRUNCATED_STREAM)
        self._record.outcome = Outcome.OK

    def _refuse(self, kind: FrameKind, payload: bytes) -> NoReturn:
        """An exception or error inside the stream ends the call, whatever may follow: so it is with the SDK, too."""
        record = self._record
        message = kind.message or str(_document(payload).get("message", "")) if payload else kind.message
        record.outcome = classify_stream_exception(kind.name)
        record.error_code = canonical_code(kind.name) or None
        record.error_message = redact(message)
        raise _StreamRefusedError

    def _fill_error(self) -> None:
        record = self._record
        body = _document(b"".join(self._body), strict=False)
        named = self._headers.get("x-amzn-errortype") or body.get("code") or body.get("__type")
        code = str(named or record.http_status)
        message = str(body.get("message") or body.get("Message") or "")
        record.outcome = classify_http_error(record.http_status or 0, code, message)
        record.error_code = canonical_code(code) or None
        record.error_message = redact(message)


def _document(raw: bytes, *, strict: bool = True) -> dict[str, Any]:
    try:
        document = json.loads(raw)
    except ValueError as error:
        if not strict:
            return {}
        raise CallFailedError(Failure.INVALID_RESPONSE) from error
    return document if isinstance(document, dict) else {}
