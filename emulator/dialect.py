"""How an API, and a family of models within it, writes requests and answers."""

from collections.abc import Sequence
from typing import Any, Protocol

from emulator.answer import Ending, ServedAs, Usage, WholeReply
from emulator.http import HeaderFields
from emulator.model_request import Asked, ModelRequest

Frames = Sequence[bytes]


class StreamWriter(Protocol):
    """Writes the event frames of one answer, in order: `opening`, then `reasoning` and `text`, then `closing`."""

    def opening(self) -> Frames:
        """Sent when the prefill is over; may be none."""

    def reasoning(self, text: str, output_tokens: int) -> Frames:
        """A piece of thought; `output_tokens` are out when it is."""

    def text(self, text: str, output_tokens: int) -> Frames:
        """A piece of the answer; `output_tokens` are out when it is."""

    def closing(self, ending: Ending) -> Frames:
        """All that follows the last piece; the last frame carries the usage."""


class Dialect(Protocol):
    """One way of writing requests and answers. It keeps nothing between requests."""

    def requested_tier(self, asked: Asked) -> str | None:
        """The service tier the request names, valid or not; None where it names none."""

    def requested_latency(self, asked: Asked) -> str | None:
        """The latency setting the request names, valid or not; None where it names none."""

    def read(self, asked: Asked) -> ModelRequest:
        """The request, checked as far as this emulator understands it; ServiceError otherwise."""

    def whole(self, reply: WholeReply) -> tuple[HeaderFields, dict[str, Any]]:
        """Header fields and body of an answer in one piece."""

    def stream_fields(self, served: ServedAs) -> HeaderFields:
        """Header fields of a streamed answer, beside those that all answers have."""

    def writer(self, request: ModelRequest, served: ServedAs, usage: Usage, *, thinks: bool) -> StreamWriter:
        """A writer for one streamed answer of which all but the output tokens of `usage` is known.

        `thinks` says whether it begins with thought.
        """
