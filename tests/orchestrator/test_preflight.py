"""What is found wrong before anything is sent, and who may spend money."""

import io
import json
from pathlib import Path

import pytest

from orchestrator.consent import require_consent
from orchestrator.preflight import Preparation, check_cost_is_known, check_surroundings, prepare
from orchestrator.settings import resolve
from orchestrator.tables import load_text, plan_document, plan_text
from scenarios.loading import ScenarioError

SMOKE = Path(__file__).parents[2] / "scenarios" / "smoke.yaml"
AWS = {"target": "aws", "max_cost_usd": "1"}


def prepared(arguments=None, scenario: Path = SMOKE) -> Preparation:
    return prepare(resolve(scenario, arguments or {}, {}))


def problems_of(arguments, scenario: Path = SMOKE) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        check_surroundings(prepared(arguments, scenario).settings)
    return [str(problem) for problem in caught.value.problems]


def test_a_good_scenario_is_planned():
    preparation = prepared()

    (cell,) = preparation.cells
    assert preparation.plan.requests == pytest.approx(110.0)
    assert preparation.slots(cell) == preparation.plan.cells[0].slots
    assert len(preparation.plan.cells[0].models) == 2, "both routes of the mix"


def test_files_of_given_answers_are_beside_the_scenario_and_read_before_anything_starts(tmp_path):
    scenario = tmp_path / "s.yaml"
    scenario.write_text(SMOKE.read_text(encoding="utf-8") + "\nemulator: {responses: [a.yaml]}\n", encoding="utf-8")
    assert any("emulator.responses: cannot read" in problem for problem in problems_of({}, scenario))

    (tmp_path / "a.yaml").write_text("- {prompt: x, txt: y}\n", encoding="utf-8")
    assert f"emulator.responses: {tmp_path}/a.yaml:1: txt: unknown key" in "\n".join(problems_of({}, scenario))

    (tmp_path / "a.yaml").write_text("- {prompt: x, text: y}\n", encoding="utf-8")
    settings = prepared({}, scenario).settings
    assert settings.scenario.emulator == {"responses": [str(tmp_path / "a.yaml")]}
    assert str(tmp_path / "a.yaml") in settings.effective_yaml()


def test_a_trace_is_read_and_planned_before_anything_starts(tmp_path):
    (tmp_path / "trace.csv").write_text(
        "time,query_type,output_tokens\n" + "".join(f"{n / 10},greeting,10\n" for n in range(900))
    )
    scenario = tmp_path / "s.yaml"
    scenario.write_text("name: s\nrouting: nova\nload: {pattern: replay, trace: trace.csv}\n")
    plan = prepared({}, scenario).plan

    assert plan.requests == 900.0
    assert plan.output_tokens == pytest.approx(9000, rel=0.01), "each answer is cut off at ten tokens"
    assert len(plan.cells[0].models) == 1, "greetings take one route only"
    assert plan.quotas[0].requests_per_minute == pytest.approx(600, abs=1)
    assert "replay of trace.csv, 9.98/s on average, 1m30s" in load_text(plan.cells[0].cell)
    cut = prepared({"test_duration": "30s"}, scenario).plan
    assert cut.requests == 300.0
    assert "the first 300 of 900 messages" in load_text(cut.cells[0].cell)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("1,greeting\n0,greeting\n", "trace.csv:3 as a trace: the time is before that of line 2"),
        ("1,gretting\n", "trace.csv:2 as a trace: the mix has no query type 'gretting'; did you mean 'greeting'?"),
    ],
)
def test_an_unusable_trace_is_one_sentence_with_file_and_line(tmp_path, rows, said):
    (tmp_path / "trace.csv").write_text("time,query_type\n" + rows)
    arguments = {"patterns": "replay", "trace_file": str(tmp_path / "trace.csv")}

    (problem,) = problems_of(arguments)
    assert said in problem
    assert problem.startswith("--trace-file: ")


def test_every_process_has_at_least_one_slot(tmp_path):
    preparation = prepared({"processes": "40", "rates": "0.1/s"})

    assert preparation.slots(preparation.cells[0]) == 40


