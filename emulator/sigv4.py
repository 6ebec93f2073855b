"""AWS Signature Version 4 from the receiver's side: what the signature of a request as it arrived should be.

Source: "Create a signed AWS API request" of the IAM user guide. Pure functions; who may do what is in `emulator.auth`.

The path is canonicalised as it was sent: empty and dot segments removed, then percent-encoded once more. A client that
sends `v1%3A0` signs `v1%253A0` (boto3, AWS SDK for JavaScript v3), one that sends `v1:0` signs `v1%3A0` (what is built
on httpx); the one rule makes both. Answers of Bedrock that users published show it, and that Bedrock refuses a path
that was signed just as it was sent, as curl 7 does.
"""

import hashlib
import hmac
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote_to_bytes

from emulator.http import Request

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"

Spelling = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key pair, with a session token if it is a temporary one."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a signing key is good for: a day (`YYYYMMDD`), a region and a service."""

    date: str
    region: str
    service: str

    def __str__(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/{TERMINATOR}"


def signing_key(secret_access_key: str, scope: Scope) -> bytes:
    """The key derived from the secret for a scope."""
    key = f"AWS4{secret_access_key}".encode()
    for part in (scope.date, scope.region, scope.service, TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def signatures(
    request: Request, signed_headers: Collection[str], stamp: str, scope: Scope, key: bytes
) -> Iterator[str]:
    """The hexadecimal signatures that are right for a request signed at `stamp` (`YYYYMMDDTHHMMSSZ`).

    There is one, or two where a signed header is not ASCII: HTTP does not say how such characters are spelled. SDKs
    sign the UTF-8 of what they send as Latin-1; others sign the bytes that they send.
    """
    names = sorted({name.lower() for name in signed_headers})
    payload_hash = hashlib.sha256(request.body).hexdigest()
    is_ascii = all(request.headers.get(name, "").isascii() for name in names)
    for spelling in (_as_text,) if is_ascii else (_as_text, _as_bytes):
        canonical = canonical_request(request, names, payload_hash, spelling)
        to_sign = f"{ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(canonical).hexdigest()}"
        yield hmac.digest(key, to_sign.encode("utf-8", "replace"), "sha256").hex()


def canonical_request(request: Request, names: Collection[str], payload_hash: str, spelling: Spelling) -> bytes:
    """The text whose hash is signed; `names` are the signed headers, sorted and in lower case."""
    path, _, query = request.target.partition(b"?")
    return b"\n".join(
        (
            request.method.encode(),
            canonical_path(path).encode(),
            canonical_query(query).encode(),
            *_canonical_headers(request.headers, names, spelling),
            b"",
            ";".join(names).encode("latin-1", "replace"),
            payload_hash.encode(),
        )
    )


def canonical_path(path: bytes) -> str:
    """The path as sent, without empty and dot segments, percent-encoded once more (S3 alone does it otherwise)."""
    segments: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del segments[-1:]
        elif segment not in (b"", b"."):
            segments.append(segment)
    end = b"/" if segments and path.endswith(b"/") else b""
    return quote(b"/" + b"/".join(segments) + end, safe="/")


def canonical_query(query: bytes) -> str:
    """Names and values percent-encoded in one way, sorted by name and then by value."""
    pairs = (part.partition(b"=") for part in query.split(b"&") if part)
    return "&".join(f"{name}={value}" for name, value in sorted((_encoded(name), _encoded(v)) for name, _, v in pairs))


def _canonical_headers(headers: Mapping[str, str], names: Collection[str], spelling: Spelling) -> Iterator[bytes]:
    for name in names:
        yield name.encode("latin-1", "replace") + b":" + spelling(headers.get(name, ""))


def _encoded(text: bytes) -> str:
    return quote(unquote_to_bytes(text), safe="")


def _as_text(value: str) -> bytes:
    return " ".join(value.split()).encode()


def _as_bytes(value: str) -> bytes:
    return b" ".join(value.encode("latin-1").split())
