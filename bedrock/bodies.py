"""Request bodies per API and family of models, as one description that every transport can send."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bedrock.answers import (
    TIER_HEADER,
    UNREADABLE,
    ChunkStreamReader,
    ConverseStreamReader,
    StreamReader,
    WholeText,
    fill_converse_usage,
    fill_invoke_headers,
    read_converse_body,
    read_invoke_body,
)
from bedrock.catalog import default_catalog, id_to_send
from bedrock.failures import CallFailedError, Failure
from bedrock.invocation import Invocation, InvocationRecord
from bedrock.transcript import Transcript

#: APIs by the name a scenario uses, and the last segment of their path.
OPERATIONS = {
    "converse": "converse",
    "converse_stream": "converse-stream",
    "invoke_model": "invoke",
    "invoke_model_stream": "invoke-with-response-stream",
}
APIS = ("converse_stream", "converse", "invoke_model_stream", "invoke_model")

_JSON = "application/json"


class BodyError(ValueError):
    """An invocation cannot be written for its API; the message says why."""


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One request, ready to be sent: `headers` are those of the operation, without authorization."""

    api: str
    family: str
    model_id: str
    headers: Mapping[str, str]
    document: Mapping[str, Any]

    @property
    def operation(self) -> str:
        """The last segment of the path."""
        return OPERATIONS[self.api]

    @property
    def is_streamed(self) -> bool:
        """Whether the answer is a stream of events."""
        return self.api.endswith("_stream")

    @property
    def body(self) -> bytes:
        """The body as JSON."""
        return json.dumps(self.document, ensure_ascii=False, separators=(",", ":")).encode()

    def stream_reader(
        self, record: InvocationRecord, headers: Mapping[str, str], transcript: Transcript | None
    ) -> StreamReader:
        """What reads the events of an answer with this head into a record, and a transcript where there is one."""
        if self.api == "converse_stream":
            return ConverseStreamReader(record, transcript)
        record.served_tier = headers.get(TIER_HEADER)
        return ChunkStreamReader(record, self.family, transcript)

    def read_whole(
        self,
        record: InvocationRecord,
        body: Mapping[str, Any],
        headers: Mapping[str, str],
        transcript: Transcript | None,
    ) -> None:
        """Fill a record from an answer in one piece (header names in lower case).

        CallFailedError where it is no answer of the operation, such as the page of a gateway with status 200.
        """
        try:
            said = self._read_body(record, body, headers)
        except UNREADABLE as error:
            raise CallFailedError(Failure.INVALID_RESPONSE) from error
        if said.stop_reason is None:
            raise CallFailedError(Failure.INVALID_RESPONSE)
        record.stop_reason = said.stop_reason
        if transcript is not None:
            transcript.add_reasoning(said.reasoning)
            transcript.add_text(said.text)

    def _read_body(self, record: InvocationRecord, body: Mapping[str, Any], headers: Mapping[str, str]) -> WholeText:
        if self.api == "converse":
            fill_converse_usage(record, body)
            return read_converse_body(body)
        fill_invoke_headers(record, headers)
        return read_invoke_body(self.family, body)


def api_request(invocation: Invocation) -> ApiRequest:
    """The request of an invocation; BodyError where its API cannot express it."""
    family, model_id = family_of(invocation), id_to_send(invocation.model_id)
    if invocation.api.startswith("converse"):
        headers = {"Content-Type": _JSON}
        return ApiRequest(invocation.api, family, model_id, headers, converse_body(invocation))
    return ApiRequest(invocation.api, family, model_id, _invoke_headers(invocation), invoke_body(invocation, family))


def family_of(invocation: Invocation) -> str:
    """The family whose bodies the model takes: as given, else as the catalogue knows it."""
    if invocation.family is not None:
        return invocation.family
    model = default_catalog().find(invocation.model_id)
    if model is not None:
        return model.family
    if invocation.api.startswith("converse"):
        return ""
    raise BodyError(f"The family of {invocation.model_id} is not known, so InvokeModel's body cannot be written.")


def converse_body(invocation: Invocation) -> dict[str, Any]:
    """Members of a Converse or ConverseStream request beside the model id.

    The service tier is an object here, `{"type": ...}`; InvokeModel takes it as a header.
    """
    config: dict[str, Any] = {"maxTokens": invocation.max_tokens}
    if invocation.stop_sequences:
        config["stopSequences"] = list(invocation.stop_sequences)
    body: dict[str, Any] = {
        "messages": _messages(invocation),
        "inferenceConfig": config,
    }
    if invocation.system is not None:
        body["system"] = _with_cache_point([{"text": invocation.system}], invocation)
    if invocation.service_tier is not None:
        body["serviceTier"] = {"type": invocation.service_tier}
    if invocation.latency is not None:
        body["performanceConfig"] = {"latency": invocation.latency}
    if invocation.request_metadata:
        body["requestMetadata"] = dict(invocation.request_metadata)
    return body


def _turns(invocation: Invocation) -> Iterator[tuple[str, str]]:
    """Role and text of every turn, alternating; the last one is the user's."""
    for exchange in invocation.history:
        yield "user", exchange.prompt
        yield "assistant", exchange.answer
    yield "user", invocation.prompt


def _messages(invocation: Invocation, **block: str) -> list[dict[str, Any]]:
    """All turns as messages of one text block each; `block` are members that such a block has beside its text."""
    return [{"role": role, "content": [{**block, "text": text}]} for role, text in _turns(invocation)]


