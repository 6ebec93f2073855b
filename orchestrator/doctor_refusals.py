"""What the service's refusals mean, and what to do about each. The wordings are Bedrock's, as users have met them."""

import re
from dataclasses import dataclass

from bedrock.invocation import InvocationRecord
from bedrock.outcome import Outcome

#: The permission that an API needs.
_ACTIONS = {
    "converse": "bedrock:InvokeModel",
    "invoke_model": "bedrock:InvokeModel",
    "converse_stream": "bedrock:InvokeModelWithResponseStream",
    "invoke_model_stream": "bedrock:InvokeModelWithResponseStream",
}

_NEW_CREDENTIALS = "Check which credentials are in force (aws sts get-caller-identity), and sign in again."
_CLOCK = "Set this machine's clock: AWS refuses signatures more than 5 minutes off."


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a failed answer is about (`check`), what to do, and whether it leaves the question open."""

    check: str
    advice: str
    is_open: bool


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A refusal by its code and its message (both are searched for, without regard to case)."""

    code: str
    message: str
    check: str
    advice: str


#: The first that fits.
_REFUSALS = (
    _Refusal("Throttling", "per day", "quota", "The daily tokens are used up, or this account has none: see Service "
             "Quotas, and ask for more."),
    _Refusal("Throttling|ServiceQuotaExceeded", "", "quota", "The quota is used up at the moment: see who else uses "
             "it, wait a minute, or ask for more in Service Quotas."),
    _Refusal("ExpiredToken", "", "credentials", "The credentials have expired: sign in again (aws sso login)."),
    _Refusal("InvalidSignature", "expired|not yet current", "clock", _CLOCK),
    _Refusal("InvalidSignature|IncompleteSignature|SignatureDoesNotMatch", "", "credentials", "The secret key does not "
             "belong to the key id, or a proxy changes requests: set the credentials again."),
    _Refusal("UnrecognizedClient|InvalidClientTokenId|MissingAuthenticationToken", "", "credentials", _NEW_CREDENTIALS),
    _Refusal("AccessDenied", "api key", "credentials", "Make a new Bedrock API key, or unset "
             "AWS_BEARER_TOKEN_BEDROCK."),
    _Refusal("", r"\btier\b|reservation not found", "tier", "Leave this tier out for this model, or choose another."),
    _Refusal("AccessDenied", "", "model", "Allow {action} on the model and its inference profile, also in the "
             "regions it leads to, and see that the account has access to the model (Bedrock console)."),
    _Refusal("Validation", "on-demand throughput", "model", "Use an inference profile: --region-prefixes us, for one."),
    _Refusal("Validation", "model identifier|end of its life|legacy", "model", "Check --model-id, and whether "
             "--region-prefixes fits the region."),
    _Refusal("ResourceNotFound|FTUFormNotFilled", "", "model", "Check --model-id and the region; some models ask for a "
             "form to be filled in first (Bedrock console)."),
    _Refusal("InvalidEndpointConfiguration|EndpointProvider|EndpointVariant", "", "transport", "The SDK refuses this "
             "endpoint with the settings in force: check --endpoint-url, FIPS, dual stack and bearer token."),
    _Refusal("UnknownOperation", "", "endpoint", "The endpoint has no such operation: check --endpoint-url and the "
             "proxy."),
    _Refusal("Credential|Token|SSO|ProfileNotFound", "", "credentials", _NEW_CREDENTIALS),
)  # fmt: skip

_OPEN: dict[Outcome, tuple[str, str]] = {
    Outcome.THROTTLED: ("quota", "Try again in a minute; see Service Quotas."),
    Outcome.OVERLOADED: ("model", "The service has no capacity or is not ready: try again later, or another region."),
    Outcome.TIMEOUT: ("endpoint", "Try again; if it stays so, look at the network and at AWS's health dashboard."),
    Outcome.CONNECTION_ERROR: ("endpoint", "Check the network, the proxy and the certificates, then try again."),
    Outcome.SERVER_ERROR: ("model", "Try again; if it stays so, look at AWS's health dashboard."),
    Outcome.STREAM_ERROR: ("model", "Try again; if it stays so, something in between spoils the answers."),
    Outcome.TRUNCATED: ("model", "Try again; if it stays so, something in between cuts answers off."),
}


def meaning(record: InvocationRecord) -> Meaning:
    """What a record that is not ok means."""
    code, message = record.error_code or "", record.error_message or ""
    is_open = record.outcome is not Outcome.CLIENT_ERROR and record.outcome is not None
    refusal = next((entry for entry in _REFUSALS if _fits(entry, code, message)), None)
    if refusal is not None and (not is_open or record.outcome is Outcome.THROTTLED):
        action = _ACTIONS.get(record.api or "", "bedrock:InvokeModel")
        return Meaning(refusal.check, refusal.advice.format(action=action), is_open)
    if is_open and record.outcome in _OPEN:
        return Meaning(*_OPEN[record.outcome], is_open=True)
    return Meaning("model", "The service's words say why; see docs/running.md on AWS.", is_open)


def _fits(refusal: _Refusal, code: str, message: str) -> bool:
    return all(
        re.search(pattern, text, re.IGNORECASE) for pattern, text in ((refusal.code, code), (refusal.message, message))
    )
