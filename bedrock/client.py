"""Making a call so that a record always comes of it."""

from typing import Protocol

from bedrock.clock import now
from bedrock.endpoint import Endpoint
from bedrock.invocation import Invocation, InvocationRecord
from bedrock.outcome import Outcome, redact
from bedrock.transcript import Transcript

#: Transports by the name a scenario uses.
TRANSPORTS = ("wire", "boto3")


class Transport(Protocol):
    """Sends one invocation and fills its record as the answer arrives."""

    name: str

    def invoke(self, invocation: Invocation, record: InvocationRecord, transcript: Transcript | None = None) -> None:
        """Fill `record`, and `transcript` where there is one.

        Raises only what is neither the service's nor the network's doing.
        """

    def close(self) -> None:
        """Close the connections; calls that are open may end first."""


def make_transport(name: str, endpoint: Endpoint, *, pool_size: int, read_timeout_s: float) -> Transport:
    """The transport called `name`, for this process only (create it after any fork)."""
    if name not in TRANSPORTS:
        raise ValueError(f"Unknown transport {name!r}: choose one of {', '.join(TRANSPORTS)}")
    # Imported here so that listing transports needs neither boto3 nor the import order that it asks for.
    if name == "wire":
        from bedrock.wire.factory import make_wire_transport  # noqa: PLC0415

        return make_wire_transport(endpoint, pool_size=pool_size, read_timeout_s=read_timeout_s)
    from bedrock.sdk_transport import SdkTransport  # noqa: PLC0415

    return SdkTransport(endpoint, pool_size=pool_size, read_timeout_s=read_timeout_s)


class BedrockClient:
    """Calls through a transport and closes every record, also that of a call which is cut off."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def invoke(self, invocation: Invocation, record: InvocationRecord, transcript: Transcript | None = None) -> None:
        """Make one call. The record has an outcome afterwards, whether this returns or raises.

        `transcript` gets the text of the answer as far as it comes; without one nothing of it is kept. A kill of the
        calling greenlet (GreenletExit, KeyboardInterrupt) leaves `aborted`, never a success.
        """
        _label(record, invocation, self.transport.name)
        try:
            self.transport.invoke(invocation, record, transcript)
        except Exception as error:
            _close(record, Outcome.CLIENT_ERROR, type(error).__name__, redact(str(error)))
            raise
        except BaseException:
            _close(record, Outcome.ABORTED, None, "cut off by the end of the test")
            raise

    def close(self) -> None:
        """Close the transport's connections. A call that is open may still end; no other may begin."""
        self.transport.close()


def _label(record: InvocationRecord, invocation: Invocation, transport: str) -> None:
    record.api = invocation.api
    record.transport = transport
    record.model_id = invocation.model_id
    record.max_tokens = invocation.max_tokens


def _close(record: InvocationRecord, outcome: Outcome, code: str | None, message: str) -> None:
    record.outcome = outcome
    record.error_code = code
    record.error_message = message
    record.ended_at = now()
