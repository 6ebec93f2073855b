"""Latency-optimised inference, the reserved tier, aliases: what is served as asked, and as what else."""

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config

from bedrock.catalog import default_catalog
from emulator.errors import ServiceError
from emulator.process import EmulatorProcess
from emulator.service_options import check_latency, check_tier
from tests.support.families import NOVA as NOVA_FAMILY
from tests.support.families import invoke
from tests.support.sdk import FAST, NOVA, ask, client

StartEmulator = Callable[..., EmulatorProcess]

US_NOVA = f"us.{NOVA}"
HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
HAIKU_35 = "anthropic.claude-3-5-haiku-20241022-v1:0"
MODELS = default_catalog().models
OPTIMIZED: dict[str, Any] = {"performanceConfig": {"latency": "optimized"}}
RESERVED: dict[str, Any] = {"serviceTier": {"type": "reserved"}}


def fast(model_id: str, **settings: Any) -> dict[str, Any]:
    return FAST | {model_id: settings}


def outcome(check: Callable[[], str]) -> str:
    """What a check gives, or says."""
    try:
        return check()
    except ServiceError as error:
        return f"{error.status} {error.message}"


# --- latency-optimised: where ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model_id", "region", "expected"),
    [
        (US_NOVA, "us-east-1", "optimized"),
        (US_NOVA, None, "optimized"),
        (f"us.{HAIKU_35}", "us-west-2", "optimized"),
        (f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{US_NOVA}", "us-east-1", "optimized"),
        (NOVA, "us-east-1", f"400 Latency performance configuration is not supported for {NOVA} in us-east-1"),
        (NOVA, None, f"400 Latency performance configuration is not supported for {NOVA}"),
        (US_NOVA, "eu-west-1", f"400 Latency performance configuration is not supported for {NOVA} in eu-west-1"),
        (f"eu.{NOVA}", None, f"400 Latency performance configuration is not supported for {NOVA}"),
        (f"us.{HAIKU_35}", "us-east-1", f"400 Latency performance configuration is not supported for {HAIKU_35} in us"),
        (
            f"us.{HAIKU}",
            "us-east-2",
            f"400 Latency performance configuration is not supported for {HAIKU} in us-east-2",
        ),
    ],
)
def test_optimized_needs_a_model_a_profile_and_a_region_that_have_it(
    model_id: str, region: str | None, expected: str
) -> None:
    model = default_catalog().resolve(model_id)

    assert outcome(lambda: check_latency("optimized", model, model_id, region)).startswith(expected)
    assert check_latency("standard", model, model_id, region) == "standard"
    assert check_latency(None, model, model_id, region) == "standard"


def test_an_unknown_latency_setting_is_refused_in_the_services_words() -> None:
    said = outcome(lambda: check_latency("fastest", MODELS[NOVA], US_NOVA, None))

    assert "Value 'fastest' at 'performanceConfig.latency'" in said
    assert said.endswith("Member must satisfy enum value set: [optimized, standard]")


def test_the_region_is_that_of_the_signature(start_emulator: StartEmulator) -> None:
    emulator = start_emulator(config=FAST)
    elsewhere = boto3.client(
        "bedrock-runtime",
        endpoint_url=emulator.url,
        region_name="eu-west-1",
        config=Config(retries={"total_max_attempts": 1}),
    )

    with pytest.raises(elsewhere.exceptions.ValidationException, match=r"not supported for .* in eu-west-1"):
        elsewhere.converse(**ask(**OPTIMIZED) | {"modelId": US_NOVA})
    assert client(emulator).converse(**ask(**OPTIMIZED) | {"modelId": US_NOVA})["performanceConfig"] == {
        "latency": "optimized"
    }


# --- latency-optimised: how -----------------------------------------------------------------------------------


