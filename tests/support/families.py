"""InvokeModel in the words of each family: what a client sends, and where it finds text, counts and reason."""

import base64
import http.client
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bedrock.eventstream import FrameDecoder
from emulator.process import EmulatorProcess

METRICS = "amazon-bedrock-invocationMetrics"
Document = dict[str, Any]


@dataclass(frozen=True)
class Family:
    """One family: a model of it, its bodies, and its words for `end of turn`, `max tokens` and `stop sequence`."""

    name: str
    model_id: str
    body: Callable[[str, int], Document]
    with_stops: Callable[[Document, list[str]], Document] | None
    whole_text: Callable[[Document], str]
    whole_reason: Callable[[Document], str]
    chunk_text: Callable[[Document], str]
    chunk_reason: Callable[[Document], str | None]
    words: tuple[str, str, str]
    #: Input and output tokens in a whole body; None where the family has none there.
    counts: Callable[[Document], tuple[int, int]] | None
    limit_key: str

    def __str__(self) -> str:
        return self.name


def _anthropic(prompt: str, max_tokens: int) -> Document:
    messages = [{"role": "user", "content": prompt}]
    return {"anthropic_version": "bedrock-2023-05-31", "max_tokens": max_tokens, "messages": messages}


def _nova(prompt: str, max_tokens: int) -> Document:
    messages = [{"role": "user", "content": [{"text": prompt}]}]
    return {"schemaVersion": "messages-v1", "messages": messages, "inferenceConfig": {"max_new_tokens": max_tokens}}


def _llama(prompt: str, max_tokens: int) -> Document:
    said = f"<|start_header_id|>user<|end_header_id|>\n\n{prompt}<|eot_id|>"
    written = f"<|begin_of_text|>{said}<|start_header_id|>assistant<|end_header_id|>\n\n"
    return {"prompt": written, "max_gen_len": max_tokens}


def _mistral(prompt: str, max_tokens: int) -> Document:
    return {"prompt": f"<s>[INST] {prompt} [/INST]", "max_tokens": max_tokens}


def _mistral_chat(prompt: str, max_tokens: int) -> Document:
    return {"messages": [{"role": "user", "content": prompt}], "max_tokens": max_tokens}


def _titan(prompt: str, max_tokens: int) -> Document:
    return {"inputText": prompt, "textGenerationConfig": {"maxTokenCount": max_tokens}}


def _nova_stops(body: Document, stops: list[str]) -> Document:
    return body | {"inferenceConfig": body["inferenceConfig"] | {"stopSequences": stops}}


def _titan_stops(body: Document, stops: list[str]) -> Document:
    return body | {"textGenerationConfig": body["textGenerationConfig"] | {"stopSequences": stops}}


def _nova_text(whole: Document) -> str:
    return "".join(block.get("text", "") for block in whole["output"]["message"]["content"])


