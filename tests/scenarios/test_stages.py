"""From the section `load` to stages: what is inherited, what contradicts itself, and the file that carries them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.catalog import default_catalog
from scenarios.cells import Cell, expand
from scenarios.loading import ScenarioError, load_scenario
from scenarios.model import Scenario
from scenarios.patterns import MAX_STEPS, PATTERNS
from scenarios.schedule import Stage
from scenarios.stages import read_stages, stages_of, write_stages

MODEL = "amazon.nova-pro-v1:0"


def cells_of(load: object, **values: object) -> tuple[Cell, ...]:
    scenario = Scenario.model_validate({"name": "x", "model_id": MODEL, "load": load} | values)
    return expand(scenario, default_catalog(), {})


def problems_of(folder: Path, load: str) -> list[str]:
    path = folder / "s.yaml"
    path.write_text(f"name: x\nmodel_id: {MODEL}\n{load}", encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    return [str(problem).removeprefix(str(path)) for problem in caught.value.problems]


def trace_in(folder: Path, count: int = 5) -> Path:
    path = folder / "trace.csv"
    path.write_text("time\n" + "".join(f"{n}\n" for n in range(count)), encoding="utf-8")
    return path


def test_a_list_of_stages_is_one_cell_that_sums_them_up() -> None:
    (cell,) = cells_of(
        [
            {"rate": "2/s", "duration": "10s"},
            {"pattern": "spike", "rate": "1/s", "duration": "30s", "spike_factor": 6.0},
        ]
    )

    assert cell.cell == "us-default-medium-stages"
    assert (cell.pattern, cell.process, cell.duration_s, cell.is_open) == ("stages", "poisson", 40.0, True)
    assert cell.rate_rps == pytest.approx((20 + 30 * 0.8 + 6 * 6) / 40)
    assert cell.to_dict()["stages"][1]["spike_factor"] == 6.0


def test_a_stage_takes_from_the_load_what_it_leaves_out() -> None:
    load = {"process": "gamma", "burstiness": 0.5, "duration": "20s", "warmup": "5s", "rate": "3/s"}
    (cell,) = cells_of(
        load | {"stages": [{}, {"rate": "9/s", "process": "constant"}, {"duration": "1s", "name": "end"}]}
    )

    one, other, end = cell.stages
    assert (one.rate_rps, one.duration_s, one.process, one.burstiness) == (3.0, 20.0, "gamma", 0.5)
    assert (other.rate_rps, other.duration_s, other.process) == (9.0, 20.0, "constant")
    assert (end.duration_s, end.name) == (1.0, "end")
    assert cell.process == "mixed"
    assert cell.schedule().phases()[0].name == "warmup"


def test_steps_are_levels_up_to_the_rate_or_a_list_of_them() -> None:
    (equal,) = cells_of({"pattern": "steps", "rate": "8/s", "steps": 4, "duration": "40s"})
    (listed,) = cells_of({"pattern": "steps", "step_rates": ["5/s", "20/s", "1/s"], "step_duration": "10s"})

    assert (equal.stages[0].levels_rps, equal.duration_s) == ((2.0, 4.0, 6.0, 8.0), 40.0)
    assert (listed.stages[0].levels_rps, listed.duration_s, listed.rate_rps) == ((5.0, 20.0, 1.0), 30.0, 20.0)
    assert listed.cell == "us-default-medium-r20"


def test_rates_as_a_dimension_make_a_ramp_of_each_and_one_replay(tmp_path: Path) -> None:
    load = {"duration": "10s", "start_rate": "1/s", "trace": str(trace_in(tmp_path, 99))}
    cells = cells_of(load, matrix={"rates": ["2/s", "4/s"], "patterns": ["ramp", "replay"]})

    assert [cell.cell for cell in cells] == [
        "us-default-medium-r2-ramp",
        "us-default-medium-replay",
        "us-default-medium-r4-ramp",
    ]
    assert [cell.process for cell in cells] == ["poisson", "trace", "poisson"]
    assert cells[1].duration_s == 10.0, "the duration beside the trace cuts it"
    assert (cells[2].stages[0].start_rps, cells[2].stages[0].rate_rps) == (1.0, 4.0)


def test_a_trace_says_itself_how_long_it_takes(tmp_path: Path) -> None:
    trace = str(trace_in(tmp_path, 200))
    (alone,) = cells_of({"pattern": "replay", "trace": trace, "trace_speed": 2.0})
    _, extra = cells_of({"rate": "5/s"}, matrix={"include": [{"pattern": "replay", "trace": trace}]})

    assert (alone.duration_s, extra.duration_s) == (99.75, 199.25)
    assert alone.rate_rps == pytest.approx(200 / 99.75)


def test_an_extra_cell_has_stages_or_a_load_of_its_own() -> None:
    load = {"stages": [{"rate": "2/s", "duration": "10s"}, {"rate": "4/s", "duration": "10s"}]}
    _, like, other = cells_of(load, matrix={"include": [{"prompt_size": "large"}, {"rate": "3/s", "duration": "7s"}]})

    assert len(like.stages) == 2
    assert (other.rate_rps, other.duration_s, other.pattern) == (3.0, 7.0, "sustained")


@pytest.mark.parametrize(
    ("load", "line", "said"),
    [
        ("load:\n- {rate: 5}\n", 4, "5 is not a rate: write a number and a unit"),
        ("load:\n- {rate: 5/s}\n- {rate: 5/s, patern: ramp}\n", 5, "unknown key. Did you mean pattern?"),
        ("load:\n- {rate: 5/s}\n- {pattern: ramp}\n", 5, "say how much: rate (open loop)"),
        ("load:\n- {pattern: replay}\n", 4, "replay needs a trace"),
        ("load:\n- {rate: 5/s, name: warmup}\n", 4, "warmup is the name of a phase that is not measured"),
        (
            "load:\n- {rate: 5/s, name: a}\n- {rate: 1/s, name: b}\n- {rate: 2/s, name: a}\n",
            4,
            "a is the name of another",
        ),
        ("load: {pattern: replay}\n", 3, "replay needs a trace"),
        ("load: {users: 3, pattern: replay, trace: x.csv}\n", 3, "replay needs the open loop"),
        ("load: {users: 3, pattern: production}\n", 3, "production needs the open loop"),
        ("load: {pattern: steps, rate: 5/s, step_rates: [1/s]}\n", 3, "exclude each other"),
        ("load: {pattern: steps, step_rates: [1/s]}\nmatrix: {rates: [1/s]}\n", 4, "exclude each other"),
        ("load: {pattern: steps, rate: 1/s, duration: 9s, step_duration: 1s}\n", 3, "duration and step_duration"),
        ("load: {step_rates: [1/s, 2/s]}\n", 3, "say how much"),
        ("load: {users: 3, stages: [{rate: 1/s}]}\n", 3, "load.users and load.stages exclude each other"),
        ("load: [{rate: 1/s}]\nmatrix: {rates: [1/s]}\n", 4, "load.stages and matrix.rates exclude each other"),
        ("load: [{rate: 1/s}]\nmatrix: {patterns: [ramp]}\n", 4, "load.stages have their own patterns"),
        ("load: {duration: 9s, stages: [{rate: 1/s, duration: 5s}]}\n", 3, "has no effect"),
        ("load: {rate: 1/s, process: gamma, burstiness: 0}\n", 3, "must be greater than or equal to 0.01"),
        ("load: {rate: 1/s, burstiness: .nan}\n", 3, "burstiness"),
        (f"load: {{rate: 1/s, steps: {MAX_STEPS + 1}}}\n", 3, "less than or equal to 200"),
        ("load: {rate: 1/s}\nmatrix: {include: [{pattern: replay}]}\n", 4, "replay needs a trace"),
        ("load: []\n", 3, "say how much"),
        ("load: {pattern: steps, step_rates: [0/s]}\n", 3, "at least one step must be above 0/s"),
    ],
)
def test_contradictions_and_missing_halves_are_told_with_their_line(
    tmp_path: Path, load: str, line: int, said: str
) -> None:
    problems = problems_of(tmp_path, load)

    assert any(problem.startswith(f":{line}:") and said in problem for problem in problems), problems


rates = st.floats(0.01, 500.0).map(lambda rate: round(rate, 4))


@given(
    st.lists(
        st.builds(
            Stage,
            pattern=st.sampled_from(sorted(set(PATTERNS) - {"replay"})),
            rate_rps=rates,
            duration_s=st.floats(0.5, 9000.0).map(lambda seconds: round(seconds, 3)),
            process=st.sampled_from(["constant", "gamma"]),
            burstiness=st.sampled_from([0.25, 4.0]),
            spike_factor=st.sampled_from([1.5, 10.0]),
            spike_window=st.sampled_from([(0.25, 0.75), (0.4, 0.6)]),
        ),
        min_size=1,
        max_size=4,
    ),
    st.data(),
)
def test_stages_that_are_written_read_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, stages: list[Stage], data: st.DataObject
) -> None:
    full = [
        Stage(**{name: getattr(stage, name) for name in stage.__slots__} | own_values(stage, number, data))
        for number, stage in enumerate(stages)
    ]
    path = tmp_path_factory.mktemp("stages") / "stages.yaml"
    write_stages(path, full)

    assert list(read_stages(path).stages) == full


def own_values(stage: Stage, number: int, data: st.DataObject) -> dict[str, object]:
    named: dict[str, object] = {"name": data.draw(st.sampled_from([None, f"stage-{number}"]))}
    if stage.pattern == "steps":
        levels = (data.draw(rates), *data.draw(st.lists(rates | st.just(0.0), max_size=3)))
        return named | {"levels_rps": levels, "rate_rps": max(levels)}
    return named | ({"start_rps": data.draw(rates | st.just(0.0))} if stage.pattern == "ramp" else {})


def test_a_file_of_stages_may_have_what_is_common_to_them_and_traces_beside_it(tmp_path: Path) -> None:
    trace_in(tmp_path)
    path = tmp_path / "stages.yaml"
    path.write_text(
        "process: constant\nstages:\n- {rate: 5/s}\n- {pattern: replay, trace: trace.csv, trace_speed: 2}\n"
    )
    one, other = read_stages(path).stages

    assert (one.process, one.duration_s) == ("constant", 60.0)
    assert (other.trace, other.trace_speed, other.duration_s) == (str(tmp_path / "trace.csv"), 2.0, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stages:\n- {rate: 5}\n", ":2:4: stages[0].rate: 5 is not a rate"),
        ("stages: []\n", ":1: must have stages"),
        ("rate: 5/s\n", ":1: must have stages"),
        (
            "drain_timeout: 5s\nstages:\n- {rate: 5/s}\n",
            ":1:1: drain_timeout: has no place in a file of stages: use",
        ),
        ("- {rate: 5/s}\n- {rate: 5}\n", ":2:4: stages[1].rate: 5 is not a rate"),
        ("- {rate: 5/s}\n- {rate: 5/s, rate: 6/s}\n", ":2:15: the key rate is already given in line 2"),
        ("just text\n", ":1:1: must have stages"),
        ("stages: [\n", "is not valid YAML"),
    ],
)
def test_what_is_wrong_with_a_file_of_stages_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "stages.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        read_stages(path)

    assert said in str(caught.value)


def test_a_file_of_stages_is_a_list_or_has_a_warmup(tmp_path: Path) -> None:
    path = tmp_path / "stages.yaml"
    path.write_text("- {rate: 5/s}\n- {rate: 6/s}\n")
    assert ([stage.rate_rps for stage in read_stages(path).stages], read_stages(path).warmup_s) == ([5.0, 6.0], None)

    path.write_text("warmup: 3s\nstages: [{rate: 5/s}]\n")
    assert read_stages(path).warmup_s == 3.0


def test_stages_of_a_scenario_are_those_of_its_load() -> None:
    scenario = Scenario.model_validate({"name": "x", "model_id": MODEL, "load": [{"rate": "5/s"}, {"rate": "6/s"}]})

    assert [stage.rate_rps for stage in stages_of(scenario.load)] == [5.0, 6.0]