def test_a_missing_prompts_file_and_a_wrong_routing_are_told_together():
    assert len(problems_of({"prompts_file": "/nowhere.json", "routing": "novaa"})) == 2
    said = "\n".join(problems_of({"prompts_file": "/nowhere.json", "routing": "novaa"}))
    assert "--prompts-file: Cannot use /nowhere.json as a prompt library" in said
    assert "--routing: " in said
    assert "did you mean 'nova'" in said


def test_a_prompts_file_without_a_size_that_is_asked_for(tmp_path):
    prompts = tmp_path / "p.json"
    prompts.write_text(json.dumps({"small": {"text": "Hello there", "description": "d"}}), encoding="utf-8")

    assert prepared({"prompts_file": str(prompts), "prompt_sizes": "small"}).plan.requests > 0
    (problem,) = problems_of({"prompts_file": str(prompts), "prompt_sizes": "small,large"})
    assert problem.startswith("--prompt-sizes: ")
    assert "it has no large prompt; it has: small" in problem


def test_the_emulator_section_is_checked_before_an_emulator_is_started(tmp_path):
    scenario = tmp_path / "x.yaml"
    scenario.write_text("name: x\nrouting: nova\nload: {rate: 1/s}\nemulator: {defalt: {}}\n", encoding="utf-8")

    (problem,) = problems_of({}, scenario)
    assert problem.startswith(f"{scenario}:4:12: emulator.defalt: unknown key or model")


def test_an_own_emulator_needs_nothing_from_outside():
    check_surroundings(prepared().settings)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"region": "us-esat-1x"}, "--region: 'us-esat-1x' is not an AWS region: write it like us-east-1"),
        ({"endpoint_url": "http://[::1"}, "--endpoint-url: 'http://[::1' is not an endpoint URL"),
        (
            {"endpoint_url": "http://me:secret@127.0.0.1:1"},
            "--endpoint-url: the endpoint URL must not hold a user name",
        ),
    ],
)
def test_a_place_that_cannot_be_called_is_told_by_the_plan_already(arguments, said):
    with pytest.raises(ScenarioError) as caught:
        prepared(arguments)

    (problem,) = caught.value.problems
    assert str(problem).startswith(said)


def test_an_endpoint_where_nothing_answers():
    (problem,) = problems_of({"endpoint_url": "http://127.0.0.1:9"})

    assert problem.startswith("--endpoint-url: Nothing answers at http://127.0.0.1:9")
    (problem,) = problems_of({"endpoint_url": "127.0.0.1:9", "max_cost_usd": "none"})
    assert "is not an endpoint URL" in problem


def test_aws_needs_a_budget_or_an_explicit_refusal_of_one():
    (problem,) = problems_of({"target": "aws"})

    assert problem.startswith("--max-cost-usd: requests to AWS cost money")
    check_surroundings(prepared({"target": "aws", "max_cost_usd": "none"}).settings)
    check_surroundings(prepared(AWS).settings)


