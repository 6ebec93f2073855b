"""Conversations: their file, the chain they follow, and what the plan expects of them."""

import itertools
import re
from collections import Counter
from pathlib import Path
from statistics import fmean

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bedrock.tokens import estimate_tokens
from scenarios.prompts import load_prompts
from scenarios.session_files import absolute_sessions, load_sessions
from scenarios.session_plan import (
    expected_history_tokens,
    expected_visits,
    fundamental_matrix,
    planned_turns,
    session_shape,
)
from scenarios.sessions import Intent, SessionModel, SessionSampler
from scenarios.traffic import load_mix, load_routing
from scenarios.traffic_files import WHOLE, TrafficError

LIBRARY, ROUTING = load_prompts(), load_routing("nova")
SHIPPED = load_sessions("mangaassist")
ANSWER_TOKENS = 100.0


def sampler_of(model: SessionModel = SHIPPED, seed: int = 1, size: str | None = None) -> SessionSampler:
    return SessionSampler(model, ROUTING, LIBRARY, size, seed)


def drawn(count: int, sampler: SessionSampler) -> list[tuple]:
    return [tuple(sampler.turns(number)) for number in range(count)]


@pytest.fixture(scope="module")
def conversations():
    return drawn(6000, sampler_of())


def test_a_conversation_is_a_function_of_seed_and_number_alone():
    backwards = [tuple(sampler_of().turns(number)) for number in reversed(range(60))]

    assert drawn(60, sampler_of()) == list(reversed(backwards))
    assert drawn(60, sampler_of(seed=2)) != drawn(60, sampler_of())


def test_the_first_message_is_that_of_the_conversation():
    sampler = sampler_of()

    assert [sampler.message(number) for number in range(40)] == [turns[0].message for turns in drawn(40, sampler)]


def test_intents_follow_each_other_with_the_probabilities_of_the_file(conversations):
    pairs = Counter(pair for turns in conversations for pair in itertools.pairwise([turn.intent for turn in turns]))
    visits = Counter(turn.intent for turns in conversations for turn in turns)

    for intent in SHIPPED.intents:
        for other in SHIPPED.intents:
            probability = intent.following.get(other.name, 0) / WHOLE
            deviation = (probability * (1 - probability) / visits[intent.name]) ** 0.5
            assert pairs[intent.name, other.name] / visits[intent.name] == pytest.approx(probability, abs=4 * deviation)


def test_first_intents_are_dealt_by_their_shares(conversations):
    firsts = Counter(turns[0].intent for turns in conversations)

    assert firsts == {intent.name: intent.first * 6000 / WHOLE for intent in SHIPPED.intents if intent.first}


def test_turns_pauses_and_visits_are_those_that_the_chain_expects(conversations):
    shape = session_shape(SHIPPED)
    visits = Counter(turn.intent for turns in conversations for turn in turns)

    assert fmean(map(len, conversations)) == pytest.approx(shape.turns, rel=0.02)
    thinking_s = fmean(sum(turn.think_time_s for turn in turns) for turns in conversations)
    assert thinking_s == pytest.approx(shape.thinking_s, rel=0.03)
    for name, expected in expected_visits(SHIPPED).items():
        assert visits[name] / 6000 == pytest.approx(expected, rel=0.08)


def test_the_history_grows_as_the_plan_expects(conversations):
    """Every turn is as long as its intent's mean, as the formula has it, and all that was said before comes back."""
    tokens = {intent.name: 10.0 * number for number, intent in enumerate(SHIPPED.intents, start=1)}
    carried: dict[str, list[float]] = {intent.name: [] for intent in SHIPPED.intents}
    for turns in conversations:
        before = 0.0
        for turn in turns:
            carried[turn.intent].append(before)
            before += tokens[turn.intent]

    for name, expected in expected_history_tokens(SHIPPED, tokens).items():
        assert fmean(carried[name]) == pytest.approx(expected, rel=0.1)


