"""The runtime's operations: which one a request means, for which model id."""

import re
import urllib.parse
from enum import StrEnum

from emulator import errors
from emulator.http import Request


class Operation(StrEnum):
    """The operations this emulator serves, by the names of the service's model."""

    CONVERSE = "Converse"
    CONVERSE_STREAM = "ConverseStream"
    INVOKE = "InvokeModel"
    INVOKE_STREAM = "InvokeModelWithResponseStream"
    COUNT_TOKENS = "CountTokens"

    @property
    def is_converse(self) -> bool:
        """Whether its body is the one that all models understand."""
        return self in (Operation.CONVERSE, Operation.CONVERSE_STREAM)

    @property
    def is_streamed(self) -> bool:
        """Whether its answer is a stream of events."""
        return self in (Operation.CONVERSE_STREAM, Operation.INVOKE_STREAM)


#: The last path segment of an operation, and the operation. The model id before it may hold slashes (ARNs, sent raw).
_MODEL_PATH = re.compile(r"^/model/(?P<id>.+)/(?P<operation>[^/]+)$")
_OPERATIONS = {
    "converse": Operation.CONVERSE,
    "converse-stream": Operation.CONVERSE_STREAM,
    "invoke": Operation.INVOKE,
    "invoke-with-response-stream": Operation.INVOKE_STREAM,
    "count-tokens": Operation.COUNT_TOKENS,
}
#: Operations of the service that this emulator does not serve.
_NOT_SERVED = {"invoke-with-bidirectional-stream": "InvokeModelWithBidirectionalStream"}


def route(request: Request) -> tuple[Operation, str]:
    """Operation and model id of a request; ServiceError if it is none.

    The path is matched as sent and the id unquoted once: SDKs send it as one percent-encoded segment, others raw.
    """
    match = _MODEL_PATH.match(request.path)
    if match is None or request.method != "POST":
        raise errors.unknown_operation(f"There is no operation {request.method} {request.path[:200]}.")
    operation = _OPERATIONS.get(match["operation"])
    if operation is None:
        name = _NOT_SERVED.get(match["operation"], match["operation"][:100])
        raise errors.unknown_operation(f"This emulator does not serve the operation {name}.")
    return operation, urllib.parse.unquote(match["id"])


def is_provisioned(model_id: str) -> bool:
    """Whether an id is the ARN of provisioned throughput, which has capacity of its own and no quota."""
    return ":provisioned-model/" in model_id
