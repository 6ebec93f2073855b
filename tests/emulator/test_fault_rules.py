"""Fault rules on a virtual clock: which requests they hit, how often, and for how long."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedrock.catalog import PROFILE_PREFIXES, default_catalog, profile_id, split_model_id
from emulator.config_faults import parse_rules
from emulator.fault_sections import KINDS
from emulator.faults import ALL_OPERATIONS, Delay, FaultBook, Hit, Match, Rule, Traits
from emulator.operations import Operation
from tests.support.faults import EXAMPLES

NOVA = "amazon.nova-pro-v1:0"
HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
START_S = 1_000.0
#: Steps that floating-point numbers hold exactly, so that a border is a border.
STEP_S = 1 / 64

STREAM_ONLY = {"stream_exception", "stall", "bad_crc", "duplicate_metadata", "missing_metadata"}

seeds = st.integers(0, 2**32)
steps = st.integers(0, 640).map(lambda number: number * STEP_S)
operations = st.sampled_from(list(Operation))


def traits(
    model_id: str = NOVA,
    operation: Operation = Operation.CONVERSE_STREAM,
    tier: str = "default",
    region: str | None = "us-east-1",
) -> Traits:
    parts = split_model_id(model_id)
    regions = frozenset(name for name in (region, parts.prefix) if name is not None)
    return Traits(parts.base, profile_id(parts.base, parts.prefix), operation, tier, regions)


def rule(label: str = "delay", match: Match | None = None, **life: Any) -> Rule:
    return Rule(match or Match(), Delay(1.0), label, **life)


def book(*rules: Rule, seed: int = 1) -> FaultBook:
    return FaultBook(rules, seed, START_S)


def labels(found: Sequence[Hit | None]) -> list[str | None]:
    return [None if hit is None else hit.label for hit in found]


def hit_by(book: FaultBook, requests: int) -> list[bool]:
    return [book.hit(traits(), START_S) is not None for _ in range(requests)]


def parsed(*rules: dict[str, Any]) -> list[Rule]:
    problems: list[str] = []
    found = parse_rules(list(rules), default_catalog(), problems)
    assert problems == []
    return found


# --- how often -----------------------------------------------------------------------------------------------


@given(st.integers(1, 20), st.integers(0, 20), st.integers(0, 60))
def test_a_count_hits_the_first_requests_after_those_skipped_and_never_more(count: int, skip: int, sent: int) -> None:
    found = hit_by(book(rule(count=count, skip=skip)), sent)

    assert found == [skip <= number < skip + count for number in range(sent)]


@given(st.integers(0, 10), st.integers(0, 30))
def test_without_rate_and_count_all_are_hit_but_those_skipped(skip: int, sent: int) -> None:
    assert hit_by(book(rule(skip=skip)), sent) == [number >= skip for number in range(sent)]


@settings(deadline=None)  # thousands of requests in each example
@given(seeds, st.floats(0.0, 1.0))
def test_the_share_of_hits_converges_to_the_rate(seed: int, rate: float) -> None:
    sent = 2_000
    share = sum(hit_by(book(rule(rate=rate), seed=seed), sent)) / sent

    assert abs(share - rate) <= 6 * (rate * (1 - rate) / sent) ** 0.5 + 2 / sent


@given(seeds)
def test_a_rate_of_0_hits_nothing_and_one_of_1_everything(seed: int) -> None:
    assert not any(hit_by(book(rule(rate=0.0), seed=seed), 100))
    assert all(hit_by(book(rule(rate=1.0), seed=seed), 100))


@given(seeds, st.floats(0.05, 0.95))
def test_the_same_seed_hits_the_same_requests(seed: int, rate: float) -> None:
    assert hit_by(book(rule(rate=rate), seed=seed), 200) == hit_by(book(rule(rate=rate), seed=seed), 200)


def test_the_seed_and_the_place_of_a_rule_choose_its_hits() -> None:
    first = hit_by(book(rule(rate=0.5)), 200)

    assert hit_by(book(rule(rate=0.5), seed=2), 200) != first
    assert hit_by(book(rule(rate=0.0), rule(rate=0.5)), 200) != first


def test_every_hit_has_random_numbers_of_its_own() -> None:
    one = book(rule(count=2), rule())
    hits = [one.hit(traits(), START_S) for _ in range(4)]

    assert len({hit.seed for hit in hits if hit is not None}) == 4


# --- for how long --------------------------------------------------------------------------------------------


@given(steps, steps.map(lambda length: length + STEP_S), steps)
def test_a_rule_is_in_force_from_its_start_up_to_but_not_at_its_end(after_s: float, for_s: float, at_s: float) -> None:
    found = book(rule(after_s=after_s, for_s=for_s)).hit(traits(), START_S + at_s)

    assert (found is not None) == (after_s <= at_s < after_s + for_s)


@given(steps, steps.map(lambda length: length + STEP_S))
def test_the_borders_of_the_time_are_exact(after_s: float, for_s: float) -> None:
    windowed = book(rule(after_s=after_s, for_s=for_s))
    begin, end = START_S + after_s, START_S + after_s + for_s
    found = [windowed.hit(traits(), at) is not None for at in (begin - STEP_S, begin, end - STEP_S, end)]

    assert found == [False, True, True, False]


@given(steps, st.floats(0.0, 1e9))
def test_without_an_end_a_rule_stays_in_force(after_s: float, later_s: float) -> None:
    assert book(rule(after_s=after_s)).hit(traits(), START_S + after_s + later_s) is not None


@given(steps)
def test_the_time_of_a_rule_begins_when_it_is_added(added_s: float) -> None:
    empty = book()
    empty.add([rule(after_s=1.0, for_s=1.0)], START_S + added_s)
    found = [empty.hit(traits(), START_S + added_s + at_s) is not None for at_s in (0.0, 1.0, 2.0)]

    assert found == [False, True, False]


def test_requests_outside_the_time_use_up_neither_skip_nor_count() -> None:
    late = book(rule(after_s=5.0, skip=1, count=1))
    found = [late.hit(traits(), START_S + at_s) is not None for at_s in (0, 1, 2, 5, 6, 7)]

    assert found == [False, False, False, False, True, False]


# --- which of several ----------------------------------------------------------------------------------------


lives = st.fixed_dictionaries(
    {"skip": st.integers(0, 3), "after_s": st.sampled_from([0.0, 2.0])},
    optional={"count": st.integers(1, 3), "for_s": st.sampled_from([1.0, 4.0])},
)


@given(
    st.lists(st.tuples(st.sets(operations, min_size=1), lives), max_size=5),
    st.lists(st.tuples(operations, st.integers(0, 8)), max_size=30),
)
def test_the_first_rule_that_hits_wins_and_the_others_are_not_asked(
    rules: list[tuple[set[Operation], dict[str, Any]]], requests: list[tuple[Operation, int]]
) -> None:
    """Against a second reading of the rules, written as plainly as can be."""
    found = book(*(rule(str(n), Match(operations=frozenset(named)), **life) for n, (named, life) in enumerate(rules)))
    seen = dict.fromkeys(range(len(rules)), 0)
    used = dict.fromkeys(range(len(rules)), 0)

    def expected(operation: Operation, at_s: float) -> str | None:
        for n, (named, life) in enumerate(rules):
            if operation not in named or at_s < life["after_s"]:
                continue
            if "for_s" in life and at_s >= life["after_s"] + life["for_s"]:
                continue
            seen[n] += 1
            if seen[n] > life["skip"] and used[n] < life.get("count", 10**9):
                used[n] += 1
                return str(n)
        return None

    wanted = [expected(operation, at_s) for operation, at_s in requests]
    assert labels([found.hit(traits(operation=op), START_S + at_s) for op, at_s in requests]) == wanted
    assert [(one.matched, one.hits) for one in found.rules] == [(seen[n], used[n]) for n in range(len(rules))]


def test_what_a_rule_spares_is_left_to_the_next() -> None:
    found = book(rule("first", count=1), rule("second", count=2), rule("rest", rate=1.0))

    assert labels([found.hit(traits(), START_S) for _ in range(4)]) == ["first", "second", "second", "rest"]


def test_rules_of_the_configuration_come_before_those_added_later() -> None:
    found = book(rule("configured", count=1))
    found.add([rule("added")], START_S)

    assert labels([found.hit(traits(), START_S) for _ in range(2)]) == ["configured", "added"]


# --- which requests ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("match", "fits", "fits_not"),
    [
        ({"model": NOVA}, [NOVA, f"us.{NOVA}"], [HAIKU]),
        ({"model": f"us.{NOVA}"}, [f"us.{NOVA}"], [NOVA, f"eu.{NOVA}"]),
        ({"model": f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{NOVA}"}, [f"us.{NOVA}"], [NOVA]),
        ({"model": "amazon.*"}, [NOVA, f"us.{NOVA}"], [HAIKU]),
        ({"model": "us.*"}, [f"us.{NOVA}", f"us.{HAIKU}"], [NOVA]),
        ({"model": "*claude*"}, [HAIKU, f"global.{HAIKU}"], [NOVA]),
        ({"model": [NOVA, "*haiku*"]}, [NOVA, HAIKU], ["amazon.nova-lite-v1:0"]),
        ({"region": "us"}, [f"us.{NOVA}"], [NOVA, f"eu.{NOVA}"]),
    ],
)
def test_a_model_is_matched_by_base_id_profile_id_or_pattern(
    match: dict[str, Any], fits: list[str], fits_not: list[str]
) -> None:
    (found,) = parsed({"kind": "outage", "match": match})

    assert [traits(model_id) in found.match for model_id in fits] == [True] * len(fits)
    assert [traits(model_id) in found.match for model_id in fits_not] == [False] * len(fits_not)


def test_a_region_is_that_of_the_signature() -> None:
    (found,) = parsed({"kind": "outage", "match": {"region": ["us-east-1", "us-gov-west-1"]}})

    asked = [traits(region=name) for name in ("us-east-1", "us-gov-west-1", "eu-west-1", None)]
    assert [one in found.match for one in asked] == [True, True, False, False]


def test_all_conditions_of_a_match_must_hold() -> None:
    match = {"model": NOVA, "operation": ["Converse", "ConverseStream"], "tier": "flex", "region": "us-east-1"}
    (found,) = parsed({"kind": "outage", "match": match})
    fitting = {"model_id": NOVA, "operation": Operation.CONVERSE, "tier": "flex", "region": "us-east-1"}
    others = {"model_id": HAIKU, "operation": Operation.INVOKE, "tier": "default", "region": "eu-west-1"}

    assert traits(**fitting) in found.match  # type: ignore[arg-type]
    for name, other in others.items():
        assert traits(**fitting | {name: other}) not in found.match, name  # type: ignore[arg-type]


@given(st.sampled_from(sorted(default_catalog().models)), st.sampled_from([None, *PROFILE_PREFIXES]), operations)
def test_a_rule_without_a_match_is_about_everything(model_id: str, prefix: str | None, operation: Operation) -> None:
    assert traits(profile_id(model_id, prefix), operation) in parsed({"kind": "outage"})[0].match


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_that_only_streams_can_have_leave_whole_answers_alone(kind: str) -> None:
    (found,) = parsed({"kind": kind, **EXAMPLES[kind]})
    whole = {operation for operation in ALL_OPERATIONS if not operation.is_streamed}

    assert found.match.operations >= ALL_OPERATIONS - whole
    assert whole.isdisjoint(found.match.operations) == (kind in STREAM_ONLY)
    book = FaultBook([found], 1, START_S)
    book.hit(traits(operation=Operation.CONVERSE), START_S)
    assert book.rules[0].matched == book.rules[0].hits == int(kind not in STREAM_ONLY)


def test_a_timeout_of_the_model_comes_only_in_the_streams_that_know_it() -> None:
    (found,) = parsed({"kind": "stream_exception", "exception": "modelTimeoutException"})

    assert found.match.operations == {Operation.INVOKE_STREAM}


# --- adding, removing, beginning again -----------------------------------------------------------------------


def test_a_reset_brings_back_the_configuration_unused_and_drops_what_was_added() -> None:
    one = book(rule("first", rate=0.5), rule("second", count=3, for_s=10.0))
    before = labels([one.hit(traits(), START_S) for _ in range(50)])
    one.add([rule("added")], START_S)
    one.remove(1)
    one.reset(START_S + 100.0)

    assert labels([one.hit(traits(), START_S + 100.0) for _ in range(50)]) == before
    assert [entry.number for entry in one.rules] == [1, 2]


def test_numbers_are_not_given_again_before_a_reset() -> None:
    one = book(rule())
    first = one.add([rule(), rule()], START_S)
    assert one.remove(3)
    assert one.clear() == 2
    second = one.add([rule()], START_S)

    assert [entry.number for entry in (*first, *second)] == [2, 3, 4]
    assert not one.remove(2)
