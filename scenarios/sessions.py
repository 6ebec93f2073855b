"""Conversations: which intent comes first, which follows, what is said and after how long a pause.

Conversation number i of a seed is a pure function of both: every process, a plan and a repeated run see the same one.
`scenarios.session_files` reads the data, docs/sessions.md describes it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random

from scenarios.decks import Deck
from scenarios.prompts import PromptLibrary
from scenarios.traffic import DETAIL_BLOCK, MIX_BLOCK, Message, MessageSampler, Mix, Routing
from scenarios.traffic_files import WHOLE, Shares


@dataclass(frozen=True, slots=True)
class Intent:
    """What a customer wants with a message.

    Shares are hundredths of a percent: `first` of the conversations that begin so, `query_types` of its messages,
    `following` of the intents that come next (the rest to WHOLE ends the conversation). `think_time_s` is the shortest
    and the longest pause before such a message.
    """

    name: str
    first: int
    query_types: Shares
    following: Shares
    think_time_s: tuple[float, float]


@dataclass(frozen=True, slots=True)
class SessionModel:
    """All that is known of conversations; their query types are those of `mix`, `languages` add up to WHOLE.

    `repeats_after_failure` is how often a customer asks again after a message that got no answer, before they leave.
    """

    name: str
    description: str | None
    mix: Mix
    languages: Shares
    intents: tuple[Intent, ...]
    repeats_after_failure: int

    def intent(self, name: str) -> Intent:
        """The intent of this name."""
        return next(intent for intent in self.intents if intent.name == name)

    def query_types(self, intent: Intent, language: str) -> dict[str, int]:
        """Weights of the query types that stand for an intent in a language; all of them where none has it."""
        speaking = {
            query_type.name
            for query_type in self.mix.query_types
            if query_type.languages.get(language, 0) or not query_type.languages
        }
        fitting = {name: share for name, share in intent.query_types.items() if name in speaking and share}
        return fitting or dict(intent.query_types)


@dataclass(frozen=True, slots=True)
class SessionTurn:
    """One message of a conversation, and the pause before it (0 before the first)."""

    intent: str
    message: Message
    think_time_s: float


@dataclass(frozen=True, slots=True)
class SessionShape:
    """Means of one conversation: `turns` are its messages, `thinking_s` all its pauses, in seconds."""

    turns: float = 1.0
    thinking_s: float = 0.0

    def lasts_s(self, e2e_s: float) -> float:
        """Seconds from its first message to the end of its last answer, which take `e2e_s` each."""
        return self.turns * e2e_s + self.thinking_s


#: A message that stands alone.
ONE_SHOT = SessionShape()


class SessionSampler:
    """Conversations of a model, routed, with prompts of one size or (None) of the mix's own sizes.

    First intents and languages are dealt evenly, like the mix's query types; all that follows is drawn independently,
    as a Markov chain asks for it.
    """

    def __init__(self, model: SessionModel, routing: Routing, library: PromptLibrary, size: str | None, seed: int):
        self.model = model
        self.routing = routing.name
        self._seed = seed
        self._samplers = {
            language: MessageSampler(_in_language(model.mix, language), routing, library, size, seed)
            for language, share in model.languages.items()
            if share
        }
        self._firsts = [intent for intent in model.intents if intent.first]
        self._openings = Deck([intent.first for intent in self._firsts], MIX_BLOCK, f"{seed}/first")
        languages = [model.languages[language] for language in self._samplers]
        self._languages = {
            intent.name: Deck(languages, DETAIL_BLOCK, f"{seed}/{intent.name}/language") for intent in self._firsts
        }

    def turns(self, number: int) -> Iterator[SessionTurn]:
        """The messages of the conversation with this number, counted from 0, one by one: it may be long."""
        opening = self._openings.draw(number)
        intent: Intent | None = self._firsts[opening.item]
        language = self._language(self._firsts[opening.item], opening.ordinal)
        draw = Random(f"conversation:{self._seed}:{number}")
        think_time_s = 0.0
        while intent is not None:
            yield SessionTurn(intent.name, self.message_for(intent, language, draw), think_time_s)
            following = pick(intent.following, WHOLE, draw)
            intent = None if following is None else self.model.intent(following)
            think_time_s = 0.0 if intent is None else draw.uniform(*intent.think_time_s)

    def _language(self, first: Intent, ordinal: int) -> str:
        return tuple(self._samplers)[self._languages[first.name].draw(ordinal).item]

    def message_for(self, intent: Intent, language: str, draw: Random) -> Message:
        """Any message that stands for an intent in a language."""
        weights = self.model.query_types(intent, language)
        query_type = pick(weights, sum(weights.values()), draw)
        return self._samplers[language].message_of_type(query_type or next(iter(weights)), draw.getrandbits(31))

    def message(self, number: int) -> Message:
        """The first message of the conversation with this number."""
        return next(self.turns(number)).message


def pick(weights: Mapping[str, int], whole: int, draw: Random) -> str | None:
    """A name with the probability weight / whole; None with the rest."""
    place = draw.random() * whole
    for name, weight in weights.items():
        place -= weight
        if place < 0.0:
            return name
    return None


def _in_language(mix: Mix, language: str) -> Mix:
    """The mix as somebody asks it who speaks one language."""
    spoken = tuple(replace(query_type, languages={language: WHOLE}) for query_type in mix.query_types)
    return replace(mix, query_types=spoken)
