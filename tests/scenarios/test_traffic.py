"""Samplers: the shares and routes of the mix, messages as a function of seed and index, users' prompt libraries."""

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.prompts import DEFAULT_FILE, SIZES, Prompt, PromptFileError, PromptLibrary, load_prompts
from scenarios.traffic import (
    MIX_BLOCK,
    Message,
    MessageSampler,
    Mix,
    QueryType,
    SinglePromptSampler,
    load_mix,
    load_routing,
)
from scenarios.traffic_files import WHOLE

HAIKU, SONNET = "anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-3-sonnet-20240229-v1:0"

library = load_prompts(DEFAULT_FILE)
mangaassist = load_mix("mangaassist")
reference = load_routing("reference")

seeds = st.integers(min_value=0, max_value=2**63)
indexes = st.integers(min_value=0, max_value=10**8)
sizes = st.sampled_from([None, *SIZES])


def default_library(*sizes):
    return PromptLibrary("mine.json", tuple(Prompt(size, None, size, None, None, f"A {size} one.") for size in sizes))


def messages(count, *, mix=mangaassist, prompts=library, size=None, seed=1, start=0):
    sampler = MessageSampler(mix, reference, prompts, size, seed)
    return [sampler.message(index) for index in range(start, start + count)]


# The shipped mix


def test_the_shipped_mix_is_the_workloads():
    assert mangaassist.shares() == {
        "product_lookup": 0.25,
        "recommendation": 0.20,
        "price_check": 0.15,
        "japanese_query": 0.12,
        "manga_summary": 0.10,
        "order_status": 0.10,
        "greeting": 0.08,
    }
    assert sum(query_type.share for query_type in mangaassist.query_types) == WHOLE


@pytest.mark.parametrize(
    ("query_type", "simple", "complex_"),
    [
        ("product_lookup", HAIKU, HAIKU),
        ("recommendation", SONNET, SONNET),
        ("price_check", HAIKU, HAIKU),
        ("japanese_query", HAIKU, SONNET),
        ("manga_summary", SONNET, SONNET),
        ("order_status", HAIKU, HAIKU),
        ("greeting", HAIKU, HAIKU),
    ],
)
def test_query_types_are_routed_as_in_production(query_type, simple, complex_):
    entry = next(entry for entry in mangaassist.query_types if entry.name == query_type)

    assert reference.model_id(entry.role("simple")) == simple
    assert reference.model_id(entry.role("complex")) == complex_
    assert reference.model_id(entry.role(None)) == simple


@given(seeds, st.integers(min_value=0, max_value=10**6), sizes)
@settings(max_examples=30, deadline=None)
def test_every_hundred_messages_hold_the_exact_mix(seed, block, size):
    counts = Counter(message.query_type for message in messages(100, size=size, seed=seed, start=100 * block))

    assert {name: count / 100 for name, count in counts.items()} == mangaassist.shares()


@given(seeds, st.integers(min_value=0, max_value=10**6))
@settings(max_examples=30, deadline=None)
def test_every_twenty_messages_hold_the_mix_to_the_message(seed, block):
    counts = Counter(message.query_type for message in messages(20, seed=seed, start=20 * block))

    assert all(abs(counts[name] - 20 * share) < 1 for name, share in mangaassist.shares().items())


@given(seeds)
@settings(max_examples=10, deadline=None)
def test_a_thousand_messages_hold_the_sizes_and_languages_closely(seed):
    sent = messages(1000, seed=seed)
    by_size = Counter(message.prompt_size for message in sent)
    by_language = Counter(message.language for message in sent)

    assert all(
        abs(by_size[size] - 1000 * share) <= 10 for size, share in [("small", 0.4), ("medium", 0.4), ("large", 0.2)]
    )
    assert abs(by_language["ja"] - 560) <= 10


def test_the_shares_within_a_query_type_are_exact_in_the_long_run():
    sent = [message for message in messages(12_000) if message.query_type == "japanese_query"]

    assert Counter(message.complexity for message in sent) == {"simple": 1080, "complex": 360}
    assert Counter(message.prompt_size for message in sent) == {"small": 576, "medium": 576, "large": 288}
    assert {message.language for message in sent} == {"ja"}


