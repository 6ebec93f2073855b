"""A wire transport for an endpoint: where it is, who calls, and whom to trust, all as the SDK would have it."""

import os
import urllib.request
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

import botocore.exceptions
import botocore.session
from botocore.credentials import ReadOnlyCredentials

from bedrock.credentials import BEARER_TOKEN_VARIABLE
from bedrock.endpoint import Endpoint, EndpointError
from bedrock.sdk_settings import service_url, trust
from bedrock.wire.dialing import Address
from bedrock.wire.pool import ConnectionPool
from bedrock.wire.signing import Authorizer, BearerAuthorizer, CannotSignError, SigV4Authorizer
from bedrock.wire.transport import WireTransport

_CONNECT_TIMEOUT_S = 10.0
_PLACEHOLDER = ReadOnlyCredentials("emulator", "emulator", None)


def make_wire_transport(endpoint: Endpoint, *, pool_size: int, read_timeout_s: float) -> WireTransport:
    """A transport for this process only; EndpointError where this endpoint cannot be called so."""
    session = botocore.session.get_session()
    url = endpoint.url or service_url(session, endpoint.region)
    parts = urlsplit(url)
    _refuse_proxy(parts)
    address = Address(
        host=parts.hostname or "",
        port=parts.port or (443 if parts.scheme == "https" else 80),
        tls=trust(session) if parts.scheme == "https" else None,
    )
    pool = ConnectionPool(address, pool_size, _CONNECT_TIMEOUT_S)
    return WireTransport(pool, _authorizer(session, endpoint, parts), parts.netloc, read_timeout_s)


def _refuse_proxy(parts: SplitResult) -> None:
    host = parts.hostname or ""
    if urllib.request.getproxies().get(parts.scheme) and not urllib.request.proxy_bypass(host):
        raise EndpointError(
            f"A proxy is set for {parts.scheme}://{host}, which the wire transport cannot use: "
            "choose --transport boto3, or exempt the host with NO_PROXY."
        )


def _authorizer(session: botocore.session.Session, endpoint: Endpoint, parts: SplitResult) -> Authorizer:
    if endpoint.is_loopback:
        return SigV4Authorizer(lambda: _PLACEHOLDER, endpoint.region)
    if os.environ.get(BEARER_TOKEN_VARIABLE):
        if parts.scheme != "https":
            raise EndpointError(f"A bearer token may only be sent over HTTPS, not to {parts.geturl()}.")
        return BearerAuthorizer(lambda: os.environ.get(BEARER_TOKEN_VARIABLE, ""))
    return SigV4Authorizer(_credentials(session), endpoint.region)


def _credentials(session: botocore.session.Session) -> Callable[[], ReadOnlyCredentials]:
    """Frozen credentials at every call; botocore refreshes them ahead of their expiry. CannotSignError if it cannot."""
    credentials = session.get_credentials()
    if credentials is None:
        raise EndpointError("No AWS credentials found.")

    def frozen() -> ReadOnlyCredentials:
        try:
            found: ReadOnlyCredentials = credentials.get_frozen_credentials()
        except botocore.exceptions.BotoCoreError as error:
            raise CannotSignError(type(error).__name__, str(error)) from error
        return found

    return frozen
