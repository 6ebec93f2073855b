"""Fault rules as they are written: what they mean, and that every mistake in them is named in plain words."""

import itertools
import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bedrock.catalog import default_catalog
from emulator.config import ConfigError, parse_config
from emulator.config_faults import parse_rules
from emulator.fault_sections import KINDS, MAX_TEXT_CHARACTERS
from emulator.faults import Rule
from tests.support.faults import EXAMPLES

NOVA = "amazon.nova-pro-v1:0"


def parsed(*rules: dict[str, Any]) -> list[Rule]:
    problems: list[str] = []
    found = parse_rules(list(rules), default_catalog(), problems)
    assert problems == []
    return found


def problem_of(rule: Any) -> str:
    problems: list[str] = []
    assert parse_rules([rule], default_catalog(), problems) == []
    (problem,) = problems
    return problem


# --- as written ----------------------------------------------------------------------------------------------


VARIANTS: list[dict[str, Any]] = [
    {"kind": "cut", "at": "before_headers"},
    {"kind": "cut", "at": "frame_border", "after_events": 0},
    {"kind": "stream_exception", "exception": "error"},
    {"kind": "stream_exception", "exception": "modelStreamErrorException", "original_message": "ouch"},
    {"kind": "error", "code": "ModelErrorException", "original_status_code": 599, "resource_name": "a model"},
    {"kind": "error", "code": "Teapot", "status": 418, "retry_after_ms": 7, "delay_s": 2},
    {"kind": "outage", "mode": "refuse_connection"},
    {"kind": "stall", "stall_s": 3},
]


@pytest.mark.parametrize("rule", [{"kind": kind, **extra} for kind, extra in EXAMPLES.items()] + VARIANTS)
def test_a_rule_as_understood_can_be_written_again(rule: dict[str, Any]) -> None:
    life = {"match": {"model": NOVA}, "rate": 0.5, "skip": 2, "after_s": 1, "for_s": 3}
    (found,) = parsed({**rule, **life})
    (again,) = parsed(json.loads(json.dumps(found.document)))

    assert again == found
    assert found.document.items() >= rule.items()
    assert (found.rate, found.skip, found.after_s, found.for_s) == (0.5, 2, 1, 3)


def test_every_kind_has_an_example_here() -> None:
    assert EXAMPLES.keys() == KINDS.keys()


def test_the_configuration_has_rules() -> None:
    config = parse_config(yaml.safe_load("faults:\n  - {kind: stall, rate: 0.1}\n  - {kind: outage}"))

    assert [found.label for found in config.faults] == ["stall", "outage"]
    assert parse_config({}).faults == ()


@pytest.mark.parametrize(
    ("rule", "label"),
    [
        ({"kind": "error", "code": "AccessDeniedException"}, "error:AccessDeniedException"),
        ({"kind": "stream_exception", "exception": "error"}, "stream_exception:error"),
        ({"kind": "cut", "at": "frame_border"}, "cut:frame_border"),
        ({"kind": "bad_crc"}, "bad_crc:message"),
        ({"kind": "outage"}, "outage"),
        ({"kind": "outage", "mode": "refuse_connection"}, "outage:refuse_connection"),
        ({"kind": "garbage"}, "garbage"),
    ],
)
def test_the_label_names_the_kind_and_its_variant(rule: dict[str, Any], label: str) -> None:
    assert parsed(rule)[0].label == label


