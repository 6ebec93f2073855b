"""The emulator's fault rules at run time, as a test adds and reads them."""

import http.client
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from emulator.process import EmulatorProcess

#: One valid rule of each kind.
EXAMPLES: dict[str, dict[str, Any]] = {
    "error": {"code": "ThrottlingException"},
    "stream_exception": {"exception": "throttlingException"},
    "cut": {"at": "mid_frame"},
    "stall": {},
    "trickle": {"bytes_per_s": 100},
    "bad_crc": {},
    "garbage": {},
    "duplicate_metadata": {},
    "missing_metadata": {},
    "delay": {"delay_s": 1},
    "outage": {},
}


def admin(emulator: EmulatorProcess, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    """Status and document of one of the emulator's own endpoints; `body` is sent as JSON, or as it is if bytes."""
    connection = http.client.HTTPConnection(emulator.url.removeprefix("http://"), timeout=30)
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    try:
        connection.request(method, path, data)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def add_faults(emulator: EmulatorProcess, *rules: dict[str, Any]) -> list[dict[str, Any]]:
    """Add rules; returns them as the emulator shows them."""
    status, document = admin(emulator, "POST", "/_emulator/faults", list(rules))
    assert status == 200, document
    added: list[dict[str, Any]] = document["faults"]
    return added


def hits(emulator: EmulatorProcess) -> list[int]:
    """How often each rule has hit."""
    return [rule["hits"] for rule in admin(emulator, "GET", "/_emulator/faults")[1]["faults"]]


def wait_for(condition: Callable[[], Any]) -> None:
    """Return when it holds; fail if it does not within some seconds."""
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("it did not happen")


def last_entry(emulator: EmulatorProcess, before: int) -> dict[str, Any]:
    """The line of the one request since there were `before` of them."""
    wait_for(lambda: len(emulator.truth()) > before)
    (entry,) = emulator.truth(before)
    return entry
