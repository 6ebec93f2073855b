"""From what a scenario says of its load to the stages of a schedule, and the file that carries stages to Locust."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from bedrock.yaml_documents import KeyPath, format_path
from scenarios.field_types import DEFAULT_DURATION_S, format_rps, format_seconds, format_window
from scenarios.loading import Document, Places, Problem, ScenarioError, build_scenario, read_load_document
from scenarios.model import Load, Scenario, Shape
from scenarios.patterns import DEFAULT_STEPS, REPLAY, step_levels
from scenarios.run_directory import write_text
from scenarios.schedule import Stage
from scenarios.user_profiles import UserPattern


def stage_of(*sections: Shape, pattern: str | None = None, rate_rps: float | None = None) -> Stage:
    """The stage of what some sections say; what one leaves out the next may say. At least the last is a `Load`.

    `pattern` comes before all of them, `rate_rps` behind them.
    """
    chosen = pattern or _first(sections, "pattern") or "sustained"
    levels = _levels(sections, rate_rps) if chosen == "steps" else ()
    timing = _down_to_the_trace(sections) if chosen == REPLAY else sections
    duration_s = next(_durations(timing, len(levels)), None)
    has_end = chosen == REPLAY or duration_s is not None
    return Stage(
        pattern=chosen,
        rate_rps=None if chosen == REPLAY else max(levels, default=_first(sections, "rate_rps") or rate_rps),
        duration_s=duration_s if has_end else DEFAULT_DURATION_S,
        process=_first(sections, "process"),
        name=getattr(sections[0], "name", None),
        burstiness=_first(sections, "burstiness"),
        start_rps=_first(sections, "start_rate_rps") or 0.0,
        levels_rps=levels,
        spike_factor=_first(sections, "spike_factor"),
        spike_window=_first(sections, "spike_window"),
        trace=_first(sections, "trace") if chosen == REPLAY else None,
        trace_speed=_first(sections, "trace_speed"),
    )


def user_pattern_of(*sections: Shape, pattern: str) -> tuple[UserPattern, float]:
    """The same for a closed loop: the pattern that its users follow, and its duration in seconds."""
    steps = _first(sections, "steps") if pattern == "steps" else DEFAULT_STEPS
    found = UserPattern(pattern, _first(sections, "spike_factor"), _first(sections, "spike_window"), steps)
    return found, next(_durations(sections, steps if pattern == "steps" else 0), DEFAULT_DURATION_S)


def _first(sections: Sequence[Shape], name: str) -> Any:
    return next((value for section in sections if (value := getattr(section, name)) is not None), None)


def _levels(sections: Sequence[Shape], rate_rps: float | None) -> tuple[float, ...]:
    """The steps' rates: those that the first section names that names any, or equal ones up to the rate."""
    for section in sections:
        if section.step_rates_rps:
            return section.step_rates_rps
        if section.rate_rps is not None:
            break
    top = _first(sections, "rate_rps") or rate_rps
    count = _first(sections, "steps") or DEFAULT_STEPS
    return () if top is None else step_levels(top, count, _first(sections, "start_rate_rps"))


def _down_to_the_trace(sections: Sequence[Shape]) -> Sequence[Shape]:
    """The sections that may cut a trace: the one that names it and those before it, no more general ones."""
    named = next((place for place, section in enumerate(sections) if section.trace), len(sections))
    return sections[: named + 1]


def _durations(sections: Sequence[Shape], steps: int) -> Iterator[float]:
    for section in sections:
        if steps and section.step_duration_s is not None:
            yield section.step_duration_s * steps
        if section.duration_s is not None:
            yield section.duration_s


def stages_of(load: Load) -> tuple[Stage, ...]:
    """The stages that a load lists; each takes from the load what it leaves out itself."""
    return tuple(stage_of(stage, load) for stage in load.stages)


def write_stages(path: Path, stages: Sequence[Stage]) -> None:
    """Write a file that `read_stages` reads: the section `load` of a scenario with these stages."""
    write_text(path, yaml.safe_dump({"stages": [_document(stage) for stage in stages]}, sort_keys=False))


