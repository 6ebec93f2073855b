"""Fault rules at run time: listed, added, removed, begun again."""

import time
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.exceptions
import pytest
from botocore.config import Config

from emulator.process import EmulatorError, EmulatorProcess
from tests.support.faults import add_faults, admin, hits
from tests.support.sdk import FAST, NOVA, ask, client

PATH = "/_emulator/faults"
CONFIGURED = [
    {"kind": "error", "code": "ThrottlingException", "match": {"operation": "Converse", "tier": "flex"}},
    {"kind": "stall", "match": {"model": "anthropic.*"}},
]
OUTAGE = {"kind": "outage", "count": 1}


@pytest.fixture(scope="module")
def running() -> Iterator[EmulatorProcess]:
    with EmulatorProcess(FAST | {"faults": CONFIGURED}, seed=1) as emulator:
        yield emulator


@pytest.fixture
def emulator(running: EmulatorProcess) -> EmulatorProcess:
    """The same one for all tests, as if just started."""
    running.reset()
    return running


def listed(emulator: EmulatorProcess) -> list[dict[str, Any]]:
    status, document = admin(emulator, "GET", PATH)
    assert status == 200
    rules: list[dict[str, Any]] = document["faults"]
    return rules


def test_a_program_adds_rules_and_is_told_what_is_wrong_with_them(emulator: EmulatorProcess) -> None:
    added = emulator.add_faults(OUTAGE, {"kind": "stall"})

    assert [rule["source"] for rule in added] == ["added", "added"]
    with pytest.raises(EmulatorError, match="explode"):
        emulator.add_faults({"kind": "explode"})
    emulator.remove_faults()
    assert listed(emulator) == []


def outcome(bedrock: Any, **extra: Any) -> str:
    """`ok`, or the code of the error."""
    try:
        bedrock.converse(**ask(**extra))
    except botocore.exceptions.ClientError as error:
        return str(error.response["Error"]["Code"])
    return "ok"


def test_the_rules_of_the_configuration_are_listed_as_understood(emulator: EmulatorProcess) -> None:
    first, second = listed(emulator)

    assert first == {
        "id": 1,
        "source": "config",
        "matched": 0,
        "hits": 0,
        "rule": {
            "kind": "error",
            "match": {"operation": ["Converse"], "tier": ["flex"]},
            "skip": 0,
            "after_s": 0.0,
            "code": "ThrottlingException",
            "status": 429,
            "message": "Too many requests, please wait before trying again.",
            "delay_s": 0.0,
        },
    }
    assert (second["id"], second["rule"]["match"], second["rule"]["after_events"]) == (2, {"model": ["anthropic.*"]}, 3)


def test_a_rule_of_the_configuration_hits_what_it_matches(emulator: EmulatorProcess) -> None:
    bedrock = client(emulator)
    found = [outcome(bedrock, serviceTier={"type": tier}) for tier in ("flex", "default", "flex")]

    assert found == ["ThrottlingException", "ok", "ThrottlingException"]
    assert [(rule["matched"], rule["hits"]) for rule in listed(emulator)] == [(2, 2), (0, 0)]


def test_one_rule_or_several_can_be_added_and_are_answered_with_their_ids(emulator: EmulatorProcess) -> None:
    status, one = admin(emulator, "POST", PATH, OUTAGE)
    several = add_faults(emulator, OUTAGE, {"kind": "garbage", "rate": 0.5})

    assert status == 200
    assert [(rule["id"], rule["source"], rule["hits"]) for rule in one["faults"]] == [(3, "added", 0)]
    assert [rule["id"] for rule in several] == [4, 5]
    assert [rule["id"] for rule in listed(emulator)] == [1, 2, 3, 4, 5]


def test_an_added_rule_works_at_once_and_counts_its_hits(emulator: EmulatorProcess) -> None:
    bedrock = client(emulator)
    add_faults(emulator, {"kind": "outage", "skip": 1, "count": 2})

    assert [outcome(bedrock) for _ in range(4)] == ["ok", *["ServiceUnavailableException"] * 2, "ok"]
    assert [(rule["matched"], rule["hits"]) for rule in listed(emulator)][-1] == (4, 2)


