"""Titan Text's bodies as InvokeModel takes and gives them."""

from typing import Any

from emulator.answer import Ending, ServedAs, StopReason, Usage, WholeReply
from emulator.body_checks import mapping, strings
from emulator.dialect import Frames
from emulator.families.native import METRICS, NativeDialect, metrics, raw_chunk, whole_fields
from emulator.families.native_checks import check_keys, required_text, token_limit
from emulator.frames import Padding, chunk_frame, encode_text
from emulator.http import HeaderFields
from emulator.model_request import Asked, ModelRequest
from emulator.prompt_text import PromptText

#: What AWS documents where `maxTokenCount` is left out.
DEFAULT_MAX_TOKENS = 512

_CONFIG = ("maxTokenCount", "stopSequences", "temperature", "topP")
_COMPLETION_REASONS = {
    StopReason.END_TURN: "FINISH",
    StopReason.MAX_TOKENS: "LENGTH",
    StopReason.STOP_SEQUENCE: "STOP_CRITERIA_MET",
}


class TitanDialect(NativeDialect):
    """Requests with an `inputText`, answers with an `outputText`."""

    def read(self, asked: Asked) -> ModelRequest:
        """The request of a body."""
        body = asked.body
        check_keys(body, ("inputText",), ("textGenerationConfig",))
        config = mapping(body.get("textGenerationConfig"), "textGenerationConfig")
        check_keys(config, (), _CONFIG, "#/textGenerationConfig")
        written = required_text(body["inputText"], "inputText")
        prompt = PromptText()
        prompt.add("user", written)
        limit = config.get("maxTokenCount")
        return ModelRequest(
            prompt=written,
            input_tokens=prompt.input_tokens,
            max_tokens=token_limit(limit, "textGenerationConfig/maxTokenCount", asked.model, DEFAULT_MAX_TOKENS),
            stop_sequences=strings(config.get("stopSequences"), "textGenerationConfig/stopSequences"),
        )

    def whole(self, reply: WholeReply) -> tuple[HeaderFields, dict[str, Any]]:
        """The answer of InvokeModel."""
        result = {
            "tokenCount": reply.ending.usage.output_tokens,
            "outputText": reply.reasoning + reply.text,
            "completionReason": _COMPLETION_REASONS[reply.ending.stop_reason],
        }
        return whole_fields(reply), {"inputTextTokenCount": reply.ending.usage.input_tokens, "results": [result]}

    def writer(self, request: ModelRequest, served: ServedAs, usage: Usage, *, thinks: bool) -> "TitanWriter":
        """The frames of one answer."""
        return TitanWriter(self._padding, served, request.input_tokens)


class TitanWriter:
    """The chunks of one streamed answer. The first has the input's tokens, the last the reason and the numbers."""

    __slots__ = ("_input_tokens", "_padding", "_served", "_untold")

    def __init__(self, padding: Padding, served: ServedAs, input_tokens: int) -> None:
        self._padding = padding
        self._served = served
        self._input_tokens = input_tokens
        self._untold = str(input_tokens)

    def opening(self) -> Frames:
        """None: the first chunk is the first piece of text."""
        return ()

    def reasoning(self, text: str, output_tokens: int) -> Frames:
        """A piece of thought: these models have no other place for it than the text."""
        return self.text(text, output_tokens)

    def text(self, text: str, output_tokens: int) -> Frames:
        """A piece of text."""
        counts = f'"totalOutputTextTokenCount":null,"completionReason":null,"inputTextTokenCount":{self._untold}'
        self._untold = "null"
        return (raw_chunk(f'{{"outputText":{encode_text(text)},"index":0,{counts}}}', self._padding),)

    def closing(self, ending: Ending) -> Frames:
        """No more text; why, and the numbers."""
        last = {
            "outputText": "",
            "index": 0,
            "totalOutputTextTokenCount": ending.usage.output_tokens,
            "completionReason": _COMPLETION_REASONS[ending.stop_reason],
            "inputTextTokenCount": self._input_tokens,
            METRICS: metrics(ending, self._served.model),
        }
        return (chunk_frame(last, self._padding),)
