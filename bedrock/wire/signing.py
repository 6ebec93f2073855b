"""Authorization of a request: AWS Signature Version 4 with its key kept for the day, or a bearer token.

The algorithm is AWS's "Create a signed AWS API request"; botocore's signer makes the same bytes (tests compare them).
Signing with a kept key costs a quarter of botocore's way and is on the path before the request's first byte.
"""

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

SERVICE = "bedrock"
_ALGORITHM = "AWS4-HMAC-SHA256"
#: Characters that stay as they are in a canonical path; the already encoded path is encoded once more.
_UNRESERVED = "/-_.~"


class Credentials(Protocol):
    """What botocore calls frozen credentials."""

    @property
    def access_key(self) -> str:
        """Access key id."""

    @property
    def secret_key(self) -> str:
        """Secret access key."""

    @property
    def token(self) -> str | None:
        """Session token of temporary credentials."""


class CannotSignError(Exception):
    """There are no credentials to sign with; `code` is the SDK's name for why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Authorizer(Protocol):
    """Adds the headers that prove who sends a request."""

    def headers(self, path: str, fields: Mapping[str, str], body: bytes) -> dict[str, str]:
        """Headers to add to a POST of `body` to the encoded `path` with `fields`, which are signed."""


@dataclass(frozen=True, slots=True)
class BearerAuthorizer:
    """A Bedrock API key."""

    token: Callable[[], str]

    def headers(self, path: str, fields: Mapping[str, str], body: bytes) -> dict[str, str]:  # noqa: ARG002 - protocol
        """The token, whatever is sent."""
        return {"Authorization": f"Bearer {self.token()}"}


class SigV4Authorizer:
    """Signs with credentials that may be refreshed at any time."""

    def __init__(
        self, credentials: Callable[[], Credentials], region: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._credentials = credentials
        self._region = region
        self._clock = clock
        self._second = -1
        self._stamp = self._scope = ""
        self._key_origin: tuple[str, str] = ("", "")
        self._key = b""

    def headers(self, path: str, fields: Mapping[str, str], body: bytes) -> dict[str, str]:
        """`X-Amz-Date`, the session token if there is one, and `Authorization`."""
        credentials = self._credentials()
        self._set_time(int(self._clock()))
        added = {"X-Amz-Date": self._stamp}
        if credentials.token:
            added["X-Amz-Security-Token"] = credentials.token
        signed = sorted((name.lower(), " ".join(value.split())) for name, value in (*fields.items(), *added.items()))
        names = ";".join(name for name, _ in signed)
        canonical = "\n".join(
            (
                "POST",
                quote(path, safe=_UNRESERVED),
                "",
                *(f"{name}:{value}" for name, value in signed),
                "",
                names,
                hashlib.sha256(body).hexdigest(),
            )
        )
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"{_ALGORITHM}\n{self._stamp}\n{self._scope}\n{digest}"
        signature = hmac.new(self._signing_key(credentials.secret_key), to_sign.encode(), "sha256").hexdigest()
        added["Authorization"] = (
            f"{_ALGORITHM} Credential={credentials.access_key}/{self._scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        return added

    def _set_time(self, second: int) -> None:
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
            self._scope = f"{self._stamp[:8]}/{self._region}/{SERVICE}/aws4_request"

    def _signing_key(self, secret: str) -> bytes:
        origin = (secret, self._scope)
        if origin != self._key_origin:
            key = f"AWS4{secret}".encode()
            for part in (*self._scope.split("/")[:3], "aws4_request"):
                key = hmac.new(key, part.encode(), "sha256").digest()
            self._key_origin, self._key = origin, key
        return self._key
