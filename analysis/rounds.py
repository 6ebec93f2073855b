"""Which cells are repetitions of one another: the same configuration in several rounds of a suite.

The first round has the cell's plain name, later ones are called `<cell>-round2`, ... and carry their `round_number`.
"""

from collections.abc import Iterable, Sequence

from analysis.comparability import cell_differences
from analysis.inputs import CellInfo

#: Cells of one configuration, in order of their rounds.
Rounds = tuple[CellInfo, ...]


def rounds_of(cells: Iterable[CellInfo]) -> dict[str, Rounds]:
    """All cells, each with its other rounds, by the name of the first one; in the order of `cells`."""
    found: dict[str, list[CellInfo]] = {}
    for cell in sorted(cells, key=lambda cell: cell.round_number):
        base = _plain_name(cell)
        first = found.get(base, [cell])[0]
        is_other = first is not cell and bool(cell_differences(first, cell))
        found.setdefault(cell.name if is_other else base, []).append(cell)
    return {name: tuple(rounds) for name, rounds in found.items()}


def _plain_name(cell: CellInfo) -> str:
    """The name without its round; what follows it only kept names apart."""
    if cell.round_number < 2:
        return cell.name
    return cell.name.rpartition(f"-round{cell.round_number}")[0] or cell.name


def representatives(cells: Sequence[CellInfo]) -> list[CellInfo]:
    """One cell of each configuration, in the order of `cells`: its first finished round, else its first one."""
    chosen = {together(rounds)[0].name for rounds in rounds_of(cells).values()}
    return [cell for cell in cells if cell.name in chosen]


def together(rounds: Rounds) -> Rounds:
    """The rounds whose figures may be put together: those that finished, else the first one alone."""
    finished = tuple(cell for cell in rounds if cell.status in ("finished", "unlisted"))
    return finished or rounds[:1]
