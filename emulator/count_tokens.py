"""CountTokens: what a request's input would be charged, without sending it to a model.

As the service does, it counts for a model and not for an inference profile. Which models AWS counts for changes; here
it is all that answer with text.
"""

import binascii
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bedrock.catalog import split_model_id
from emulator import errors
from emulator.body_checks import decode_body, mapping
from emulator.dialects import Dialects
from emulator.families.native_checks import required_text
from emulator.model_request import Asked
from emulator.operations import Operation

_BODY = "input/invokeModel/body"


def count_tokens(asked: Asked, dialects: Dialects) -> int:
    """Tokens of the request inside a request; ServiceError where that one is not valid."""
    if not asked.model.is_chat or split_model_id(asked.model_id).prefix is not None:
        raise errors.unsupported_counting()
    operation, body = _counted_request(asked.body)
    return dialects.of(operation, asked.model).read(replace(asked, body=body)).input_tokens


def _counted_request(body: Mapping[str, Any]) -> tuple[Operation, Mapping[str, Any]]:
    """The operation a request is meant for, and its body."""
    given = {name: value for name, value in mapping(body.get("input"), "input").items() if value is not None}
    if given.keys() == {"converse"}:
        return Operation.CONVERSE, mapping(given["converse"], "input/converse")
    if given.keys() == {"invokeModel"}:
        encoded = required_text(mapping(given["invokeModel"], "input/invokeModel").get("body"), _BODY)
        return Operation.INVOKE, decode_body(_decoded(encoded))
    raise errors.constraint("Value at 'input'", "Exactly one of converse, invokeModel must be set")


def _decoded(encoded: str) -> bytes:
    try:
        return binascii.a2b_base64(encoded.encode("ascii"), strict_mode=True)
    except ValueError:
        raise errors.malformed(f"#/{_BODY}: it is not base64") from None
