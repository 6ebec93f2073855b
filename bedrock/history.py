"""The earlier turns of a conversation, as far as the next request can carry them."""

from collections.abc import Sequence

from bedrock.catalog import Model
from bedrock.invocation import Exchange
from bedrock.tokens import estimate_tokens


def room_for_history(model: Model, max_tokens: int, system_tokens: int, prompt_tokens: int) -> int:
    """Tokens that a model's context leaves for earlier turns; 0 or less where there is no room.

    The answer counts with all it may become: services refuse a request whose answer might not fit.
    """
    return model.context_tokens - min(max_tokens, model.max_output_tokens) - system_tokens - prompt_tokens


class Dialogue:
    """What two sides have said so far."""

    def __init__(self) -> None:
        self._exchanges: list[Exchange] = []
        self._tokens: list[int] = []

    def add(self, prompt: str, answer: str, answer_tokens: int | None = None) -> None:
        """A turn that was answered; one without visible text is left out, because APIs refuse blank texts.

        `answer_tokens` is the service's own count, None where it gave none and an estimate has to do.
        """
        if answer.strip():
            self._exchanges.append(Exchange(prompt, answer))
            said = estimate_tokens(answer) if answer_tokens is None else answer_tokens
            self._tokens.append(estimate_tokens(prompt) + said)

    def history(self, room_tokens: int | None) -> tuple[Exchange, ...]:
        """The latest exchanges that fit into so many tokens; None: all of them.

        The oldest go first, as chat applications do it, and whole exchanges only: roles must alternate.
        """
        return tuple(self._exchanges[_first_that_fits(self._tokens, room_tokens) :])


def _first_that_fits(tokens: Sequence[int], room_tokens: int | None) -> int:
    if room_tokens is None:
        return 0
    left = room_tokens
    for index in range(len(tokens) - 1, -1, -1):
        left -= tokens[index]
        if left < 0:
            return index + 1
    return 0