def test_a_planned_turn_has_the_history_of_its_intent_in_the_proportions_of_all_turns():
    planned = planned_turns(sampler_of(size="medium"), 400, 1, ANSWER_TOKENS)
    simulated = []
    for turns in drawn(3000, sampler_of(size="medium")):
        before = 0.0
        for turn in turns:
            simulated.append(before)
            before += ANSWER_TOKENS + estimate_tokens(turn.message.text)

    assert fmean(turn.history_tokens for turn in planned) == pytest.approx(fmean(simulated), rel=0.06)
    assert {turn.model_id for turn in planned} == {ROUTING.simple, ROUTING.complex}


def test_nobody_changes_the_language_and_english_customers_ask_no_japanese_queries(conversations):
    languages = [{turn.message.language for turn in turns} for turns in conversations]

    assert all(len(spoken) == 1 for spoken in languages)
    assert Counter(language for spoken in languages for language in spoken)["ja"] / 6000 == pytest.approx(
        0.56, abs=0.01
    )
    asked = {turn.message.query_type for turns in conversations for turn in turns if turn.message.language == "en"}
    assert asked == set(load_mix("mangaassist").shares()) - {"japanese_query"}


def test_pauses_are_as_long_as_the_file_says_and_there_is_none_before_the_first_message(conversations):
    assert {turns[0].think_time_s for turns in conversations} == {0.0}
    for intent in SHIPPED.intents:
        low, high = intent.think_time_s
        pauses = [turn.think_time_s for turns in conversations for turn in turns[1:] if turn.intent == intent.name]
        assert not pauses or low <= min(pauses) <= max(pauses) <= high


def test_the_shipped_conversations_keep_the_workloads_figures_and_come_near_its_mix(conversations):
    following = SHIPPED.intent("discovery").following
    sent = Counter(turn.message.query_type for turns in conversations for turn in turns)

    assert following == {"product_question": 4500, "recommendation": 3000, "checkout": 1000}
    for name, share in load_mix("mangaassist").shares().items():
        assert sent[name] / sent.total() == pytest.approx(share, abs=0.03)


@st.composite
def chains(draw):
    """Chains of a few intents, each of which ends with some probability."""
    count = draw(st.integers(1, 4))
    names = [f"i{number}" for number in range(count)]
    intents = []
    for number, name in enumerate(names):
        weights = draw(st.lists(st.integers(0, 9000 // count), min_size=count, max_size=count))
        first = WHOLE if number == 0 else 0
        intents.append(Intent(name, first, {"greeting": WHOLE}, dict(zip(names, weights, strict=True)), (0.0, 1.0)))
    return SessionModel("drawn", None, SHIPPED.mix, {"en": WHOLE}, tuple(intents), 0)


@given(chains())
@settings(max_examples=50, deadline=None)
def test_visits_obey_the_balance_of_the_chain(model):
    """Whoever is at an intent began there or came from another: v = first + v Q."""
    visits = expected_visits(model)

    for intent in model.intents:
        came = sum(visits[other.name] * other.following[intent.name] / WHOLE for other in model.intents)
        assert visits[intent.name] == pytest.approx(intent.first / WHOLE + came)
    assert (fundamental_matrix(model) >= -1e-12).all()


# The file


VALID = {
    "mix": "mangaassist",
    "languages": {"en": "100%"},
    "think_time": "1s-2s",
    "intents": {
        "look": {"first": "100%", "query_types": {"product_lookup": "100%"}, "next": {"buy": "50%", "look": "20%"}},
        "buy": {"first": "0%", "query_types": {"price_check": "100%"}},
    },
}


def changed(path: str, value: object) -> dict:
    content = yaml.safe_load(yaml.safe_dump(VALID))
    *parents, last = path.split(".")
    place = content
    for key in parents:
        place = place[key]
    place[last] = value
    return content


@pytest.fixture
def write(tmp_path):
    def write(content: object) -> Path:
        path = tmp_path / "own.yaml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path

    return write


def test_an_own_file_is_read_and_an_intent_without_next_is_the_last(write):
    model = load_sessions(write(VALID))

    assert (model.name, model.repeats_after_failure) == ("own", 0)
    assert session_shape(model).turns == pytest.approx(1 / 0.8 + 0.5 / 0.8)
    assert model.intent("buy").following == {}


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("intents.look.next", {"buy": "90%", "look": "20%"}, "intents.look.next add up to 110 %, more than 100 %"),
        ("intents.look.next", {"bye": "10%"}, "intents.look.next names no intent 'bye'; did you mean 'buy'?"),
        ("intents.look.next", ["buy"], "intents.look.next must be a mapping of intents to probabilities, not a list"),
        ("intents.look.first", "60%", "the shares `first` of intents add up to 60 %, not 100 %"),
        ("intents.look.query_types", {"product_lookups": "100%"}, "did you mean 'product_lookup'?"),
        ("intents.look.query_types", {"product_lookup": "40%"}, "add up to 40 %, not 100 %"),
        ("intents.look.nxt", {}, "unknown key 'nxt' in intents.look; did you mean 'next'?"),
        ("intents.look", 3, "intents.look must be a mapping with first, query_types, next, not a number"),
        ("intents", {}, "intents must be a mapping of at least one intent"),
        ("think_time", "2s-1s", "think_time: '2s-1s' is not a range of durations"),
        ("think_time", None, "think_time is missing; write a range like 4s-12s"),
        ("repeats_after_failure", 11, "repeats_after_failure is 11; it must be a whole number up to 10"),
        ("languages", {"fr": "100%"}, "unknown key 'fr' in languages"),
        ("mix", "manga", "mix: Cannot use 'manga' as a mix"),
        ("mix", 3, "mix must be the name or the file of a mix, not a number"),
    ],
)
def test_a_mistake_is_one_sentence(write, path, value, problem):
    with pytest.raises(TrafficError) as caught:
        load_sessions(write(changed(path, value)))

    assert len(caught.value.problems) == 1 or path == "languages"
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("following", "trapped"),
    [
        ({"look": "100%"}, "look"),
        ({"buy": "100%"}, "buy or look"),
    ],
)
def test_a_conversation_that_can_never_end_is_refused(write, following, trapped):
    content = changed("intents.look.next", following)
    if "buy" in following:
        content["intents"]["buy"]["next"] = {"look": "100%"}

    with pytest.raises(TrafficError, match=f"a conversation that comes to {trapped} never ends"):
        load_sessions(write(content))


