"""Llama, Mistral and Titan over InvokeModel: prompts in chat templates, answers, streams."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.catalog import default_catalog
from bedrock.tokens import estimate_tokens
from emulator.answer import Ending, ServedAs, StopReason, Usage, WholeReply
from emulator.dialects import Dialects
from emulator.model_request import Asked, ModelRequest
from emulator.operations import Operation
from tests.support.families import LLAMA, METRICS, MISTRAL, MISTRAL_CHAT, TITAN, documents, invoke, stream

DIALECTS = Dialects(random.Random(1))
QUESTION = "Where is my order?"


def read(model_id: str, body: dict[str, Any]) -> ModelRequest:
    model = default_catalog().resolve(model_id)
    return DIALECTS.of(Operation.INVOKE, model).read(Asked(model, model_id, {}, body))


def refusal(bedrock: Any, model_id: str, body: dict[str, Any]) -> str:
    with pytest.raises(bedrock.exceptions.ValidationException) as caught:
        invoke(bedrock, model_id, body)
    return str(caught.value.response["Error"]["Message"])


# --- Llama -----------------------------------------------------------------------------------------------------------

LLAMA_3 = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nHello there<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nHi!<|eot_id|>"
    f"<|start_header_id|>user<|end_header_id|>\n\n{QUESTION}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
)
LLAMA_4 = (
    LLAMA_3.replace("start_header_id", "header_start").replace("end_header_id", "header_end").replace("eot_id", "eot")
)


@pytest.mark.parametrize("prompt", [LLAMA_3, LLAMA_4], ids=["llama-3", "llama-4"])
def test_the_chat_template_is_not_read_as_text_and_the_last_user_turn_is_answered(prompt: str) -> None:
    request = read(LLAMA.model_id, {"prompt": prompt})

    assert (request.prompt, request.system) == (QUESTION, "Be brief.")
    assert request.input_tokens == estimate_tokens(f"Be brief. Hello there Hi! {QUESTION}")


@given(st.text())
def test_a_prompt_without_a_template_is_the_users(prompt: str) -> None:
    request = read(LLAMA.model_id, {"prompt": f"{QUESTION} {prompt.replace('<', '')}"})

    assert request.prompt.startswith(QUESTION)


def test_llama_answers_and_streams_as_recorded(bedrock: Any) -> None:
    whole, _ = invoke(bedrock, LLAMA.model_id, LLAMA.body(QUESTION, 100))
    chunks, _ = stream(bedrock, LLAMA.model_id, LLAMA.body(QUESTION, 100))
    *pieces, last = chunks
    counts = [chunk["generation_token_count"] for chunk in chunks]

    assert sorted(whole) == ["generation", "generation_token_count", "prompt_token_count", "stop_reason"]
    assert [chunk["prompt_token_count"] for chunk in chunks] == [6] + [None] * len(pieces)
    assert all(
        list(piece) == ["generation", "prompt_token_count", "generation_token_count", "stop_reason"] for piece in pieces
    )
    assert all(piece["generation"] and piece["stop_reason"] is None for piece in pieces)
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (1, 50)
    assert (last["generation"], last["stop_reason"]) == ("", "stop")
    assert set(last[METRICS]) == {"inputTokenCount", "outputTokenCount", "invocationLatency", "firstByteLatency"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"prompt": ""}, "#/prompt: expected minLength: 1, actual: 0"),
        ({"prompt": ["Hi"]}, "#/prompt: expected type: String, found: JSONArray"),
        ({"prompt": "Hi", "images": []}, "#: extraneous key [images] is not permitted"),
        ({"prompt": "Hi", "max_gen_len": True}, "#/max_gen_len: expected type: Integer, found: Boolean"),
        ({"prompt": "Hi", "max_gen_len": 1.5}, "#/max_gen_len: expected type: Integer, found: BigDecimal"),
    ],
)
def test_llama_names_mistakes(bedrock: Any, body: dict[str, Any], message: str) -> None:
    assert message in refusal(bedrock, LLAMA.model_id, body)


# --- Mistral ---------------------------------------------------------------------------------------------------------


def test_the_text_between_the_last_marks_is_answered() -> None:
    prompt = f"<s>[INST] Hello there [/INST] Hi!</s> [INST] {QUESTION} [/INST]"
    request = read(MISTRAL.model_id, {"prompt": prompt})

    assert request.prompt == QUESTION
    assert request.input_tokens == estimate_tokens(f"Hello there Hi! {QUESTION}")


def test_a_prompt_without_marks_is_the_users() -> None:
    assert read(MISTRAL.model_id, {"prompt": f"<s>{QUESTION}"}).prompt == QUESTION


def test_messages_are_read_with_their_system_prompt() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello there"},
        {"role": "assistant", "content": "Hi!"},
        {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
    ]
    request = read(MISTRAL.model_id, {"messages": messages, "temperature": 0.1})

    assert (request.prompt, request.system) == (QUESTION, "Be brief.")
    assert request.input_tokens == estimate_tokens(f"Be brief. Hello there Hi! {QUESTION}")


@pytest.mark.parametrize("family", [MISTRAL, MISTRAL_CHAT], ids=str)
def test_mistral_answers_and_streams_in_the_form_it_was_asked_in(bedrock: Any, family: Any) -> None:
    whole, _ = invoke(bedrock, family.model_id, family.body(QUESTION, 100))
    chunks, _ = stream(bedrock, family.model_id, family.body(QUESTION, 100))
    *pieces, last = chunks
    text = family.whole_text(whole)

    def expected(said: str, reason: str | None) -> dict[str, Any]:
        if family is MISTRAL:
            return {"outputs": [{"text": said, "stop_reason": reason}]}
        return {"choices": [{"index": 0, "message": {"role": "assistant", "content": said}, "stop_reason": reason}]}

    assert whole == expected(text, "stop")
    assert [piece == expected(family.chunk_text(piece), None) for piece in pieces] == [True] * len(pieces)
    assert all(map(family.chunk_text, pieces))
    assert {key: value for key, value in last.items() if key != METRICS} == expected("", "stop")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "#: required key [prompt] not found"),
        ({"prompt": "Hi", "messages": []}, "#: extraneous key [prompt] is not permitted"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "#/messages/0/role: tool is not a valid enum value"),
        ({"messages": [{"role": "user", "content": ""}]}, "#/messages/0/content: expected minLength: 1"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages.0.content.0 is of type image_url",
        ),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "must start with a user message"),
        ({"messages": [{"role": "user", "content": "x"}], "tools": [{}]}, "text only: tools is not supported"),
        ({"prompt": "Hi", "stop": ["x", 1]}, "#/stop: expected type: array of non-empty strings"),
    ],
)
def test_mistral_names_mistakes(bedrock: Any, body: dict[str, Any], message: str) -> None:
    assert message in refusal(bedrock, MISTRAL.model_id, body)


# --- Titan -----------------------------------------------------------------------------------------------------------


def test_titan_answers_and_streams_as_recorded(bedrock: Any) -> None:
    whole, _ = invoke(bedrock, TITAN.model_id, TITAN.body(QUESTION, 100))
    chunks, _ = stream(bedrock, TITAN.model_id, TITAN.body(QUESTION, 100))
    *pieces, last = chunks

    assert whole == {
        "inputTextTokenCount": 6,
        "results": [{"tokenCount": 50, "outputText": TITAN.whole_text(whole), "completionReason": "FINISH"}],
    }
    keys = ["outputText", "index", "totalOutputTextTokenCount", "completionReason", "inputTextTokenCount"]
    assert [list(piece) for piece in pieces] == [keys] * len(pieces)
    assert [piece["inputTextTokenCount"] for piece in pieces] == [6] + [None] * (len(pieces) - 1)
    assert {piece["totalOutputTextTokenCount"] for piece in pieces} == {None}
    assert list(last) == [*keys, METRICS]
    assert (last["outputText"], last["totalOutputTextTokenCount"], last["inputTextTokenCount"]) == ("", 50, 6)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"inputText": ""}, "#/inputText: expected minLength: 1, actual: 0"),
        ({"inputText": "Hi", "textGenerationConfig": []}, "#/textGenerationConfig: expected type: JSONObject"),
        (
            {"inputText": "Hi", "textGenerationConfig": {"max_tokens": 1}},
            "#/textGenerationConfig: extraneous key [max_tokens] is not permitted",
        ),
    ],
)
def test_titan_names_mistakes(bedrock: Any, body: dict[str, Any], message: str) -> None:
    assert message in refusal(bedrock, TITAN.model_id, body)


@pytest.mark.parametrize("family", [LLAMA, MISTRAL, MISTRAL_CHAT, TITAN], ids=str)
def test_thought_has_no_place_but_the_text(family: Any) -> None:
    """These families have no member for it, so a model that is made to think shows it as open models do."""
    model = default_catalog().resolve(family.model_id)
    dialect = DIALECTS.of(Operation.INVOKE_STREAM, model)
    request = read(family.model_id, family.body(QUESTION, 100))
    whole, chunk = said_with_thought(dialect, request, model)

    assert family.whole_text(whole) == "Hmm. Yes."
    assert family.chunk_text(chunk) == "Hmm. "


def said_with_thought(dialect: Any, request: ModelRequest, model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A whole answer with thought, and the chunk of the thought alone."""
    served = ServedAs(model, model.id, "a-request", None, "default", None, "standard")
    ending = Ending(StopReason.END_TURN, None, Usage(6, 3), latency_ms=30, first_byte_ms=20)
    _, whole = dialect.whole(WholeReply(request, served, "Hmm. ", "Yes.", ending))
    (chunk,) = documents(dialect.writer(request, served, Usage(6, 0), thinks=False).reasoning("Hmm. ", 2))
    return whole, chunk
