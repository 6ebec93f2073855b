"""Scenario files: what is read, and how what is wrong is told."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.yaml_documents import format_path, read_yaml
from scenarios.loading import Document, ScenarioError, build_scenario, load_scenario, read_document_and_problems

SHIPPED = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))

GOOD = """
name: x
routing: nova
load: {rate: 5/s, duration: 10s}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "scenario.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems_of(folder: Path, text: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(write(folder, text))
    prefix = str(folder / "scenario.yaml")
    return [str(problem).removeprefix(prefix) for problem in caught.value.problems]


def test_a_good_file_becomes_a_scenario(tmp_path):
    scenario = load_scenario(write(tmp_path, GOOD))

    assert (scenario.name, scenario.load.rate_rps, scenario.load.duration_s) == ("x", 5.0, 10.0)


TEN_MISTAKES = """\
name: ten mistakes
descripton: x
target: awz
routing: nova
load:
  rate: 5
  duration: 60
  pattern: spik
  users: many
matrix:
  service_tiers: [defualt]
  prompt_size: [small]
  user_counts: [3, 3]
objectives:
  - ttfd_ms p95 < 400ms
budget: 5
"""


def test_all_mistakes_come_at_once_each_with_its_line_and_column_and_a_way_out(tmp_path):
    problems = problems_of(tmp_path, TEN_MISTAKES)

    expected = [
        (":1:1: name: ", "letters, digits"),
        (":2:1: descripton: ", "Did you mean description?"),
        (":3:1: target: ", "Did you mean aws?"),
        (":6:3: load.rate: ", "like 12/s"),
        (":7:3: load.duration: ", "like 30s"),
        (":8:3: load.pattern: ", "Did you mean spike?"),
        (":9:3: load.users: ", "must be a whole number"),
        (":11:19: matrix.service_tiers[0]: ", "Did you mean default?"),
        (":12:3: matrix.prompt_size: ", "Did you mean prompt_sizes?"),
        (":13:20: matrix.user_counts[1]: ", "given twice"),
        (":15:5: objectives[0]: ", "Did you mean ttft_ms?"),
        (":16:1: budget: ", "must be a mapping"),
    ]
    assert len(problems) == len(expected)
    for problem, (start, hint) in zip(problems, expected, strict=True):
        assert problem.startswith(start)
        assert hint in problem


def test_a_key_given_twice_is_refused_with_both_lines(tmp_path):
    problems = problems_of(tmp_path, "name: x\nrouting: nova\nload:\n  rate: 5/s\n  rate: 6/s\n")

    assert problems == [":5:3: the key rate is already given in line 4"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [x\n", "is not valid YAML"),
        ("- a\n- b\n", "a scenario is a mapping"),
        ("just text", "a scenario is a mapping"),
        ("1: x\nname: y\n", "the key 1 is not text"),
        ("a: &a\n  b: *a\n", "contains itself"),
        ("", "name: is missing"),
        (
            "name: x\nload: !!python/object:os.system {}\n",
            "tags, which begin with an exclamation mark, are not supported",
        ),
        ("name: !!python/name:os.system\n", "tags, which begin with an exclamation mark, are not supported"),
    ],
)
def test_what_is_no_scenario_at_all(tmp_path, text, said):
    assert any(said in problem for problem in problems_of(tmp_path, text))


def test_an_unreadable_file_is_one_sentence(tmp_path):
    with pytest.raises(ScenarioError) as caught:
        read_document_and_problems(tmp_path / "nowhere.yaml")

    assert str(caught.value) == f"{tmp_path}/nowhere.yaml: cannot be read: No such file or directory"


def test_anchors_and_merge_keys_work(tmp_path):
    text = "name: x\nrouting: nova\nload: &load {rate: 5/s, duration: 10s}\nmatrix: {include: [{rate: 6/s}]}\n"
    scenario = load_scenario(write(tmp_path, text))
    assert scenario.matrix.include[0].rate_rps == 6.0

    document = read_document_and_problems(write(tmp_path, "base: &base {a: 1, b: 2}\nmerged:\n  <<: *base\n  b: 3\n"))
    assert document.values["merged"] == {"a": 1, "b": 3}