def test_optimized_and_flex_go_together_and_both_are_echoed(start_emulator: StartEmulator) -> None:
    emulator = start_emulator(config=FAST)
    request = ask(**OPTIMIZED, serviceTier={"type": "flex"}) | {"modelId": US_NOVA}
    events = client(emulator).converse_stream(**request)["stream"]
    metadata = next(event["metadata"] for event in events if "metadata" in event)

    assert metadata["performanceConfig"] == {"latency": "optimized"}
    assert metadata["serviceTier"] == {"type": "flex"}


def test_the_factors_of_optimized_apply_to_optimized_calls(start_emulator: StartEmulator) -> None:
    """Slower than standard here, because only "not before" can be tested: 20 ms x 15, and 50 tokens at 100 a second."""
    emulator = start_emulator(config=fast(NOVA, optimized={"ttft_factor": 15, "speed_factor": 0.05}))
    client(emulator).converse(**ask(**OPTIMIZED) | {"modelId": US_NOVA})
    (entry,) = emulator.truth()

    assert entry["ended_at"] - entry["received_at"] >= 0.3 + 49 / 100 - 1e-6


def test_over_its_own_quota_optimized_is_silently_served_as_standard(start_emulator: StartEmulator) -> None:
    quotas = {"optimized": {"quota": {"rpm": 1, "window": "sliding"}}, "quota": {"rpm": 2, "window": "sliding"}}
    emulator = start_emulator(config=fast(NOVA, **quotas))
    bedrock = client(emulator)
    request = ask(**OPTIMIZED) | {"modelId": US_NOVA}
    echoed = [bedrock.converse(**request)["performanceConfig"]["latency"] for _ in range(3)]

    assert echoed == ["optimized", "standard", "standard"], "the first has left the quota of the id alone"
    with pytest.raises(bedrock.exceptions.ThrottlingException):
        bedrock.converse(**request)


def test_optimized_over_invoke_model_is_echoed_in_a_header(start_emulator: StartEmulator) -> None:
    emulator = start_emulator(config=fast(NOVA, optimized={"quota": {"rpm": 1, "window": "sliding"}}))
    bedrock = client(emulator)
    body = NOVA_FAMILY.body("Hi", 20)
    echoed = [
        invoke(bedrock, US_NOVA, body, performanceConfigLatency="optimized")[1][
            "x-amzn-bedrock-performanceconfig-latency"
        ]
        for _ in range(2)
    ]

    assert echoed == ["optimized", "standard"]


# --- the reserved tier ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model_id", "has_reservation", "expected"),
    [
        (HAIKU, True, "reserved"),
        (HAIKU, False, "400 Reservation not found."),
        (NOVA, True, "400 Reservation not found."),
    ],
)
def test_reserved_needs_a_reservation(model_id: str, has_reservation: bool, expected: str) -> None:
    assert outcome(lambda: check_tier("reserved", MODELS[model_id], has_reservation=has_reservation)) == expected


def test_within_the_reservation_calls_are_reserved_and_beyond_it_on_demand(start_emulator: StartEmulator) -> None:
    """A reservation for 100 output tokens: a call for 60 leaves 50 of 50 written; a second one does not fit."""
    reserved = {"reserved": {"input_tpm": 1000, "output_tpm": 100}}
    emulator = start_emulator(config=fast(HAIKU, tiers=reserved, quota={"rpm": 2, "window": "sliding"}))
    bedrock = client(emulator)
    request = ask(**RESERVED, inferenceConfig={"maxTokens": 60}) | {"modelId": HAIKU}
    served = [bedrock.converse(**request)["serviceTier"]["type"] for _ in range(3)]
    with pytest.raises(bedrock.exceptions.ThrottlingException):
        bedrock.converse(**request)

    assert served[:1] == ["reserved"]
    # The clock minute may turn between two of these calls and fill the reservation again.
    assert served[1:] in (["default", "default"], ["default", "reserved"], ["reserved", "default"])
    rows = emulator.truth()
    assert [row["requested_tier"] for row in rows] == ["reserved"] * 4
    assert [row["served_tier"] for row in rows] == [*served, None]


