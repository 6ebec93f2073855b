"""Flag > environment > scenario > default, and where each value came from."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.flags import RUN_ONLY, SCENARIO_FLAGS
from orchestrator.settings import Settings, cost_limit_usd, resolve
from scenarios.loading import ScenarioError, load_scenario

SCENARIO = """\
name: x
routing: nova
max_tokens: 100
load: {rate: 5/s, duration: 10s}
matrix:
  service_tiers: [default]
  include:
    - {pattern: spike, duration: 20s}
seed: 7
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "x.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    return path


def settings_of(scenario: Path, arguments=None, environ=None) -> Settings:
    return resolve(scenario, arguments or {}, environ or {})


def problems_of(scenario: Path, arguments=None, environ=None) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        resolve(scenario, arguments or {}, environ or {})
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("arguments", "environ", "seed", "source"),
    [
        ({}, {}, 7, "x.yaml:9"),
        ({}, {"SEED": "8"}, 8, "environment SEED"),
        ({"seed": "9"}, {"SEED": "8"}, 9, "--seed"),
        ({"seed": "9"}, {}, 9, "--seed"),
        ({}, {"SEED": ""}, 7, "x.yaml:9"),
    ],
)
def test_the_nearest_source_wins_and_is_named(scenario, arguments, environ, seed, source):
    settings = settings_of(scenario, arguments, environ)

    assert settings.scenario.seed == seed
    assert settings.source("seed").endswith(source)


@given(
    file=st.sampled_from([None, "11s"]), environment=st.sampled_from([None, "12s"]), flag=st.sampled_from([None, "13"])
)
def test_precedence_of_every_combination(tmp_path_factory, file, environment, flag):
    path = tmp_path_factory.mktemp("s") / "x.yaml"
    duration = f", duration: {file}" if file else ""
    path.write_text(f"name: x\nrouting: nova\nload: {{rate: 5/s{duration}}}\n", encoding="utf-8")

    environ = {"TEST_DURATION": environment} if environment else {}
    settings = settings_of(path, {"test_duration": flag}, environ)

    expected = 13.0 if flag else 12.0 if environment else 11.0 if file else 60.0
    source = "--test-duration" if flag else "environment" if environment else "x.yaml:3" if file else "default"
    assert settings.scenario.load.duration_s == expected
    assert source in settings.source("load.duration")


def test_every_flag_has_an_environment_variable_of_its_own_name():
    for flag in (*SCENARIO_FLAGS, *RUN_ONLY):
        assert flag.env_vars[0] == flag.text.removeprefix("--").replace("-", "_").upper()
    names = [name for flag in (*SCENARIO_FLAGS, *RUN_ONLY) for name in flag.env_vars]
    assert len(names) == len(set(names))


def test_the_model_id_is_also_read_from_base_model_id(scenario):
    settings = settings_of(scenario, {}, {"BASE_MODEL_ID": "amazon.nova-pro-v1:0"})

    assert settings.scenario.model_ids == ("amazon.nova-pro-v1:0",)
    assert settings.source("matrix.models") == "environment BASE_MODEL_ID"


def test_a_model_takes_the_place_of_a_routing_and_the_other_way_round(scenario, tmp_path):
    by_model = settings_of(scenario, {"model_id": "amazon.nova-pro-v1:0,amazon.nova-micro-v1:0"}).scenario
    assert (by_model.routing, by_model.traffic_kind, len(by_model.model_ids)) == (None, "single_prompt", 2)

    single = tmp_path / "single.yaml"
    single.write_text("name: s\ntraffic: single_prompt\nmodel_id: amazon.nova-pro-v1:0\nload: {users: 3}\n")
    by_routing = settings_of(single, {"routing": "reference"}).scenario
    assert (by_routing.routing, by_routing.traffic_kind, by_routing.model_ids) == ("reference", "mangaassist", ())


def test_users_take_the_place_of_rates_and_the_other_way_round(scenario):
    closed = settings_of(scenario, {"user_counts": "3,6"}).scenario
    assert (closed.load.rate_rps, closed.matrix.user_counts, closed.matrix.rates_rps) == (None, (3, 6), ())

    from_environment = settings_of(scenario, {"rates": "2/s"}, {"USER_COUNTS": "3"}).scenario
    assert (from_environment.matrix.user_counts, from_environment.matrix.rates_rps) == ((), (2.0,))


STAGED = """\
name: staged
routing: nova
load:
  - {rate: 5/s, duration: 10s}
  - {pattern: replay, trace: traces/t.csv}
"""


