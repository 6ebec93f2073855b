"""What the emulator says on the terminal when it starts: how to reach it, and who else can."""

import shlex
from pathlib import Path

from emulator.config_auth import WELL_KNOWN_BEARER_TOKEN, WELL_KNOWN_CREDENTIALS, AuthSettings

_REGION = "AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1"


def banner(url: str, auth: AuthSettings, ca_bundle: Path | None) -> str:
    """The lines to copy into the shell of a client, and where to look. Secrets of the configuration are not in it.

    `ca_bundle`: what clients have to trust, None without TLS or if the user's own certificate is used.
    """
    is_https = url.startswith("https:")
    endpoint = f"export AWS_ENDPOINT_URL_BEDROCK_RUNTIME={url}"
    shell = [endpoint, *_trust(ca_bundle, is_https=is_https), *_credentials(auth), *_bearer(auth, is_https=is_https)]
    lines = [
        "Amazon Bedrock runtime emulator. Nothing here reaches AWS or costs money; timing figures are assumptions.",
        "Point an SDK or the AWS CLI at it:",
        "",
        *(f"  {line}" for line in shell),
        "",
        f"Status: {url}/_emulator/health  counts: {url}/_emulator/stats  truth log: {url}/_emulator/truth",
        "Stop with Ctrl-C.",
    ]
    return "\n".join(lines)


def remote_warning(host: str, auth: AuthSettings, *, is_encrypted: bool) -> str:
    """One line on what it means that other machines can connect."""
    if not auth.is_verified:
        who = "there is no authentication (auth: accept)"
    elif auth.is_well_known:
        who = "signatures are verified, but against credentials that everybody knows (configure others in `auth`)"
    else:
        who = "signatures are verified"
    how = "the traffic is encrypted" if is_encrypted else "the traffic is not encrypted (no --tls)"
    return f"WARNING: listening on {host}, other machines may connect: {who}; {how}; /_emulator/ is open to everybody."


def _trust(ca_bundle: Path | None, *, is_https: bool) -> list[str]:
    if ca_bundle is not None:
        path = shlex.quote(str(ca_bundle))
        return [f"export AWS_CA_BUNDLE={path} NODE_EXTRA_CA_CERTS={path}"]
    return (
        ["# AWS_CA_BUNDLE, NODE_EXTRA_CA_CERTS: your authority's certificate, unless it is public"] if is_https else []
    )


def _credentials(auth: AuthSettings) -> list[str]:
    known = WELL_KNOWN_CREDENTIALS
    credentials = known if not auth.is_verified else auth.credentials
    if credentials is None:
        return [f"export {_REGION}", "# no key pair is accepted, only the bearer token"]
    if credentials == known:
        keys = f"AWS_ACCESS_KEY_ID={known.access_key_id} AWS_SECRET_ACCESS_KEY={known.secret_access_key}"
        # A session token left over from other work would be one more proof to fail.
        return [f"export {keys} {_REGION}", *(["unset AWS_SESSION_TOKEN"] if auth.is_verified else [])]
    token = "unset AWS_SESSION_TOKEN" if credentials.session_token is None else "export AWS_SESSION_TOKEN=  # likewise"
    return [
        f"export AWS_ACCESS_KEY_ID={shlex.quote(credentials.access_key_id)} {_REGION}",
        "export AWS_SECRET_ACCESS_KEY=  # that of `auth` in the configuration",
        token,
    ]


def _bearer(auth: AuthSettings, *, is_https: bool) -> list[str]:
    name = "AWS_BEARER_TOKEN_BEDROCK"
    if not is_https:
        return [f"unset {name}   # SDKs send bearer tokens over HTTPS only, and this is HTTP"]
    if auth.is_verified and auth.bearer_token is None:
        return [f"unset {name}   # no bearer token is accepted"]
    is_printable = not auth.is_verified or auth.bearer_token == WELL_KNOWN_BEARER_TOKEN
    value = WELL_KNOWN_BEARER_TOKEN if is_printable else "  # that of `auth` in the configuration"
    if auth.is_verified and auth.credentials is None:
        return [f"export {name}={value}"]
    return [f"unset {name}   # or, to use one in place of the keys: export {name}={value}"]