def test_a_complex_japanese_query_goes_to_the_complex_route():
    sent = [message for message in messages(1000) if message.query_type == "japanese_query"]

    assert {(message.complexity, message.model_id) for message in sent} == {("simple", HAIKU), ("complex", SONNET)}


def test_a_third_of_the_messages_take_the_complex_route():
    """20 % recommendation, 10 % manga_summary and a quarter of 12 % japanese_query."""
    assert Counter(message.model_id for message in messages(10_000)) == {HAIKU: 6700, SONNET: 3300}


def test_every_prompt_of_a_query_type_is_sent_equally_often():
    sent = messages(60_000)
    counts = Counter(message.prompt_id for message in sent)
    typed = [prompt for prompt in library.prompts if prompt.query_type is not None]

    assert set(counts) == {prompt.id for prompt in typed}
    for query_type in mangaassist.shares():
        small_english = [counts[prompt.id] for prompt in library.select("small", query_type) if prompt.language == "en"]
        assert max(small_english, default=0) - min(small_english, default=0) <= 2


def test_a_message_is_the_prompt_it_names():
    by_id = {prompt.id: prompt for prompt in library.prompts}

    for message in messages(300):
        prompt = by_id[message.prompt_id]
        assert (message.text, message.prompt_size, message.language) == (prompt.text, prompt.size, prompt.language)
        assert (message.query_type, message.complexity) == (prompt.query_type, prompt.complexity)


# Pure in seed and index


@given(seeds, sizes, st.lists(indexes, min_size=1, max_size=20))
@settings(max_examples=30, deadline=None)
def test_a_message_depends_on_seed_and_index_only(seed, size, asked):
    used = MessageSampler(mangaassist, reference, library, size, seed)
    all_at_once = [used.message(index) for index in asked]

    fresh = [MessageSampler(mangaassist, reference, library, size, seed).message(index) for index in asked]

    assert all_at_once == fresh


@given(st.lists(seeds, min_size=2, max_size=2, unique=True))
@settings(max_examples=30, deadline=None)
def test_different_seeds_give_different_messages(two_seeds):
    one, other = ([message.prompt_id for message in messages(100, seed=seed)] for seed in two_seeds)

    assert one != other


def test_message_ids_are_unique():
    assert len({message.message_id for message in messages(1000)}) == 1000


def test_the_messages_are_the_same_in_every_release():
    """A change here silently changes what recorded runs and baselines sent."""
    assert [message.prompt_id for message in messages(6, seed=42)] == [
        "product_lookup-medium-en-3",
        "greeting-small-en-2",
        "japanese_query-medium-ja-simple-2",
        "product_lookup-medium-ja-2",
        "japanese_query-medium-ja-simple-3",
        "recommendation-medium-en-1",
    ]


def test_a_routing_changes_the_model_and_nothing_else():
    nova = MessageSampler(mangaassist, load_routing("nova"), library, None, 1)
    renamed = {HAIKU: "amazon.nova-2-lite-v1:0", SONNET: "amazon.nova-pro-v1:0"}

    for message in messages(100):
        assert nova.message(int(message.message_id)).model_id == renamed[message.model_id]
        assert nova.message(int(message.message_id)).text == message.text


# Users' libraries


@pytest.mark.parametrize("size", SIZES)
def test_a_library_of_default_entries_serves_the_whole_mix(size):
    sent = messages(100, prompts=default_library(*SIZES), size=size)

    assert {message.prompt_id for message in sent} == {size}
    assert {message.language for message in sent} == {None}
    assert Counter(message.query_type for message in sent)["greeting"] == 8
    assert Counter(message.model_id for message in sent)[SONNET] in (32, 33, 34)


