"""Options of the command line and the web form."""

from argparse import ArgumentParser, Namespace
from typing import Any

import pytest

from loadgen.options import OPTIONS, OptionsError, add_options, read_options


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
        ({"max_tokens": "many"}, "--max-tokens: 'many' is not a number"),
        ({"max_tokens": 0}, "--max-tokens: 0 must be at least 1"),
        ({"think_time": "2s-1s"}, "--think-time"),
        ({"region_prefix": "mars"}, "--region-prefix: 'mars' is not one of"),
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
