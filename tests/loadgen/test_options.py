"""Options of the command line and the web form."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import pytest

from loadgen.options import OPTIONS, LoadOptions, OptionsError, add_options, read_options
from loadgen.preparation import prepare
from scenarios.prompts import load_prompts
from scenarios.traffic import SinglePromptSampler


class _Parser(ArgumentParser):
    """Argparse with the extra keyword arguments of Locust's parser."""

    def add_argument(self, *names: str, **kwargs: Any) -> Any:
        for extra in ("env_var", "include_in_web_ui"):
            kwargs.pop(extra, None)
        return super().add_argument(*names, **kwargs)


def parsed(*arguments: str, **overrides: Any) -> Namespace:
    parser = _Parser()
    add_options(parser)
    namespace = parser.parse_args(list(arguments))
    for name, value in overrides.items():
        setattr(namespace, name, value)
    return namespace


def test_the_defaults_make_a_test() -> None:
    options = read_options(parsed())

    assert not options.is_open_loop
    assert options.region_prefix == "us"
    assert options.service_tier == "default"


def test_every_option_has_a_typed_default_that_is_not_none() -> None:
    """The web form keeps the type of the default; None would turn numbers into text."""
    assert all(option.default is not None for option in OPTIONS)


def test_the_dimensions_of_the_contract_have_their_variables() -> None:
    variables = {option.env_var for option in OPTIONS}

    assert {
        "BASE_MODEL_ID",
        "REGION_PREFIX",
        "SERVICE_TIER",
        "PROMPT_SIZE",
        "PROMPTS_FILE",
        "MAX_TOKENS",
        "RESULTS_DIR",
        "INCLUDE_FAILURES",
        "RECORD_RESPONSES",
    } <= variables


def test_prompts_and_answers_are_recorded_only_when_asked_for() -> None:
    assert not read_options(parsed()).record_responses
    assert read_options(parsed("--record-responses")).record_responses


def test_a_rate_makes_it_an_open_loop_with_a_schedule() -> None:
    options = read_options(parsed("--rate", "2/s", "--pattern", "spike", "--test-duration", "50", "--warmup", "5s"))

    assert options.is_open_loop
    assert [phase.name for phase in options.schedule().phases()] == ["warmup", "baseline", "spike", "recovery"]
    assert options.schedule().peak_rps == pytest.approx(20.0)


def phases_of(*arguments: str) -> list[str]:
    return [phase.name for phase in read_options(parsed(*arguments)).schedule().phases()]