def test_a_listed_rule_can_be_sent_back(emulator: EmulatorProcess) -> None:
    rules = [rule["rule"] for rule in listed(emulator)]

    assert [rule["rule"] for rule in add_faults(emulator, *rules)] == rules


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "The body must be a rule or a list of rules in JSON"),
        (b"", "The body must be a rule or a list of rules in JSON"),
        (b"[" * 100_000, "The body must be a rule or a list of rules in JSON"),
        (b"\xff", "The body must be a rule or a list of rules in JSON"),
        ({"kind": "stal"}, "rule.1.kind: unknown kind of fault 'stal'; did you mean `stall`?"),
        ([OUTAGE, {"kind": "outage", "rate": 2}], "rule.2.rate: must be less than or equal to 1, not 2"),
        ("stall", "rule.1: must be a rule, like `{kind: stall, rate: 0.01}`, not 'stall'"),
        (None, "rule.1: must be a rule"),
    ],
)
def test_a_mistake_is_explained_and_no_rule_is_added(emulator: EmulatorProcess, body: Any, message: str) -> None:
    status, document = admin(emulator, "POST", PATH, b"null" if body is None else body)

    assert status == 400
    assert document["message"].startswith("No rule was added: ")
    assert message in document["message"]
    assert len(document["problems"]) == 1
    assert len(listed(emulator)) == 2


def test_rules_are_removed_one_by_one_or_all_at_once(emulator: EmulatorProcess) -> None:
    bedrock = client(emulator)
    add_faults(emulator, {"kind": "outage"})

    assert admin(emulator, "DELETE", f"{PATH}/3") == (200, {"removed": 1})
    assert outcome(bedrock) == "ok"
    assert [rule["id"] for rule in listed(emulator)] == [1, 2]
    assert admin(emulator, "DELETE", PATH) == (200, {"removed": 2})
    assert listed(emulator) == []
    assert outcome(bedrock, serviceTier={"type": "flex"}) == "ok"


@pytest.mark.parametrize("number", ["3", "0", "x", "", "1/2", "١", "9" * 5000, "-1"])
def test_a_rule_that_does_not_exist_cannot_be_removed(emulator: EmulatorProcess, number: str) -> None:
    status, document = admin(emulator, "DELETE", f"{PATH}/{number}".replace("١", "%D9%A1"))

    assert status == 404
    assert document["message"].startswith("There is no rule ")
    assert "the ids are: 1, 2." in document["message"]
    assert len(listed(emulator)) == 2


@pytest.mark.parametrize(("method", "path"), [("PUT", PATH), ("GET", f"{PATH}/1")])
def test_other_methods_are_refused_with_the_right_ones(emulator: EmulatorProcess, method: str, path: str) -> None:
    assert admin(emulator, method, path)[0] == 405


def test_a_reset_brings_the_configuration_back(emulator: EmulatorProcess) -> None:
    bedrock = client(emulator)
    add_faults(emulator, {"kind": "outage"})
    admin(emulator, "DELETE", f"{PATH}/1")
    outcome(bedrock)
    emulator.reset()

    assert [(rule["id"], rule["source"], rule["hits"]) for rule in listed(emulator)] == [
        (1, "config", 0), (2, "config", 0)
    ]  # fmt: skip
    assert outcome(bedrock, serviceTier={"type": "flex"}) == "ThrottlingException"


def test_a_share_of_the_requests_is_the_same_after_a_reset(emulator: EmulatorProcess) -> None:
    bedrock = client(emulator)
    found = []
    for _ in range(2):
        emulator.reset()
        add_faults(emulator, {"kind": "outage", "rate": 0.5})
        found.append([outcome(bedrock) for _ in range(30)])

    assert found[0] == found[1]
    assert set(found[0]) == {"ok", "ServiceUnavailableException"}


def client_in(emulator: EmulatorProcess, region: str) -> Any:
    config = Config(retries={"total_max_attempts": 1})
    return boto3.client("bedrock-runtime", endpoint_url=emulator.url, region_name=region, config=config)


def test_a_region_is_the_one_that_a_request_is_signed_for_or_the_prefix_of_its_profile(
    emulator: EmulatorProcess,
) -> None:
    add_faults(emulator, {"kind": "outage", "match": {"region": ["eu-west-1", "apac"]}})
    virginia, ireland = client_in(emulator, "us-east-1"), client_in(emulator, "eu-west-1")

    assert [outcome(virginia), outcome(ireland)] == ["ok", "ServiceUnavailableException"]
    assert [outcome(virginia, modelId=f"{prefix}.{NOVA}") for prefix in ("us", "apac")] == [
        "ok", "ServiceUnavailableException"
    ]  # fmt: skip
    assert hits(emulator)[-1] == 2


def test_a_rule_is_in_force_for_its_time_only(emulator: EmulatorProcess) -> None:
    bedrock = client(emulator)
    add_faults(emulator, {"kind": "outage", "after_s": 600}, {"kind": "outage", "for_s": 0.01})
    time.sleep(0.05)
    after = outcome(bedrock)
    add_faults(emulator, {"kind": "outage", "for_s": 600})

    assert [after, outcome(bedrock)] == ["ok", "ServiceUnavailableException"]
    assert hits(emulator)[2:] == [0, 0, 1]
