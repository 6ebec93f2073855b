"""What is said in one answer: its text, a fixture's or improvised, how long it is, and what cuts it short."""

from collections.abc import Sequence
from dataclasses import dataclass

from emulator.answer import StopReason
from emulator.fixtures import Fixture
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


def compose(
    request: ModelRequest,
    profile: Profile,
    draw: Draw,
    library: ResponseLibrary,
    seed: int,
    *,
    fixture: Fixture | None = None,
) -> Said:
    """The answer to a request: the fixture's, or of the library's sentences as many as the draw wants.

    `max_tokens` holds for thought and answer together, and stop sequences for every answer.
    """
    if fixture is None:
        said = _improvised(request, profile, draw, library, seed)
    else:
        said = _recited(fixture, request.max_tokens)
    stop = _first_stop(said.answer, request.stop_sequences)
    if stop is None:
        return said
    sequence, at = stop
    return Said(said.reasoning, _up_to(said.answer, at), StopReason.STOP_SEQUENCE, sequence)


def _recited(fixture: Fixture, max_tokens: int) -> Said:
    reasoning, answer = fixture.tokens()
    is_cut = len(reasoning) + len(answer) > max_tokens
    room = max(0, max_tokens - len(reasoning))
    return Said(reasoning[:max_tokens], answer[:room], StopReason.MAX_TOKENS if is_cut else fixture.stop_reason)


def _improvised(request: ModelRequest, profile: Profile, draw: Draw, library: ResponseLibrary, seed: int) -> Said:
    thought = _reasoning_tokens(request, profile, draw)
    room = request.max_tokens - thought
    reasoning = library.reasoning_tokens(request.prompt, seed, thought) if thought else []
    wanted = max(1, round(profile.output_tokens.at(draw.length)))
    is_cut = wanted > room
    count = min(wanted, room)
    answer = library.answer_tokens(request.prompt, seed, count, complete=not is_cut) if count else []
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
