"""What is said in one answer: how long it wants to be, what cuts it short, and its text."""

from collections.abc import Sequence
from dataclasses import dataclass

from emulator.answer import StopReason
from emulator.model_request import ModelRequest
from emulator.text import ResponseLibrary
from emulator.timing import Draw, Profile


@dataclass(frozen=True, slots=True)
class Said:
    """An answer's tokens, thought and answer apart, and why it ends. Some tokens show nothing."""

    reasoning: Sequence[str]
    answer: Sequence[str]
    stop_reason: StopReason
    stop_sequence: str | None = None

    @property
    def sizes(self) -> tuple[int, int]:
        """Number of tokens of thought and of answer."""
        return len(self.reasoning), len(self.answer)


def compose(request: ModelRequest, profile: Profile, draw: Draw, library: ResponseLibrary, seed: int) -> Said:
    """The answer to a request. `max_tokens` holds for thought and answer together."""
    thought = _reasoning_tokens(request, profile, draw)
    room = request.max_tokens - thought
    reasoning = library.reasoning_tokens(request.prompt, seed, thought) if thought else []
    wanted = max(1, round(profile.output_tokens.at(draw.length)))
    is_cut = wanted > room
    count = min(wanted, room)
    answer = library.answer_tokens(request.prompt, seed, count, complete=not is_cut) if count else []
    stop = _first_stop(answer, request.stop_sequences)
    if stop is not None:
        sequence, at = stop
        return Said(reasoning, _up_to(answer, at), StopReason.STOP_SEQUENCE, sequence)
    return Said(reasoning, answer, StopReason.MAX_TOKENS if is_cut else StopReason.END_TURN)


def _reasoning_tokens(request: ModelRequest, profile: Profile, draw: Draw) -> int:
    if request.reasoning_budget is None and not profile.always_reasons:
        return 0
    wanted = max(1, round(profile.reasoning_tokens.at(draw.reasoning)))
    return min(wanted, request.max_tokens, request.reasoning_budget or request.max_tokens)


def _first_stop(tokens: Sequence[str], sequences: Sequence[str]) -> tuple[str, int] | None:
    """The stop sequence that comes first in the text, and where; the longest of those at the same place."""
    if not sequences:
        return None
    text = "".join(tokens)
    found = [(at, -len(sequence), sequence) for sequence in sequences if (at := text.find(sequence)) >= 0]
    if not found:
        return None
    at, _, sequence = min(found)
    return sequence, at


def _up_to(tokens: Sequence[str], length: int) -> list[str]:
    """The tokens that show the first `length` characters, at least one: the model has decoded it to see the stop."""
    kept: list[str] = []
    shown = 0
    for token in tokens:
        if kept and shown >= length:
            break
        kept.append(token[: length - shown])
        shown += len(kept[-1])
    return kept