def _with_cache_point(blocks: list[dict[str, Any]], invocation: Invocation) -> list[dict[str, Any]]:
    return [*blocks, {"cachePoint": {"type": "default"}}] if invocation.cache_system else blocks


def _invoke_headers(invocation: Invocation) -> dict[str, str]:
    accept = "X-Amzn-Bedrock-Accept" if invocation.api == "invoke_model_stream" else "Accept"
    headers = {"Content-Type": _JSON, accept: _JSON}
    if invocation.service_tier is not None:
        headers["X-Amzn-Bedrock-Service-Tier"] = invocation.service_tier
    if invocation.latency is not None:
        headers["X-Amzn-Bedrock-PerformanceConfig-Latency"] = invocation.latency
    if invocation.request_metadata:
        headers["X-Amzn-Bedrock-Request-Metadata"] = json.dumps(dict(invocation.request_metadata))
    return headers


def invoke_body(invocation: Invocation, family: str) -> dict[str, Any]:
    """The body of InvokeModel in the words of a family of models."""
    match family:
        case "anthropic":
            return _anthropic_body(invocation)
        case "nova":
            return _nova_body(invocation)
        case "llama":
            return {"prompt": _llama_prompt(invocation), "max_gen_len": invocation.max_tokens}
        case "mistral":
            return _mistral_body(invocation)
        case "titan":
            return _titan_body(invocation)
    raise BodyError(f"InvokeModel of {invocation.model_id}: bodies of the family {family!r} are not known.")


def _anthropic_body(invocation: Invocation) -> dict[str, Any]:
    body: dict[str, Any] = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": invocation.max_tokens,
        "messages": _messages(invocation, type="text"),
    }
    if invocation.system is not None:
        block: dict[str, Any] = {"type": "text", "text": invocation.system}
        if invocation.cache_system:
            block["cache_control"] = {"type": "ephemeral"}
        body["system"] = [block]
    if invocation.stop_sequences:
        body["stop_sequences"] = list(invocation.stop_sequences)
    return body


def _nova_body(invocation: Invocation) -> dict[str, Any]:
    config: dict[str, Any] = {"max_new_tokens": invocation.max_tokens}
    if invocation.stop_sequences:
        config["stopSequences"] = list(invocation.stop_sequences)
    body: dict[str, Any] = {
        "schemaVersion": "messages-v1",
        "messages": _messages(invocation),
        "inferenceConfig": config,
    }
    if invocation.system is not None:
        body["system"] = _with_cache_point([{"text": invocation.system}], invocation)
    return body


def _llama_prompt(invocation: Invocation) -> str:
    """Llama 3's chat template: InvokeModel takes the text as the model reads it."""
    turns = [] if invocation.system is None else [("system", invocation.system)]
    turns += _turns(invocation)
    said = "".join(f"<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>" for role, text in turns)
    return f"<|begin_of_text|>{said}<|start_header_id|>assistant<|end_header_id|>\n\n"


def _mistral_body(invocation: Invocation) -> dict[str, Any]:
    body: dict[str, Any] = {"prompt": _mistral_prompt(invocation), "max_tokens": invocation.max_tokens}
    if invocation.stop_sequences:
        body["stop"] = list(invocation.stop_sequences)
    return body


def _mistral_prompt(invocation: Invocation) -> str:
    """Mistral's instruction template; it has no role for a system prompt, which goes before the first question."""
    opening = [] if invocation.system is None else [invocation.system]
    written = "<s>"
    for role, text in _turns(invocation):
        if role == "assistant":
            written += f" {text}</s>"
            continue
        question = "\n\n".join(filter(None, (*opening, text)))
        written += f"[INST] {question} [/INST]"
        opening = []
    return written


def _titan_body(invocation: Invocation) -> dict[str, Any]:
    config: dict[str, Any] = {"maxTokenCount": invocation.max_tokens}
    if invocation.stop_sequences:
        config["stopSequences"] = list(invocation.stop_sequences)
    return {"inputText": _titan_text(invocation), "textGenerationConfig": config}


def _titan_text(invocation: Invocation) -> str:
    """A lone prompt as it is; a conversation in the form that AWS documents for Titan: `User: ...`, `Bot: ...`."""
    asked = invocation.prompt
    if invocation.history:
        speakers = {"user": "User", "assistant": "Bot"}
        said = [f"{speakers[role]}: {text}" for role, text in _turns(invocation)]
        asked = "\n".join([*said, "Bot:"])
    return "\n\n".join(filter(None, (invocation.system, asked)))


def sdk_arguments(invocation: Invocation, request: ApiRequest) -> dict[str, Any]:
    """Arguments of the SDK's method for the same request."""
    if invocation.api.startswith("converse"):
        return {"modelId": request.model_id, **request.document}
    arguments: dict[str, Any] = {
        "modelId": request.model_id,
        "body": request.body,
        "contentType": _JSON,
        "accept": _JSON,
    }
    if invocation.service_tier is not None:
        arguments["serviceTier"] = invocation.service_tier
    if invocation.latency is not None:
        arguments["performanceConfigLatency"] = invocation.latency
    if invocation.request_metadata:
        arguments["requestMetadata"] = json.dumps(dict(invocation.request_metadata))
    return arguments