def test_reserved_calls_are_neither_shed_nor_in_the_quota(start_emulator: StartEmulator) -> None:
    slow: dict[str, Any] = {"latency": {"tokens_per_second": 10}, "output_tokens": 5000, "concurrency": {"limit": 1}}
    reserved = {"reserved": {"input_tpm": 1000, "output_tpm": 1_000_000}}
    emulator = start_emulator(config=fast(HAIKU, **slow, tiers=reserved, quota={"rpm": 1, "window": "sliding"}))
    bedrock = client(emulator)
    streams = []
    tiers: list[dict[str, Any]] = [{}, RESERVED, RESERVED]
    for tier in tiers:
        stream = bedrock.converse_stream(**ask(**tier) | {"modelId": HAIKU})["stream"]
        next(iter(stream))
        streams.append(stream)

    assert emulator.stats()["total"]["in_flight"] == 3


# --- quotas of ids, and aliases -------------------------------------------------------------------------------

ACCOUNT = "arn:aws:bedrock:us-east-1:123456789012"


def test_each_kind_of_id_has_its_quota_and_arns_share_that_of_their_id(start_emulator: StartEmulator) -> None:
    emulator = start_emulator(config={"default": FAST["default"] | {"quota": {"rpm": 2, "window": "sliding"}}})
    bedrock = client(emulator)
    ids = {
        NOVA: f"arn:aws:bedrock:us-east-1::foundation-model/{NOVA}",
        US_NOVA: f"{ACCOUNT}:inference-profile/{US_NOVA}",
        f"eu.{NOVA}": f"{ACCOUNT}:inference-profile/eu.{NOVA}",
        f"global.{NOVA}": f"{ACCOUNT}:inference-profile/global.{NOVA}",
    }
    for model_id, arn in ids.items():
        bedrock.converse(**ask() | {"modelId": model_id})
        bedrock.converse(**ask() | {"modelId": arn})
        with pytest.raises(bedrock.exceptions.ThrottlingException):
            bedrock.converse(**ask() | {"modelId": model_id})


def test_an_alias_is_served_as_its_model_and_shares_its_quota(start_emulator: StartEmulator) -> None:
    profile = f"{ACCOUNT}:application-inference-profile/a1b2c3d4e5f6"
    aliases = {profile: US_NOVA, f"{ACCOUNT}:imported-model/xyz": NOVA, "my-model": NOVA}
    config = {"default": FAST["default"] | {"quota": {"rpm": 2, "window": "sliding"}}, "aliases": aliases}
    emulator = start_emulator(config=config)
    bedrock = client(emulator)
    for model_id in (profile, US_NOVA, f"{ACCOUNT}:imported-model/xyz", "my-model"):
        assert bedrock.converse(**ask() | {"modelId": model_id})["stopReason"] == "end_turn"
    for model_id in (US_NOVA, NOVA):
        with pytest.raises(bedrock.exceptions.ThrottlingException):
            bedrock.converse(**ask() | {"modelId": model_id})

    assert [row["model_id"] for row in emulator.truth()][:2] == [profile, US_NOVA], "the log has the id as sent"
    assert set(emulator.stats()["models"]) == {NOVA, US_NOVA}


def test_provisioned_throughput_has_no_quota_and_no_part_in_the_load(start_emulator: StartEmulator) -> None:
    provisioned = f"{ACCOUNT}:provisioned-model/abc123"
    slow: dict[str, Any] = {"latency": {"ttft_ms": 20, "tokens_per_second": 10}, "output_tokens": 5000}
    limited: dict[str, Any] = {"quota": {"rpm": 1, "window": "sliding"}, "concurrency": {"limit": 1}}
    emulator = start_emulator(config={"default": slow | limited, "aliases": {provisioned: NOVA}})
    bedrock = client(emulator)
    streams = []
    for model_id in (provisioned, provisioned, NOVA, provisioned):
        streams.append(bedrock.converse_stream(**ask() | {"modelId": model_id})["stream"])
        next(iter(streams[-1]))

    assert emulator.stats()["total"]["in_flight"] == 4


