"""Which cells of two runs belong together, and what keeps two of them from being compared.

A slower model is no regression, and neither is a longer prompt: figures are only held against each other where
everything that decides them, except the service itself, is the same.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from analysis.inputs import CellInfo, RunInfo

#: What the runs must have in common: key of run.json (of an object in it) -> name in messages and in `--across`.
RUN_TRAITS: Mapping[str, str] = {
    "scenario": "scenario",
    "target": "target",
    "region": "region",
    "transport": "transport",
    "prompts_sha256": "prompts",
    "include_failures": "include_failures",
    "retry": "retry",
    "failover": "failover",
    "request.system_prompt.sha256": "system_prompt",
    "request.cache_system": "cache_system",
    "request.latency": "latency",
    "request.nonce": "nonce",
}

#: The same of their cells, key of the cell's entry -> name.
CELL_TRAITS: Mapping[str, str] = {
    "model_id": "model",
    "routing": "routing",
    "traffic": "traffic",
    "sessions": "sessions",
    "region": "region",
    "region_prefix": "region_prefix",
    "service_tier": "service_tier",
    "prompt_size": "prompt_size",
    "api": "api",
    "max_tokens": "max_tokens",
    "load_model": "load_model",
    "users": "users",
    "rate_rps": "rate",
    "pattern": "pattern",
    "process": "process",
    "think_time_s": "think_time",
}

#: Names that `--across` takes: dimensions that are meant to differ.
DIMENSIONS = tuple(sorted({*RUN_TRAITS.values(), *CELL_TRAITS.values()}))

#: Medians of the input tokens further apart than this are other prompts, whatever their library is called.
PROMPT_TOLERANCE = 0.2

#: Medians of fewer prompts differ by chance.
_LEAST_PROMPTS = 50

_MISSING = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same: its name, and what it is here and in the baseline."""

    what: str
    this: str
    baseline: str

    def __str__(self) -> str:
        return f"{self.what}: {self.this}, in the baseline {self.baseline}"

    def as_dict(self) -> dict[str, str]:
        """The entry of `differs` in summary.json."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two cells that belong together."""

    this: CellInfo
    baseline: CellInfo


def run_differences(this: RunInfo, baseline: RunInfo, across: Collection[str] = ()) -> list[Difference]:
    """What the runs do not share, except what is meant to differ; a key that one of them lacks says nothing.

    Where every cell names its Region, the cells are held against each other, and not the lists of their runs.
    """
    named = all(isinstance(cell.raw.get("region"), str) for run in (this, baseline) for cell in run.cells)
    return list(_differences(this.raw, baseline.raw, RUN_TRAITS, [*across, "region"] if named else across))


def cell_differences(this: CellInfo, baseline: CellInfo, across: Collection[str] = ()) -> list[Difference]:
    """The same of two cells."""
    return list(_differences(this.raw, baseline.raw, CELL_TRAITS, across))


def _differences(
    this: Mapping[str, Any], baseline: Mapping[str, Any], traits: Mapping[str, str], across: Collection[str]
) -> Iterator[Difference]:
    for key, name in traits.items():
        mine, theirs = _at(this, key), _at(baseline, key)
        if name not in across and _MISSING not in (mine, theirs) and mine != theirs:
            yield Difference(name, _shown(mine), _shown(theirs))


def _at(raw: Mapping[str, Any], path: str) -> Any:
    """What is there; None of nothing is None."""
    value: Any = raw
    for key in path.split("."):
        if value is not None:
            value = value.get(key, _MISSING) if isinstance(value, Mapping) else _MISSING
    return value


def _shown(value: Any) -> str:
    text = "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def prompt_difference(this: pd.DataFrame, baseline: pd.DataFrame) -> Difference | None:
    """Prompts of another length, told from the service's own count of the input tokens."""
    if min(this["input_tokens"].count(), baseline["input_tokens"].count()) < _LEAST_PROMPTS:
        return None
    mine, theirs = this["input_tokens"].median(), baseline["input_tokens"].median()
    if abs(mine - theirs) <= PROMPT_TOLERANCE * theirs:
        return None
    return Difference("prompts", f"median {mine:g} input tokens", f"{theirs:g}")


def pair_cells(
    this: Sequence[CellInfo], baseline: Sequence[CellInfo], across: Collection[str] = ()
) -> tuple[list[Pair], list[CellInfo], list[CellInfo]]:
    """Cells that belong together, and those of either run that are alone.

    By what they test where that is the same, except for the dimensions of `across`; by name where it is not: such a
    pair has differences, which say why it is none.
    """
    free = list(baseline)
    pairs: list[Pair] = []
    for fits in (_same_name_and_traits, _same_traits, _same_name):
        taken = {pair.this.name for pair in pairs}
        for cell in (cell for cell in this if cell.name not in taken):
            found = [other for other in free if fits(cell, other, across)]
            if len(found) == 1:
                pairs.append(Pair(cell, found[0]))
                free.remove(found[0])
    order = {cell.name: position for position, cell in enumerate(this)}
    pairs.sort(key=lambda pair: order[pair.this.name])
    taken = {pair.this.name for pair in pairs}
    return pairs, [cell for cell in this if cell.name not in taken], free


def _same_name(this: CellInfo, baseline: CellInfo, across: Collection[str]) -> bool:  # noqa: ARG001 - one of three
    return this.name == baseline.name


def _same_traits(this: CellInfo, baseline: CellInfo, across: Collection[str]) -> bool:
    # Entries of runs without an orchestrator say nothing of themselves: those are paired by name.
    is_described = len(this.raw) > 1 and len(baseline.raw) > 1
    return is_described and not cell_differences(this, baseline, across)


def _same_name_and_traits(this: CellInfo, baseline: CellInfo, across: Collection[str]) -> bool:
    return _same_name(this, baseline, across) and _same_traits(this, baseline, across)
