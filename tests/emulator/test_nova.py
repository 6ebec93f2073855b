"""Nova's bodies over InvokeModel: what is read, how answers and streams are written."""

import random
from typing import Any

import pytest

from bedrock.catalog import default_catalog
from bedrock.tokens import estimate_tokens
from emulator.families.nova import NovaDialect
from emulator.frames import Padding
from emulator.model_request import Asked, ModelRequest
from tests.support.families import METRICS, NOVA, invoke, stream

NOVA_2 = "amazon.nova-2-lite-v1:0"
REASONING = {"type": "enabled", "maxReasoningEffort": "low"}
DIALECT = NovaDialect(Padding(random.Random(1)))
CACHED = {"cacheReadInputTokenCount": 0, "cacheWriteInputTokenCount": 0}


def body(content: Any = None, **extra: Any) -> dict[str, Any]:
    blocks = [{"text": "Where is my order?"}] if content is None else content
    return {"schemaVersion": "messages-v1", "messages": [{"role": "user", "content": blocks}], **extra}


def read(document: dict[str, Any], model_id: str = NOVA.model_id) -> ModelRequest:
    return DIALECT.read(Asked(default_catalog().resolve(model_id), model_id, {}, document))


def test_an_answer_has_the_members_of_the_service(bedrock: Any) -> None:
    whole, fields = invoke(bedrock, NOVA.model_id, body())

    (block,) = whole["output"]["message"].pop("content")
    assert set(block) == {"text"}
    assert whole == {
        "output": {"message": {"role": "assistant"}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 6, "outputTokens": 50, "totalTokens": 56, **CACHED},
    }
    assert fields["x-amzn-bedrock-cache-read-input-token-count"] == "0"
    assert fields["x-amzn-bedrock-cache-write-input-token-count"] == "0"


def test_a_stream_has_a_block_for_every_piece(bedrock: Any) -> None:
    chunks, _ = stream(bedrock, NOVA.model_id, body())
    start, *pieces, stop, last = chunks
    texts = [chunk["contentBlockDelta"]["delta"]["text"] for chunk in pieces[::2]]

    assert start == {"messageStart": {"role": "assistant"}}
    assert len(texts) > 5
    for index, text in enumerate(texts):
        assert pieces[2 * index] == {"contentBlockDelta": {"delta": {"text": text}, "contentBlockIndex": index}}
        assert pieces[2 * index + 1] == {"contentBlockStop": {"contentBlockIndex": index}}
    assert stop == {"messageStop": {"stopReason": "end_turn"}}
    assert last["metadata"] == {"usage": {"inputTokens": 6, "outputTokens": 50, **CACHED}, "metrics": {}, "trace": {}}
    assert last[METRICS].items() >= {"inputTokenCount": 6, "outputTokenCount": 50, **CACHED}.items()


@pytest.mark.parametrize("where", ["top", "config"])
def test_nova_2_thinks_when_asked_to(bedrock: Any, where: str) -> None:
    setting = {"reasoningConfig": REASONING}
    request = body(**setting) if where == "top" else body(inferenceConfig=setting)
    whole, _ = invoke(bedrock, NOVA_2, request)
    chunks, _ = stream(bedrock, NOVA_2, request)
    thought, text = whole["output"]["message"]["content"]

    deltas = [chunk["contentBlockDelta"]["delta"] for chunk in chunks if "contentBlockDelta" in chunk]
    assert thought["reasoningContent"]["reasoningText"]["text"]
    assert whole["usage"]["outputTokens"] > 50, "thoughts are output as well"
    assert "reasoningContent" in deltas[0]
    assert (
        "".join(delta["reasoningContent"]["text"] for delta in deltas if "reasoningContent" in delta)
        == (thought["reasoningContent"]["reasoningText"]["text"])
    )
    assert "".join(delta.get("text", "") for delta in deltas) == text["text"]


@pytest.mark.parametrize(
    ("config", "max_tokens"),
    [({}, 10_000), ({"max_new_tokens": 7}, 7), ({"maxTokens": 8}, 8), ({"max_new_tokens": 7, "maxTokens": 8}, 7)],
)
def test_both_names_of_the_limit_are_read(config: dict[str, int], max_tokens: int) -> None:
    assert read(body(inferenceConfig=config)).max_tokens == max_tokens


