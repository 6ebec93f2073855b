"""Fixtures: answers given in advance, each found by the prompt that it answers."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from bedrock.tokens import estimate_tokens
from emulator.answer import StopReason
from emulator.model_names import names_model
from emulator.model_request import ModelRequest
from emulator.tokens import split_tokens

#: Why a fixture's text may end; a stop sequence is the request's business.
STOP_REASONS = (StopReason.END_TURN, StopReason.MAX_TOKENS)

Tokens = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fixture:
    """An answer, and what it is the answer to: a prompt, or all prompts in which `pattern` is found.

    `model` (see `emulator.model_names`) and `system` (the whole system prompt) narrow that down, None is any.
    `output_tokens` counts thought and answer together, None takes the estimate.
    """

    text: str
    prompt: str | None = None
    pattern: re.Pattern[str] | None = None
    model: str | None = None
    system: str | None = None
    reasoning: str | None = None
    stop_reason: StopReason = StopReason.END_TURN
    output_tokens: int | None = None

    def answers(self, model_id: str, request: ModelRequest) -> bool:
        """Whether this is the answer to a request; `model_id` in any accepted form."""
        return (
            (self.prompt is None or self.prompt == request.prompt)
            and (self.system is None or self.system == request.system)
            and (self.model is None or names_model(self.model, model_id))
            and (self.pattern is None or self.pattern.search(request.prompt) is not None)
        )

    def tokens(self) -> tuple[Tokens, Tokens]:
        """Tokens of thought and of answer: as many as `output_tokens` says, whatever their texts would take."""
        return _tokens(self)


class Fixtures:
    """All fixtures. The first one that fits answers; exact prompts come before patterns."""

    def __init__(self, fixtures: Iterable[Fixture] = ()) -> None:
        self._by_prompt: dict[str, list[Fixture]] = {}
        self._patterns: list[Fixture] = []
        for fixture in fixtures:
            if fixture.prompt is None:
                self._patterns.append(fixture)
            else:
                self._by_prompt.setdefault(fixture.prompt, []).append(fixture)

    def __len__(self) -> int:
        return sum(map(len, self._by_prompt.values())) + len(self._patterns)

    def find(self, model_id: str, request: ModelRequest) -> Fixture | None:
        """The answer to a request, None where it has none; `model_id` in any accepted form."""
        candidates = chain(self._by_prompt.get(request.prompt, ()), self._patterns)
        return next((fixture for fixture in candidates if fixture.answers(model_id, request)), None)


NO_FIXTURES = Fixtures()


@lru_cache(maxsize=512)  # cutting a text of 400 tokens takes a quarter of a millisecond
def _tokens(fixture: Fixture) -> tuple[Tokens, Tokens]:
    of_thought, of_answer = estimate_tokens(fixture.reasoning or ""), estimate_tokens(fixture.text)
    if fixture.output_tokens is not None:
        of_thought = share(fixture.output_tokens, of_thought, of_answer)
        of_answer = fixture.output_tokens - of_thought
    return spread(fixture.reasoning or "", of_thought), spread(fixture.text, of_answer)


def share(count: int, part: int, rest: int) -> int:
    """How many of `count` go to `part` where it stands beside `rest`, at least one to each that is not 0."""
    if part == 0:
        return 0
    return min(max(1, round(count * part / (part + rest))), count - 1)


def spread(text: str, count: int) -> Tokens:
    """The text as exactly `count` tokens, some of which show nothing where there are more than pieces of it.

    The first and the last show something, if the text has two pieces; joined they are the text again.
    """
    pieces = [piece for piece in split_tokens(text) if piece]
    tokens = [""] * count
    for index, piece in enumerate(pieces):
        tokens[_slot(index, len(pieces), count)] += piece
    return tuple(tokens)


def _slot(index: int, pieces: int, count: int) -> int:
    """Which of `count` tokens shows a piece: the first the first, the last the last, the others evenly between."""
    return index * (count - 1) // max(pieces - 1, 1)
