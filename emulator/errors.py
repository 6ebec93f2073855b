"""The errors Bedrock answers with: exception class, HTTP status and wording."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ServiceError(Exception):
    """An HTTP error of the runtime: `code` is the exception class an SDK raises.

    `members` stand beside `message` in the body; `fields` are header fields beside those that all errors have.
    """

    code: str
    status: int
    message: str
    members: Mapping[str, str | int] = field(default_factory=dict)
    fields: Sequence[tuple[str, str]] = ()

    def __str__(self) -> str:
        return f"{self.code} ({self.status}): {self.message}"


RPM_MESSAGE = "Too many requests, please wait before trying again."
TPM_MESSAGE = "Too many tokens, please wait before trying again."
TPD_MESSAGE = "Too many tokens per day, please wait before trying again."


def validation(message: str) -> ServiceError:
    """400 ValidationException."""
    return ServiceError("ValidationException", 400, message)


def malformed(reason: str) -> ServiceError:
    """400 for a body that is not what the operation takes."""
    return validation(f"Malformed input request: {reason}, please reformat your input and try again.")


def unknown_model() -> ServiceError:
    """400 for a model id that names nothing."""
    return validation("The provided model identifier is invalid.")


def invalid_tier() -> ServiceError:
    """400 for a tier name that does not exist (also `standard`, which is not one)."""
    return validation("service tier provided is invalid")


def unsupported_tier() -> ServiceError:
    """400 for a tier that exists and that the model is not served in."""
    return validation("The provided service tier is not supported for this model")


def no_reservation() -> ServiceError:
    """400 for the reserved tier without reserved capacity."""
    return validation("Reservation not found.")


def over_max_tokens(limit: int) -> ServiceError:
    """400 for maxTokens above what the model can write."""
    return validation(
        f"The maximum tokens you requested exceed the model limit of {limit}. "
        f"Try again with a maximum tokens value lower than {limit}."
    )


def too_many_input_tokens(limit: int, tokens: int) -> ServiceError:
    """400 for a text that an embedding model cannot take in whole."""
    return validation(
        f"400 Bad Request: Too many input tokens. Max input tokens: {limit}, request input token count: {tokens} "
    )


def unsupported_action() -> ServiceError:
    """400 for Converse with a model that does not answer with text."""
    return validation(
        "This action doesn't support the model that you provided. Try again with a supported text or chat model."
    )


def unsupported_streaming() -> ServiceError:
    """400 for a stream of a model that answers in one piece only."""
    return validation("The model is unsupported for streaming")


def unsupported_counting() -> ServiceError:
    """400 for CountTokens of a model, or an inference profile, that it does not know."""
    return validation("The provided model doesn't support counting tokens.")


def throttled(message: str) -> ServiceError:
    """429 ThrottlingException; the message says which quota."""
    return ServiceError("ThrottlingException", 429, message)


def unknown_operation(message: str) -> ServiceError:
    """404 for a path or method that is no operation of the runtime."""
    return ServiceError("UnknownOperationException", 404, message)


def constraint(what: str, rule: str) -> ServiceError:
    """400 in the words of the request schema's own checks."""
    return validation(f"1 validation error detected: {what} failed to satisfy constraint: {rule}")


def internal() -> ServiceError:
    """500 for what should not have happened."""
    return ServiceError(
        "InternalServerException",
        500,
        "The system encountered an unexpected error during processing. Try your request again.",
    )


def no_optimized_latency(model_id: str, region: str | None) -> ServiceError:
    """400 for `optimized` where the model is not served so: another region, or not through a profile."""
    place = f" in {region}" if region else ""
    return validation(f"Latency performance configuration is not supported for {model_id}{place}")


def at_capacity(message: str) -> ServiceError:
    """503: the service has no room, whatever the account's quota."""
    return ServiceError("ServiceUnavailableException", 503, message)
