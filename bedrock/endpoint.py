"""Where calls go: a region of AWS, or a URL that speaks the same protocol."""

import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from bedrock.loopback import is_loopback


class EndpointError(ValueError):
    """The endpoint cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A Bedrock runtime endpoint; `url` None is the AWS endpoint of the region."""

    region: str
    url: str | None = None

    @property
    def is_loopback(self) -> bool:
        """Whether the URL points at this machine, where no AWS credential belongs."""
        host = urlsplit(self.url).hostname if self.url else None
        return host is not None and is_loopback(host)

    def placeholder_credentials(self) -> dict[str, str]:
        """Client arguments that keep real credentials away from a loopback endpoint; empty elsewhere."""
        if not self.is_loopback:
            return {}
        return {"aws_access_key_id": "emulator", "aws_secret_access_key": "emulator"}

    def check_url(self) -> None:
        """EndpointError if the URL is none, or holds what must not be written anywhere; nothing is opened."""
        if self.url is not None:
            _checked(self.url)

    def check_reachable(self, timeout_s: float = 3.0) -> None:
        """Open and close a TCP connection to the URL; EndpointError if there is none to be had."""
        if self.url is None:
            return
        parts = _checked(self.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            socket.create_connection((parts.hostname or "", port), timeout=timeout_s).close()
        except OSError as error:
            raise EndpointError(f"Nothing answers at {self.url}: {error.strerror or error}") from error


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid:
        raise EndpointError(f"{url!r} is not an endpoint URL: write it like http://127.0.0.1:8700")
    if parts.username is not None or parts.password is not None:
        raise EndpointError("the endpoint URL must not hold a user name or a password: it is written to many files")
    return parts
