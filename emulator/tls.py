"""The server's side of HTTPS: with a certificate that is given, or with a generated one."""

import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

#: What every generated certificate is good for, beside the host that is listened on.
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_ALL_ADDRESSES = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not listened on


class TlsError(ValueError):
    """TLS cannot be had as asked for; the message is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class Tls:
    """How to encrypt, and the file that clients have to trust for it; None where the user knows which."""

    context: ssl.SSLContext
    ca_bundle: Path | None


def default_directory() -> Path:
    """Where generated certificates are kept for this user."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "bedrock-emulator" / "tls"


def given_tls(certificate: Path, key: Path) -> Tls:
    """A certificate (with its chain) and its key from PEM files; TlsError where they cannot be used."""
    for path in (certificate, key):
        try:
            path.read_bytes()
        except OSError as error:
            raise TlsError(f"cannot read {path}: {error.strerror}.") from error
    return Tls(_context(certificate, key), None)


def generated_tls(directory: Path, host: str) -> Tls:
    """The certificate kept in `directory`, a new one where there is none that is good for `host`.

    Clients that trust the directory's `ca.pem` go on doing so until the certificate is replaced: when it is about to
    end, or when a host is added. TlsError where the directory cannot be used.
    """
    try:
        # Loads the library `cryptography`, which an emulator without TLS need not wait for.
        from emulator.certificate_store import kept_files  # noqa: PLC0415
        from emulator.certificates import ForeignCertificateError  # noqa: PLC0415
    except ImportError as error:
        raise TlsError(f"{error}, which TLS needs: install requirements.txt again.") from error
    try:
        with kept_files(directory, [*_LOOPBACK_NAMES, _host_name(host)]) as files:
            return Tls(_context(files.server, files.server), files.authority.absolute())
    except ForeignCertificateError as error:
        raise TlsError(f"{directory} holds {error}; choose another place with --tls-dir.") from error
    except OSError as error:
        raise TlsError(
            f"cannot keep certificates in {directory}: {error.strerror}; choose another place with --tls-dir."
        ) from error


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except ssl.SSLError as error:
        reason = error.reason.lower().replace("_", " ") if error.reason else "not in PEM form"
        raise TlsError(f"cannot use the certificate {certificate} with the key {key}: {reason}.") from error
    return context


def _no_passphrase() -> str:
    """Called for a key that has one; without this, OpenSSL would ask on the terminal."""
    raise TlsError("the key of --tls-key has a passphrase; give one without (openssl pkey -in KEY -out PLAIN_KEY).")


def _host_name(host: str) -> str:
    """The host listened on as certificates spell it; this machine's name where it is every address."""
    name = socket.gethostname() if host in _ALL_ADDRESSES else host.partition("%")[0]
    try:
        return name.encode("idna").decode()
    except UnicodeError as error:
        raise TlsError(
            f"{name!r} is no name for a certificate; give your own with --tls-cert and --tls-key."
        ) from error
