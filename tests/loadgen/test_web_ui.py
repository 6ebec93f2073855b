"""The Locust web UI in a real browser: the form's values are used, Stop loses nothing, bad values start nothing."""

import re
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from bedrock.outcome import Outcome
from tests.support.browser import CHROMIUM, CHROMIUM_ARGUMENTS
from tests.support.locust_process import LocustProcess

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

FAST = {
    "default": {
        "latency": {"ttft_ms": {"distribution": "fixed", "median": 100}},
        "output_tokens": {"distribution": "fixed", "median": 60},
    }
}


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield browser.new_page()
        browser.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def web_ui(page: Page, start_emulator: Any, tmp_path: Path) -> Iterator[tuple[Any, LocustProcess]]:
    emulator = start_emulator(config=FAST)
    port = free_port()
    locust = LocustProcess("mangaassist", emulator.url, tmp_path, "--web-port", str(port), headless=False)
    try:
        _open(page, locust, f"http://127.0.0.1:{port}/")
        yield emulator, locust
    finally:
        locust.kill()
        locust.finish()


def _open(page: Page, locust: LocustProcess, url: str) -> None:
    """Open the page once the server listens."""
    address = urlsplit(url)
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex((address.hostname or "", address.port or 0)) == 0:
                break
        assert locust.process.poll() is None
        page.wait_for_timeout(100)
    page.goto(url)


def fill(page: Page, **values: str) -> None:
    page.get_by_text("Custom parameters").click()
    for name, value in values.items():
        page.locator(f"input[name={name}]").fill(value)


def test_the_form_starts_an_open_loop_and_stop_loses_nothing(page: Page, web_ui: tuple[Any, LocustProcess]) -> None:
    emulator, locust = web_ui
    fill(page, userCount="20", spawnRate="20", rate="8/s", routing="nova")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("TTFT").first).to_be_visible(timeout=20_000)
    locust.wait_for_records(10)
    page.get_by_role("button", name=re.compile("stop", re.IGNORECASE)).click()
    expect(page.get_by_text("STOPPED")).to_be_visible(timeout=20_000)
    outcomes = Counter(record.outcome for record in locust.records())

    assert set(outcomes) == {Outcome.OK}
    assert {record.request_id for record in locust.records()} == {row["request_id"] for row in emulator.truth()}
    assert len(locust.records()) == locust.load()["arrivals_offered"]


def test_a_value_that_makes_no_test_sends_nothing(page: Page, web_ui: tuple[Any, LocustProcess]) -> None:
    emulator, locust = web_ui
    fill(page, rate="fast", maxTokens="many")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("'fast' is not a rate", exact=False).first).to_be_visible(timeout=20_000)
    expect(page.get_by_text("'many' is not a number", exact=False).first).to_be_visible()

    assert emulator.truth() == []
    assert locust.records() == []


def test_the_page_is_served_on_loopback_only(page: Page, web_ui: tuple[Any, LocustProcess]) -> None:
    port = int(page.url.rsplit(":", 1)[1].strip("/"))
    infos = socket.getaddrinfo(socket.gethostname(), port, family=socket.AF_INET)
    own_address = next((info[4][0] for info in infos if not str(info[4][0]).startswith("127")), None)
    if own_address is not None:
        with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
            socket.create_connection((str(own_address), port), timeout=2.0)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Referer": "http://evil.example/page"},
        {"Host": "evil.example"},
    ],
    ids=["other-page", "no-page", "referred", "other-name"],
)
def test_a_page_of_somebody_else_cannot_start_a_test(
    page: Page, web_ui: tuple[Any, LocustProcess], headers: dict[str, str]
) -> None:
    emulator, locust = web_ui
    answer = page.request.post(f"{page.url}swarm", form={"user_count": "1", "spawn_rate": "1"}, headers=headers)

    assert answer.status == 403
    assert emulator.truth() == []
    assert locust.records() == []


def test_the_form_cannot_choose_a_file_of_this_machine_to_be_sent(
    page: Page, web_ui: tuple[Any, LocustProcess]
) -> None:
    form = {"user_count": "1", "spawn_rate": "1", "system_prompt_file": "/etc/hostname"}
    answer = page.request.post(f"{page.url}swarm", form=form)

    assert "start Locust with --system-prompt-file" in answer.json()["message"]
    assert web_ui[1].records() == []


def test_the_form_starts_users_that_follow_a_pattern(page: Page, web_ui: tuple[Any, LocustProcess]) -> None:
    locust = web_ui[1]
    shape = {"user_count": "8", "spawn_rate": "8", "pattern": "spike", "spike_factor": "4", "test_duration": "3s"}
    refused = page.request.post(f"{page.url}swarm", form=shape | {"user_count": "0"})
    answer = page.request.post(f"{page.url}swarm", form=shape | {"routing": "nova"})
    locust.wait_until(lambda: any(locust.results.glob("cells/*/load.json")) and locust.load()["ended_at"] is not None)

    assert "user_count: must be at least 1" in refused.json()["message"]
    assert answer.json()["success"]
    assert locust.load()["users"] == 8
    assert [phase["name"] for phase in locust.load()["phases"]] == ["ramp", "baseline", "spike", "recovery"]


def test_the_form_cannot_turn_to_aws_by_itself(page: Page, web_ui: tuple[Any, LocustProcess]) -> None:
    form = {"user_count": "1", "spawn_rate": "1", "target": "aws"}
    answer = page.request.post(f"{page.url}swarm", form=form)

    assert "start Locust with --target aws" in answer.json()["message"]
    assert web_ui[1].records() == []