def test_an_unknown_opaque_id_is_still_refused(start_emulator: StartEmulator) -> None:
    emulator = start_emulator(config=FAST | {"aliases": {f"{ACCOUNT}:application-inference-profile/known": NOVA}})
    bedrock = client(emulator)
    with pytest.raises(bedrock.exceptions.ValidationException, match="The provided model identifier is invalid"):
        bedrock.converse(**ask() | {"modelId": f"{ACCOUNT}:application-inference-profile/unknown"})


def test_a_fault_finds_a_model_under_its_alias_and_tokens_are_counted_for_it(start_emulator: StartEmulator) -> None:
    profile, base = f"{ACCOUNT}:application-inference-profile/abc", f"{ACCOUNT}:custom-model-deployment/abc"
    faults = [{"kind": "error", "code": "ModelNotReadyException", "match": {"model": US_NOVA}}]
    emulator = start_emulator(config=FAST | {"aliases": {profile: US_NOVA, base: NOVA}, "faults": faults})
    bedrock = client(emulator)
    with pytest.raises(bedrock.exceptions.ModelNotReadyException):
        bedrock.converse(**ask() | {"modelId": profile})
    counted: dict[str, Any] = {"input": {"converse": {"messages": ask()["messages"]}}}

    assert bedrock.count_tokens(modelId=base, **counted)["inputTokens"] > 0
    with pytest.raises(bedrock.exceptions.ValidationException, match="doesn't support counting"):
        bedrock.count_tokens(modelId=profile, **counted)


# --- reasoning ------------------------------------------------------------------------------------------------


def thoughts(answer: dict[str, Any]) -> list[str]:
    blocks = answer["output"]["message"]["content"]
    return [block["reasoningContent"]["reasoningText"]["text"] for block in blocks if "reasoningContent" in block]


def test_a_thought_is_signed_whole_and_streamed(start_emulator: StartEmulator) -> None:
    """Clients hand it back with the next turn, signature and all."""
    emulator = start_emulator(config={"default": FAST["default"] | {"reasoning": {"always": True, "tokens": 25}}})
    bedrock = client(emulator)
    request = ask() | {"modelId": HAIKU}
    thought = bedrock.converse(**request)["output"]["message"]["content"][0]["reasoningContent"]["reasoningText"]
    events = bedrock.converse_stream(**request)["stream"]
    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    streamed = [delta["reasoningContent"] for delta in deltas if "reasoningContent" in delta]

    assert sorted(thought) == ["signature", "text"]
    assert len(thought["signature"]) == len(streamed[-1]["signature"])
    assert "".join(part.get("text", "") for part in streamed) == thought["text"]


@pytest.mark.parametrize(
    ("setting", "rule"),
    [
        ({"temperature": 7.0}, "Value '7.0' at 'inferenceConfig.temperature' failed .* less than or equal to 1"),
        ({"topP": -0.5}, "Value '-0.5' at 'inferenceConfig.topP' failed .* greater than or equal to 0"),
    ],
)
def test_a_temperature_is_a_share(emulator: EmulatorProcess, setting: dict[str, float], rule: str) -> None:
    unchecked = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    bedrock = boto3.client("bedrock-runtime", endpoint_url=emulator.url, region_name="us-east-1", config=unchecked)
    with pytest.raises(bedrock.exceptions.ValidationException, match=rule):
        bedrock.converse(**ask(inferenceConfig=setting))


def test_a_model_configured_to_reason_always_does_and_others_are_left_alone(start_emulator: StartEmulator) -> None:
    always: dict[str, Any] = FAST["default"] | {"reasoning": {"always": True, "tokens": 25}}
    emulator = start_emulator(config={"default": always})
    bedrock = client(emulator)
    answer = bedrock.converse(**ask() | {"modelId": HAIKU})

    assert len(thoughts(answer)) == 1
    assert answer["usage"]["outputTokens"] == 75
    assert thoughts(bedrock.converse(**ask())) == []
