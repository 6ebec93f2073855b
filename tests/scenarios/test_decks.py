"""Decks: exact proportions in every block, a pure function of seed and index, ordinals that never repeat."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.decks import Deck

weights = st.lists(st.integers(min_value=0, max_value=12), min_size=1, max_size=6).filter(any)
blocks = st.integers(min_value=1, max_value=40)
seeds = st.text(max_size=8)


@given(weights, blocks, seeds)
def test_a_round_holds_every_item_in_exact_proportion(weights, block, seed):
    deck = Deck(weights, block, seed)
    counts = Counter(deck.draw(index).item for index in range(deck.period))

    assert [counts[item] * sum(weights) for item in range(len(weights))] == [weight * deck.period for weight in weights]


@given(weights, blocks, seeds, st.integers(min_value=0, max_value=10**9))
def test_any_round_is_as_exact_as_the_first(weights, block, seed, round_number):
    deck = Deck(weights, block, seed)
    start = round_number * deck.period

    first = Counter(deck.draw(index).item for index in range(deck.period))
    later = Counter(deck.draw(start + index).item for index in range(deck.period))

    assert later == first


@given(weights, seeds)
def test_no_beginning_strays_far_from_the_proportions(weights, seed):
    """Blocks of one draw are not shuffled, so this is the order in which blocks larger than the weights are cut."""
    deck = Deck(weights, 1, seed)
    seen = [0] * len(weights)
    allowed = (len(weights) + 1) / 2 + 1e-9
    for index in range(deck.period):
        seen[deck.draw(index).item] += 1
        expected = [(index + 1) * weight / sum(weights) for weight in weights]
        assert all(abs(have - want) <= allowed for have, want in zip(seen, expected, strict=True))


@given(weights, blocks, seeds)
def test_the_draws_of_an_item_are_numbered_in_their_order(weights, block, seed):
    deck = Deck(weights, block, seed)
    draws = [deck.draw(index) for index in range(3 * deck.period)]

    for item in range(len(weights)):
        ordinals = [draw.ordinal for draw in draws if draw.item == item]
        assert ordinals == list(range(len(ordinals)))


@given(weights, blocks, seeds, st.lists(st.integers(min_value=0, max_value=500), max_size=30))
def test_a_draw_depends_on_its_index_only(weights, block, seed, indexes):
    used = Deck(weights, block, seed)

    assert [used.draw(index) for index in indexes] == [Deck(weights, block, seed).draw(index) for index in indexes]


def test_rounds_are_shuffled_anew():
    deck = Deck([1] * 20, 20, "seed")
    rounds = [[deck.draw(20 * number + index).item for index in range(20)] for number in range(5)]

    assert all(one != other for one, other in pairwise(rounds))


def test_seeds_give_different_orders():
    orders = {
        tuple(Deck([1] * 20, 20, f"seed {number}").draw(index).item for index in range(20)) for number in range(9)
    }

    assert len(orders) == 9


def test_small_weights_fill_the_block():
    assert Deck([1, 1], 10, "").period == 10
    assert Deck([2, 2, 1], 100, "").period == 100
    assert Deck([2, 1], 100, "").period == 99


def test_the_order_is_the_same_in_every_release():
    """A change here silently changes the messages of every recorded run."""
    deck = Deck([5, 3, 2], 10, "7")

    assert [deck.draw(index).item for index in range(20)] == [
        0,
        0,
        2,
        0,
        2,
        1,
        0,
        0,
        1,
        1,
        1,
        0,
        0,
        2,
        1,
        0,
        0,
        1,
        2,
        0,
    ]


@pytest.mark.parametrize(("weights", "block"), [([], 10), ([0, 0], 10), ([1, -1], 10), ([1], 0)])
def test_a_deck_of_nothing_is_refused(weights, block):
    with pytest.raises(ValueError, match="a deck needs"):
        Deck(weights, block, "seed")
