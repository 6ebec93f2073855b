"""Slots of the open loop: enough for the rate, and more while arrivals wait."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.outcome import Outcome
from loadgen.slots import MOST_SLOTS, slot_limit, wanted
from tests.support.locust_process import LocustProcess

SLOW = {
    "default": {
        "latency": {
            "ttft_ms": {"distribution": "fixed", "median": 1000},
            "tokens_per_second": {"distribution": "fixed", "median": 400},
        },
        "output_tokens": {"distribution": "fixed", "median": 400},
    }
}


@given(st.integers(1, 20_000), st.integers(0, 5_000), st.integers(1, 20_000))
def test_slots_grow_with_what_waits_and_never_shrink_or_pass_the_limit(slots: int, waiting: int, limit: int) -> None:
    more = wanted(slots, waiting, limit)

    assert more >= slots
    assert more <= max(limit, slots)
    if waiting and slots < limit:
        assert more >= min(slots + waiting, limit)
    if not waiting:
        assert more == slots


def test_growth_has_an_end_that_the_user_can_set() -> None:
    assert slot_limit(60, 0) == 600
    assert slot_limit(60, 80) == 80
    assert slot_limit(5_000, 0) == MOST_SLOTS
    assert slot_limit(20_000, 0) == 20_000, "who asks for more gets them from the start"


@pytest.mark.e2e
@pytest.mark.parametrize(("limit", "grows"), [("0", True), ("4", False)])
def test_a_service_slower_than_expected_gets_more_slots_up_to_the_limit_and_beyond_it_arrivals_are_dropped(
    limit: str, grows: bool, start_emulator: Any, tmp_path: Path
) -> None:
    emulator = start_emulator(config=SLOW)
    options = ("-u", "4", "-r", "4", "--rate", "12/s", "--arrival-process", "constant", "--test-duration", "4s")
    model = ("--model-id", "amazon.nova-pro-v1:0", "--max-slots", limit, "--max-lag", "1500ms")
    locust = LocustProcess("single_prompt", emulator.url, tmp_path, *options, *model)
    output = locust.finish()
    outcomes = [record.outcome for record in locust.records()]

    assert locust.process.returncode == 0, output
    assert len(outcomes) == 48
    assert locust.load()["users"] > 12 if grows else locust.load()["users"] == 4
    assert (Outcome.DROPPED in outcomes) is not grows


@pytest.mark.e2e
def test_without_a_number_of_users_there_are_slots_for_the_rate_and_the_model(
    start_emulator: Any, tmp_path: Path
) -> None:
    emulator = start_emulator(config=SLOW)
    options = ("--rate", "10/s", "--test-duration", "1s", "--model-id", "amazon.nova-pro-v1:0")
    locust = LocustProcess("single_prompt", emulator.url, tmp_path, *options)
    output = locust.finish()

    assert locust.process.returncode == 0, output
    assert locust.load()["users"] >= 30
    assert {record.outcome for record in locust.records()} == {Outcome.OK}
