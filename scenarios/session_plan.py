"""What conversations amount to on average: turns, pauses, and how much the history adds to each prompt.

Intents are the transient states of an absorbing Markov chain, the end of the conversation its absorbing state. With Q
the transition probabilities between intents, the fundamental matrix N = (I - Q)^-1 holds how often a conversation that
is at intent i will be at intent j, this time included (Kemeny and Snell, Finite Markov Chains, 1960, section 3.2).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from bedrock.tokens import estimate_tokens
from scenarios.decks import Deck
from scenarios.sessions import SessionModel, SessionSampler, SessionShape
from scenarios.traffic import Message
from scenarios.traffic_files import WHOLE

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PlannedTurn:
    """A message of a conversation with the expected tokens of what was said before it."""

    text: str
    model_id: str
    max_tokens: int | None
    history_tokens: float


def fundamental_matrix(model: SessionModel) -> Vector:
    """N = (I - Q)^-1, in the order of the model's intents."""
    transitions = np.array(
        [[intent.following.get(other.name, 0) / WHOLE for other in model.intents] for intent in model.intents]
    )
    return np.asarray(np.linalg.inv(np.eye(len(model.intents)) - transitions), dtype=np.float64)


def expected_visits(model: SessionModel) -> dict[str, float]:
    """How many messages of each intent a conversation has on average."""
    first = np.array([intent.first / WHOLE for intent in model.intents])
    visits = first @ fundamental_matrix(model)
    return {intent.name: float(count) for intent, count in zip(model.intents, visits, strict=True)}


def session_shape(model: SessionModel) -> SessionShape:
    """Mean number of turns and mean seconds of thinking in a conversation; nobody thinks before the first turn."""
    visits = expected_visits(model)
    thinking_s = sum(
        (visits[intent.name] - intent.first / WHOLE) * fmean(intent.think_time_s) for intent in model.intents
    )
    return SessionShape(sum(visits.values()), thinking_s)


def expected_history_tokens(model: SessionModel, tokens: Mapping[str, float]) -> dict[str, float]:
    """Mean tokens of history before a message, by its intent; `tokens` are those of a turn of each intent, answer too.

    A turn of intent j is part of the prompt of every later turn, of which N[j, i] - [i = j] are of intent i; so
    H[i] = sum over j of visits[j] * tokens[j] * (N[j, i] - [i = j]) in a whole conversation, which visits[i] share.
    What a model's context cuts off is not taken off.
    """
    visits = expected_visits(model)
    said = np.array([visits[intent.name] * tokens[intent.name] for intent in model.intents])
    carried = said @ (fundamental_matrix(model) - np.eye(len(model.intents)))
    return {
        intent.name: float(total) / visits[intent.name] if visits[intent.name] else 0.0
        for intent, total in zip(model.intents, carried, strict=True)
    }


def planned_turns(sampler: SessionSampler, count: int, seed: int, answer_tokens: float) -> tuple[PlannedTurn, ...]:
    """Messages in the proportions of all turns, each with its expected history; answers are `answer_tokens` long."""
    model = sampler.model
    messages = _messages(sampler, count, seed)
    tokens = {
        intent.name: answer_tokens
        + fmean([estimate_tokens(message.text) for name, message in messages if name == intent.name] or [0.0])
        for intent in model.intents
    }
    history = expected_history_tokens(model, tokens)
    return tuple(
        PlannedTurn(message.text, message.model_id, message.max_tokens, history[name]) for name, message in messages
    )


def _messages(sampler: SessionSampler, count: int, seed: int) -> list[tuple[str, Message]]:
    model = sampler.model
    weights = [round(visits * WHOLE) for visits in expected_visits(model).values()]
    intents, languages = (
        Deck(weights, count, f"{seed}/plan"),
        [name for name, share in model.languages.items() if share],
    )
    by_intent = Deck([model.languages[name] for name in languages], count, f"{seed}/plan/language")
    found = []
    for number in range(count):
        drawn = intents.draw(number)
        intent, language = model.intents[drawn.item], languages[by_intent.draw(drawn.ordinal).item]
        message = sampler.message_for(intent, language, Random(f"plan:{seed}:{number}"))
        found.append((intent.name, message))
    return found
