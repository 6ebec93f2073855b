"""CountTokens: what a request would be charged, for nothing."""

import base64
import json
from typing import Any

import pytest

from emulator.process import EmulatorProcess
from tests.support.families import ANTHROPIC, FAMILIES, NOVA, Family, invoke, post
from tests.support.sdk import FAST, client

PROMPT = "Where is my order? 注文はどこですか。"
CONVERSE = {"messages": [{"role": "user", "content": [{"text": PROMPT}]}], "system": [{"text": "Be brief."}]}


def native(body: dict[str, Any]) -> dict[str, Any]:
    return {"invokeModel": {"body": json.dumps(body)}}


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_a_count_is_what_the_same_request_is_charged(bedrock: Any, family: Family) -> None:
    body = family.body(PROMPT, 5)
    _, fields = invoke(bedrock, family.model_id, body)
    charged = bedrock.converse(modelId=family.model_id, **CONVERSE)["usage"]["inputTokens"]

    assert bedrock.count_tokens(modelId=family.model_id, input={"converse": CONVERSE})["inputTokens"] == charged
    assert bedrock.count_tokens(modelId=family.model_id, input=native(body))["inputTokens"] == int(
        fields["x-amzn-bedrock-input-token-count"]
    )


def test_counting_takes_no_quota_and_bills_no_tokens() -> None:
    with EmulatorProcess({"default": FAST["default"] | {"quota": {"rpm": 1, "window": "sliding"}}}) as tight:
        bedrock = client(tight)
        for _ in range(3):
            bedrock.count_tokens(modelId=NOVA.model_id, input={"converse": CONVERSE})
        bedrock.converse(modelId=NOVA.model_id, **CONVERSE)
        *counted, _ = tight.truth()
        tally = tight.stats()["models"][NOVA.model_id]["default"]

    assert [(line["operation"], line["status"], line["outcome"]) for line in counted] == [
        ("CountTokens", 200, "ok")
    ] * 3
    assert {line["output_tokens"] for line in counted} == {None}
    assert all(line["input_tokens"] > 5 for line in counted)
    assert (tally["requests"], tally["input_tokens"]) == (4, counted[0]["input_tokens"])


@pytest.mark.parametrize("form", ["{}", "arn:aws:bedrock:us-east-1::foundation-model/{}"])
def test_it_counts_for_a_model(bedrock: Any, form: str) -> None:
    model_id = form.format(ANTHROPIC.model_id)

    assert bedrock.count_tokens(modelId=model_id, input={"converse": CONVERSE})["inputTokens"] > 5


@pytest.mark.parametrize(
    "model_id",
    [
        "us.amazon.nova-pro-v1:0",
        "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0",
        "amazon.titan-embed-text-v2:0",
    ],
)
def test_it_does_not_count_for_profiles_and_embedding_models(
    bedrock: Any, emulator: EmulatorProcess, model_id: str
) -> None:
    with pytest.raises(bedrock.exceptions.ValidationException) as caught:
        bedrock.count_tokens(modelId=model_id, input={"converse": CONVERSE})
    line = emulator.truth()[-1]

    assert caught.value.response["Error"]["Message"] == "The provided model doesn't support counting tokens."
    assert (line["operation"], line["status"], line["input_tokens"]) == ("CountTokens", 400, None)


def encoded(raw: bytes) -> dict[str, Any]:
    return {"input": {"invokeModel": {"body": base64.b64encode(raw).decode()}}}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Exactly one of converse, invokeModel must be set"),
        ({"input": {}}, "Exactly one of converse, invokeModel must be set"),
        ({"input": {"converse": {}, "invokeModel": {}}}, "Exactly one of converse, invokeModel must be set"),
        ({"input": []}, "#/input: expected type: JSONObject"),
        ({"input": {"converse": {"messages": []}}}, "'messages'"),
        ({"input": {"invokeModel": {}}}, "#/input/invokeModel/body: expected type: String, found: Null"),
        ({"input": {"invokeModel": {"body": "{}"}}}, "#/input/invokeModel/body: it is not base64"),
        ({"input": {"invokeModel": {"body": "注文"}}}, "#/input/invokeModel/body: it is not base64"),
        (encoded(b"Hi"), "it is not JSON"),
        (encoded(b"{}"), "#: required key [messages] not found"),
        (encoded(json.dumps(ANTHROPIC.body("Hi", 5)).encode()), "#: extraneous key [anthropic_version]"),
    ],
)
def test_a_mistake_gets_a_validation_error_that_names_it(
    emulator: EmulatorProcess, body: dict[str, Any], message: str
) -> None:
    status, fields, answer = post(emulator, f"/model/{NOVA.model_id}/count-tokens", json.dumps(body).encode())

    assert (status, fields["x-amzn-errortype"].partition(":")[0]) == (400, "ValidationException")
    assert message in json.loads(answer)["message"]


def test_an_unknown_model_is_refused(bedrock: Any) -> None:
    with pytest.raises(bedrock.exceptions.ValidationException, match="The provided model identifier is invalid"):
        bedrock.count_tokens(modelId="amazon.nova-imaginary-v1:0", input={"converse": CONVERSE})