def test_an_endless_intent_that_nobody_comes_to_does_no_harm(write):
    content = changed("intents.look.next", {})
    content["intents"]["buy"]["next"] = {"buy": "100%"}

    assert len(load_sessions(write(content)).intents) == 2


def test_names_stay_names_and_paths_start_at_the_folder(tmp_path):
    assert absolute_sessions("mangaassist", tmp_path) == "mangaassist"
    assert absolute_sessions("own.yaml", tmp_path) == str(tmp_path / "own.yaml")


# The documentation

DOCUMENT = (Path(__file__).parents[2] / "docs" / "sessions.md").read_text(encoding="utf-8")


def test_the_documented_file_works(write):
    (example,) = re.findall(r"^```yaml sessions\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
    model = load_sessions(write(yaml.safe_load(example)))

    assert session_shape(model).turns == pytest.approx(0.8 / 0.5 * 1.3 + 0.2)


def test_the_documented_tables_are_the_shipped_file():
    rows = {
        row[0]: row for row in re.findall(r"^\| (\w+) \| (\d+) % \| (.*?) \| ([\d-]+) s \|$", DOCUMENT, re.MULTILINE)
    }
    visits = re.search(r"^\| messages \| (.*) \|$", DOCUMENT, re.MULTILINE)

    assert rows.keys() == {intent.name for intent in SHIPPED.intents}
    for intent in SHIPPED.intents:
        _, first, following, pause = rows[intent.name]
        assert int(first) * 100 == intent.first
        then = dict(part.split(" ") for part in following.removesuffix(" %").split(" %, "))
        assert {name: int(percent) * 100 for name, percent in then.items()} == intent.following
        assert tuple(map(float, pause.split("-"))) == intent.think_time_s
    counts = [f"{count:.2f}" for count in expected_visits(SHIPPED).values()]
    assert visits is not None
    assert visits[1].split(" | ") == [*counts, f"{session_shape(SHIPPED).turns:.2f}"]
