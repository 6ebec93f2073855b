"""The runtime's modelled exceptions as the service sends them: HTTP status, wordings, extra members.

Statuses and members are those of the API's model; wordings marked as assumed were found in no record of the service's
traffic and follow the documentation's description of the exception. `{model}` in a message stands for the model id.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from emulator.errors import RPM_MESSAGE, TPD_MESSAGE, TPM_MESSAGE, ServiceError
from emulator.operations import Operation

#: Replaced by the model id of the request in every message.
MODEL_PLACEHOLDER = "{model}"


@dataclass(frozen=True, slots=True)
class ModelledError:
    """One exception class. The first wording is the default; `members` are values beside `message`."""

    status: int
    wordings: Mapping[str, str]
    members: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def default_wording(self) -> str:
        """The text where none is asked for."""
        return next(iter(self.wordings.values()))


MODELLED: Mapping[str, ModelledError] = {
    "ThrottlingException": ModelledError(
        429,
        {
            "requests": RPM_MESSAGE,
            "tokens": TPM_MESSAGE,
            "day": TPD_MESSAGE,
            "overloaded": "Model {model} is currently overloaded. Please try again later.",
        },
    ),
    "ModelNotReadyException": ModelledError(
        429, {"not_ready": "Model is not ready for inference. Wait and try your request again."}
    ),
    "ServiceQuotaExceededException": ModelledError(
        400,
        {"quota": "Your request exceeds the service quota for your account."},  # assumed
    ),
    "ModelTimeoutException": ModelledError(
        408,
        {"timeout": "Model has timed out in processing the request. Try your request again."},  # assumed
    ),
    "ModelErrorException": ModelledError(
        424,
        {"model": "The system encountered an unexpected error during processing. Try your request again."},  # assumed
        {"originalStatusCode": 500, "resourceName": MODEL_PLACEHOLDER},
    ),
    "ModelStreamErrorException": ModelledError(
        424,
        {"stream": "An error occurred while streaming the response. Retry your request."},  # assumed
        {"originalStatusCode": 500, "originalMessage": "The model stopped in the middle of its answer."},
    ),
    "ServiceUnavailableException": ModelledError(
        503,
        {
            "capacity": "Bedrock is unable to process your request.",
            "connections": "Too many connections, please wait before trying again.",
        },
    ),
    "InternalServerException": ModelledError(
        500,
        {
            "internal": "The system encountered an unexpected error during processing. Try your request again."
        },  # assumed
    ),
    "ValidationException": ModelledError(
        400,
        {
            "model": "The provided model identifier is invalid.",
            "throughput": (
                "Invocation of model ID {model} with on-demand throughput isn’t supported. Retry your request with "
                "the ID or ARN of an inference profile that contains this model."
            ),
            "input": "Malformed input request: #: required key not found, please reformat your input and try again.",
        },
    ),
    "AccessDeniedException": ModelledError(
        403,
        {"access": "You don't have access to the model with the specified model ID."},  # assumed
    ),
    "ResourceNotFoundException": ModelledError(
        404,
        {"resource": "The specified resource ARN was not found."},  # assumed
    ),
}

#: Exceptions that may come inside a stream, by their member's name, and the class they are.
IN_STREAM: Mapping[str, str] = {
    "internalServerException": "InternalServerException",
    "modelStreamErrorException": "ModelStreamErrorException",
    "validationException": "ValidationException",
    "throttlingException": "ThrottlingException",
    "serviceUnavailableException": "ServiceUnavailableException",
    "modelTimeoutException": "ModelTimeoutException",
}
#: In a rule, stands for an error inside a stream that the service's model does not know.
UNMODELLED = "error"
#: Not in the streams of ConverseStream.
_INVOKE_ONLY = frozenset({"modelTimeoutException"})

STREAMED_OPERATIONS = frozenset(operation for operation in Operation if operation.is_streamed)


def operations_with(exception: str) -> frozenset[Operation]:
    """The operations whose streams may carry an exception."""
    return frozenset({Operation.INVOKE_STREAM}) if exception in _INVOKE_ONLY else STREAMED_OPERATIONS


def about_model(error: ServiceError, model_id: str) -> ServiceError:
    """The error with the model's id in its message and members."""
    members = {
        name: value.replace(MODEL_PLACEHOLDER, model_id) if isinstance(value, str) else value
        for name, value in error.members.items()
    }
    return replace(error, message=error.message.replace(MODEL_PLACEHOLDER, model_id), members=members)
