"""Anthropic's Messages over InvokeModel: what is read, how answers and streams are written."""

import random
import re
from typing import Any

import pytest

from bedrock.catalog import default_catalog
from bedrock.tokens import estimate_tokens
from emulator.answer import Ending, ServedAs, StopReason, Usage
from emulator.families.anthropic import AnthropicDialect
from emulator.frames import Padding
from emulator.model_request import Asked, ModelRequest
from tests.support.families import ANTHROPIC, METRICS, documents, invoke, stream

HAIKU = ANTHROPIC.model_id
SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"
THINKING = {"type": "enabled", "budget_tokens": 1024}
DIALECT = AnthropicDialect(Padding(random.Random(1)))


def body(content: Any = "Where is my order?", max_tokens: int = 2000, **extra: Any) -> dict[str, Any]:
    return ANTHROPIC.body("", max_tokens) | {"messages": [{"role": "user", "content": content}]} | extra


def read(document: dict[str, Any], model_id: str = SONNET) -> ModelRequest:
    return DIALECT.read(Asked(default_catalog().resolve(model_id), model_id, {}, document))


def test_an_answer_has_the_members_of_a_message(bedrock: Any) -> None:
    whole, _ = invoke(bedrock, HAIKU, body())

    assert re.fullmatch(r"msg_bdrk_01[0-9A-Za-z]{22}", whole.pop("id"))
    (block,) = whole.pop("content")
    assert (block["type"], set(block)) == ("text", {"type", "text"})
    assert whole == {
        "type": "message",
        "role": "assistant",
        "model": "claude-3-haiku-20240307",
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 6, "output_tokens": 50},
    }


