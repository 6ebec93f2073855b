"""Posting a message to a webhook: to the address that was given, within 10 s, with its failure as a sentence."""

import threading
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from bedrock.loopback import is_loopback

#: How long a webhook may take, s, whatever it does meanwhile.
TIMEOUT_S = 10.0


def read_webhook_url(text: str) -> str:
    """The URL as given; ValueError, which does not repeat it, where it is none or would send results in the clear."""
    url = text.strip()
    try:
        parts = urlsplit(url)
        is_private = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
        is_fine = is_private and parts.port != 0 and parts.username is None
    except ValueError:
        is_fine = False
    if not (is_fine and parts.hostname and url.isascii() and url.isprintable() and " " not in url):
        raise ValueError("not an https address (http is for this machine alone); it is a secret, and not repeated here")
    return url


def post(url: str, body: bytes) -> str | None:
    """Post JSON to a URL of `read_webhook_url`; None, or what went wrong, without the address."""
    failures: list[str | None] = []
    # A thread, for a server that sends a byte now and then never runs into the timeout of a socket.
    sender = threading.Thread(target=lambda: failures.append(_post(url, body)), daemon=True)
    sender.start()
    sender.join(TIMEOUT_S)
    return failures[0] if failures else f"no answer within {TIMEOUT_S:g} s"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """An answer that leads elsewhere is an error: results go to the address that was given, and nowhere else."""

    def redirect_request(self, *_arguments: Any) -> None:
        """Follow nothing."""


def _opener(url: str) -> urllib.request.OpenerDirector:
    """A proxy of the environment may carry https, which it cannot read; what is for this machine goes directly."""
    own = [urllib.request.ProxyHandler({})] if urlsplit(url).scheme == "http" else []
    return urllib.request.build_opener(_NoRedirect, *own)


def _post(url: str, body: bytes) -> str | None:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310 - https, or this machine
    try:
        with _opener(url).open(request, timeout=TIMEOUT_S):
            return None
    except urllib.error.HTTPError as error:
        error.close()
        return f"it answered {error.code}"
    except urllib.error.URLError as error:
        reason = error.reason
        return (reason.strerror if isinstance(reason, OSError) else None) or type(reason).__name__
    except Exception as error:  # noqa: BLE001 - a broken answer of any kind: it must not change the result
        return type(error).__name__