ANTHROPIC = Family(
    name="anthropic",
    model_id="anthropic.claude-3-haiku-20240307-v1:0",
    body=_anthropic,
    with_stops=lambda body, stops: body | {"stop_sequences": stops},
    whole_text=lambda whole: "".join(block.get("text", "") for block in whole["content"]),
    whole_reason=lambda whole: whole["stop_reason"],
    chunk_text=lambda chunk: chunk.get("delta", {}).get("text", ""),
    chunk_reason=lambda chunk: chunk.get("delta", {}).get("stop_reason"),
    words=("end_turn", "max_tokens", "stop_sequence"),
    counts=lambda whole: (whole["usage"]["input_tokens"], whole["usage"]["output_tokens"]),
    limit_key="max_tokens",
)
NOVA = Family(
    name="nova",
    model_id="amazon.nova-pro-v1:0",
    body=_nova,
    with_stops=_nova_stops,
    whole_text=_nova_text,
    whole_reason=lambda whole: whole["stopReason"],
    chunk_text=lambda chunk: chunk.get("contentBlockDelta", {}).get("delta", {}).get("text", ""),
    chunk_reason=lambda chunk: chunk.get("messageStop", {}).get("stopReason"),
    words=("end_turn", "max_tokens", "stop_sequence"),
    counts=lambda whole: (whole["usage"]["inputTokens"], whole["usage"]["outputTokens"]),
    limit_key="inferenceConfig",
)
LLAMA = Family(
    name="llama",
    model_id="meta.llama3-3-70b-instruct-v1:0",
    body=_llama,
    with_stops=None,
    whole_text=lambda whole: whole["generation"],
    whole_reason=lambda whole: whole["stop_reason"],
    chunk_text=lambda chunk: chunk["generation"],
    chunk_reason=lambda chunk: chunk["stop_reason"],
    words=("stop", "length", "stop"),
    counts=lambda whole: (whole["prompt_token_count"], whole["generation_token_count"]),
    limit_key="max_gen_len",
)
MISTRAL = Family(
    name="mistral",
    model_id="mistral.mistral-large-2407-v1:0",
    body=_mistral,
    with_stops=lambda body, stops: body | {"stop": stops},
    whole_text=lambda whole: whole["outputs"][0]["text"],
    whole_reason=lambda whole: whole["outputs"][0]["stop_reason"],
    chunk_text=lambda chunk: chunk["outputs"][0]["text"],
    chunk_reason=lambda chunk: chunk["outputs"][0]["stop_reason"],
    words=("stop", "length", "stop"),
    counts=None,
    limit_key="max_tokens",
)
MISTRAL_CHAT = Family(
    name="mistral-chat",
    model_id="mistral.mistral-large-2407-v1:0",
    body=_mistral_chat,
    with_stops=lambda body, stops: body | {"stop": stops},
    whole_text=lambda whole: whole["choices"][0]["message"]["content"],
    whole_reason=lambda whole: whole["choices"][0]["stop_reason"],
    chunk_text=lambda chunk: chunk["choices"][0]["message"]["content"],
    chunk_reason=lambda chunk: chunk["choices"][0]["stop_reason"],
    words=("stop", "length", "stop"),
    counts=None,
    limit_key="max_tokens",
)
TITAN = Family(
    name="titan",
    model_id="amazon.titan-text-express-v1",
    body=_titan,
    with_stops=_titan_stops,
    whole_text=lambda whole: whole["results"][0]["outputText"],
    whole_reason=lambda whole: whole["results"][0]["completionReason"],
    chunk_text=lambda chunk: chunk["outputText"],
    chunk_reason=lambda chunk: chunk["completionReason"],
    words=("FINISH", "LENGTH", "STOP_CRITERIA_MET"),
    counts=lambda whole: (whole["inputTextTokenCount"], whole["results"][0]["tokenCount"]),
    limit_key="textGenerationConfig",
)
FAMILIES = (ANTHROPIC, NOVA, LLAMA, MISTRAL, MISTRAL_CHAT, TITAN)


def invoke(bedrock: Any, model_id: str, body: Any, **settings: Any) -> tuple[Document, Mapping[str, str]]:
    """The body of an answer in one piece, and the response's headers in lower case."""
    response = bedrock.invoke_model(modelId=model_id, body=json.dumps(body), **settings)
    return json.loads(response["body"].read()), response["ResponseMetadata"]["HTTPHeaders"]


def stream(bedrock: Any, model_id: str, body: Any, **settings: Any) -> tuple[list[Document], Mapping[str, str]]:
    """The chunks of a streamed answer, and the response's headers in lower case."""
    response = bedrock.invoke_model_with_response_stream(modelId=model_id, body=json.dumps(body), **settings)
    chunks = [json.loads(event["chunk"]["bytes"]) for event in response["body"]]
    return chunks, response["ResponseMetadata"]["HTTPHeaders"]


def documents(frames: Iterable[bytes]) -> list[Document]:
    """The model's own JSON in the chunks of a stream."""
    payloads = [json.loads(frame.payload) for data in frames for frame in FrameDecoder().feed(data)]
    return [json.loads(base64.b64decode(payload["bytes"])) for payload in payloads]


def post(
    emulator: EmulatorProcess, path: str, body: bytes, headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers in lower case and body of a request written without an SDK."""
    host, port = emulator.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10.0)
    try:
        connection.request("POST", path, body, dict(headers or {}))
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()
