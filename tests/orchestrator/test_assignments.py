"""`--set PATH=VALUE`: paths, values, and what is wrong with either."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.assignments import applied, parse_assignments
from orchestrator.settings import Settings, resolve
from scenarios.loading import ScenarioError

SCENARIO = """\
name: x
routing: nova
load: {rate: 5/s, duration: 10s}
objectives:
  - ttft_ms p95 < 400ms
  - error_rate < 5%
seed: 7
"""


@pytest.fixture
def scenario(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    return path


def settings_of(scenario, *texts: str, environ=None, **flags: str) -> Settings:
    return resolve(scenario, {"set_values": list(texts), **flags}, environ or {})


def problems_of(scenario, *texts: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        settings_of(scenario, *texts)
    return [str(problem) for problem in caught.value.problems]


def test_values_are_yaml_and_paths_go_into_lists_and_sections_that_are_not_there_yet(scenario):
    settings = settings_of(
        scenario,
        "load.duration=20s",
        "objectives[1]=error_rate < 1%",
        "objectives.2=throttle_rate <= 1%",
        "matrix.service_tiers=[default, priority]",
        'emulator."amazon.nova-pro-v1:0".quota.rpm=3',
    )

    assert settings.scenario.load.duration_s == 20.0
    assert settings.scenario.objectives == ("ttft_ms p95 < 400ms", "error_rate < 1%", "throttle_rate <= 1%")
    assert settings.scenario.matrix.service_tiers == ("default", "priority")
    assert settings.scenario.emulator == {"amazon.nova-pro-v1:0": {"quota": {"rpm": 3}}}


def test_null_removes_a_value_and_the_last_of_two_assignments_wins(scenario):
    settings = settings_of(scenario, "load.rate=null", "load.users=3", "load.users=4", "objectives[0]=null")

    assert (settings.scenario.load.rate_rps, settings.scenario.load.users) == (None, 4)
    assert settings.scenario.objectives == ("error_rate < 5%",)


def test_a_flag_wins_over_an_assignment_and_that_over_the_environment(scenario):
    def seed(**given) -> tuple[int, str]:
        settings = settings_of(scenario, "seed=8", environ={"SEED": "9"}, **given)
        return settings.scenario.seed, settings.source("seed")

    assert seed() == (8, "--set seed")
    assert seed(seed="10") == (10, "--seed")


def test_the_plan_names_file_and_assignment_where_a_list_came_from_both(scenario):
    settings = settings_of(scenario, "objectives[1]=error_rate < 1%")

    assert settings.source("objectives") == f"{scenario}:4, --set objectives[1]"
    assert "--set objectives[1]" in settings.effective_yaml()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("load.rat=3/s", "--set load.rat: unknown key. Did you mean rate?"),
        ("laod.rate=3/s", "--set laod.rate: unknown key. Did you mean load?"),
        ("rate=3/s", "--set rate: unknown key. Did you mean load.rate?"),
        ("load.rate=3", "--set load.rate: 3 is not a rate: write a number and a unit"),
        ("objectives[7]=x", "--set objectives[7]: objectives has no item 7: the last is objectives[1]"),
        ("objectives[2]=null", "--set objectives[2]: objectives has no item 2"),
        ("objectives.a=3", "--set objectives.a: objectives is a list: name an item by its number"),
        ("seed.x=3", "--set seed.x: seed is a value, with nothing inside it"),
        ("seed.x.y=3", "--set seed.x.y: seed is a value, with nothing inside it"),
        ("emulator.default.quota.rmp=3", "--set emulator.default.quota.rmp: unknown key; did you mean `rpm`?"),
        ("load.rate", "--set: 'load.rate' is not PATH=VALUE: write it like load.rate=5/s"),
        ("=3", "--set: '' is no path into a scenario"),
        ("load..rate=3/s", "--set: 'load..rate' is no path into a scenario"),
        ("name=[x", "--set: the value of name is not valid YAML: the bracket of line 1 is not closed with ]"),
        ("name=on", "--set: the value of name: YAML reads this as true"),
        ("load[0]=1", "--set load[0]: load is no list: name one of its keys instead of [0]"),
        ("load[0].rate=1", "--set load[0].rate: load is no list"),
        ("load={rate: 3}", "--set load: load.rate: 3 is not a rate"),
        ("emulator={seed: x}", "--set emulator: emulator.seed: must be a whole number"),
        ("failover.regions=[useast1]", "--set failover.regions: failover.regions[0]: 'useast1' is not an AWS region"),
        (
            "objectives=[{metric: e2e_ms, op: <}]",
            "--set objectives: objectives[0]: The objective 'e2e_ms <' lacks limit",
        ),
        ("matrix.prompt_sizes=[]", "--set matrix.prompt_sizes: must have at least one item, but is an empty list"),
        ("load.think_time=1", "--set load.think_time: '1' is not a duration"),
        ("routing=novaa", "--set routing: Cannot use 'novaa' as a routing"),
    ],
)
def test_a_wrong_assignment_is_one_sentence_that_names_it(scenario, text, said):
    problems = problems_of(scenario, text, "seed=yes")

    assert any(problem.startswith(said) for problem in problems), problems
    assert len(problems) == 2, "the mistake of the second assignment is told as well"


@given(
    st.lists(
        st.text(alphabet='ab.[]"01=', max_size=8)
        | st.sampled_from(["a.b[0]=1", "a[0]=2", "b=[1]", "a=null", "a.b.a=3", '"a.b"[0]=1']),
        max_size=4,
    )
)
def test_any_texts_set_values_or_are_problems(texts):
    assignments, problems = parse_assignments(texts)
    done, further = applied(assignments, {"a": {"b": [1]}, "b": 1})

    assert len(done) + len(problems) + len(further) == len(texts)
