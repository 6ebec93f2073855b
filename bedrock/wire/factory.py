"""A wire transport for an endpoint: where it is, who calls, and whom to trust, all as the SDK would have it."""

import os
import ssl
import urllib.request
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

import botocore.exceptions
import botocore.httpsession
import botocore.session
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials

from bedrock.credentials import BEARER_TOKEN_VARIABLE
from bedrock.endpoint import Endpoint, EndpointError
from bedrock.wire.connection import Address
from bedrock.wire.pool import ConnectionPool
from bedrock.wire.signing import Authorizer, BearerAuthorizer, SigV4Authorizer
from bedrock.wire.transport import WireTransport

_CONNECT_TIMEOUT_S = 10.0
_PLACEHOLDER = ReadOnlyCredentials("emulator", "emulator", None)


def make_wire_transport(endpoint: Endpoint, *, pool_size: int, read_timeout_s: float) -> WireTransport:
    """A transport for this process only; EndpointError where this endpoint cannot be called so."""
    session = botocore.session.get_session()
    url = endpoint.url or _service_url(session, endpoint.region)
    parts = urlsplit(url)
    _refuse_proxy(parts)
    address = Address(
        host=parts.hostname or "",
        port=parts.port or (443 if parts.scheme == "https" else 80),
        tls=_tls_context(session) if parts.scheme == "https" else None,
    )
    pool = ConnectionPool(address, pool_size, _CONNECT_TIMEOUT_S)
    return WireTransport(pool, _authorizer(session, endpoint, parts), parts.netloc, read_timeout_s)


def _service_url(session: botocore.session.Session, region: str) -> str:
    """The service's endpoint of a region, by the SDK's own rules: FIPS, dual stack and overrides included."""
    try:
        config = Config(ignore_configured_endpoint_urls=True)
        client = session.create_client("bedrock-runtime", region_name=region, config=config)
    except (botocore.exceptions.BotoCoreError, ValueError) as error:
        raise EndpointError(f"The endpoint of {region} cannot be worked out: {error}") from error
    return str(client.meta.endpoint_url)


def _refuse_proxy(parts: SplitResult) -> None:
    host = parts.hostname or ""
    if urllib.request.getproxies().get(parts.scheme) and not urllib.request.proxy_bypass(host):
        raise EndpointError(
            f"A proxy is set for {parts.scheme}://{host}, which the wire transport cannot use: "
            "choose --transport boto3, or exempt the host with NO_PROXY."
        )


def _tls_context(session: botocore.session.Session) -> ssl.SSLContext:
    """Verifies with the bundle that the SDK would use: `AWS_CA_BUNDLE`, the profile's `ca_bundle`, or botocore's."""
    bundle = (
        session.get_config_variable("ca_bundle")
        or os.environ.get("REQUESTS_CA_BUNDLE")
        or botocore.httpsession.get_cert_path(verify=True)
    )
    try:
        context = ssl.create_default_context(cafile=bundle)
    except (OSError, ssl.SSLError) as error:
        raise EndpointError(f"The CA bundle {bundle} cannot be used: {error}") from error
    context.set_alpn_protocols(["http/1.1"])
    return context


def _authorizer(session: botocore.session.Session, endpoint: Endpoint, parts: SplitResult) -> Authorizer:
    if endpoint.is_loopback:
        return SigV4Authorizer(lambda: _PLACEHOLDER, endpoint.region)
    if os.environ.get(BEARER_TOKEN_VARIABLE):
        if parts.scheme != "https":
            raise EndpointError(f"A bearer token may only be sent over HTTPS, not to {parts.geturl()}.")
        return BearerAuthorizer(lambda: os.environ.get(BEARER_TOKEN_VARIABLE, ""))
    return SigV4Authorizer(_credentials(session), endpoint.region)


def _credentials(session: botocore.session.Session) -> Callable[[], ReadOnlyCredentials]:
    """Frozen credentials at every call; botocore refreshes them ahead of their expiry."""
    credentials = session.get_credentials()
    if credentials is None:
        raise EndpointError("No AWS credentials found.")
    frozen: Callable[[], ReadOnlyCredentials] = credentials.get_frozen_credentials
    return frozen
