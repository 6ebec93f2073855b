"""Embeddings: vectors that are close for texts that share words, and the answers that carry them."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.tokens import estimate_tokens
from emulator.families.embeddings import DIMENSIONS
from emulator.families.vectors import embed
from emulator.process import EmulatorProcess
from tests.support.families import invoke, stream
from tests.support.sdk import FAST, client

TITAN_EMBED = "amazon.titan-embed-text-v2:0"
#: Two texts each that share words, in different order and form.
PAIRS = {
    "en": [
        ("Where is my order?", "My order has not arrived yet"),
        ("Please recommend a horror manga", "Which horror manga do you recommend?"),
        ("What is the price of volume three?", "The price of the third volume"),
        ("I want to cancel my subscription", "How subscriptions are cancelled"),
        ("The delivery is delayed", "Delayed deliveries and what to do about them"),
    ],
    "ja": [
        ("注文した漫画はいつ届きますか", "漫画の注文がまだ届きません"),
        ("おすすめのホラー漫画を教えてください", "ホラー漫画のおすすめはありますか"),
        ("第三巻の値段はいくらですか", "第三巻の値段を知りたい"),
        ("定期購読を解約したい", "定期購読の解約方法について"),
        ("配送が遅れています", "配送の遅れとその対応"),
    ],
}
texts = st.sampled_from([text for pairs in PAIRS.values() for pair in pairs for text in pair]) | st.text(min_size=1)
lengths = st.sampled_from(DIMENSIONS)


def cosine(one: list[float], other: list[float]) -> float:
    return sum(map(lambda x, y: x * y, one, other)) / (math.hypot(*one) * math.hypot(*other))


def likeness(one: str, other: str, dimensions: int) -> float:
    return cosine(embed(one, dimensions, is_normalized=True), embed(other, dimensions, is_normalized=False))


@given(texts, lengths)
def test_a_text_is_like_itself_whether_normalized_or_not(text: str, dimensions: int) -> None:
    assert likeness(text, text, dimensions) == pytest.approx(1.0)


@given(texts, lengths)
def test_a_normalized_vector_has_length_one(text: str, dimensions: int) -> None:
    vector = embed(text, dimensions, is_normalized=True)

    assert len(vector) == dimensions
    assert math.hypot(*vector) == pytest.approx(1.0)


@pytest.mark.parametrize("dimensions", DIMENSIONS)
@pytest.mark.parametrize("language", PAIRS)
def test_texts_that_share_words_are_more_alike_than_those_that_do_not(language: str, dimensions: int) -> None:
    pairs = PAIRS[language]
    related = [likeness(*pair, dimensions) for pair in pairs]
    unrelated = [likeness(one, other, dimensions) for one, own in pairs for _, other in pairs if other != own]

    assert min(related) > 0.25
    assert max(unrelated) < 0.2


@given(st.sampled_from(PAIRS["en"] + PAIRS["ja"]), lengths)
def test_the_language_of_a_text_keeps_it_apart_from_another(pair: tuple[str, str], dimensions: int) -> None:
    other = "東京の天気は晴れ" if pair in PAIRS["en"] else "Sunshine over Paris"

    assert likeness(*pair, dimensions) > likeness(pair[0], other, dimensions)


@pytest.mark.parametrize(
    ("one", "same"), [("ORDER", "order"), ("ｏｒｄｅｒ", "order"), ("ﾎﾗｰ漫画", "ホラー漫画"), ("Where?", "where !")]
)
def test_case_width_and_punctuation_do_not_matter(one: str, same: str) -> None:
    assert likeness(one, same, 256) == pytest.approx(1.0)


def test_an_answer_has_the_vector_and_what_it_cost(bedrock: Any, emulator: EmulatorProcess) -> None:
    body, fields = invoke(bedrock, TITAN_EMBED, {"inputText": "Where is my order? 注文"})
    line = emulator.truth()[-1]
    tokens = estimate_tokens("Where is my order? 注文")

    assert sorted(body) == ["embedding", "embeddingsByType", "inputTextTokenCount"]
    assert len(body["embedding"]) == 1024
    assert math.hypot(*body["embedding"]) == pytest.approx(1.0)
    assert body["embeddingsByType"] == {"float": body["embedding"]}
    assert body["inputTextTokenCount"] == int(fields["x-amzn-bedrock-input-token-count"]) == tokens
    assert "x-amzn-bedrock-output-token-count" not in fields
    assert int(fields["x-amzn-bedrock-invocation-latency"]) >= 20, "no earlier than the configured TTFT"
    assert (line["operation"], line["outcome"]) == ("InvokeModel", "ok")
    assert (line["input_tokens"], line["output_tokens"], line["events"]) == (tokens, 0, None)


@pytest.mark.parametrize("dimensions", DIMENSIONS)
@pytest.mark.parametrize("types", [["float"], ["binary"], ["float", "binary"]])
def test_length_and_types_are_those_asked_for(bedrock: Any, dimensions: int, types: list[str]) -> None:
    request = {"inputText": "Where is my order?", "dimensions": dimensions, "embeddingTypes": types}
    body, _ = invoke(bedrock, TITAN_EMBED, request)

    assert len(body["embedding"]) == dimensions
    assert list(body["embeddingsByType"]) == sorted(types)
    if "binary" in types:
        assert body["embeddingsByType"]["binary"] == [int(value > 0) for value in body["embedding"]]


def test_a_vector_that_is_not_normalized_points_the_same_way(bedrock: Any) -> None:
    normal, _ = invoke(bedrock, TITAN_EMBED, {"inputText": "Where is my order?"})
    raw, _ = invoke(bedrock, TITAN_EMBED, {"inputText": "Where is my order?", "normalize": False})

    assert math.hypot(*raw["embedding"]) != pytest.approx(1.0)
    assert cosine(normal["embedding"], raw["embedding"]) == pytest.approx(1.0)


def test_the_seed_does_not_matter(bedrock: Any) -> None:
    request = {"inputText": "Where is my order?"}
    with EmulatorProcess(FAST, seed=2) as other:
        assert invoke(client(other), TITAN_EMBED, request)[0] == invoke(bedrock, TITAN_EMBED, request)[0]


def test_only_the_input_is_taken_from_the_quota() -> None:
    tokens = estimate_tokens("Where is my order?")
    with EmulatorProcess({"default": FAST["default"] | {"quota": {"tpm": 2 * tokens, "window": "sliding"}}}) as tight:
        bedrock = client(tight)
        for _ in range(2):
            invoke(bedrock, TITAN_EMBED, {"inputText": "Where is my order?"})
        with pytest.raises(bedrock.exceptions.ThrottlingException):
            invoke(bedrock, TITAN_EMBED, {"inputText": "Hi"})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "#: required key [inputText] not found"),
        ({"inputText": ""}, "#/inputText: expected minLength: 1, actual: 0"),
        ({"inputText": "x" * 50_001}, "#/inputText: expected maxLength: 50000, actual: 50001"),
        ({"inputText": "漫" * 6000}, "Too many input tokens. Max input tokens: 8192, request input token count: 9000"),
        ({"inputText": "x", "dimensions": 300}, "#/dimensions: 300 is not a valid enum value"),
        ({"inputText": "x", "dimensions": "256"}, "#/dimensions: 256 is not a valid enum value"),
        ({"inputText": "x", "normalize": "yes"}, "#/normalize: expected type: Boolean, found: String"),
        ({"inputText": "x", "embeddingTypes": ["int8"]}, "#/embeddingTypes/0: int8 is not a valid enum value"),
        ({"inputText": "x", "embeddingTypes": []}, "#/embeddingTypes: expected minimum item count: 1, found: 0"),
        ({"inputText": "x", "textGenerationConfig": {}}, "#: extraneous key [textGenerationConfig] is not permitted"),
    ],
)
def test_a_mistake_gets_a_validation_error_that_names_it(bedrock: Any, body: dict[str, Any], message: str) -> None:
    with pytest.raises(bedrock.exceptions.ValidationException) as caught:
        invoke(bedrock, TITAN_EMBED, body)

    assert message in caught.value.response["Error"]["Message"]


def test_it_neither_streams_nor_converses(bedrock: Any) -> None:
    messages = [{"role": "user", "content": [{"text": "Hi"}]}]
    wrong = "doesn't support the model that you provided. Try again with a supported text or chat model."
    with pytest.raises(bedrock.exceptions.ValidationException, match="The model is unsupported for streaming"):
        stream(bedrock, TITAN_EMBED, {"inputText": "Hi"})
    for call in (bedrock.converse, bedrock.converse_stream):
        with pytest.raises(bedrock.exceptions.ValidationException) as caught:
            call(modelId=TITAN_EMBED, messages=messages)
        assert caught.value.response["Error"]["Message"].endswith(wrong)


def test_the_numbers_are_short_enough_for_a_body(bedrock: Any) -> None:
    body, _ = invoke(bedrock, TITAN_EMBED, {"inputText": "Where is my order?"})

    assert all(len(json.dumps(value)) <= 13 for value in body["embedding"])
