"""Unmodified SDKs against the emulator: what they accept, and which exceptions they raise."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from bedrock.tokens import estimate_tokens
from emulator.process import EmulatorProcess
from tests.support.families import post
from tests.support.sdk import FAST, NOVA, ask, client

HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"


def test_converse_answers_with_text_usage_and_metrics(bedrock: Any) -> None:
    answer = bedrock.converse(**ask())

    (block,) = answer["output"]["message"]["content"]
    assert answer["output"]["message"]["role"] == "assistant"
    assert len(block["text"]) > 50
    assert answer["stopReason"] == "end_turn"
    assert answer["usage"]["outputTokens"] == 50
    assert answer["usage"]["totalTokens"] == answer["usage"]["inputTokens"] + 50
    assert answer["metrics"]["latencyMs"] >= 20
    assert "serviceTier" not in answer
    assert answer["ResponseMetadata"]["RequestId"]


def test_converse_stream_has_the_events_of_the_service_in_its_order(bedrock: Any) -> None:
    events = [next(iter(event.items())) for event in bedrock.converse_stream(**ask())["stream"]]
    kinds = [kind for kind, _ in events]

    deltas = kinds.count("contentBlockDelta")
    assert kinds == ["messageStart", *["contentBlockDelta"] * deltas, "contentBlockStop", "messageStop", "metadata"]
    assert 50 / 4 <= deltas < 50, "several tokens an event"
    assert dict(events)["messageStart"] == {"role": "assistant"}
    assert dict(events)["messageStop"]["stopReason"] == "end_turn"
    assert dict(events)["metadata"]["usage"]["outputTokens"] == 50
    assert dict(events)["metadata"]["metrics"]["latencyMs"] >= 20


def test_both_operations_give_the_same_prompt_the_same_answer(emulator: EmulatorProcess) -> None:
    bedrock = client(emulator)
    whole = bedrock.converse(**ask("おすすめの漫画は？"))["output"]["message"]["content"][0]["text"]
    pieces = [
        event["contentBlockDelta"]["delta"]["text"]
        for event in bedrock.converse_stream(**ask("おすすめの漫画は？"))["stream"]
        if "contentBlockDelta" in event
    ]

    assert "".join(pieces) == whole
    assert any("ぁ" <= character <= "ヿ" for character in whole), "a Japanese question gets a Japanese answer"


def test_max_tokens_caps_the_answer_and_says_so(bedrock: Any) -> None:
    answer = bedrock.converse(**ask(inferenceConfig={"maxTokens": 7}))

    assert answer["stopReason"] == "max_tokens"
    assert answer["usage"]["outputTokens"] == 7


def test_input_tokens_are_those_of_the_documented_estimator(bedrock: Any) -> None:
    text = "これは日本語の質問です。 And this is an English one."
    answer = bedrock.converse(**ask(text))

    assert answer["usage"]["inputTokens"] == estimate_tokens(text)


@pytest.mark.parametrize("tier", ["default", "priority", "flex"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_tier_that_was_sent_is_echoed(bedrock: Any, tier: str, streamed: bool) -> None:
    request = ask(serviceTier={"type": tier})
    if streamed:
        events = bedrock.converse_stream(**request)["stream"]
        answer = next(event["metadata"] for event in events if "metadata" in event)
    else:
        answer = bedrock.converse(**request)

    assert answer["serviceTier"] == {"type": tier}


@pytest.mark.parametrize(
    "model_id",
    [
        NOVA,
        f"us.{NOVA}",
        f"global.{NOVA}",
        f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{NOVA}",
        f"arn:aws:bedrock:us-east-1::foundation-model/{NOVA}",
    ],
)
def test_all_forms_of_a_model_id_are_served(bedrock: Any, model_id: str) -> None:
    assert bedrock.converse(**ask() | {"modelId": model_id})["stopReason"] == "end_turn"


ERRORS: list[tuple[str, dict[str, Any], str]] = [
    ("unknown model", {"modelId": "amazon.nova-imaginary-v1:0"}, "The provided model identifier is invalid."),
    ("unknown tier", {"serviceTier": {"type": "standard"}}, "service tier provided is invalid"),
    (
        "tier the model lacks",
        {"modelId": HAIKU, "serviceTier": {"type": "priority"}},
        "The provided service tier is not supported for this model",
    ),
    ("reserved", {"serviceTier": {"type": "reserved"}}, "Reservation not found."),
    ("too many max tokens", {"inferenceConfig": {"maxTokens": 999_999}}, "exceed the model limit of 10000"),
]


@pytest.mark.parametrize(("extra", "message"), [case[1:] for case in ERRORS], ids=[case[0] for case in ERRORS])
@pytest.mark.parametrize("operation", ["converse", "converse_stream"])
def test_refusals_raise_the_exception_of_the_sdk(
    bedrock: Any, operation: str, extra: dict[str, Any], message: str
) -> None:
    with pytest.raises(bedrock.exceptions.ValidationException) as caught:
        getattr(bedrock, operation)(**ask() | extra)

    response = caught.value.response
    assert response["Error"]["Code"] == "ValidationException"
    assert message in response["Error"]["Message"]
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert response["ResponseMetadata"]["RequestId"]


@pytest.mark.parametrize(
    ("quota", "message"),
    [
        ({"rpm": 2}, "Too many requests, please wait before trying again."),
        ({"tpm": 300}, "Too many tokens, please wait before trying again."),
    ],
)
def test_above_a_quota_the_sdk_raises_throttling(
    start_emulator: Callable[..., EmulatorProcess], quota: dict[str, int], message: str
) -> None:
    window = {"window": "sliding"}
    emulator = start_emulator(config={"default": FAST["default"] | {"quota": quota | window}})
    bedrock = client(emulator)
    request = ask("Hi", inferenceConfig={"maxTokens": 100})
    for _ in range(2):
        bedrock.converse(**request)
    request = ask("Hi", inferenceConfig={"maxTokens": 250})
    with pytest.raises(bedrock.exceptions.ThrottlingException) as caught:
        bedrock.converse_stream(**request)

    assert caught.value.response["Error"]["Message"] == message
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429


def test_the_tiers_share_one_quota(start_emulator: Callable[..., EmulatorProcess]) -> None:
    emulator = start_emulator(config={"default": FAST["default"] | {"quota": {"rpm": 2, "window": "sliding"}}})
    bedrock = client(emulator)
    bedrock.converse(**ask(serviceTier={"type": "priority"}))
    bedrock.converse(**ask(serviceTier={"type": "flex"}))

    with pytest.raises(bedrock.exceptions.ThrottlingException):
        bedrock.converse(**ask())


def test_an_sdks_retries_are_seen_as_attempts(start_emulator: Callable[..., EmulatorProcess]) -> None:
    emulator = start_emulator(config={"default": FAST["default"] | {"quota": {"rpm": 1, "window": "sliding"}}})
    bedrock = client(emulator, attempts=2)
    bedrock.converse(**ask())
    with pytest.raises(bedrock.exceptions.ThrottlingException):
        bedrock.converse(**ask())

    assert [(row["status"], row["attempt"]) for row in emulator.truth()] == [(200, 1), (429, 1), (429, 2)]


@pytest.mark.parametrize(
    ("segment", "name"),
    [
        ("invoke-with-bidirectional-stream", "InvokeModelWithBidirectionalStream"),
        ("transmogrify", "transmogrify"),
    ],
)
def test_operations_that_are_not_served_say_so(emulator: EmulatorProcess, segment: str, name: str) -> None:
    status, fields, body = post(emulator, f"/model/{NOVA}/{segment}", b"{}")

    assert (status, fields["x-amzn-errortype"].partition(":")[0]) == (404, "UnknownOperationException")
    assert json.loads(body) == {"message": f"This emulator does not serve the operation {name}."}


def test_the_aws_cli_converses(emulator: EmulatorProcess) -> None:
    messages = json.dumps([{"role": "user", "content": [{"text": "Where is my order?"}]}])
    command = [sys.executable, "-m", "awscli", "bedrock-runtime", "converse", "--endpoint-url", emulator.url]
    done = subprocess.run(
        [*command, "--model-id", NOVA, "--messages", messages, "--service-tier", "type=flex"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"AWS_PAGER": ""},
    )

    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["serviceTier"] == {"type": "flex"}
    assert answer["output"]["message"]["content"][0]["text"]