def test_stages_give_way_to_what_a_flag_says_of_load_and_keep_what_is_common(tmp_path):
    path = tmp_path / "staged.yaml"
    path.write_text(STAGED)
    warmed = settings_of(path, {"warmup": "3s", "arrival_process": "gamma", "burstiness": "0.5"}).scenario.load

    assert (len(warmed.stages), warmed.warmup_s, warmed.process, warmed.burstiness) == (2, 3.0, "gamma", 0.5)
    assert warmed.stages[1].trace == str(tmp_path / "traces" / "t.csv"), "beside the scenario"
    for arguments in ({"rates": "2/s"}, {"user_counts": "3"}, {"patterns": "replay", "trace_file": "t.csv"}):
        assert settings_of(path, arguments).scenario.load.stages == ()
    (problem,) = problems_of(path, {"patterns": "spike"})
    assert "say how much" in problem


def test_the_effective_configuration_of_stages_is_a_scenario_of_the_same(tmp_path):
    path = tmp_path / "staged.yaml"
    path.write_text(STAGED)
    settings = settings_of(path)
    (tmp_path / "effective.yaml").write_text(settings.effective_yaml())

    assert load_scenario(tmp_path / "effective.yaml").load == settings.scenario.load


def test_a_dimension_given_by_a_flag_leaves_out_the_cells_written_for_another_one(scenario):
    assert len(settings_of(scenario).scenario.matrix.include) == 1
    assert settings_of(scenario, {"service_tiers": "flex"}).scenario.matrix.include == ()


def test_a_duration_given_by_a_flag_holds_for_extra_cells_too(scenario):
    (extra,) = settings_of(scenario, {"test_duration": "3s"}).scenario.matrix.include

    assert extra.duration_s is None, "falls back to load.duration"


@pytest.mark.parametrize(
    ("arguments", "environ", "regions"),
    [
        ({}, {}, ("us-west-2", "eu-west-1")),
        ({}, {"AWS_REGION": "ap-south-1"}, ("us-west-2", "eu-west-1")),
        ({}, {"REGION": "ap-south-1"}, ("ap-south-1",)),
        ({"region": "ap-south-1"}, {}, ("ap-south-1",)),
    ],
)
def test_a_region_of_the_command_replaces_those_of_the_scenario_the_sdks_default_does_not(
    scenario, arguments, environ, regions
):
    text = SCENARIO.replace("service_tiers", "regions: [us-west-2, eu-west-1]\n  service_tiers")
    scenario.write_text(text, encoding="utf-8")

    assert settings_of(scenario, arguments, environ).regions == regions


def test_an_api_of_the_command_replaces_the_dimension(scenario):
    text = SCENARIO.replace("service_tiers", "apis: [converse, invoke_model]\n  service_tiers")
    scenario.write_text(text, encoding="utf-8")

    settings = settings_of(scenario, {"api": "converse_stream"})
    assert (settings.scenario.api, settings.scenario.matrix.apis) == ("converse_stream", ())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"service_tiers": "prio"}, "--service-tiers: 'prio' is not one of default, priority, flex, reserved."),
        ({"prompt_sizes": "smal"}, "--prompt-sizes: 'smal' is not one of small, medium, large, mixed. Did you mean"),
        ({"patterns": "spik"}, "--patterns: 'spik' is not one of"),
        ({"user_counts": "3,x"}, "--user-counts: 'x' is not a whole number"),
        ({"user_counts": "3,,4"}, "--user-counts: '3,,4' is not a comma list"),
        ({"rates": "5/s,5/s"}, "--rates: 5/s is given twice"),
        ({"user_counts": "0"}, "--user-counts: must be greater than 0, but is 0"),
        ({"rates": "5"}, "--rates: '5' is not a rate"),
        ({"test_duration": "10x"}, "--test-duration: '10x' is not a duration"),
        ({"max_tokens": "many"}, "--max-tokens: 'many' is not a whole number"),
        ({"max_cost_usd": "much"}, "--max-cost-usd: 'much' is not an amount in USD"),
        ({"max_cost_usd": "-1"}, "--max-cost-usd: -1.0 is not an amount in USD"),
        ({"model_id": "amazon.nova-po-v1:0"}, "--model-id: Unknown model 'amazon.nova-po-v1:0'. Did you mean"),
        ({"fail_on": "slo"}, "--fail-on: 'slo' is not one of sla, regression, both, never. Did you mean sla?"),
        ({"target": "aws2"}, "--target: 'aws2' is not one of emulator, aws. Did you mean aws?"),
        ({"user_counts": "3", "rates": "5/s"}, "--user-counts: cannot be combined with --rates"),
        ({"model_id": "amazon.nova-pro-v1:0", "routing": "nova"}, "--model-id: cannot be combined with --routing"),
        ({"user_counts": "3", "patterns": "production"}, "--patterns: production needs the open loop"),
    ],
)
def test_a_wrong_flag_is_one_sentence_that_names_it(scenario, arguments, said):
    (problem,) = problems_of(scenario, arguments)

    assert problem.startswith(said)


