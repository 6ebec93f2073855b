"""Which credentials calls would be signed with: where they come from and how long they last, never what they are."""

import base64
import binascii
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.exceptions
import botocore.session

from bedrock.credentials import BEARER_TOKEN_VARIABLE, check_credentials
from bedrock.endpoint import Endpoint, EndpointError
from orchestrator.doctor_findings import Finding, misconfigured, ok, warn
from reports.text import clean

#: botocore's names for where credentials come from.
SOURCES: Mapping[str, str] = {
    "env": "the environment (AWS_ACCESS_KEY_ID)",
    "shared-credentials-file": "the shared credentials file",
    "config-file": "the AWS config file",
    "assume-role": "an assumed role",
    "assume-role-with-web-identity": "a role assumed with a web identity",
    "sso": "IAM Identity Center (SSO)",
    "login": "aws login",
    "custom-process": "the profile's credential_process",
    "container-role": "the container's role",
    "iam-role": "the instance's role",
}

#: Shorter than this, and a load test may outlive them.
SOON = timedelta(minutes=15)

#: A short-term API key is this and a presigned URL in base64.
_SHORT_TERM_KEY = "bedrock-api-key-"
_SIGNED_AT = re.compile(r"X-Amz-Date=(\d{8}T\d{6}Z)")
_LASTS_S = re.compile(r"X-Amz-Expires=(\d{1,6})")

_SIGN_IN = "Sign in again (aws sso login, aws login), or name other credentials, with AWS_PROFILE for example."


@dataclass(frozen=True, slots=True)
class CredentialFacts:
    """Where credentials come from; `expires_at` None where they do not expire or do not say."""

    source: str
    is_renewed: bool = False
    expires_at: datetime | None = None


def look_at_credentials(endpoint: Endpoint, at: datetime) -> Finding:
    """What would sign calls to the endpoint at the time `at`.

    Finds them as a load test does, which may ask the instance, the container, SSO or a process for them.
    """
    if endpoint.is_loopback:
        return ok("credentials", "placeholders of an emulator; a loopback address gets none of yours")
    try:
        check_credentials(endpoint)
        facts = find_credentials()
    except EndpointError as error:
        return misconfigured("credentials", "none can be used", clean(str(error)))
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, RuntimeError) as error:
        # RuntimeError: what botocore raises where refreshed credentials have expired already.
        return misconfigured("credentials", f"found, but they cannot be used: {clean(str(error))}", _SIGN_IN)
    return credentials_finding(facts, at)


def credentials_finding(facts: CredentialFacts, at: datetime) -> Finding:
    """What the facts mean at a time. Credentials that are renewed by themselves may be about to expire."""
    text = f"from {facts.source}"
    if facts.expires_at is None:
        return ok("credentials", text)
    left = facts.expires_at - at
    until = f"{facts.expires_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if left <= timedelta(0):
        return misconfigured("credentials", f"{text}; they expired at {until}", _SIGN_IN)
    if facts.is_renewed:
        return ok("credentials", f"{text}; valid until {until}, renewed by themselves")
    if left < SOON:
        minutes = max(1, round(left / timedelta(minutes=1)))
        return warn("credentials", f"{text}; they expire at {until}, in {minutes} min", _SIGN_IN)
    return ok("credentials", f"{text}; valid until {until}")


def find_credentials() -> CredentialFacts:
    """The credentials that `check_credentials` has found to be there, asked for, so that they are refreshed."""
    token = os.environ.get(BEARER_TOKEN_VARIABLE)
    if token:
        return CredentialFacts(f"a Bedrock API key ({BEARER_TOKEN_VARIABLE})", expires_at=api_key_expiry(token))
    session = botocore.session.get_session()
    credentials: Any = session.get_credentials()
    credentials.get_frozen_credentials()
    source = SOURCES.get(credentials.method, clean(str(credentials.method), 60))
    profile = session.get_config_variable("profile")
    if profile and credentials.method != "env":
        source += f", profile {clean(str(profile), 60)}"
    # botocore has no public name for it; where it goes away, nothing is said of the expiry.
    expiry = getattr(credentials, "_expiry_time", None)
    # The environment of a process cannot change, although botocore reads it again.
    is_renewed = hasattr(credentials, "refresh_needed") and credentials.method != "env"
    return CredentialFacts(source, is_renewed, expiry)


def api_key_expiry(token: str) -> datetime | None:
    """When a short-term Bedrock API key ends, which its presigned URL says; None for a long-term one.

    The form is that of AWS's own aws-bedrock-token-generator.
    """
    if not token.startswith(_SHORT_TERM_KEY):
        return None
    try:
        url = base64.b64decode(token.removeprefix(_SHORT_TERM_KEY)).decode("ascii", "replace")
    except (binascii.Error, ValueError):
        return None
    signed_at, lasts_s = _SIGNED_AT.search(url), _LASTS_S.search(url)
    if signed_at is None or lasts_s is None:
        return None
    try:
        start = datetime.strptime(signed_at[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    return start + timedelta(seconds=int(lasts_s[1]))
