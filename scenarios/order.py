"""In which order the cells of a suite run."""

import random
from collections.abc import Sequence

from scenarios.cells import Cell
from scenarios.model import Order


def run_order(cells: Sequence[Cell], order: Order, seed: int) -> tuple[Cell, ...]:
    """The cells round by round, within a round in an order that the seed draws; as listed without `shuffle`.

    A service drifts over hours: were all cells of one tier run before those of the next, its drift would look like a
    difference between the tiers. Each round has an order of its own; skipped cells do not change that of the others.
    """
    found: list[Cell] = []
    for number in range(1, order.rounds + 1):
        of_round = [cell for cell in cells if cell.round_number == number and cell.status != "skipped"]
        if order.shuffle:
            random.Random(f"order:{seed}:{number}").shuffle(of_round)
        found += of_round
    return tuple(found)


def seed_of(cell: Cell, seed: int) -> int:
    """The seed of a cell's arrivals and messages: the same for all cells of a round, another in every round."""
    return seed + cell.round_number - 1
