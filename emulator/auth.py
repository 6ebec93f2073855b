"""Who may call the runtime: everybody (`accept`), or only who proves to know the credentials (`verify`).

The checks, their order and their words are those of AWS's common front end. Where they are known from:

* documented (IAM user guide, "Troubleshoot Signature Version 4"): the texts for a wrong signature, the clock, the
  scope's date, service and terminator, the missing token. IncompleteSignature is 400 in the Bedrock API reference.
* seen in answers of Bedrock that users published: InvalidSignatureException with 403; UnrecognizedClientException; for
  a wrong bearer token AccessDeniedException with 403, and the text used here.
* seen of other services with the same front end, assumed of Bedrock: MissingAuthenticationTokenException,
  IncompleteSignatureException and its texts, the signed `Host`, the order of the checks.

What AWS repeats of the request (the header, the canonical string) is mostly left out: people put secrets in the wrong
place. Not verified, and refused, are signatures in the query string, of chunks (`STREAMING-...`), without the body
(`UNSIGNED-PAYLOAD`) and SigV4a: no SDK signs an operation that is served here in these ways.
"""

import hmac
import time
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Protocol

from emulator.config_auth import AuthSettings
from emulator.errors import ServiceError
from emulator.http import Request
from emulator.proof import check_form, check_time, invalid, read_proof
from emulator.sigv4 import TERMINATOR, Credentials, signatures, signing_key

#: Signing keys kept: there is one a day and region, and a client can name as many regions as it likes.
_KEPT_KEYS = 64


class Authenticator(Protocol):
    """Decides whether a request may go on."""

    def check(self, request: Request) -> None:
        """Return, or raise the ServiceError that the request is to be answered with."""


class AcceptAll:
    """Any credentials will do, and none."""

    def check(self, request: Request) -> None:
        """Let it pass."""


class VerifySignatures:
    """Only requests signed with the credentials, or with the bearer token, may go on.

    `credentials` and `bearer_token`: None lets nobody in that way. `clock`: Unix seconds.
    """

    def __init__(
        self, credentials: Credentials | None, bearer_token: str | None, clock: Callable[[], float] = time.time
    ) -> None:
        self._credentials = credentials
        self._bearer_token = bearer_token
        # A signature's time is the wall clock of the client's machine: the emulator's own anchored clock would fall
        # behind it by the length of each suspend.
        self._clock = clock
        secret = "" if credentials is None else credentials.secret_access_key
        self._signing_key = lru_cache(_KEPT_KEYS)(partial(signing_key, secret))

    def check(self, request: Request) -> None:
        """Raise unless the request carries the right proof."""
        authorization = request.headers.get("authorization", "").strip()
        if not authorization:
            raise ServiceError("MissingAuthenticationTokenException", 403, "Missing Authentication Token")
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() == "bearer":
            self._check_bearer(value.strip())
        else:
            self._check_signature(request, authorization)

    def _check_bearer(self, token: str) -> None:
        if self._bearer_token is None or not _same(token, self._bearer_token):
            raise ServiceError(
                "AccessDeniedException", 403, "Authentication failed: Please make sure your API Key is valid."
            )

    def _check_signature(self, request: Request, authorization: str) -> None:
        proof = read_proof(authorization, request.headers)
        check_time(proof, int(self._clock()))
        key_id, scope = check_form(proof)
        credentials = self._credentials
        if credentials is None or not _same(key_id, credentials.access_key_id):
            raise _unrecognized()
        rightful = signatures(request, proof.signed_headers, proof.stamp, scope, self._signing_key(scope))
        if not any(_same(proof.signature, signature) for signature in rightful):
            raise invalid(
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
                "Access Key and signing method. Consult the service documentation for details."
            )
        if not _same(request.headers.get("x-amz-security-token", ""), credentials.session_token or ""):
            raise _unrecognized()


def make_authenticator(settings: AuthSettings) -> Authenticator:
    """What the settings ask for."""
    if settings.is_verified:
        return VerifySignatures(settings.credentials, settings.bearer_token)
    return AcceptAll()


def caller_region(headers: Mapping[str, str]) -> str | None:
    """The region that a SigV4 signature is scoped to, verified or not; None for anything else.

    `headers` have names in lower case. Half a microsecond: not worth a cache.
    """
    _, found, rest = headers.get("authorization", "").partition("Credential=")
    parts = rest.partition(",")[0].rstrip().split("/") if found else ()
    return parts[-3] or None if len(parts) >= 5 and parts[-1] == TERMINATOR else None


def _same(one: str, other: str) -> bool:
    """Compared in a time that does not tell how much of it is right."""
    return hmac.compare_digest(one.encode(), other.encode())


def _unrecognized() -> ServiceError:
    return ServiceError("UnrecognizedClientException", 403, "The security token included in the request is invalid.")