def test_a_mistyped_scenario_is_told_which_one_there_is():
    with pytest.raises(ScenarioError, match=r"smkoe: cannot be read: No such file or directory\. Did you mean smoke\?"):
        resolve(Path("smkoe"), {}, {})


def test_a_wrong_variable_is_named_as_such(scenario):
    assert problems_of(scenario, {}, {"INCLUDE_FAILURES": "perhaps", "SERVICE_TIERS": "prio"}) == [
        "environment INCLUDE_FAILURES: 'perhaps' is neither yes nor no",
        "environment SERVICE_TIERS: 'prio' is not one of default, priority, flex, reserved. Did you mean priority?",
    ]


def test_problems_of_flags_and_of_the_file_come_together(scenario):
    scenario.write_text("name: x\nroutin: nova\n", encoding="utf-8")

    said = "\n".join(problems_of(scenario, {"fail_on": "slo"}))
    assert "--fail-on" in said
    assert "routin: unknown key" in said


def test_the_effective_configuration_is_a_scenario_that_gives_the_same_run(scenario, tmp_path):
    settings = settings_of(scenario, {"rates": "0.5/s,3/s", "max_cost_usd": "none"}, {"WARMUP": "2s"})
    text = settings.effective_yaml()
    effective = tmp_path / "effective.yaml"
    effective.write_text(text, encoding="utf-8")

    assert load_scenario(effective) == settings.scenario
    assert "load.warmup" in text
    assert "environment WARMUP" in text


def test_the_listing_has_every_value_with_its_source(scenario):
    rows = {row.name: row for row in settings_of(scenario, {"rates": "2/s"}, {"AWS_REGION": "eu-west-1"}).listing()}

    assert (rows["matrix.rates"].value, rows["matrix.rates"].source) == ("2/s", "--rates")
    assert (rows["region"].value, rows["region"].source) == ("eu-west-1", "environment AWS_REGION")
    assert rows["load.drain_timeout"].source == "default"
    assert rows["max_tokens"].source.endswith("x.yaml:3")


@pytest.mark.parametrize(
    ("arguments", "paid", "own_emulator"),
    [
        ({}, False, True),
        ({"target": "aws"}, True, False),
        ({"endpoint_url": "http://127.0.0.1:8700"}, False, False),
        ({"endpoint_url": "http://localhost:8700", "target": "aws"}, False, False),
        ({"endpoint_url": "https://bedrock-runtime.us-east-1.amazonaws.com"}, True, False),
    ],
)
def test_what_leaves_this_machine_may_cost_money(scenario, arguments, paid, own_emulator):
    settings = settings_of(scenario, arguments)

    assert settings.is_paid is paid
    assert settings.starts_emulator is own_emulator


def test_relative_files_start_at_the_scenario_or_where_the_command_runs(tmp_path, monkeypatch):
    folder, here = tmp_path / "s", tmp_path / "here"
    folder.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    scenario = folder / "x.yaml"
    scenario.write_text("name: x\nrouting: nova\nload: {rate: 5/s}\nprompts_file: p.json\n", encoding="utf-8")

    assert settings_of(scenario).scenario.prompts_file == str(folder / "p.json")
    assert settings_of(scenario, {"prompts_file": "q.json"}).scenario.prompts_file == str(here / "q.json")


@pytest.mark.parametrize(("given", "limit"), [(None, None), ("none", None), ("$2.50", 2.5), ("0.05", 0.05)])
def test_the_budget_in_dollars(scenario, given, limit):
    assert cost_limit_usd(settings_of(scenario, {"max_cost_usd": given}).scenario) == limit