def test_every_pattern_can_be_asked_for(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("time\n0\n1\n")
    base = ("--rate", "2/s", "--test-duration", "60")

    assert phases_of(*base, "--pattern", "ramp", "--start-rate", "5/s") == ["fall"]
    assert phases_of(*base, "--pattern", "steps", "--steps", "2") == ["step1", "step2"]
    assert phases_of(*base, "--pattern", "production") == ["night", "peak", "late"]
    listed = read_options(parsed("--pattern", "steps", "--step-rates", "1/s,8/s,2/s", "--test-duration", "30"))
    assert (listed.schedule().peak_rps, listed.is_open_loop) == (8.0, True)
    replay = read_options(parsed("--pattern", "replay", "--trace-file", str(trace), "--trace-speed", "2"))
    assert [arrival.at_s for arrival in replay.schedule().arrivals(1)] == [0.0, 0.5]
    assert replay.schedule().duration_s == 0.75


def test_gamma_arrivals_have_a_burstiness() -> None:
    options = read_options(parsed("--rate", "2/s", "--arrival-process", "gamma", "--burstiness", "0.3"))

    assert (options.stages[0].process, options.stages[0].burstiness) == ("gamma", 0.3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--trace-file", "t.csv"),
            "--trace-file: has no effect with the pattern sustained: give --pattern replay",
        ),
        (("--rate", "2/s", "--burstiness", "0.3"), "--burstiness: has no effect on poisson arrivals: give --arrival-"),
        (("--arrival-process", "gamma", "--burstiness", "0.3"), "--arrival-process: has no effect on users that wait"),
        (("--rate", "2/s", "--start-rate", "1/s"), "--start-rate: has no effect with the pattern sustained"),
        (("--rate", "2/s", "--step-rates", "1/s,2/s"), "--step-rates: has no effect with the pattern sustained"),
    ],
)
def test_an_option_that_nothing_would_come_of_is_refused(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(OptionsError) as caught:
        read_options(parsed(*arguments))

    (problem,) = caught.value.problems
    assert problem.startswith(said)
    read_options(parsed(*arguments, "--run-id", "r"))  # cells of a suite are given all options


def test_a_file_of_stages_takes_the_place_of_rate_and_pattern(tmp_path: Path) -> None:
    stages = tmp_path / "stages.yaml"
    stages.write_text("stages:\n- {rate: 2/s, duration: 5s, name: calm}\n- {pattern: burst, rate: 4/s, duration: 9s}\n")

    assert phases_of("--stages-file", str(stages), "--warmup", "1s") == ["warmup", "calm", "burst", "steady"]
    with pytest.raises(OptionsError, match="--stages-file: cannot be combined with a rate"):
        read_options(parsed("--stages-file", str(stages), "--rate", "5/s"))
    stages.write_text("warmup: 2s\nstages:\n- {rate: 2/s, duration: 5s}\n")
    assert read_options(parsed("--stages-file", str(stages))).warmup_s == 2.0
    with pytest.raises(OptionsError, match="--warmup: the file of stages has a warmup as well"):
        read_options(parsed("--stages-file", str(stages), "--warmup", "1s"))
    with pytest.raises(OptionsError, match="--pattern: has no effect beside --stages-file"):
        read_options(parsed("--stages-file", str(stages), "--pattern", "burst"))
    stages.write_text("stages:\n- {rate: 2}\n")
    with pytest.raises(OptionsError, match=r"stages.yaml:2:4: stages\[0\].rate: 2 is not a rate"):
        read_options(parsed("--stages-file", str(stages)))


class OwnMessages:
    """A user class as a locustfile of one's own has it."""

    @classmethod
    def make_sampler(cls, options: LoadOptions) -> SinglePromptSampler:
        return SinglePromptSampler(load_prompts(), "small", 1, options.model_id)


def test_users_with_messages_of_their_own_are_not_silently_replayed_with_others(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("time\n0\n")

    assert prepare(parsed(), None, [OwnMessages]).samplers.keys() == {OwnMessages}
    with pytest.raises(OptionsError, match=r"OwnMessages has messages of its own .* loadgen.users.replaying"):
        prepare(parsed("--pattern", "replay", "--trace-file", str(trace)), None, [OwnMessages])


def test_no_prefix_can_be_asked_for() -> None:
    assert read_options(parsed("--region-prefix", "none")).region_prefix is None


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"service_tier": "premium"}, "--service-tier: 'premium' is not one of default, priority, flex"),
        ({"service_tier": "prioritty"}, "did you mean priority?"),
        ({"prompt_size": "tiny"}, "--prompt-size: 'tiny' is not one of small, medium, large"),
        ({"rate": "5"}, "--rate: '5' is not a rate"),
        ({"rate": "5/s", "pattern": "spike"}, "needs a test duration"),
        ({"rate": "5/s", "pattern": "steps", "steps": 0}, "--steps: 0 must be at least 1"),
        ({"step_rates": "0/s,0/s"}, "--step-rates: there must be at most 200 steps, and one of them above 0/s"),
        ({"burstiness": "0"}, "--burstiness: 0 must lie between 0.01 and 1000"),
        ({"burstiness": "nan"}, "--burstiness: nan must lie between"),
        ({"pattern": "replay"}, "A replay needs a trace"),
        ({"pattern": "replay", "trace_file": "/no/such.csv"}, "the file cannot be read (No such file or directory)"),
        ({"pattern": "replay", "trace_file": "/no/such.csv", "trace_speed": "fast"}, "--trace-speed: 'fast' is not"),
        ({"stages_file": "/no/such.yaml"}, "/no/such.yaml: cannot be read: No such file or directory"),
        ({"max_tokens": "many"}, "--max-tokens: 'many' is not a number"),
        ({"max_tokens": 0}, "--max-tokens: 0 must be at least 1"),
        ({"think_time": "2s-1s"}, "--think-time"),
        ({"region_prefix": "mars"}, "--region-prefix: 'mars' is not one of"),
        ({"latency": "fast"}, "--latency: 'fast' is not one of none, standard, optimized"),
        ({"cache_system": True}, "--cache-system: needs a system prompt"),
        ({"system_prompt_file": "/no/such.txt"}, "--system-prompt-file: /no/such.txt cannot be read"),
        ({"stop_sequences": "a,a"}, "--stop-sequences: a stop sequence is given twice"),
        ({"request_metadata": "team"}, "--request-metadata: 'team' is not an entry"),
        ({"warmup": "soon"}, "--warmup: 'soon' is not a duration"),
    ],
)
def test_values_of_the_web_form_are_checked(overrides: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OptionsError) as caught:
        read_options(parsed(**overrides))

    assert any(sentence in problem for problem in caught.value.problems)


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(OptionsError) as caught:
        read_options(parsed(service_tier="x", prompt_size="y", warmup="z"))

    assert len(caught.value.problems) == 3


def test_what_requests_carry_is_read_from_texts_and_a_file(tmp_path: Path) -> None:
    file = tmp_path / "clerk.txt"
    file.write_text("Be a clerk.", encoding="utf-8")
    texts = {"stop_sequences": '["\\n\\n", "END"]', "request_metadata": "team=search", "latency": "optimized"}
    options = read_options(parsed(system_prompt_file=str(file), cache_system=True, **texts))

    assert options.system is not None
    assert options.system.text == "Be a clerk."
    assert options.cache_system
    assert (options.latency, options.stop_sequences) == ("optimized", ("\n\n", "END"))
    assert options.request_metadata == {"team": "search"}
    assert "clerk." not in repr(options).replace("clerk.txt", "")


def test_requests_carry_nothing_that_was_not_asked_for() -> None:
    options = read_options(parsed())

    assert (options.system, options.latency, options.stop_sequences, options.request_metadata) == (None, None, (), {})


def test_limits_of_a_test_are_none_where_nothing_is_said() -> None:
    free, limited = read_options(parsed()), read_options(parsed("--max-requests", "0", "--max-cost-usd", "0.05"))

    assert (free.max_requests, free.max_cost_usd) == (None, None)
    assert (limited.max_requests, limited.max_cost_usd) == (0, 0.05)
    assert read_options(parsed("--max-cost-usd", "none")).max_cost_usd is None


def test_a_limit_that_is_none_is_refused_with_its_option() -> None:
    with pytest.raises(OptionsError) as caught:
        read_options(parsed("--max-requests", "-1", "--max-cost-usd", "nan", "--prices-file", "nowhere.yaml"))

    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "--max-requests",
        "--max-cost-usd",
        "--prices-file",
    ]
