"""The AWS SDK for JavaScript, unmodified, against the emulator: events, texts, usage and exceptions."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.process import EmulatorProcess
from tests.support.node import OLDEST_MAJOR, has_node
from tests.support.sdk import FAST, NOVA, ask, client

HERE = Path(__file__).parent / "js"
PACKAGES = HERE / "node_modules"
PATIENCE_S = 180.0

#: A model with a quota of one request, and one that takes ten seconds to answer.
LIMITED = "amazon.nova-lite-v1:0"
SLOW = "amazon.nova-micro-v1:0"
CONFIG = {
    **FAST,
    LIMITED: {"quota": {"rpm": 1, "window": "sliding"}},
    SLOW: {"latency": {"tokens_per_second": 50}, "output_tokens": 500},
}

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(not has_node(), reason=f"needs npm and Node.js {OLDEST_MAJOR} or newer"),
]


@pytest.fixture
def emulator() -> Iterator[EmulatorProcess]:
    with EmulatorProcess(CONFIG, seed=1) as running:
        yield running


@pytest.fixture(scope="module")
def installed() -> None:
    """The packages of `package.json`; `make` has installed them already."""
    wanted = json.loads((HERE / "package.json").read_text(encoding="utf-8"))["dependencies"]
    if {name: version_in_place(name) for name in wanted} != wanted:
        subprocess.run(["npm", "install", "--silent", "--no-progress"], cwd=HERE, check=True, timeout=PATIENCE_S)


def version_in_place(package: str) -> str | None:
    path = PACKAGES / package / "package.json"
    return str(json.loads(path.read_text(encoding="utf-8"))["version"]) if path.exists() else None


def run(emulator: EmulatorProcess, *calls: dict[str, Any]) -> list[dict[str, Any]]:
    """What the client got for each call."""
    done = subprocess.run(
        ["node", "client.mjs"],
        cwd=HERE,
        env=os.environ | {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": emulator.url},
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    outcomes: list[dict[str, Any]] = json.loads(done.stdout)
    return outcomes


def call(command: str, **more: Any) -> dict[str, Any]:
    return {"command": command, "input": ask(**more)}


def kinds(outcome: dict[str, Any]) -> list[str]:
    return [next(iter(event)) for event in outcome["events"]]


def spoken(outcome: dict[str, Any]) -> str:
    deltas = (event["contentBlockDelta"]["delta"] for event in outcome["events"] if "contentBlockDelta" in event)
    return "".join(delta["text"] for delta in deltas)


@pytest.mark.usefixtures("installed")
def test_a_stream_has_its_events_in_order_the_whole_text_and_usage(emulator: EmulatorProcess) -> None:
    streamed, whole = run(
        emulator,
        call("ConverseStream", serviceTier={"type": "priority"}),
        call("Converse", serviceTier={"type": "flex"}),
    )
    deltas = kinds(streamed).count("contentBlockDelta")
    metadata = streamed["events"][-1]["metadata"]

    assert streamed["error"] is None
    assert kinds(streamed) == [
        "messageStart", *["contentBlockDelta"] * deltas, "contentBlockStop", "messageStop", "metadata",
    ]  # fmt: skip
    assert deltas > 10
    assert metadata["usage"] == {"inputTokens": 7, "outputTokens": 50, "totalTokens": 57}
    assert metadata["serviceTier"] == {"type": "priority"}
    assert spoken(streamed) == whole["answer"]["output"]["message"]["content"][0]["text"]
    assert whole["answer"]["usage"] == metadata["usage"]
    assert whole["answer"]["stopReason"] == "end_turn"
    assert [entry["events"] for entry in emulator.truth()] == [len(streamed["events"]), None]


@pytest.mark.usefixtures("installed")
def test_it_says_the_same_as_to_the_sdk_for_python(emulator: EmulatorProcess) -> None:
    question = "3巻はありますか？"
    (from_javascript,) = run(emulator, call("Converse", text=question))
    from_python = client(emulator).converse(**ask(question))

    assert from_javascript["answer"]["output"] == from_python["output"]
    assert from_javascript["answer"]["usage"] == from_python["usage"]


@pytest.mark.usefixtures("installed")
def test_a_throttled_call_raises_the_sdks_throttling_exception(emulator: EmulatorProcess) -> None:
    first, second = run(emulator, *[call("ConverseStream", modelId=LIMITED)] * 2)

    assert first["error"] is None
    assert second["error"] == {
        "name": "ThrottlingException",
        "status": 429,
        "message": "Too many requests, please wait before trying again.",
        "isOfItsClass": True,
    }


@pytest.mark.usefixtures("installed")
def test_a_wrong_request_raises_the_sdks_validation_exception(emulator: EmulatorProcess) -> None:
    (outcome,) = run(emulator, call("Converse", modelId="amazon.no-such-model-v1:0"))

    assert (outcome["error"]["name"], outcome["error"]["status"]) == ("ValidationException", 400)
    assert outcome["error"]["isOfItsClass"]


@pytest.mark.usefixtures("installed")
def test_events_can_be_read_while_the_answer_goes_on_and_the_stream_can_be_left(emulator: EmulatorProcess) -> None:
    (outcome,) = run(emulator, {**call("ConverseStream", modelId=SLOW), "stopAfter": 4})
    entry = ended(emulator)

    assert kinds(outcome) == ["messageStart", *["contentBlockDelta"] * 3]
    assert outcome["inFlight"] == 1
    assert entry["outcome"] == "client_gone"
    assert 0 < entry["output_tokens"] < 500


def ended(emulator: EmulatorProcess) -> dict[str, Any]:
    """The entry of the only call, which ends when the emulator notices that the client has gone."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not (entries := emulator.truth()):
        assert time.monotonic() < give_up_at, "the emulator never noticed"
        time.sleep(0.02)
    return entries[0]


@pytest.mark.usefixtures("installed")
def test_native_bodies_come_whole_and_in_chunks(emulator: EmulatorProcess) -> None:
    body = {"schemaVersion": "messages-v1", "messages": [{"role": "user", "content": [{"text": "Do you have it?"}]}]}
    native = {"modelId": NOVA, "contentType": "application/json", "body": json.dumps(body)}
    whole, streamed = run(
        emulator,
        {"command": "InvokeModel", "input": native},
        {"command": "InvokeModelWithResponseStream", "input": native},
    )
    chunks = [event["chunk"] for event in streamed["events"]]
    pieces = [chunk["contentBlockDelta"]["delta"]["text"] for chunk in chunks if "contentBlockDelta" in chunk]

    assert (whole["error"], streamed["error"]) == (None, None)
    assert "".join(pieces) == whole["answer"]["body"]["output"]["message"]["content"][0]["text"]
    assert chunks[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 50