# --- what is wrong with it -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("stall", "faults.1: must be a rule, like `{kind: stall, rate: 0.01}`, not 'stall'"),
        ({"rate": 0.1}, "faults.1.kind: is missing; known are error, stream_exception, cut, "),
        ({"kind": "stal"}, "faults.1.kind: unknown kind of fault 'stal'; did you mean `stall`?"),
        ({"kind": ["stall"]}, "faults.1.kind: unknown kind of fault ['stall']; known are error, "),
        ({"kind": "stall", "rates": 1}, "faults.1.rates: unknown key; did you mean `rate`?"),
        ({"kind": "stall", "bytes_per_s": 1}, "faults.1.bytes_per_s: unknown key; known are kind, match, rate, "),
        ({"kind": "stall", "rate": 0.1, "count": 2}, "faults.1: give `rate` or `count`, not both"),
        ({"kind": "stall", "rate": 1.5}, "faults.1.rate: must be less than or equal to 1, not 1.5"),
        ({"kind": "stall", "rate": "10%"}, "faults.1.rate: must be a valid number, not '10%'"),
        ({"kind": "stall", "rate": float("nan")}, "faults.1.rate: "),
        ({"kind": "stall", "count": 0}, "faults.1.count: must be greater than or equal to 1, not 0"),
        ({"kind": "stall", "count": True}, "faults.1.count: must be a whole number, not True"),
        ({"kind": "stall", "skip": -1}, "faults.1.skip: must be greater than or equal to 0, not -1"),
        ({"kind": "stall", "after_s": -0.1}, "faults.1.after_s: must be greater than or equal to 0, not -0.1"),
        ({"kind": "stall", "for_s": 0}, "faults.1.for_s: must be greater than 0, not 0"),
        ({"kind": "stall", "stall_s": 0}, "faults.1.stall_s: must be greater than 0, not 0"),
        ({"kind": "stall", "after_events": 1.5}, "faults.1.after_events: must be a whole number, not 1.5"),
        ({"kind": "trickle"}, "faults.1.bytes_per_s: is missing"),
        ({"kind": "trickle", "bytes_per_s": 1e-9}, "faults.1.bytes_per_s: must be greater than or equal to 0.001, not"),
        ({"kind": "stall", "stall_s": 1e308}, "faults.1.stall_s: must be less than or equal to 86400, not 1e+308"),
        ({"kind": "delay", "delay_s": 1e6}, "faults.1.delay_s: must be less than or equal to 86400, not 1000000.0"),
        ({"kind": "error", "code": "InternalServerException", "delay_s": 1e6}, "less than or equal to 86400"),
        ({"kind": "delay", "delay_s": 0}, "faults.1.delay_s: must be greater than 0, not 0"),
        ({"kind": "cut"}, "faults.1.at: is missing"),
        (
            {"kind": "cut", "at": "end"},
            "faults.1.at: must be 'before_headers', 'mid_frame' or 'frame_border', not 'end'",
        ),
        ({"kind": "cut", "at": "before_headers", "after_events": 1}, "faults.1: `after_events` does not go with `at: "),
        ({"kind": "bad_crc", "part": "body"}, "faults.1.part: must be 'prelude' or 'message', not 'body'"),
        ({"kind": "outage", "mode": "down"}, "faults.1.mode: must be 'error' or 'refuse_connection', not 'down'"),
        ({"kind": "stall", "match": "nova"}, "faults.1.match: must be a mapping, like `{operation: ConverseStream}`"),
        ({"kind": "stall", "match": {"modle": "x"}}, "faults.1.match.modle: unknown key; did you mean `model`?"),
        ({"kind": "stall", "match": {"model": "amazon.nova-por-v1:0"}}, f"did you mean `{NOVA}`?"),
        (
            {"kind": "stall", "match": {"model": "gpt-*"}},
            "faults.1.match.model: no model's id fits the pattern 'gpt-*'",
        ),
        ({"kind": "stall", "match": {"model": 3}}, "faults.1.match.model: must be a name or a list of names, not 3"),
        ({"kind": "stall", "match": {"tier": []}}, "faults.1.match.tier: must be a name or a list of names, not []"),
        (
            {"kind": "stall", "match": {"operation": "Convers"}},
            "faults.1.match.operation: unknown operation 'Convers'; did you mean `Converse`?",
        ),
        (
            {"kind": "stall", "match": {"tier": "standard"}},
            "faults.1.match.tier: unknown service tier 'standard'; known",
        ),
        (
            {"kind": "stall", "match": {"region": "virginia"}},
            "faults.1.match.region: 'virginia' is neither a region, like",
        ),
        (
            {"kind": "stall", "match": {"operation": "Converse"}},
            "faults.1.match.operation: `stall` can only hit ConverseStream and InvokeModelWithResponseStream, and this",
        ),
        (
            {
                "kind": "stream_exception",
                "exception": "modelTimeoutException",
                "match": {"operation": "ConverseStream"},
            },
            "faults.1.match.operation: `stream_exception:modelTimeoutException` can only hit InvokeModelWith",
        ),
        (
            {"kind": "stream_exception", "exception": "ThrottlingException"},
            "unknown exception of a stream 'ThrottlingException'; did you mean `throttlingException`?",
        ),
        (
            {"kind": "stream_exception", "exception": "throttlingException", "code": "X"},
            "faults.1: `code` goes with `exception: error` only",
        ),
        ({"kind": "error"}, "faults.1.code: is missing"),
        (
            {"kind": "error", "code": "ThrottledException"},
            "faults.1: `status` is missing: 'ThrottledException' is no modelled exception; did you mean Throttling",
        ),
        ({"kind": "error", "code": "Teapot"}, "faults.1: `status` is missing: 'Teapot' is no modelled exception"),
        ({"kind": "error", "code": "Tea pot", "status": 418}, "faults.1.code: string should match pattern"),
        ({"kind": "error", "code": "Teapot", "status": 200}, "faults.1.status: must be greater than or equal to 400"),
        (
            {"kind": "error", "code": "ThrottlingException", "message": "overload"},
            "faults.1: `message`: unknown wording 'overload'; did you mean `overloaded`?",
        ),
        (
            {"kind": "error", "code": "ThrottlingException", "resource_name": "x"},
            "faults.1: `resource_name` is no member of ThrottlingException",
        ),
        (
            {"kind": "error", "code": "Teapot", "status": 418, "message": "x" * (MAX_TEXT_CHARACTERS + 1)},
            "faults.1.message: string should have at most 2000 characters",
        ),
        (
            {"kind": "error", "code": "Teapot", "status": 418, "message": "\ud800"},
            "faults.1.message: must be a valid string, unable to parse",
        ),
    ],
)
def test_a_mistake_is_named_in_one_sentence_with_its_place(rule: Any, problem: str) -> None:
    assert problem in problem_of(rule)


