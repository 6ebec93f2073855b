"""The errors Bedrock answers with: exception class, HTTP status and wording."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceError(Exception):
    """An HTTP error of the runtime: `code` is the exception class an SDK raises."""

    code: str
    status: int
    message: str

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