def test_a_routing_file_is_beside_its_scenario_or_where_the_command_runs(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    scenario = tmp_path / "there" / "s.yaml"
    text = "name: x\nrouting: my.yaml\nload: {rate: 1/s}\nmatrix: {include: [{routing: other.yaml}, {routing: nova}]}\n"
    scenario.write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path / "here")

    plain = settings_of(scenario).scenario
    assert plain.routing == str(tmp_path / "there" / "my.yaml")
    assert [extra.routing for extra in plain.matrix.include] == [str(tmp_path / "there" / "other.yaml"), "nova"]
    for layers in (({"routing": "my.yaml"}, {}), ({}, {"ROUTING": "my.yaml"})):
        assert settings_of(scenario, *layers).scenario.routing == str(tmp_path / "here" / "my.yaml")


def test_variables_count_as_part_of_the_command_only_where_they_had_an_effect(scenario):
    environ = {"SEED": "8", "MAX_TOKENS": "50", "FAIL_ON": "never", "RATES": "", "HOME": "/home/x"}
    settings = settings_of(scenario, {"seed": "9"}, environ)

    assert settings.environment == {"FAIL_ON": "never", "MAX_TOKENS": "50"}


def test_account_ids_are_in_no_listing_and_no_effective_configuration(scenario):
    arn = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc"
    text = (
        SCENARIO.replace("routing: nova", f"model_id: {arn}=amazon.nova-pro-v1:0")
        + f"emulator: {{aliases: {{'{arn}': x}}}}\n"
    )
    scenario.write_text(text, encoding="utf-8")
    settings = settings_of(scenario)

    assert settings.scenario.model_id == f"{arn}=amazon.nova-pro-v1:0"
    assert "123456789012" not in settings.effective_yaml() + str(settings.listing())
    assert "<account>" in settings.effective_yaml()


def test_an_arn_with_several_region_prefixes_is_refused(scenario):
    arn = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc=amazon.nova-pro-v1:0"

    (problem,) = problems_of(scenario, {"model_id": arn, "region_prefixes": "us,eu"})
    assert "an ARN names its inference profile itself" in problem


def test_what_requests_carry_is_set_by_flags_and_variables_and_can_be_run_again(scenario, tmp_path):
    arguments = {
        "cache_system": True,
        "stop_sequences": '["\\n\\n", "a,b"]',
        "request_metadata": "team=search,run.id=7",
    }
    environ = {"SYSTEM_PROMPT_FILE": str(tmp_path / "clerk.txt"), "LATENCY": "optimized"}
    settings = settings_of(scenario, arguments, environ)
    request = settings.scenario.request
    rows = {row.name: row for row in settings.listing()}
    effective = tmp_path / "effective.yaml"
    effective.write_text(settings.effective_yaml(["a note\nof mine"]), encoding="utf-8")

    assert (request.latency, request.stop_sequences) == ("optimized", ("\n\n", "a,b"))
    assert request.metadata == {"team": "search", "run.id": "7"}
    assert (rows["request.metadata"].value, rows["request.metadata"].source) == (
        "team search, run.id 7",
        "--request-metadata",
    )
    assert rows["request.stop_sequences"].value == '"\\n\\n", a,b', "control characters are shown, not obeyed"
    assert rows["request.system_file"].source == "environment SYSTEM_PROMPT_FILE"
    assert load_scenario(effective) == settings.scenario
    assert "# a note of mine\n" in effective.read_text(encoding="utf-8")


def test_a_system_file_of_the_scenario_is_beside_it_and_one_of_a_flag_where_the_command_runs(
    scenario, tmp_path, monkeypatch
):
    scenario.write_text(SCENARIO + "request: {system_file: clerk.txt}\n", encoding="utf-8")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    assert settings_of(scenario).scenario.request.system_file == str(tmp_path / "clerk.txt")
    flagged = settings_of(scenario, {"system_prompt_file": "mine.txt"})
    assert flagged.scenario.request.system_file == str(elsewhere / "mine.txt")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"cache_system": True}, "cache_system needs a system prompt"),
        ({"latency": "optimised"}, "--latency: 'optimised' is not one of standard, optimized. Did you mean optimized?"),
        ({"stop_sequences": "a,,b"}, "--stop-sequences: an empty stop sequence"),
        ({"request_metadata": "team"}, "--request-metadata: 'team' is not an entry"),
        ({"request_metadata": "team=search!"}, "--request-metadata: the value of 'team' must be at most 256"),
    ],
)
def test_a_request_that_cannot_be_is_refused_where_it_was_given(scenario, arguments, sentence):
    assert sentence in "\n".join(problems_of(scenario, arguments))
