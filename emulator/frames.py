"""Event frames as the service writes them: header order, JSON payloads, and padding.

Every event carries `p`, a random length of a fixed text, so that the sizes of encrypted events do not give the answer
away; SDKs ignore it. Seen in recorded traffic: always a prefix of the text below, 2 characters or more, 31 on average.
"""

import base64
import json
import random
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any
from zlib import crc32

from bedrock.eventstream import encode_frame_raw, encode_headers

_PADDING_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_SHORTEST_PADDING = 2
_PADDINGS = [_PADDING_ALPHABET[:length] for length in range(_SHORTEST_PADDING, len(_PADDING_ALPHABET) + 1)]
#: The sentences of the emulator's own answers need some 1,400 at a token an event, 2,800 at four; a few MB.
_KEPT_DELTAS = 8_192

encode_text = json.JSONEncoder(ensure_ascii=False).encode
_encode_document = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_encode_sorted = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


class Padding:
    """Paddings of random length."""

    def __init__(self, rng: random.Random) -> None:
        self._random = rng.random

    def next(self) -> str:
        """The next one."""
        return _PADDINGS[int(self._random() * len(_PADDINGS))]


@cache
def event_headers(event_type: str) -> bytes:
    """The header block of an event, in the service's order."""
    return encode_headers({":event-type": event_type, ":content-type": "application/json", ":message-type": "event"})


def event_frame(event_type: str, document: Mapping[str, Any], padding: Padding) -> bytes:
    """An event of Converse: JSON with its keys in alphabetical order, the padding among them."""
    payload = _encode_sorted({**document, "p": padding.next()})
    return encode_frame_raw(event_headers(event_type), payload.encode("utf-8", "replace"))


@lru_cache(maxsize=_KEPT_DELTAS)
def text_delta_frame(block: int, text: str) -> bytes:
    """A text delta of Converse. By far the most frequent event: written by hand, and kept, because texts recur.

    The length of its padding follows from the text, so that an event that recurs is the same bytes.
    """
    padding = _PADDINGS[crc32(text.encode("utf-8", "replace")) % len(_PADDINGS)]
    payload = f'{{"contentBlockIndex":{block},"delta":{{"text":{encode_text(text)}}},"p":"{padding}"}}'
    return encode_frame_raw(event_headers("contentBlockDelta"), payload.encode("utf-8", "replace"))


def chunk_frame(document: Mapping[str, Any], padding: Padding) -> bytes:
    """An event of InvokeModelWithResponseStream: the model's own JSON, keys in the order given, in base64."""
    inner = base64.b64encode(_encode_document(document).encode("utf-8", "replace")).decode("ascii")
    return encode_frame_raw(event_headers("chunk"), f'{{"bytes":"{inner}","p":"{padding.next()}"}}'.encode())


def exception_frame(exception_type: str, document: Mapping[str, Any]) -> bytes:
    """A modelled exception inside a stream; `exception_type` is the member's name, such as `throttlingException`."""
    headers = {
        ":exception-type": exception_type,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return encode_frame_raw(encode_headers(headers), _encode_sorted(document).encode())


def error_frame(code: str, message: str) -> bytes:
    """An unmodelled error inside a stream: it has no payload."""
    headers = {":error-code": code, ":error-message": message, ":message-type": "error"}
    return encode_frame_raw(encode_headers(headers), b"")