def test_aws_needs_credentials(monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    (problem,) = problems_of(AWS)
    assert problem.startswith("--target: No AWS credentials found")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("answer", ["y\n", "YES\n"])
def test_on_a_terminal_paid_traffic_is_asked_for(answer):
    screen = Terminal()
    require_consent(prepared(AWS), Terminal(answer), screen)

    assert screen.getvalue() == "this sends paid requests to AWS us-east-1. Start? [y/N] "


@pytest.mark.parametrize("answer", ["", "\n", "n\n", "maybe\n"])
def test_anything_but_yes_is_no(answer):
    with pytest.raises(ScenarioError, match="nothing was sent"):
        require_consent(prepared(AWS), Terminal(answer), Terminal())


def test_without_a_terminal_only_yes_agrees():
    with pytest.raises(ScenarioError, match="confirm with --yes"):
        require_consent(prepared(AWS), io.StringIO("y\n"), io.StringIO())
    require_consent(prepared(AWS | {"assume_yes": True}), io.StringIO(), io.StringIO())


def test_what_costs_nothing_is_not_asked_for():
    require_consent(prepared(), io.StringIO(), io.StringIO())


RESERVED = AWS | {"model_id": "anthropic.claude-haiku-4-5-20251001-v1:0", "service_tiers": "reserved"}
PROVISIONED = AWS | {
    "model_id": "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/x=amazon.nova-pro-v1:0",
    "service_tiers": "default",
}


@pytest.mark.parametrize("arguments", [RESERVED, PROVISIONED], ids=["tier-without-a-price", "provisioned"])
def test_a_cost_limit_that_could_never_be_noticed_is_refused(arguments):
    with pytest.raises(ScenarioError) as caught:
        check_cost_is_known(prepared(arguments))

    (problem,) = caught.value.problems
    assert problem.place == "--max-cost-usd"
    assert "no cost limit can be kept" in problem.text
    assert "123456789012" not in problem.text
    check_cost_is_known(prepared(arguments | {"max_cost_usd": "none"}))
    check_cost_is_known(prepared(arguments | {"target": "emulator"}))


def test_a_known_cost_may_have_a_limit():
    check_cost_is_known(prepared(AWS))


CONFIDENTIAL = "the price of the next volume is not yet public "


@pytest.fixture
def clerk(tmp_path) -> str:
    file = tmp_path / "clerk.txt"
    file.write_text(CONFIDENTIAL * 200, encoding="utf-8")
    return str(file)


def test_the_plan_counts_the_system_prompt_and_tells_of_it_without_its_text(clerk):
    preparation = prepared({"system_prompt_file": clerk, "cache_system": True})
    tokens = preparation.system.tokens
    (bare,), (cell,) = prepared().plan.cells, preparation.plan.cells

    assert cell.input_tokens == pytest.approx(bare.input_tokens + cell.requests * tokens)
    assert plan_document(preparation)["system_prompt"]["tokens"] == tokens
    told = f"{plan_text(preparation)} {plan_document(preparation)} {preparation!r}"
    assert CONFIDENTIAL.strip() not in told
    assert f"{clerk}, about {tokens:,} tokens, with a cache point; SHA-256 {preparation.system.sha256}" in told


def test_what_may_come_to_nothing_is_a_note_in_the_plan(tmp_path):
    file = tmp_path / "short.txt"
    file.write_text("Be short.", encoding="utf-8")
    preparation = prepared({"system_prompt_file": str(file), "cache_system": True})
    note = plan_document(preparation)["notes"][0]

    assert "is not cached" in note
    assert f"Note: {note}" in plan_text(preparation)


def test_the_region_decides_whether_optimised_latency_can_be_had():
    nova = {"model_id": "amazon.nova-pro-v1:0", "latency": "optimized"}

    assert len(prepared(nova).plan.cells) == 1
    (skipped,) = prepared(nova | {"region": "us-west-1"}).plan.skipped
    assert "in us-west-1" in skipped.reason


def test_a_system_prompt_that_cannot_be_read_is_named_with_the_flag_that_gave_it():
    with pytest.raises(ScenarioError, match=r"--system-prompt-file: /no/such\.txt cannot be read"):
        prepared({"system_prompt_file": "/no/such.txt"})


def test_conversations_are_planned_with_their_turns_and_their_history():
    alone, talking = prepared(), prepared({"sessions": "mangaassist"})
    shown = plan_document(talking)["sessions"]

    assert talking.plan.requests == pytest.approx(alone.plan.requests * shown["turns"])
    assert shown["turns"] == pytest.approx(2.59, abs=0.01)
    assert shown["thinking_s"] == pytest.approx(14.6, abs=0.1)
    grown = talking.plan.input_tokens / talking.plan.requests - alone.plan.input_tokens / alone.plan.requests
    assert grown == pytest.approx(shown["history_tokens"], abs=5)
    assert plan_document(alone)["sessions"] is None
    assert f"{shown['history_tokens']:,.0f} tokens of history" in "\n".join(map(str, plan_text(talking)))
    assert load_text(talking.cells[0]) == "conversations at 10/s poisson sustained, 10s"


def test_a_conversation_file_stands_beside_the_scenario_and_its_mistakes_are_told(tmp_path):
    scenario = tmp_path / "s.yaml"
    scenario.write_text(SMOKE.read_text(encoding="utf-8") + "\nsessions: talk.yaml\n", encoding="utf-8")
    (tmp_path / "talk.yaml").write_text("intents: {}\n", encoding="utf-8")

    with pytest.raises(ScenarioError, match=r"talk.yaml:1:1: languages is missing"):
        prepared({}, scenario)
