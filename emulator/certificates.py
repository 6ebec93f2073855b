"""A certificate for local use: a private authority that signs one server's certificate, and is then thrown away.

Only the authority's certificate is kept, not its key: nobody can sign another server's name with it, although clients
were told to trust it. Loads the library `cryptography`, so it is imported only when TLS is asked for.
"""

import ipaddress
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_AUTHORITY = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Bedrock emulator, local authority")])
_SERVER = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Bedrock emulator")])
#: Some clients refuse certificates that are good for longer.
VALID_FOR = timedelta(days=397)
#: Clients whose clock is behind take the certificate all the same.
_CLOCK_TOLERANCE = timedelta(days=1)
#: A certificate that ends sooner is replaced: it shall not end during a run.
_LEAST_LEFT = timedelta(days=2)


class ForeignCertificateError(ValueError):
    """A file does not hold what `make_pair` makes."""


@dataclass(frozen=True, slots=True)
class Pair:
    """PEM: what clients are told to trust, and the server's certificate with its private key."""

    authority: bytes
    server: bytes


def make_pair(names: Sequence[str], now: datetime) -> Pair:
    """An authority and a server's certificate for the host names and addresses `names`."""
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = (
        _certificate(_AUTHORITY, authority_key, authority_key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True), critical=True)
        .sign(authority_key, SHA256())
    )
    server = (
        _certificate(_SERVER, server_key, authority_key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .sign(authority_key, SHA256())
    )
    key = server_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Pair(authority.public_bytes(Encoding.PEM), server.public_bytes(Encoding.PEM) + key)


def read_own(pem: bytes) -> x509.Certificate:
    """The first certificate of a file; ForeignCertificateError if `make_pair` has not made it."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise ForeignCertificateError("files that are no certificates") from error
    if certificate.issuer != _AUTHORITY:
        raise ForeignCertificateError("certificates of another authority")
    return certificate


def names_of(server: x509.Certificate) -> list[str]:
    """The host names and addresses that it is for; ForeignCertificateError where that is not said."""
    try:
        names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as error:
        raise ForeignCertificateError("a certificate that is for no server") from error
    return [str(name.value) for name in names]


def is_usable(pair: Pair, names: Collection[str], now: datetime) -> bool:
    """Whether a pair is whole, and good for all `names` and for some time."""
    authority, server = read_own(pair.authority), read_own(pair.server)
    has_time = all(
        certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc - _LEAST_LEFT
        for certificate in (authority, server)
    )
    certified = {_general_name(name) for name in names_of(server)}
    return has_time and certified >= {_general_name(name) for name in names} and _is_signed_by(server, authority)


def _certificate(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, issuer_key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.CertificateBuilder:
    """What both certificates have in common."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_AUTHORITY)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_TOLERANCE)
        .not_valid_after(now + VALID_FOR - _CLOCK_TOLERANCE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _is_signed_by(server: x509.Certificate, authority: x509.Certificate) -> bool:
    """False where a write that was cut off has left halves of two pairs."""
    try:
        server.verify_directly_issued_by(authority)
    except InvalidSignature:
        return False
    return True