def test_bare_texts_take_the_complexity_that_was_drawn():
    sent = messages(10_000, prompts=default_library(*SIZES))
    japanese = [message.complexity for message in sent if message.query_type == "japanese_query"]

    assert Counter(japanese) == {"simple": 900, "complex": 300}
    assert {message.complexity for message in sent if message.query_type == "manga_summary"} == {"complex"}


def test_a_size_the_library_lacks_is_refused_before_the_run():
    with pytest.raises(PromptFileError, match="it has no large prompt; it has: small, medium"):
        MessageSampler(mangaassist, reference, default_library("small", "medium"), None, 1)
    with pytest.raises(PromptFileError, match="did you mean 'small'"):
        MessageSampler(mangaassist, reference, library, "smal", 1)


def test_a_library_without_a_language_gives_its_share_to_the_other():
    english = PromptLibrary("english.json", tuple(prompt for prompt in library.prompts if prompt.language == "en"))

    assert {message.language for message in messages(1000, prompts=english)} == {"en"}


def test_a_library_without_complex_queries_sends_simple_ones():
    simple = PromptLibrary("simple.json", tuple(prompt for prompt in library.prompts if prompt.complexity != "complex"))
    sent = [message for message in messages(1000, prompts=simple) if message.query_type == "japanese_query"]

    assert {(message.complexity, message.model_id) for message in sent} == {("simple", HAIKU)}


# One prompt size, one model


@given(seeds, st.lists(indexes, max_size=10))
def test_a_single_prompt_is_always_the_same_message(seed, asked):
    sampler = SinglePromptSampler(library, "large", seed, "amazon.nova-premier-v1:0")

    for index in asked:
        message = sampler.message(index)
        assert message == Message(
            message_id=str(index),
            query_type=None,
            complexity=None,
            language="en",
            prompt_size="large",
            prompt_id="large",
            text=library.select("large")[0].text,
            model_id="amazon.nova-premier-v1:0",
        )


def test_several_default_entries_are_cycled_over_evenly():
    prompts = tuple(Prompt(f"small-{number}", None, "small", "en", None, f"Number {number}?") for number in range(5))
    sampler = SinglePromptSampler(PromptLibrary("mine.json", prompts), "small", 1, HAIKU)
    rounds = [{sampler.message(5 * number + index).prompt_id for index in range(5)} for number in range(4)]

    assert rounds == [{prompt.id for prompt in prompts}] * 4


def test_without_a_size_all_default_entries_take_turns():
    sampler = SinglePromptSampler(default_library(*SIZES), None, 1, HAIKU)

    assert Counter(sampler.message(index).prompt_size for index in range(30)) == dict.fromkeys(SIZES, 10)


def test_a_single_prompt_of_a_missing_size_is_refused():
    with pytest.raises(PromptFileError, match="it has no large prompt; it has: small"):
        SinglePromptSampler(default_library("small"), "large", 1, HAIKU)


# Shares that do not fit a block


def odd_mix(shares):
    sizes = {"small": WHOLE}
    types = (
        QueryType(f"type {number}", share, "simple", 0, "simple", "simple", sizes, {})
        for number, share in enumerate(shares)
    )
    return Mix("odd", None, tuple(types))


@given(st.lists(st.integers(min_value=1, max_value=1900), min_size=1, max_size=5), seeds)
@settings(max_examples=15, deadline=None)
def test_odd_shares_are_exact_in_the_long_run_and_close_after_every_block(parts, seed):
    mix = odd_mix([*parts, WHOLE - sum(parts)])
    sent = [message.query_type for message in messages(WHOLE, mix=mix, prompts=default_library("small"), seed=seed)]
    period = WHOLE // math.gcd(*parts, WHOLE)

    assert Counter(sent) == {entry.name: entry.share for entry in mix.query_types}
    counts = Counter()
    for end in range(MIX_BLOCK, period, MIX_BLOCK):
        counts.update(sent[end - MIX_BLOCK : end])
        off = [abs(counts[entry.name] - entry.share * end / WHOLE) for entry in mix.query_types]
        assert max(off) <= (len(off) + 1) / 2 + 1e-9
