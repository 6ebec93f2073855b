"""What a client asks of a model, whatever API and body it was written in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bedrock.catalog import Model


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came, its body decoded: what a dialect reads. Header names are in lower case."""

    model: Model
    model_id: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CachePrefix:
    """The part of a prompt up to a cache point: its identity, its size, and how long it is to be kept."""

    digest: bytes
    tokens: int
    ttl_s: float


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A valid request: what the timing model, the quota and the answer need of it.

    `prompt` is the text of the last user message, which is what gets answered; `input_tokens` counts all that the
    model reads, cached or not. `reasoning_budget` is the most tokens it may think, None where it was not asked to.
    """

    prompt: str
    input_tokens: int
    max_tokens: int
    stop_sequences: tuple[str, ...] = ()
    reasoning_budget: int | None = None
    cache_prefixes: tuple[CachePrefix, ...] = ()
    #: The text of the system prompt, None without one.
    system: str | None = None
    #: What only the dialect that read the request understands, such as the size of an embedding.
    options: Any = None