def test_conversations_cannot_be_held_with_one_model(tmp_path):
    text = "name: x\nmodel_id: amazon.nova-pro-v1:0\nsessions: mangaassist\nload: {rate: 5/s}\n"

    (problem,) = problems_of(tmp_path, text)
    assert "sessions: conversations need a routing" in problem


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("load: {duration: 10s}", "say how much"),
        ("load: {rate: 5/s, users: 3}", "load.rate and load.users exclude each other"),
        ("load: {rate: 5/s, model: closed}", "closed does not fit load.rate"),
        ("load: {users: 5, pattern: ramp, start_rate: 1/s}", "start_rate needs the open loop"),
        ("load: {users: 5, pattern: production}", "production needs the open loop"),
        ("load: {rate: 5/s}\nmodel_id: amazon.nova-pro-v1:0", "a routing chooses the models itself"),
        ("load: {rate: 5/s}\ntraffic: single_prompt", "single_prompt needs a model_id"),
        ("load: {rate: 5/s}\nmatrix: {rates: [5/s]}", "load.rate and matrix.rates exclude each other"),
        ("load: {rate: 5/s}\nmatrix: {service_tiers: [flex, flex]}", "flex is given twice"),
        ("load: {rate: 5/s}\nmatrix: {include: [{users: 3, rate: 5/s}]}", "users and rate exclude each other"),
        ("load: {rate: 5/s}\nmatrix: {include: [{users: 3, pattern: replay}]}", "replay needs the open loop"),
        (
            "load: {rate: 5/s}\nmatrix: {include: [{model_id: amazon.nova-po-v1:0}]}",
            "Did you mean amazon.nova-pro-v1:0",
        ),
        ("load: {rate: 5/s}\nmatrix: {service_tiers: []}", "at least one item"),
        ("load: {rate: 5/s}\nmatrix: {regions: [us-east-1, us-east-1]}", "us-east-1 is given twice"),
        (
            "load: {rate: 5/s}\nobjectives: [error_rate < 1% for service_tier=priorty]",
            "nothing has service_tier=priorty: it is one of default, priority, flex, reserved. Did you mean priority?",
        ),
        ("load: {rate: 5/s}\nmatrix: {regions: [useast1]}", "'useast1' is not an AWS region: write it like us-east-1"),
        (
            "load: {rate: 5/s}\nmatrix: {regions: [us-east-1]}\nfailover: {regions: [us-east-1]}",
            "matrix.regions: failover.regions is given as well",
        ),
        (
            "load: {rate: 5/s}\nmatrix: {include: [{region: us-east-1}]}\nfailover: {regions: [us-east-1]}",
            "matrix.include[0].region: failover.regions is given as well",
        ),
        (
            "load: {rate: 5/s}\nsessions: mangaassist\nmatrix: {include: [{model_id: amazon.nova-pro-v1:0}]}",
            "instead of one model",
        ),
        ("load: {pattern: replay, trace: t.csv}\nsessions: mangaassist", "leave one of them out"),
        ("load: {rate: 5/s, trace: t.csv}", "load.trace: has no effect with the pattern sustained"),
        ("load: {rate: 5/s, burstiness: 0.3}", "load.burstiness: has no effect on poisson arrivals"),
    ],
)
def test_contradictions_are_found_in_files_whose_values_are_fine(tmp_path, change, said):
    problems = problems_of(tmp_path, f"name: x\nrouting: nova\n{change}\n")

    assert len(problems) == 1
    assert said in problems[0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("discription: x", "unknown key. Did you mean description?"),
        ("duration: 3m", "unknown key. Did you mean load.duration?"),
        ("model: x", "unknown key. Did you mean model_id or load.model?"),
        ("tiers: [flex]", "unknown key. Did you mean matrix.service_tiers?"),
        ("matrix: {rate: 5/s}", "unknown key. Did you mean rates or load.rate?"),
        ("matrix: {include: [{user: 5}]}", "unknown key. Did you mean users?"),
        ("quux: 1", "unknown key. Known are name, description, target,"),
        ("matrix: {models: amazon.nova-pro-v1:0}", "must be a list: write [amazon.nova-pro-v1:0]"),
        ("budget: 5", "must be a mapping with keys such as max_cost_usd, max_requests, max_error_rate, but is 5"),
        ("seed:", "must be a whole number, but is empty"),
        (f"seed: {'x' * 500}", f"must be a whole number, but is '{'x' * 59}..."),
        ("emulator: [1]", "must be a mapping of keys to values, but is a list"),
    ],
)
def test_what_was_meant_is_found_in_other_sections_too(tmp_path, line, said):
    (problem,) = problems_of(tmp_path, f"name: x\nrouting: nova\nload: {{rate: 5/s}}\n{line}\n")

    assert said in problem


@pytest.mark.parametrize(
    ("model_id", "said"),
    [
        ("amazon.nova-po-v1:0", "Did you mean amazon.nova-pro-v1:0?"),
        ("us.amazon.nova-pro-v1:0", "write amazon.nova-pro-v1:0 and region prefix us"),
    ],
)
def test_models_are_base_ids_of_the_catalogue(tmp_path, model_id, said):
    (problem,) = problems_of(tmp_path, f"name: x\nmodel_id: {model_id}\nload: {{users: 3}}\n")

    assert said in problem


def test_mixed_sizes_need_the_mix(tmp_path):
    text = "name: x\nmodel_id: amazon.nova-pro-v1:0\nload: {users: 3}\nmatrix: {prompt_sizes: [mixed]}\n"

    assert problems_of(tmp_path, text) == [":4:10: matrix.prompt_sizes: mixed needs the mix: give a routing"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_scenarios_are_valid_and_say_why_they_exist(path):
    load_scenario(path)

    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# yaml-language-server: $schema=schema.json"
    assert lines[1].startswith("# Why: ")
    assert any("pass means" in line for line in lines)


def test_shipped_scenarios_are_named_like_their_files():
    assert SHIPPED
    assert [load_scenario(path).name for path in SHIPPED] == [path.stem for path in SHIPPED]


def test_a_place_is_the_line_of_the_innermost_thing_that_the_file_has():
    document = Document("f.yaml", {}, read_yaml("\n\nload:\n  users: 3"))

    assert document.place(("load", "rate")) == "f.yaml:3:1: load.rate"
    assert document.place(("load", "users")) == "f.yaml:4:3: load.users"
    assert document.source(("load", "users")) == "f.yaml:4"
    assert format_path(("matrix", "include", 0, "rate")) == "matrix.include[0].rate"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["name", "load", "matrix", "rate", "include", "routing", "x"]), inner, max_size=4
            )
        ),
        max_leaves=8,
    )
)
def test_any_values_make_a_scenario_or_problems_never_a_crash(values):
    if not isinstance(values, dict):
        values = {"name": values}
    document = Document("f.yaml", values, read_yaml(""))
    with contextlib.suppress(ScenarioError):
        build_scenario(values, document.place)
