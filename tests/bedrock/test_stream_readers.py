"""The readers' short cut past decoding leaves the same record as decoding everything."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.answers import METRICS, ChunkStreamReader, ConverseStreamReader, StreamReader
from bedrock.invocation import InvocationRecord
from bedrock.transcript import Transcript

TEXTS = st.one_of(
    st.just(""),
    st.text(max_size=8),
    # Texts that look like what the short cut looks for.
    st.sampled_from(
        [
            '"text":"',
            '"stop_reason":"end_turn"',
            METRICS,
            '\\"text\\":\\"x',
            '"generation":""',
            "漫画",
            '"',
            "\\",
            '{"bytes":"e30="}',
        ]
    ),
)
METRICS_CHUNK = {METRICS: {"inputTokenCount": 3, "outputTokenCount": 4, "invocationLatency": 5}}


def anthropic(text: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


CHUNKS: dict[str, Callable[[str], list[dict[str, Any]]]] = {
    "anthropic": lambda text: [
        anthropic(text),
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": text}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": text}},
        {"type": "message_stop", **METRICS_CHUNK},
    ],
    "nova": lambda text: [
        {"contentBlockDelta": {"delta": {"text": text}, "contentBlockIndex": 0}},
        {"contentBlockDelta": {"delta": {"reasoningContent": {"text": text}}, "contentBlockIndex": 0}},
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"usage": {"inputTokens": 3}}, **METRICS_CHUNK},
    ],
    "llama": lambda text: [
        {"generation": text, "prompt_token_count": None, "generation_token_count": 2, "stop_reason": None},
        {"generation": text, "stop_reason": "stop", **METRICS_CHUNK},
    ],
    "mistral": lambda text: [
        {"outputs": [{"text": text, "stop_reason": None}]},
        {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "stop_reason": None}]},
        {"outputs": [{"text": text, "stop_reason": "length"}], **METRICS_CHUNK},
    ],
    "titan": lambda text: [
        {"outputText": text, "index": 0, "completionReason": None},
        {"outputText": text, "index": 0, "completionReason": "FINISH", **METRICS_CHUNK},
    ],
}


def read(make: Callable[[InvocationRecord], StreamReader], events: list[tuple[str, bytes]], *, raw: bool) -> str:
    """The record of these events, read as bytes or as decoded JSON."""
    record = InvocationRecord("run", "cell", "local", 0, "m")
    reader = make(record)
    for number, (name, payload) in enumerate(events):
        if raw:
            reader.raw_event(name, payload, float(number))
        else:
            reader.event(name, json.loads(payload), float(number))
    reader.finish()
    return f"{record.to_json()} {reader.is_complete}"


def written(document: Any, separators: tuple[str, str]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=separators).encode()


SEPARATORS = st.sampled_from([(",", ":"), (", ", ": ")])


@pytest.mark.parametrize("family", CHUNKS)
@given(data=st.data())
def test_chunks_that_are_not_decoded_are_counted_as_if_they_were(family: str, data: st.DataObject) -> None:
    separators = data.draw(SEPARATORS)
    documents = data.draw(st.lists(TEXTS.flatmap(lambda text: st.sampled_from(CHUNKS[family](text))), max_size=12))
    events = [
        ("chunk", written({"bytes": base64.b64encode(written(each, separators)).decode(), "p": "abc"}, separators))
        for each in documents
    ]

    def make(record: InvocationRecord) -> StreamReader:
        return ChunkStreamReader(record, family)

    assert read(make, events, raw=True) == read(make, events, raw=False)


@given(
    SEPARATORS, st.lists(st.tuples(st.sampled_from(["text", "reasoningContent", "messageStop"]), TEXTS), max_size=12)
)
def test_deltas_that_are_not_decoded_are_counted_as_if_they_were(
    separators: tuple[str, str], parts: list[tuple[str, str]]
) -> None:
    def event(kind: str, text: str) -> tuple[str, bytes]:
        if kind == "messageStop":
            return kind, written({"stopReason": "end_turn"}, separators)
        delta = {"text": text} if kind == "text" else {"reasoningContent": {"text": text}}
        return "contentBlockDelta", written({"contentBlockIndex": 0, "delta": delta}, separators)

    events = [event(*part) for part in parts]

    assert read(ConverseStreamReader, events, raw=True) == read(ConverseStreamReader, events, raw=False)


def test_who_asks_for_the_text_gets_all_of_it() -> None:
    transcript = Transcript()
    record = InvocationRecord("run", "cell", "local", 0, "m")
    reader = ChunkStreamReader(record, "anthropic", transcript)
    for text in ("漫", "画", "!"):
        chunk = base64.b64encode(written(anthropic(text), (",", ":"))).decode()
        reader.raw_event("chunk", written({"bytes": chunk}, (",", ":")), 1.0)

    assert transcript.text == "漫画!"
