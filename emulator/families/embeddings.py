"""Titan Text Embeddings V2: its body, and vectors in answer (`emulator.families.vectors`)."""

from dataclasses import dataclass
from typing import Any

from emulator import errors
from emulator.answer import ServedAs, Usage, WholeReply
from emulator.dialect import StreamWriter
from emulator.families.native import NativeDialect, whole_fields
from emulator.families.native_checks import array, boolean, check_keys, one_of, required_text
from emulator.families.vectors import embed, signs
from emulator.http import HeaderFields
from emulator.model_request import Asked, ModelRequest
from emulator.prompt_text import PromptText

#: Lengths of a vector that the model knows; the first one where none is given.
DIMENSIONS = (1024, 512, 256)
FLOAT, BINARY = "float", "binary"
#: The longest text it takes.
MAX_CHARACTERS = 50_000
MAX_TOKENS = 8192

_OPTIONAL = ("dimensions", "normalize", "embeddingTypes")
#: Digits after the point: finer than the single precision of real vectors.
_DIGITS = 9


@dataclass(frozen=True, slots=True)
class EmbeddingOptions:
    """How the vector is wanted."""

    dimensions: int
    is_normalized: bool
    types: tuple[str, ...]


class TitanEmbeddingsDialect(NativeDialect):
    """Requests with an `inputText`, answers with its vector. No token is generated: the answer is due at the TTFT."""

    def read(self, asked: Asked) -> ModelRequest:
        """The request of a body; `max_tokens` is 0, so that nothing is reserved, said or timed beyond the input."""
        body = asked.body
        check_keys(body, ("inputText",), _OPTIONAL)
        written = required_text(body["inputText"], "inputText")
        if len(written) > MAX_CHARACTERS:
            raise errors.malformed(f"#/inputText: expected maxLength: {MAX_CHARACTERS}, actual: {len(written)}")
        prompt = PromptText()
        prompt.add("user", written)
        if prompt.input_tokens > MAX_TOKENS:
            raise errors.too_many_input_tokens(MAX_TOKENS, prompt.input_tokens)
        return ModelRequest(prompt=written, input_tokens=prompt.input_tokens, max_tokens=0, options=_options(asked))

    def whole(self, reply: WholeReply) -> tuple[HeaderFields, dict[str, Any]]:
        """The answer of InvokeModel. `embedding` is there whatever types were asked for."""
        options: EmbeddingOptions = reply.request.options
        vector = embed(reply.request.prompt, options.dimensions, is_normalized=options.is_normalized)
        numbers = [round(value, _DIGITS) for value in vector]
        by_type = {FLOAT: numbers, BINARY: signs(vector)}
        body = {
            "embedding": numbers,
            "embeddingsByType": {name: by_type[name] for name in options.types},
            "inputTextTokenCount": reply.ending.usage.input_tokens,
        }
        return whole_fields(reply), body

    def writer(self, request: ModelRequest, served: ServedAs, usage: Usage, *, thinks: bool) -> StreamWriter:
        """There is none: a vector comes in one piece."""
        raise errors.unsupported_streaming()


def _options(asked: Asked) -> EmbeddingOptions:
    dimensions, types = asked.body.get("dimensions"), asked.body.get("embeddingTypes")
    return EmbeddingOptions(
        dimensions=DIMENSIONS[0] if dimensions is None else one_of(dimensions, DIMENSIONS, "dimensions"),
        is_normalized=boolean(asked.body.get("normalize"), "normalize", default=True),
        types=(FLOAT,) if types is None else _types(types),
    )


def _types(value: Any) -> tuple[str, ...]:
    named = array(value, "embeddingTypes")
    return tuple(one_of(name, (FLOAT, BINARY), f"embeddingTypes/{index}") for index, name in enumerate(named))