def test_all_mistakes_of_all_rules_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({"faults": [{"kind": "stal"}, {"kind": "outage"}, {"kind": "trickle", "skip": -1}], "seed": "x"})

    places = ["seed", "faults.1.kind", "faults.3.skip", "faults.3.bytes_per_s"]
    assert [sum(problem.startswith(place) for problem in caught.value.problems) for place in places] == [1] * 4
    assert len(caught.value.problems) == 4


@pytest.mark.parametrize("faults", [{"kind": "stall"}, "stall", 3, None])
def test_rules_are_a_list(faults: Any) -> None:
    with pytest.raises(ConfigError, match="faults: must be a list of rules"):
        parse_config({"faults": faults})


keys = st.sampled_from(
    ["kind", "match", "rate", "count", "code", "at", "part", "exception", "after_events", "model", "region", "message"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from(list(KINDS)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)


@given(st.sampled_from(list(KINDS)), st.dictionaries(keys, values, max_size=5), values)
def test_any_content_is_a_rule_or_a_list_of_problems(kind: str, extra: dict[str, Any], anything: Any) -> None:
    for content in ([{"kind": kind, **EXAMPLES[kind], **extra}], [anything], anything):
        problems: list[str] = []
        rules = parse_rules(content, default_catalog(), problems)

        assert not (rules and problems) or isinstance(content, list)
        assert len(rules) + len(problems) >= (len(content) if isinstance(content, list) else 1)
        for one in itertools.chain(problems):
            assert one.startswith("faults")
