"""InvokeModel and its stream: what holds for every family of models."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedrock.catalog import default_catalog
from bedrock.eventstream import FrameDecoder
from bedrock.tokens import estimate_tokens
from emulator.process import EmulatorProcess
from tests.support.families import ANTHROPIC, FAMILIES, METRICS, MISTRAL, NOVA, TITAN, Family, invoke, post, stream
from tests.support.sdk import client

PROMPT = "Where is my order? 注文はどこですか。"
INSTANT = {
    "default": {
        "latency": {"ttft_ms": 0, "prefill_ms_per_token": 0, "tokens_per_second": 1_000_000},
        "output_tokens": 3,
    }
}

each_family = pytest.mark.parametrize("family", FAMILIES, ids=str)
both_operations = pytest.mark.parametrize("ask", [invoke, stream])


@pytest.fixture(scope="module")
def instant() -> Iterator[EmulatorProcess]:
    with EmulatorProcess(INSTANT, seed=1) as running:
        yield running


def refusal(bedrock: Any, ask: Any, model_id: str, body: Any, **request: Any) -> str:
    with pytest.raises(bedrock.exceptions.ValidationException) as caught:
        ask(bedrock, model_id, body, **request)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return str(caught.value.response["Error"]["Message"])


@each_family
def test_the_whole_answer_and_the_streamed_one_say_the_same(bedrock: Any, family: Family) -> None:
    whole, _ = invoke(bedrock, family.model_id, family.body(PROMPT, 100))
    chunks, _ = stream(bedrock, family.model_id, family.body(PROMPT, 100))

    assert len(family.whole_text(whole)) > 30
    assert "".join(map(family.chunk_text, chunks)) == family.whole_text(whole)
    reasons = [reason for chunk in chunks if (reason := family.chunk_reason(chunk)) is not None]
    assert reasons == [family.whole_reason(whole)] == [family.words[0]]


@each_family
def test_all_places_tell_the_same_counts(bedrock: Any, family: Family) -> None:
    whole, fields = invoke(bedrock, family.model_id, family.body(PROMPT, 100))
    chunks, _ = stream(bedrock, family.model_id, family.body(PROMPT, 100))
    expected = (estimate_tokens(PROMPT), 50)
    numbers = chunks[-1][METRICS]

    assert (
        int(fields["x-amzn-bedrock-input-token-count"]),
        int(fields["x-amzn-bedrock-output-token-count"]),
    ) == expected
    assert (numbers["inputTokenCount"], numbers["outputTokenCount"]) == expected
    assert family.counts is None or family.counts(whole) == expected
    assert int(fields["x-amzn-bedrock-invocation-latency"]) >= 20
    assert numbers["invocationLatency"] >= numbers["firstByteLatency"] >= 20
    assert [METRICS in chunk for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


@each_family
def test_a_family_charges_what_converse_charges_for_the_same_words(bedrock: Any, family: Family) -> None:
    messages = [{"role": "user", "content": [{"text": PROMPT}]}]
    converse = bedrock.converse(modelId=family.model_id, messages=messages, inferenceConfig={"maxTokens": 100})
    whole, fields = invoke(bedrock, family.model_id, family.body(PROMPT, 100))

    assert int(fields["x-amzn-bedrock-input-token-count"]) == converse["usage"]["inputTokens"]
    assert family.whole_text(whole) == converse["output"]["message"]["content"][0]["text"]


@each_family
@both_operations
def test_an_answer_that_is_cut_says_so_in_the_familys_words(bedrock: Any, family: Family, ask: Any) -> None:
    body, _ = ask(bedrock, family.model_id, family.body(PROMPT, 7))

    if ask is invoke:
        assert family.whole_reason(body) == family.words[1]
        assert family.counts is None or family.counts(body)[1] == 7
    else:
        assert family.words[1] in map(family.chunk_reason, body)
        assert body[-1][METRICS]["outputTokenCount"] == 7


@pytest.mark.parametrize("family", [family for family in FAMILIES if family.with_stops], ids=str)
def test_a_stop_sequence_ends_the_answer_before_it(bedrock: Any, family: Family) -> None:
    assert family.with_stops is not None
    whole, _ = invoke(bedrock, family.model_id, family.body(PROMPT, 100))
    text = family.whole_text(whole)
    stop = text[20:26]
    body = family.with_stops(family.body(PROMPT, 100), ["\0never", stop])
    stopped, _ = invoke(bedrock, family.model_id, body)
    chunks, _ = stream(bedrock, family.model_id, body)

    assert family.whole_text(stopped) == text[: text.index(stop)]
    assert "".join(map(family.chunk_text, chunks)) == family.whole_text(stopped)
    assert family.whole_reason(stopped) == family.words[2]
    assert family.words[2] in map(family.chunk_reason, chunks)


@pytest.mark.parametrize("tier", ["default", "priority", "flex"])
def test_a_tier_that_was_sent_comes_back(bedrock: Any, emulator: EmulatorProcess, tier: str) -> None:
    request = {"modelId": NOVA.model_id, "body": json.dumps(NOVA.body("Hi", 5)), "serviceTier": tier}
    whole = bedrock.invoke_model(**request, performanceConfigLatency="standard")
    streamed = bedrock.invoke_model_with_response_stream(**request, performanceConfigLatency="standard")
    list(streamed["body"])

    for response in (whole, streamed):
        assert response["serviceTier"] == tier
        assert response["performanceConfigLatency"] == "standard"
        assert response["contentType"] == "application/json"
    assert emulator.truth()[-1]["served_tier"] == tier


def test_a_tier_that_was_not_sent_does_not_come_back(bedrock: Any) -> None:
    for _, fields in (
        invoke(bedrock, NOVA.model_id, NOVA.body("Hi", 5)),
        stream(bedrock, NOVA.model_id, NOVA.body("Hi", 5)),
    ):
        assert "x-amzn-bedrock-service-tier" not in fields
        assert "x-amzn-bedrock-performanceconfig-latency" not in fields


@both_operations
@pytest.mark.parametrize(
    ("tier", "message"),
    [
        ("standard", "service tier provided is invalid"),
        ("reserved", "Reservation not found."),
        ("priority", "The provided service tier is not supported for this model"),
    ],
)
def test_a_tier_that_cannot_be_had_is_refused(bedrock: Any, ask: Any, tier: str, message: str) -> None:
    body = ANTHROPIC.body("Hi", 5)

    assert refusal(bedrock, ask, ANTHROPIC.model_id, body, serviceTier=tier) == message


@both_operations
@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "us.{}",
        "arn:aws:bedrock:us-east-1::foundation-model/{}",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{}",
    ],
)
def test_all_forms_of_a_model_id_are_served(bedrock: Any, ask: Any, form: str) -> None:
    body, _ = ask(bedrock, form.format(NOVA.model_id), NOVA.body("Hi", 5))

    assert body


@pytest.mark.parametrize("model_id", ["amazon.nova-pro-v1:0", "amazon.nova-pro-v1%3A0"])
def test_model_ids_come_raw_or_percent_encoded(emulator: EmulatorProcess, model_id: str) -> None:
    status, fields, body = post(emulator, f"/model/{model_id}/invoke", json.dumps(NOVA.body("Hi", 5)).encode())

    assert (status, fields["content-type"]) == (200, "application/json")
    assert NOVA.whole_text(json.loads(body))


@each_family
def test_every_chunk_is_an_event_of_its_own_with_padding(emulator: EmulatorProcess, family: Family) -> None:
    path = f"/model/{family.model_id}/invoke-with-response-stream"
    status, fields, body = post(emulator, path, json.dumps(family.body(PROMPT, 30)).encode())
    frames = FrameDecoder().feed(body)

    assert status == 200
    assert fields["content-type"] == "application/vnd.amazon.eventstream"
    assert fields["x-amzn-bedrock-content-type"] == "application/json"
    assert "x-amzn-bedrock-input-token-count" not in fields
    assert emulator.truth()[-1]["events"] == len(frames)
    for frame in frames:
        assert list(frame.headers.items()) == [
            (":event-type", "chunk"),
            (":content-type", "application/json"),
            (":message-type", "event"),
        ]
        payload = json.loads(frame.payload)
        assert sorted(payload) == ["bytes", "p"]
        assert 2 <= len(payload["p"]) <= 62


@pytest.mark.parametrize("model", [model for model in default_catalog().models.values() if model.is_chat], ids=str)
def test_converse_goes_on_for_every_model_that_answers_with_text(instant: EmulatorProcess, model: Any) -> None:
    messages = [{"role": "user", "content": [{"text": "Hi"}]}]
    bedrock = client(instant)
    streamed = bedrock.converse_stream(modelId=model.id, messages=messages)["stream"]

    assert bedrock.converse(modelId=model.id, messages=messages)["usage"]["outputTokens"] == 3
    assert any("metadata" in event for event in streamed)


def without_limit(family: Family) -> dict[str, Any]:
    return {key: value for key, value in family.body("Hi", 5).items() if key != family.limit_key}


@pytest.mark.parametrize(
    ("family", "reserved"), [(NOVA, 10_000), (MISTRAL, 8192), (TITAN, 512), (FAMILIES[2], 512)], ids=str
)
def test_without_a_limit_of_tokens_the_familys_own_is_reserved(family: Family, reserved: int) -> None:
    quota = {"tpm": reserved + 1, "window": "sliding"}  # the prompt has two tokens: one too many
    with EmulatorProcess({"default": INSTANT["default"] | {"quota": quota}}, seed=1) as tight:
        bedrock = client(tight)
        with pytest.raises(bedrock.exceptions.ThrottlingException):
            invoke(bedrock, family.model_id, without_limit(family))
    with EmulatorProcess({"default": INSTANT["default"] | {"quota": quota | {"tpm": reserved + 2}}}, seed=1) as wide:
        invoke(client(wide), family.model_id, without_limit(family))


@each_family
@both_operations
def test_an_unknown_key_is_named(bedrock: Any, family: Family, ask: Any) -> None:
    message = refusal(bedrock, ask, family.model_id, family.body("Hi", 5) | {"max_tokenz": 1, "stream": True})

    problems = "#: extraneous key [max_tokenz] is not permitted#: extraneous key [stream] is not permitted"
    assert message == f"Malformed input request: {problems}, please reformat your input and try again."


@each_family
def test_more_tokens_than_the_model_writes_are_refused(bedrock: Any, family: Family) -> None:
    limit = default_catalog().resolve(family.model_id).max_output_tokens

    assert f"exceed the model limit of {limit}" in refusal(
        bedrock, invoke, family.model_id, family.body("Hi", limit + 1)
    )


@each_family
@pytest.mark.parametrize(("limit", "problem"), [(0, "0 is not greater or equal to 1"), ("5", "found: String")])
def test_a_limit_that_is_none_is_refused(bedrock: Any, family: Family, limit: Any, problem: str) -> None:
    assert problem in refusal(bedrock, invoke, family.model_id, family.body("Hi", limit))


@pytest.mark.parametrize("family", [family for family in FAMILIES if family is not ANTHROPIC], ids=str)
@both_operations
def test_a_body_for_claude_is_refused_by_every_other_family(bedrock: Any, family: Family, ask: Any) -> None:
    message = refusal(bedrock, ask, family.model_id, ANTHROPIC.body("Hi", 5))

    assert message.startswith("Malformed input request: #: ")
    assert "extraneous key [anthropic_version] is not permitted" in message


def test_what_is_missing_is_told_together_with_what_is_too_much(bedrock: Any) -> None:
    message = refusal(bedrock, invoke, FAMILIES[2].model_id, {"system": "x", "messages": []})

    assert message == (
        "Malformed input request: #: required key [prompt] not found#: extraneous key [system] is not permitted"
        "#: extraneous key [messages] is not permitted, please reformat your input and try again."
    )


def test_a_message_stays_short_however_much_is_wrong(bedrock: Any) -> None:
    message = refusal(bedrock, invoke, TITAN.model_id, {"x" * 500 + str(index): 1 for index in range(500)})

    assert len(message) < 4000


@both_operations
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"{", "it is not JSON"),
        (b"[]", "JSONObject"),
        (b"", "it is not JSON"),
        (b'{"prompt": "\xff"}', "it is not UTF-8"),
        (b"[" * 200_000, "it is nested too deeply"),
        (b'{"max_tokens": ' + b"9" * 5_000 + b"}", "it has a number of too many digits"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(bedrock: Any, ask: Any, body: bytes, problem: str) -> None:
    call = bedrock.invoke_model if ask is invoke else bedrock.invoke_model_with_response_stream
    with pytest.raises(bedrock.exceptions.ValidationException, match=problem):
        call(modelId=NOVA.model_id, body=body)


def test_an_unknown_model_is_refused_before_its_body_is_read(bedrock: Any) -> None:
    assert refusal(bedrock, invoke, "amazon.nova-imaginary-v1:0", {}) == "The provided model identifier is invalid."


KEYS = st.sampled_from(
    [
        *("messages", "role", "content", "text", "type", "cachePoint", "cache_control", "ttl", "system", "thinking"),
        *(
            "anthropic_version",
            "max_tokens",
            "stop_sequences",
            "stop",
            "prompt",
            "max_gen_len",
            "inputText",
            "budget_tokens",
        ),
        *("textGenerationConfig", "maxTokenCount", "stopSequences", "inferenceConfig", "maxTokens", "reasoningConfig"),
        *("maxReasoningEffort", "dimensions", "normalize", "embeddingTypes", "schemaVersion", "tools", "tool_choice"),
    ]
)
WORDS = st.sampled_from(
    ["user", "assistant", "text", "enabled", "adaptive", "ephemeral", "1h", "low", "messages-v1", "", " "]
)
LEAVES = st.none() | st.booleans() | st.integers(-5, 70_000) | st.floats() | WORDS | st.text(max_size=20)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


@st.composite
def spoiled(draw: st.DrawFn, body: dict[str, Any]) -> dict[str, Any]:
    """A valid body with a value somewhere replaced, added or taken away."""
    spoiled_body: dict[str, Any] = json.loads(json.dumps(body))
    place: Any = spoiled_body
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys)) if keys else None
        inside = None if key is None else place[key]
        if not isinstance(inside, dict | list) or not inside or draw(st.booleans()):
            break
        place = inside
    if isinstance(place, dict):
        place[draw(KEYS) if key is None or draw(st.booleans()) else key] = draw(VALUES)
    elif key is not None:
        place[key] = draw(VALUES)
    return spoiled_body


def bodies(body: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return spoiled(body) | st.dictionaries(KEYS, VALUES, max_size=6)


RICH = {
    "anthropic.claude-sonnet-4-5-20250929-v1:0": {
        **ANTHROPIC.body("Hi", 2000),
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "5m"}}],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    },
    "amazon.nova-2-lite-v1:0": {
        **NOVA.body("Hi", 20),
        "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
        "reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"},
    },
    "meta.llama4-maverick-17b-instruct-v1:0": FAMILIES[2].body("Hi", 20),
    "mistral.mistral-large-2407-v1:0": FAMILIES[4].body("Hi", 20) | {"stop": ["x"]},
    "amazon.titan-text-express-v1": TITAN.body("Hi", 20),
    "amazon.titan-embed-text-v2:0": {
        "inputText": "Hi",
        "dimensions": 256,
        "normalize": True,
        "embeddingTypes": ["float"],
    },
}


@pytest.mark.parametrize("model_id", RICH)
@pytest.mark.parametrize("segment", ["invoke", "invoke-with-response-stream", "count-tokens"])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_body_is_a_server_error_and_every_one_has_its_line(
    instant: EmulatorProcess, model_id: str, segment: str, data: st.DataObject
) -> None:
    body: Any = data.draw(bodies(RICH[model_id]))
    if segment == "count-tokens":
        encoded = base64.b64encode(json.dumps(body).encode()).decode()
        body = {"input": data.draw(st.sampled_from([{"invokeModel": {"body": encoded}}, {"converse": body}, body]))}
    before = instant.stats()["total"]["requests"]
    status, fields, answer = post(instant, f"/model/{model_id}/{segment}", json.dumps(body).encode())
    (line,) = instant.truth(since=before)

    assert status == 200 or (status == 400 and fields["x-amzn-errortype"].startswith("ValidationException:"))
    assert status == 200 or json.loads(answer)["message"]
    assert (line["request_id"], line["status"]) == (fields["x-amzn-requestid"], status)
