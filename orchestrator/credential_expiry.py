"""When a run must have ended because nobody could sign its calls any longer."""

import botocore.exceptions

from bedrock.endpoint import Endpoint
from orchestrator.doctor_credentials import CredentialFacts, find_credentials


def credential_expiry(endpoint: Endpoint) -> float | None:
    """When the credentials for an endpoint end for good, in Unix seconds; None where they are renewed or do not say.

    Loopback needs none. What cannot be found out ends no run: the calls will say so.
    """
    if endpoint.is_loopback:
        return None
    try:
        return final_expiry(find_credentials())
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, RuntimeError, AttributeError):
        return None


def final_expiry(facts: CredentialFacts) -> float | None:
    """The expiry, Unix seconds, of credentials that nothing renews."""
    return None if facts.is_renewed or facts.expires_at is None else facts.expires_at.timestamp()
