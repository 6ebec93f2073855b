"""This machine's clock against the server's: AWS refuses what was signed more than five minutes away from its time."""

import http.client
import ssl
import time
from contextlib import closing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from orchestrator.doctor_findings import Finding, misconfigured, ok, warn

#: AWS's own limit, either way.
REFUSED_S = 300.0
#: A clock that is kept by NTP is never this wrong.
SUSPICIOUS_S = 30.0

#: For an endpoint given by its URL: an emulator does not count this as a request, any other server refuses it.
EMULATOR_PATH = "/_emulator/health"

_TIMEOUT_S = 5.0
_SET_IT = "Set this machine's clock (NTP, chrony), in a virtual machine after a pause, too."


@dataclass(frozen=True, slots=True)
class ClockDifference:
    """This machine's time minus the server's, in seconds, give or take `uncertainty_s`.

    The Date header has whole seconds, and it was written somewhere between asking and hearing.
    """

    ahead_s: float
    uncertainty_s: float


def clock_difference(url: str, context: ssl.SSLContext | None, path: str = "/") -> ClockDifference | None:
    """Ask for `path`, unsigned, which costs nothing, and compare the answer's Date; None where it has none.

    Any answer will do, a refusal too.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(host, parts.port, timeout=_TIMEOUT_S, context=context)
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=_TIMEOUT_S)
    try:
        with closing(connection):
            connection.connect()
            asked_at = time.time()
            connection.request("GET", path)
            date = connection.getresponse().headers.get("Date")
            heard_at = time.time()
    except (OSError, http.client.HTTPException):
        return None
    return None if date is None else difference(date, asked_at, heard_at)


def difference(date: str, asked_at: float, heard_at: float) -> ClockDifference | None:
    """The difference to a Date header (RFC 9110) read between two instants (Unix s); None where it is no date."""
    try:
        server_at = parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError, OSError):
        return None
    return ClockDifference((asked_at + heard_at) / 2.0 - (server_at + 0.5), (heard_at - asked_at) / 2.0 + 0.5)


def clock_finding(found: ClockDifference | None) -> Finding:
    """What a difference means."""
    if found is None:
        return warn("clock", "the server's time is not known", "See to it that this machine's clock is kept by NTP.")
    ahead_s, give_or_take = found.ahead_s, f"(± {found.uncertainty_s:.1f} s)"
    if abs(ahead_s) <= found.uncertainty_s:
        return ok("clock", f"agrees with the server's {give_or_take}")
    side = "ahead of" if ahead_s > 0 else "behind"
    text = f"{abs(ahead_s):.1f} s {side} the server's {give_or_take}"
    if abs(ahead_s) - found.uncertainty_s > REFUSED_S:
        return misconfigured("clock", f"{text}; AWS refuses signatures more than 300 s off", _SET_IT)
    return warn("clock", text, _SET_IT) if abs(ahead_s) > SUSPICIOUS_S else ok("clock", text)