def _document(stage: Stage) -> dict[str, Any]:
    written = {
        "name": stage.name,
        "pattern": stage.pattern,
        "process": stage.process,
        "burstiness": stage.burstiness,
        "rate": None if stage.rate_rps is None or stage.levels_rps else format_rps(stage.rate_rps),
        "duration": None if stage.duration_s is None else format_seconds(stage.duration_s),
        "start_rate": format_rps(stage.start_rps) if stage.pattern == "ramp" else None,
        "step_rates": [format_rps(level) for level in stage.levels_rps] or None,
        "spike_factor": stage.spike_factor,
        "spike_window": format_window(stage.spike_window),
        "trace": stage.trace,
        "trace_speed": stage.trace_speed,
    }
    return {key: value for key, value in written.items() if value is not None}


@dataclass(frozen=True, slots=True)
class StagesFile:
    """Stages, and the warm-up before them in seconds; None where the file does not say."""

    stages: tuple[Stage, ...]
    warmup_s: float | None


#: What else a scenario's load says, and where plain Locust is told that.
_OPTION_INSTEAD = {
    "think_time": "--think-time",
    "max_lag": "--max-lag",
    "max_slots": "--max-slots",
    "drain_timeout": "--drain-timeout",
    "users": "-u, without a file of stages",
    "spawn_rate": "-r",
}


def read_stages(path: Path) -> StagesFile:
    """The stages of a YAML file with the section `load` of a scenario; ScenarioError with all its problems.

    It is a list of stages, or a mapping with `stages`, what is common to them, and `warmup`. A trace's relative path
    starts at the file's folder.
    """
    document = read_load_document(path)
    values = document.values["load"]
    shared = {info.alias or name for name, info in Shape.model_fields.items()}
    problems = [
        Problem(_places(document)(("load", key)), f"has no place in a file of stages: {text}")
        for key, text in _out_of_place(values, shared)
    ]
    if not values.get("stages"):
        text = "must have stages, like `stages: [{rate: 5/s, duration: 30s}]`"
        problems.append(Problem(document.source(("load",)), text))
    if problems:
        raise ScenarioError(*problems)
    # Everything that a scenario's load is checked for; what is called does not matter here.
    scenario = build_scenario({"name": "stages", "routing": "nova", "load": values}, _places(document))
    load = with_absolute_traces(scenario.load, path.parent)
    return StagesFile(stages_of(load), load.warmup_s if "warmup" in values else None)


def _out_of_place(values: Mapping[str, Any], shared: Set[str]) -> Iterator[tuple[str, str]]:
    """Keys that plain Locust would not heed, and what to do instead."""
    for key in sorted(set(values) - shared - {"stages", "warmup"}):
        option = _OPTION_INSTEAD.get(key)
        yield key, f"use {option}" if option else f"it takes stages, warmup and {', '.join(sorted(shared))}"


def _places(document: Document) -> Places:
    """Places in a file that is a section `load` by itself."""
    return lambda path: f"{document.file}:{document.yaml.position(path)}: {format_path(path[1:])}"


def with_absolute_traces(load: Load, folder: Path) -> Load:
    """The load with the paths of its traces absolute, starting at `folder`."""
    stages = tuple(with_absolute_trace(stage, folder) for stage in load.stages)
    return with_absolute_trace(load, folder).model_copy(update={"stages": stages})


AnyShape = TypeVar("AnyShape", bound=Shape)


def with_absolute_trace(section: AnyShape, folder: Path) -> AnyShape:
    """The section with the path of its trace absolute, starting at `folder`."""
    if section.trace is None:
        return section
    return section.model_copy(update={"trace": str((folder / section.trace).resolve())})


def traces(scenario: Scenario) -> list[tuple[KeyPath, str]]:
    """The files of all traces that a scenario names, and where it names each first."""
    sections: list[tuple[KeyPath, Shape]] = [(("load",), scenario.load)]
    sections += [(("load", "stages", index), stage) for index, stage in enumerate(scenario.load.stages)]
    sections += [(("matrix", "include", index), extra) for index, extra in enumerate(scenario.matrix.include)]
    named = {section.trace: (*path, "trace") for path, section in reversed(sections) if section.trace}
    return [(path, trace) for trace, path in named.items()]
