"""What a request with an AWS signature claims of itself, and whether that is in order, the signature itself apart."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from emulator.errors import ServiceError
from emulator.sigv4 import ALGORITHM, TERMINATOR, Scope

SERVICE = "bedrock"
MAX_SKEW_S = 300

_STAMP = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_SEPARATORS = re.compile(r"[,\s]+")
_PARAMETERS = ("Credential", "Signature", "SignedHeaders")
#: Of what a client sent, so much is repeated in a message.
_REPEATED = 40


@dataclass(frozen=True, slots=True)
class Proof:
    """An `Authorization` header of SigV4, taken apart, and the time of signing as `YYYYMMDDTHHMMSSZ`."""

    algorithm: str
    credential: str
    signed_headers: tuple[str, ...]
    signature: str
    stamp: str


def read_proof(authorization: str, headers: Mapping[str, str]) -> Proof:
    """The parts of the header; ServiceError names everything that is missing."""
    algorithm, *parts = _SEPARATORS.split(authorization)
    if any("=" not in part for part in parts if part):
        raise incomplete("A part is not a valid key=value pair (missing equal-sign) in Authorization header.")
    given = {name: value for name, _, value in (part.partition("=") for part in parts)}
    missing = [f"Authorization header requires '{name}' parameter." for name in _PARAMETERS if not given.get(name)]
    stamp = headers.get("x-amz-date") or _stamp_of_date(headers.get("date"))
    if not stamp:
        missing.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if missing or not stamp:
        raise incomplete(" ".join(missing))
    return Proof(algorithm, given["Credential"], tuple(given["SignedHeaders"].split(";")), given["Signature"], stamp)


def check_time(proof: Proof, now_s: int) -> None:
    """ServiceError unless it was signed within five minutes of `now_s`, Unix seconds."""
    signed_at = _unix_seconds(proof.stamp)
    if signed_at is None:
        raise incomplete(f"Date must be in ISO-8601 'basic format'. Got '{proof.stamp[:_REPEATED]}'.")
    now, earliest, latest = map(_as_stamp, (now_s, now_s - MAX_SKEW_S, now_s + MAX_SKEW_S))
    if signed_at < now_s - MAX_SKEW_S:
        raise invalid(f"Signature expired: {proof.stamp} is now earlier than {earliest} ({now} - 5 min.)")
    if signed_at > now_s + MAX_SKEW_S:
        raise invalid(f"Signature not yet current: {proof.stamp} is still later than {latest} ({now} + 5 min.)")


def check_form(proof: Proof) -> tuple[str, Scope]:
    """Key id and scope; ServiceError where algorithm, signed headers or scope cannot be. Any region will do."""
    if "host" not in (name.lower() for name in proof.signed_headers):
        raise invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    if proof.algorithm != ALGORITHM:
        raise incomplete(f"Unsupported AWS 'algorithm': '{proof.algorithm[:_REPEATED]}' (only {ALGORITHM} for now).")
    parts = proof.credential.split("/")
    if len(parts) != 5:
        raise incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term")
    key_id, date, region, service, terminator = parts
    problems = _scope_problems(proof.stamp, date, service, terminator)
    if problems:
        raise invalid(" ".join(problems))
    return key_id, Scope(date, region, service)


def incomplete(message: str) -> ServiceError:
    """400: the header cannot be read."""
    return ServiceError("IncompleteSignatureException", 400, message)


def invalid(message: str) -> ServiceError:
    """403: the header can be read, and does not prove anything."""
    return ServiceError("InvalidSignatureException", 403, message)


def _scope_problems(stamp: str, date: str, service: str, terminator: str) -> list[str]:
    problems = []
    if service != SERVICE:
        problems.append(f"Credential should be scoped to correct service: '{SERVICE}'.")
    if terminator != TERMINATOR:
        given = terminator[:_REPEATED]
        problems.append(f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{given}'.")
    if date != stamp[:8]:
        problems.append(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{date[:_REPEATED]}' != '{stamp[:8]}', from '{stamp}'."
        )
    return problems


def _stamp_of_date(date: str | None) -> str | None:
    """HTTP's `Date` in the form of `X-Amz-Date`; as it is where it cannot be read."""
    if date is None or _STAMP.fullmatch(date):
        return date
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return date
    return _as_stamp((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _unix_seconds(stamp: str) -> float | None:
    try:
        return datetime.fromisoformat(stamp).timestamp() if _STAMP.fullmatch(stamp) else None
    except ValueError:
        return None


def _as_stamp(at_s: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at_s))
