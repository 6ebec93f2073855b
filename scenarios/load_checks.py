"""What a scenario says of its load together: contradictions and missing halves, for stages and extra cells too."""

from collections import Counter
from collections.abc import Iterator, Sequence

from scenarios.model import ExtraCell, Scenario, Shape
from scenarios.patterns import REPLAY
from scenarios.user_profiles import NEEDS_OPEN_LOOP, USER_PATTERNS

#: Where a value stands in the scenario, and what is wrong with it.
Finding = tuple[tuple[str | int, ...], str]


def check_load(scenario: Scenario, *, is_partial: bool) -> Iterator[Finding]:
    """All contradictions; `is_partial`: nothing is said about what is missing."""
    amounts = _amounts(scenario)
    if len(amounts) > 1:
        yield tuple(amounts[-1].split(".")), f"{' and '.join(amounts)} exclude each other; give one of them"
        return
    is_open = scenario.load.users is None and not scenario.matrix.user_counts
    yield from _check_model(scenario, amounts, is_open)
    yield from _check_alternatives(("load",), scenario.load)
    if scenario.load.stages:
        yield from _check_stages(scenario, is_partial)
    elif is_open:
        for path, pattern in _patterns(scenario):
            yield from _check_amount(path, pattern, (scenario.load,), scenario.matrix.rates_rps, is_partial)
    if not is_partial:
        yield from _check_effects(scenario)
    for index, extra in enumerate(scenario.matrix.include):
        yield from _check_extra(("matrix", "include", index), extra, scenario, is_open, is_partial)


def _amounts(scenario: Scenario) -> list[str]:
    """What says how much load there is, of which there can be one."""
    load, matrix = scenario.load, scenario.matrix
    given = {
        "load.rate": load.rate_rps if not load.stages else None,
        "load.step_rates": load.step_rates_rps if not load.stages else None,
        "load.users": load.users,
        "load.stages": load.stages,
        "matrix.rates": matrix.rates_rps,
        "matrix.user_counts": matrix.user_counts,
    }
    return [name for name, value in given.items() if value]


def _check_model(scenario: Scenario, amounts: Sequence[str], is_open: bool) -> Iterator[Finding]:
    model = "open" if is_open else "closed"
    if amounts and scenario.load.model not in (None, model):
        yield ("load", "model"), f"{scenario.load.model} does not fit {amounts[0]}, which makes the load {model}"
    if not is_open:
        for path, pattern in _patterns(scenario):
            if pattern not in USER_PATTERNS:
                yield path, f"{pattern} {NEEDS_OPEN_LOOP}"
        if scenario.load.start_rate_rps is not None:
            yield ("load", "start_rate"), f"start_rate {NEEDS_OPEN_LOOP}"


def _patterns(scenario: Scenario) -> list[tuple[tuple[str, ...], str]]:
    if scenario.matrix.patterns:
        return [(("matrix", "patterns"), pattern) for pattern in scenario.matrix.patterns]
    return [(("load", "pattern"), scenario.load.pattern)]


def _check_alternatives(path: tuple[str | int, ...], section: Shape) -> Iterator[Finding]:
    """Two ways to say one thing, used both in one place; and steps that are none."""
    if section.duration_s is not None and section.step_duration_s is not None:
        yield (*path, "step_duration"), "duration and step_duration exclude each other; give one of them"
    if section.step_rates_rps is not None and max(section.step_rates_rps, default=0.0) <= 0.0:
        yield (*path, "step_rates"), "at least one step must be above 0/s"
    if path != ("load",) and section.rate_rps is not None and section.step_rates_rps:
        yield (*path, "step_rates"), "rate and step_rates exclude each other; give one of them"


def _check_effects(scenario: Scenario) -> Iterator[Finding]:
    """A trace that nothing replays and a burstiness that no arrivals have: the load is not the one that was meant.

    Where a pattern or a process is named as well, it may be that of a flag, which wins over the scenario's.
    """
    load, extras = scenario.load, scenario.matrix.include
    shapes: list[Shape] = [load, *load.stages, *extras]
    names_pattern = "pattern" in load.model_fields_set or bool(scenario.matrix.patterns)
    if load.trace is not None and not names_pattern and REPLAY not in {shape.pattern for shape in shapes}:
        yield ("load", "trace"), f"has no effect with the pattern {load.pattern}: give the pattern replay too"
    names_process = "process" in load.model_fields_set
    if load.burstiness != 1.0 and not names_process and "gamma" not in {shape.process for shape in shapes}:
        yield ("load", "burstiness"), f"has no effect on {load.process} arrivals: give the process gamma too"


def _check_stages(scenario: Scenario, is_partial: bool) -> Iterator[Finding]:
    load = scenario.load
    if scenario.matrix.patterns:
        yield ("matrix", "patterns"), "load.stages have their own patterns; give one of the two"
    if load.duration_s is not None and all(stage.duration_s or stage.step_duration_s for stage in load.stages):
        yield ("load", "duration"), "has no effect: each of load.stages has its own duration"
    names = Counter(stage.name for stage in load.stages if stage.name is not None)
    for index, stage in enumerate(load.stages):
        path = ("load", "stages", index)
        if stage.name is not None and names[stage.name] > 1:
            yield (*path, "name"), f"{stage.name} is the name of another stage too"
        yield from _check_alternatives(path, stage)
        yield from _check_amount(path, stage.pattern or load.pattern, (stage, load), (), is_partial)


def _check_amount(
    path: tuple[str | int, ...], pattern: str, sections: Sequence[Shape], rates: Sequence[float], is_partial: bool
) -> Iterator[Finding]:
    """Whether a pattern has what it lives on: a trace, or a rate."""
    if is_partial:
        return
    if pattern == REPLAY:
        if not any(section.trace for section in sections):
            yield path, "replay needs a trace: a CSV or JSONL file with the time of each message"
    elif not (rates or any(section.rate_rps or _steps(pattern, section) for section in sections)):
        where = "here or as matrix dimension" if path[:2] != ("load", "stages") else "here or for all stages"
        yield path, f"say how much: rate (open loop) or users (closed loop), {where}"


def _steps(pattern: str, section: Shape) -> bool:
    return pattern == "steps" and bool(section.step_rates_rps)


def _check_extra(
    path: tuple[str | int, ...], extra: ExtraCell, scenario: Scenario, is_open: bool, is_partial: bool
) -> Iterator[Finding]:
    load, matrix = scenario.load, scenario.matrix
    if extra.users and extra.rate_rps:
        yield path, "users and rate exclude each other; give one of them"
    yield from _check_alternatives(path, extra)
    pattern = extra.pattern or (matrix.patterns or (load.pattern,))[0]
    is_open = bool(extra.rate_rps or extra.step_rates_rps or extra.trace) or (is_open and not extra.users)
    if not is_open and (pattern not in USER_PATTERNS or extra.start_rate_rps is not None):
        yield path, f"{pattern if pattern not in USER_PATTERNS else 'start_rate'} {NEEDS_OPEN_LOOP}"
    elif is_open and any(getattr(extra, name) is not None for name in Shape.model_fields):
        yield from _check_amount(path, pattern, (extra, load), matrix.rates_rps, is_partial)
