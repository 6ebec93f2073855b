"""The way to the endpoint, looked at step by step without sending it a request: name, proxy, TCP, TLS."""

import socket
import ssl
import time
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

import botocore.exceptions
import botocore.session

from bedrock.endpoint import Endpoint, EndpointError
from bedrock.sdk_settings import service_url, trust
from orchestrator.doctor_findings import Finding, could_not_tell, misconfigured, ok, warn
from reports.text import clean
from scenarios.field_types import did_you_mean

#: For each step: name, connection, handshake.
STEP_TIMEOUT_S = 5.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """What the way to an endpoint is like; times in milliseconds, None for a step that was not taken.

    `proxy` is host:port of the proxy that the SDK would go through; DNS and TCP are then those of the proxy.
    """

    url: str
    is_fips: bool = False
    is_dual_stack: bool = False
    proxy: str | None = None
    addresses: tuple[str, ...] = ()
    dns_ms: float | None = None
    tcp_ms: float | None = None
    tls_ms: float | None = None
    tls_version: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The facts as the JSON document has them."""
        return asdict(self) | {"addresses": list(self.addresses)}


class _StepError(Exception):
    """A step failed; carries its finding."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.text)
        self.finding = finding


def region_findings(endpoint: Endpoint) -> list[Finding]:
    """Whether the SDK knows the region; nothing is said about it where a loopback address answers."""
    if endpoint.is_loopback:
        return [ok("region", f"{endpoint.region}; only signed for, the endpoint is on this machine")]
    known = botocore.session.get_session().get_available_regions("bedrock")
    if endpoint.region in known:
        return [ok("region", endpoint.region)]
    advice = f"Check --region.{did_you_mean(endpoint.region, known)}"
    return [warn("region", f"the SDK knows no Bedrock in {clean(endpoint.region, 60)}", advice)]


def look_at_endpoint(endpoint: Endpoint) -> tuple[EndpointFacts | None, Finding]:
    """The facts as far as they could be found, and what they come to. Opens one connection; sends no request."""
    try:
        facts = _resolve(endpoint)
    except _StepError as error:
        return None, error.finding
    try:
        facts = _connect(facts)
    except _StepError as error:
        return facts, error.finding
    return facts, ok("endpoint", endpoint_text(facts))


def endpoint_text(facts: EndpointFacts) -> str:
    """The facts in one line."""
    kinds = [kind for kind, is_it in (("FIPS", facts.is_fips), ("dual stack", facts.is_dual_stack)) if is_it]
    parts = [f"{facts.url} ({' and '.join(kinds)})" if kinds else facts.url]
    if facts.proxy is not None:
        parts.append(f"through the proxy {facts.proxy}")
    if facts.dns_ms is not None:
        parts.append(f"DNS {facts.dns_ms:.1f} ms ({', '.join(facts.addresses[:3])})")
    if facts.tcp_ms is not None:
        parts.append(f"TCP {facts.tcp_ms:.1f} ms")
    if facts.tls_ms is not None:
        parts.append(f"{facts.tls_version} {facts.tls_ms:.1f} ms")
    return " · ".join(parts)


def _resolve(endpoint: Endpoint) -> EndpointFacts:
    """Where the SDK would call, by its own rules."""
    if endpoint.url is not None:
        _check_url(endpoint)
    session = botocore.session.get_session()
    try:
        is_fips, is_dual_stack = (
            bool(session.get_config_variable(name)) for name in ("use_fips_endpoint", "use_dualstack_endpoint")
        )
        url = endpoint.url or service_url(session, endpoint.region)
    except (EndpointError, botocore.exceptions.BotoCoreError, ValueError) as error:
        raise _StepError(
            misconfigured("endpoint", clean(str(error)), "Check --region and the settings of the profile.")
        ) from error
    # With a URL given, these settings do not make another one; boto3 refuses such a pair, which its answers will show.
    facts = EndpointFacts(url, is_fips and endpoint.url is None, is_dual_stack and endpoint.url is None)
    return facts if endpoint.is_loopback else replace(facts, proxy=_proxy_of(url))