def test_a_stream_has_the_events_of_the_service_in_its_order(bedrock: Any) -> None:
    chunks, _ = stream(bedrock, HAIKU, body())
    start, block_start, *deltas, block_stop, delta, stop = chunks

    message = start["message"]
    assert start == {"type": "message_start", "message": message}
    assert message | {"id": None} == {
        "id": None,
        "type": "message",
        "role": "assistant",
        "model": "claude-3-haiku-20240307",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 6, "output_tokens": 1},
    }
    assert block_start == {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    assert len(deltas) > 5
    for piece in deltas:
        text = piece["delta"]["text"]
        assert piece == {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
    assert block_stop == {"type": "content_block_stop", "index": 0}
    assert delta == {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 50},
    }
    assert stop["type"] == "message_stop"
    assert set(stop[METRICS]) == {"inputTokenCount", "outputTokenCount", "invocationLatency", "firstByteLatency"}


def test_the_stop_sequence_that_ended_an_answer_is_told(bedrock: Any) -> None:
    request = body(stop_sequences=["the"])
    whole, _ = invoke(bedrock, HAIKU, request)
    chunks, _ = stream(bedrock, HAIKU, request)

    assert (whole["stop_reason"], whole["stop_sequence"]) == ("stop_sequence", "the")
    assert chunks[-2]["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "the"}


def test_a_model_that_can_cache_always_tells_what_it_cached(bedrock: Any) -> None:
    whole, fields = invoke(bedrock, SONNET, body())
    chunks, _ = stream(bedrock, SONNET, body())

    assert whole["usage"] == {
        "input_tokens": 6,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 50,
    }
    assert chunks[0]["message"]["usage"] == whole["usage"] | {"output_tokens": 1}
    assert fields["x-amzn-bedrock-cache-read-input-token-count"] == "0"
    assert fields["x-amzn-bedrock-cache-write-input-token-count"] == "0"
    numbers = chunks[-1][METRICS]
    assert (numbers["cacheReadInputTokenCount"], numbers["cacheWriteInputTokenCount"]) == (0, 0)


def test_thought_comes_before_the_answer_and_is_signed(bedrock: Any) -> None:
    whole, _ = invoke(bedrock, SONNET, body(thinking=THINKING))
    thinking, text = whole["content"]

    assert (thinking["type"], text["type"]) == ("thinking", "text")
    assert thinking["thinking"]
    assert thinking["signature"]
    assert whole["usage"]["output_tokens"] > 50, "thoughts are output as well"


def test_a_stream_of_thought_is_a_block_of_its_own(bedrock: Any) -> None:
    whole, _ = invoke(bedrock, SONNET, body(thinking=THINKING))
    chunks, _ = stream(bedrock, SONNET, body(thinking=THINKING))
    blocks = [(chunk["type"], chunk["index"]) for chunk in chunks if "index" in chunk]
    first_text = blocks.index(("content_block_start", 1))

    assert blocks[0] == ("content_block_start", 0)
    assert blocks[first_text - 1] == ("content_block_stop", 0)
    assert blocks[-1] == ("content_block_stop", 1)
    assert chunks[1]["content_block"] == {"type": "thinking", "thinking": "", "signature": ""}
    deltas = [chunk["delta"] for chunk in chunks if chunk["type"] == "content_block_delta"]
    kinds = [delta["type"] for delta in deltas]
    assert kinds == sorted(kinds, key=["thinking_delta", "signature_delta", "text_delta"].index)
    assert kinds.count("signature_delta") == 1
    assert "".join(delta.get("thinking", "") for delta in deltas) == whole["content"][0]["thinking"]
    assert "".join(delta.get("text", "") for delta in deltas) == whole["content"][1]["text"]


def test_thought_that_uses_up_max_tokens_leaves_no_answer() -> None:
    chunks = written(thinks=True, thoughts=["Let me "], texts=[])

    assert [chunk["type"] for chunk in chunks] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert chunks[3]["delta"]["type"] == "signature_delta"


def test_what_was_cached_is_told_at_the_start() -> None:
    usage = Usage(input_tokens=4, output_tokens=0, cache_read_tokens=18131, cache_write_tokens=7)
    start = written(thinks=False, thoughts=[], texts=["Yes."], usage=usage)[0]

    assert start["message"]["usage"] == {
        "input_tokens": 4,
        "cache_creation_input_tokens": 7,
        "cache_read_input_tokens": 18131,
        "output_tokens": 1,
    }


def written(*, thinks: bool, thoughts: list[str], texts: list[str], usage: Usage | None = None) -> list[dict[str, Any]]:
    model = default_catalog().resolve(SONNET)
    served = ServedAs(model, SONNET, "a-request", None, "default", None, "standard")
    writer = DIALECT.writer(ModelRequest("Hi", 9, 2000), served, usage or Usage(9, 0), thinks=thinks)
    ending = Ending(StopReason.END_TURN, None, usage or Usage(9, 5), latency_ms=30, first_byte_ms=20)
    frames = list(writer.opening())
    for thought in thoughts:
        frames += writer.reasoning(thought, 1)
    for text in texts:
        frames += writer.text(text, 1)
    frames += writer.closing(ending)
    return documents(frames)


def test_text_is_read_as_a_string_or_in_blocks() -> None:
    blocks = [{"type": "text", "text": "Where is"}, {"type": "text", "text": "my order?"}]

    assert read(body(blocks)).input_tokens == read(body("Where is\nmy order?")).input_tokens
    assert read(body(blocks)).prompt == "Where is\nmy order?"


def test_the_last_user_message_is_answered_and_all_are_counted() -> None:
    messages = [
        {"role": "user", "content": "Hello there"},
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "x " * 99}, {"type": "text", "text": "Hi!"}],
        },
        {"role": "user", "content": "Where is my order?"},
        {"role": "assistant", "content": "Your order"},
    ]
    request = read(body(system="Be brief.", messages=messages))

    assert (request.prompt, request.system) == ("Where is my order?", "Be brief.")
    assert request.input_tokens == estimate_tokens("Be brief. Hello there Hi! Where is my order? Your order")


