"""The emulator's own endpoints obey tools, never a web page that is open in a browser on the same machine."""

import http.client

import pytest

from emulator.process import EmulatorProcess


def ask_for_faults(emulator: EmulatorProcess, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection(emulator.url.removeprefix("http://"), timeout=30)
    try:
        connection.request("POST", "/_emulator/faults", b'{"kind": "outage"}', headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example", "Content-Type": "text/plain"},
        {"Origin": "null"},
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
    ],
    ids=["another-page", "no-page", "another-name", "another-name-and-port"],
)
def test_a_web_page_cannot_add_a_fault(emulator: EmulatorProcess, headers: dict[str, str]) -> None:
    before = emulator.request("GET", "/_emulator/faults")

    assert ask_for_faults(emulator, headers) == 403
    assert emulator.request("GET", "/_emulator/faults") == before


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:1", "emulator"])
def test_names_of_this_machine_are_obeyed(emulator: EmulatorProcess, host: str) -> None:
    assert ask_for_faults(emulator, {"Host": host}) == 200
    emulator.request("DELETE", "/_emulator/faults")