def _check_url(endpoint: Endpoint) -> None:
    try:
        endpoint.check_reachable(STEP_TIMEOUT_S)
    except EndpointError as error:
        if isinstance(error.__cause__, OSError):
            if urllib.request.getproxies() and not endpoint.is_loopback:
                return  # whether a proxy gets there will show
            advice = "Start what is to answer there (an emulator: python -m emulator), or correct --endpoint-url."
            raise _StepError(could_not_tell("endpoint", clean(str(error)), advice)) from error
        raise _StepError(misconfigured("endpoint", clean(str(error)), "Correct --endpoint-url.")) from error


def _proxy_of(url: str) -> str | None:
    """Host and port of the proxy for a URL, without the password that its own URL may hold."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return clean((proxy.rpartition("@")[2]).rpartition("://")[2].rstrip("/"), 120)


def _connect(facts: EndpointFacts) -> EndpointFacts:
    host, port, is_tls = _next_hop(facts)
    what = f"the proxy {facts.proxy}" if facts.proxy else host
    found, dns_ms = _timed(lambda: _addresses(host, port, what))
    facts = replace(facts, addresses=found, dns_ms=dns_ms)
    connection, tcp_ms = _timed(lambda: _tcp(host, port, what))
    facts = replace(facts, tcp_ms=tcp_ms)
    with connection:
        if not is_tls:
            return facts
        context = _trust()
        version, tls_ms = _timed(lambda: _handshake(context, connection, host))
    return replace(facts, tls_ms=tls_ms, tls_version=version)


def _next_hop(facts: EndpointFacts) -> tuple[str, int, bool]:
    """Host and port of the first connection, and whether it begins with TLS."""
    if facts.proxy is not None:
        parts = urlsplit(f"//{facts.proxy}")
        return parts.hostname or "", parts.port or 80, False
    parts = urlsplit(facts.url)
    is_tls = parts.scheme == "https"
    return parts.hostname or "", parts.port or (443 if is_tls else 80), is_tls


def _timed(step: Callable[[], T]) -> tuple[T, float]:
    started_s = time.perf_counter()
    result = step()
    return result, (time.perf_counter() - started_s) * 1000.0


def _addresses(host: str, port: int, what: str) -> tuple[str, ...]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        advice = "Check --region and --endpoint-url, the DNS settings and the network."
        text = f"{clean(what, 120)} has no address: {clean(str(error), 120)}"
        raise _StepError(could_not_tell("endpoint", text, advice)) from error
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def _tcp(host: str, port: int, what: str) -> socket.socket:
    try:
        return socket.create_connection((host, port), STEP_TIMEOUT_S)
    except OSError as error:
        text = f"no connection to {clean(what, 120)} port {port}: {clean(error.strerror or str(error), 120)}"
        advice = "Check the network: security groups, VPC endpoint, firewall, proxy."
        raise _StepError(could_not_tell("endpoint", text, advice)) from error


def _trust() -> ssl.SSLContext:
    try:
        return trust()
    except EndpointError as error:
        advice = "Set AWS_CA_BUNDLE to a file of certificates."
        raise _StepError(misconfigured("endpoint", clean(str(error)), advice)) from error


def _handshake(context: ssl.SSLContext, connection: socket.socket, host: str) -> str:
    try:
        with context.wrap_socket(connection, server_hostname=host) as tls:
            return str(tls.version())
    except ssl.SSLCertVerificationError as error:
        text = f"the certificate of {clean(host, 120)} is not trusted: {clean(error.verify_message, 120)}"
        advice = "Set AWS_CA_BUNDLE to a file with the certificate of its authority, a company's proxy included."
        raise _StepError(misconfigured("endpoint", text, advice)) from error
    except TimeoutError as error:
        text = f"{clean(host, 120)} does not answer the TLS handshake"
        raise _StepError(could_not_tell("endpoint", text, "Check the network and the port.")) from error
    except OSError as error:
        text = f"no TLS with {clean(host, 120)}: {clean(str(error), 120)}"
        raise _StepError(misconfigured("endpoint", text, "Check the scheme and the port of the endpoint.")) from error