@pytest.mark.parametrize(("control", "ttl_s"), [({}, 300.0), ({"ttl": "5m"}, 300.0), ({"ttl": "1h"}, 3600.0)])
def test_cache_control_marks_the_prompt_up_to_its_block(control: dict[str, str], ttl_s: float) -> None:
    cached = {"cache_control": {"type": "ephemeral", **control}}
    system = [{"type": "text", "text": "You sell manga."}, {"type": "text", "text": "Be brief.", **cached}]
    content = [{"type": "text", "text": "My orders: 1, 2", **cached}, {"type": "text", "text": "Where are they?"}]
    first, second = read(body(content, system=system)).cache_prefixes

    assert first.tokens == estimate_tokens("You sell manga. Be brief.")
    assert second.tokens == estimate_tokens("You sell manga. Be brief. My orders: 1, 2")
    assert {first.ttl_s, second.ttl_s} == {ttl_s}
    assert read(body("Anything else", system=system)).cache_prefixes == (first,)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "#: required key [anthropic_version] not found#: required key [max_tokens] not found"),
        (body() | {"max_tokens": None}, "Malformed input request: #: required key [max_tokens] not found, please"),
        (body(anthropic_version="2023-06-01"), "#/anthropic_version: 2023-06-01 is not a valid enum value"),
        (body(messages=[]), "#/messages: expected minimum item count: 1, found: 0"),
        (body(messages="Hi"), "#/messages: expected type: JSONArray, found: String"),
        (body(messages=["Hi"]), "#/messages/0: expected type: JSONObject, found: String"),
        (body(messages=[{"role": "system", "content": "x"}]), "#/messages/0/role: system is not a valid enum value"),
        (body(messages=[{"role": "assistant", "content": "x"}]), "must start with a user message"),
        (body(messages=[{"role": "user"}]), "#/messages/0: required key [content] not found"),
        (body(" "), "messages.0.content: text content blocks must contain non-whitespace text"),
        (body(7), "#/messages/0/content: expected type: JSONArray, found: Integer"),
        (body([{"type": "text"}]), "#/messages/0/content/0: required key [text] not found"),
        (
            body([{"type": "image", "source": {}}]),
            "reads text only: the block at messages.0.content.0 is of type image",
        ),
        (body([{"text": "Hi"}]), "reads text only: the block at messages.0.content.0 is of type None"),
        (body(tools=[{"name": "x"}]), "This emulator answers with text only: tools is not supported."),
        (body(stop_sequences="x"), "#/stop_sequences: expected type: array of non-empty strings"),
        (body(thinking={"type": "enabled", "budget_tokens": 9}), "greater than or equal to 1024"),
        (body(thinking={"type": "enabled", "budget_tokens": 2000}), "`max_tokens` must be greater than"),
        (body(thinking={"type": "always"}), "#/thinking/type: always is not a valid enum value"),
        (
            body([{"type": "text", "text": "x", "cache_control": {"type": "eternal"}}]),
            "eternal is not a valid enum value",
        ),
        (body([{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": [1]}}]), "found: JSONArray"),
        (body([{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "9h"}}]), "[5m, 1h]"),
    ],
)
def test_a_mistake_gets_a_validation_error_that_names_it(bedrock: Any, document: dict[str, Any], message: str) -> None:
    with pytest.raises(bedrock.exceptions.ValidationException) as caught:
        invoke(bedrock, SONNET, document)

    assert message in caught.value.response["Error"]["Message"]


def test_a_model_that_cannot_think_refuses_to(bedrock: Any) -> None:
    with pytest.raises(bedrock.exceptions.ValidationException, match=r"extraneous key \[thinking\] is not permitted"):
        invoke(bedrock, HAIKU, body(thinking=THINKING))


@pytest.mark.parametrize("key", ["temperature", "top_p", "top_k", "metadata", "anthropic_beta", "output_config"])
def test_settings_of_a_real_models_style_are_accepted(key: str) -> None:
    assert read(body(**{key: 1})).prompt == "Where is my order?"
