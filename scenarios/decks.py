"""Drawing items in fixed proportions, like cards from a deck that is shuffled anew each time it runs out.

Independent draws would need thousands of messages until their shares settle (with 100 draws, a 25 % share has a
standard deviation of 4.3 points). Decks keep short runs comparable: every block holds each item in its proportion,
only the order within the block is random.
"""

import hashlib
import math
import random
from collections.abc import Sequence
from typing import NamedTuple


class Draw(NamedTuple):
    """One draw: the item's index, and how many earlier draws gave the same item.

    So the ordinal can be the index into a deck below this one, which then deals without gaps.
    """

    item: int
    ordinal: int


class Deck:
    """Items 0..n-1 in the proportions of integer `weights`, shuffled in blocks of at most `block` draws.

    If the reduced weights fit into a block, each block holds exact proportions. Otherwise the items are spread
    evenly over as many draws as the weights need (their period, which is exact), and shuffled within each block
    of it. `draw` is a pure function of the seed and the index; the last block's order is kept only for speed.
    """

    def __init__(self, weights: Sequence[int], block: int, seed: str) -> None:
        if block < 1 or not weights or min(weights) < 0 or sum(weights) == 0:
            raise ValueError("a deck needs a block of at least one draw and weights that are not negative or all zero")
        divisor = math.gcd(*weights)
        reduced = [weight // divisor for weight in weights]
        copies = max(1, block // sum(reduced))
        self._counts = [count * copies for count in reduced]
        self._dealt = _spread(self._counts)
        self.period = len(self._dealt)
        self._block = min(block, self.period)
        self._seed = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8])
        self._last: tuple[int, list[tuple[int, int]]] = (-1, [])

    def draw(self, index: int) -> Draw:
        """The draw number `index`, counted from 0."""
        round_number, position = divmod(index, self.period)
        start = position - position % self._block
        item, ordinal = self._shuffled_block(round_number * self.period + start, start)[position - start]
        return Draw(item, round_number * self._counts[item] + ordinal)

    def _shuffled_block(self, first_index: int, start: int) -> list[tuple[int, int]]:
        """(item, ordinal within the round) of the draws in the block that begins at `start` of a round."""
        cached_index, draws = self._last
        if cached_index != first_index:
            draws = _shuffle(self._dealt[start : start + self._block], self._seed + first_index)
            self._last = (first_index, draws)
        return draws


def _spread(counts: Sequence[int]) -> list[tuple[int, int]]:
    """(item, ordinal) of a round's draws, each item at even distances: its k-th of n at (k + 1/2) / n.

    So the count of an item in the first draws is off its share by at most (number of items + 1) / 2: half a draw for
    its own rounding, and its part of everyone's.
    """
    places = [((2 * rank + 1) / (2 * count), item, rank) for item, count in enumerate(counts) for rank in range(count)]
    return [(item, rank) for _, item, rank in sorted(places)]


def _shuffle(block: Sequence[tuple[int, int]], seed: int) -> list[tuple[int, int]]:
    """The items of a block in a seeded order, their ordinals again ascending.

    Sorting by `random()` keeps the order the same in every Python version; `random.shuffle` may change.
    """
    if len(block) == 1:
        return list(block)
    draw_key = random.Random(seed).random
    ordinals: dict[int, int] = {}
    for item, ordinal in block:
        ordinals.setdefault(item, ordinal)
    shuffled = []
    for _, (item, _) in sorted((draw_key(), draw) for draw in block):
        shuffled.append((item, ordinals[item]))
        ordinals[item] += 1
    return shuffled
