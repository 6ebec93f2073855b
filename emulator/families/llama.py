"""Llama's bodies as InvokeModel takes and gives them: one prompt, written in the model's chat template or plain."""

import re
from typing import Any

from emulator.answer import Ending, ServedAs, Usage, WholeReply
from emulator.dialect import Frames
from emulator.families.native import METRICS, NativeDialect, metrics, raw_chunk, stop_or_length, whole_fields
from emulator.families.native_checks import check_keys, required_text, token_limit
from emulator.frames import Padding, chunk_frame, encode_text
from emulator.http import HeaderFields
from emulator.model_request import Asked, ModelRequest
from emulator.prompt_text import PromptText

#: What AWS documents where `max_gen_len` is left out.
DEFAULT_MAX_TOKENS = 512

_OPTIONAL = ("max_gen_len", "temperature", "top_p")

#: The head of a turn, in the template of Llama 3 or of Llama 4.
_TURN = re.compile(r"<\|(?:start_header_id|header_start)\|>\s*(\w{1,40})\s*<\|(?:end_header_id|header_end)\|>")
_SPECIAL_TOKEN = re.compile(r"<\|\w{1,40}\|>")


class LlamaDialect(NativeDialect):
    """Requests with a `prompt`, answers with a `generation`."""

    def read(self, asked: Asked) -> ModelRequest:
        """The request of a body."""
        body = asked.body
        check_keys(body, ("prompt",), _OPTIONAL)
        prompt = PromptText()
        return ModelRequest(
            prompt=_read_prompt(required_text(body["prompt"], "prompt"), prompt),
            input_tokens=prompt.input_tokens,
            max_tokens=token_limit(body.get("max_gen_len"), "max_gen_len", asked.model, DEFAULT_MAX_TOKENS),
            system=prompt.system,
        )

    def whole(self, reply: WholeReply) -> tuple[HeaderFields, dict[str, Any]]:
        """The answer of InvokeModel."""
        body = {
            "generation": reply.reasoning + reply.text,
            "prompt_token_count": reply.ending.usage.input_tokens,
            "generation_token_count": reply.ending.usage.output_tokens,
            "stop_reason": stop_or_length(reply.ending.stop_reason),
        }
        return whole_fields(reply), body

    def writer(self, request: ModelRequest, served: ServedAs, usage: Usage, *, thinks: bool) -> "LlamaWriter":
        """The frames of one answer."""
        return LlamaWriter(self._padding, served, request.input_tokens)


class LlamaWriter:
    """The chunks of one streamed answer. The first has the prompt's tokens, the last the reason and the numbers."""

    __slots__ = ("_padding", "_prompt_tokens", "_served")

    def __init__(self, padding: Padding, served: ServedAs, prompt_tokens: int) -> None:
        self._padding = padding
        self._served = served
        self._prompt_tokens: int | None = prompt_tokens

    def opening(self) -> Frames:
        """None: the first chunk is the first piece of text."""
        return ()

    def reasoning(self, text: str, output_tokens: int) -> Frames:
        """A piece of thought: these models have no other place for it than the text."""
        return self.text(text, output_tokens)

    def text(self, text: str, output_tokens: int) -> Frames:
        """A piece of text."""
        counts = f'"prompt_token_count":{self._prompt_tokens or "null"},"generation_token_count":{output_tokens}'
        self._prompt_tokens = None
        return (raw_chunk(f'{{"generation":{encode_text(text)},{counts},"stop_reason":null}}', self._padding),)

    def closing(self, ending: Ending) -> Frames:
        """No more text; why, and the numbers."""
        last = {
            "generation": "",
            "prompt_token_count": None,
            "generation_token_count": ending.usage.output_tokens,
            "stop_reason": stop_or_length(ending.stop_reason),
            METRICS: metrics(ending, self._served.model),
        }
        return (chunk_frame(last, self._padding),)


def _read_prompt(raw: str, prompt: PromptText) -> str:
    """Read a prompt without its template; the text of the last user turn, or all of it where there are no turns."""
    parts = _TURN.split(raw)
    turns = [("system", parts[0]), *zip(parts[1::2], parts[2::2], strict=True)] if len(parts) > 1 else [("user", raw)]
    last_user_text = ""
    for role, written in turns:
        said = _SPECIAL_TOKEN.sub("", written).strip()
        if said:
            prompt.add(role, said)
        if said and role == "user":
            last_user_text = said
    return last_user_text