def test_system_conversation_and_stop_sequences_are_read() -> None:
    messages = [
        {"role": "user", "content": [{"text": "Hello there"}]},
        {"role": "assistant", "content": [{"text": "Hi!"}]},
        {"role": "user", "content": [{"text": "Where is"}, {"text": "my order?"}]},
    ]
    config = {"stopSequences": ["END"], "temperature": 0.7, "topP": 0.9, "top_k": 20}
    request = read(body(messages=messages, system=[{"text": "Be brief."}], inferenceConfig=config))

    assert (request.prompt, request.system) == ("Where is\nmy order?", "Be brief.")
    assert request.stop_sequences == ("END",)
    assert request.input_tokens == estimate_tokens("Be brief. Hello there Hi! Where is my order?")


def test_a_cache_point_marks_the_prompt_before_it() -> None:
    system = [{"text": "You sell manga."}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
    content = [{"text": "My orders: 1, 2"}, {"cachePoint": {"type": "default"}}, {"text": "Where are they?"}]
    first, second = read(body(content, system=system)).cache_prefixes

    assert (first.tokens, first.ttl_s) == (estimate_tokens("You sell manga."), 3600.0)
    assert (second.tokens, second.ttl_s) == (estimate_tokens("You sell manga. My orders: 1, 2"), 300.0)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "Malformed input request: #: required key [messages] not found, please"),
        (body() | {"schemaVersion": "messages-v2"}, "#/schemaVersion: messages-v2 is not a valid enum value"),
        (body() | {"max_tokens": 5}, "#: extraneous key [max_tokens] is not permitted"),
        (body(messages=[]), "#/messages: expected minimum item count: 1, found: 0"),
        (body("Hi"), "#/messages/0/content: expected type: JSONArray, found: String"),
        (body([{"type": "text", "text": "Hi"}]), "#/messages/0/content/0: extraneous key [type] is not permitted"),
        (body([{"image": {}}]), "This emulator reads text only"),
        (body([{"text": " "}]), "is blank"),
        (body([{"text": 7}]), "This emulator reads text only"),
        (body([{"text": "x"}, {"cachePoint": {"type": "default", "ttl": "9h"}}]), "[5m, 1h]"),
        (body([{"text": "x"}, {"cachePoint": {"ttl": [1]}}]), "#/messages/0/content/1/cachePoint/ttl: expected type"),
        (body(messages=[{"role": "system", "content": [{"text": "x"}]}]), "system is not a valid enum value"),
        (body(messages=[{"role": "assistant", "content": [{"text": "x"}]}]), "must start with a user message"),
        (body(system="Be brief."), "#/system: expected type: JSONArray, found: String"),
        (body(inferenceConfig=7), "#/inferenceConfig: expected type: JSONObject"),
        (body(inferenceConfig={"max_tokens": 5}), "#/inferenceConfig: extraneous key [max_tokens] is not permitted"),
        (body(inferenceConfig={"maxTokens": 0}), "#/inferenceConfig/maxTokens: 0 is not greater or equal to 1"),
        (body(toolConfig={"tools": []}), "This emulator answers with text only: toolConfig is not supported."),
        (body(reasoningConfig=REASONING), "#: extraneous key [reasoningConfig] is not permitted"),
        (
            body(reasoningConfig={"type": "enabled", "maxReasoningEffort": []}),
            "expected type: String, found: JSONArray",
        ),
    ],
)
def test_a_mistake_gets_a_validation_error_that_names_it(bedrock: Any, document: dict[str, Any], message: str) -> None:
    with pytest.raises(bedrock.exceptions.ValidationException) as caught:
        invoke(bedrock, NOVA.model_id, document)

    assert message in caught.value.response["Error"]["Message"]


def test_an_effort_that_does_not_exist_is_refused(bedrock: Any) -> None:
    effort = {"type": "enabled", "maxReasoningEffort": "utmost"}
    with pytest.raises(bedrock.exceptions.ValidationException, match="utmost is not a valid enum value"):
        invoke(bedrock, NOVA_2, body(reasoningConfig=effort))
