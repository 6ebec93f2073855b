"""Retries and failover in real Locust processes: every attempt a record, one message from its first to its last."""

import itertools
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from bedrock.invocation import InvocationRecord
from bedrock.outcome import Outcome
from tests.loadgen.test_locust_runs import FAST, NOVA, assert_records_are_the_truth, locusts_own_counts
from tests.support.locust_process import LocustProcess

pytestmark = pytest.mark.e2e

OPEN = ("-u", "20", "-r", "20", "--rate", "20/s", "--arrival-process", "constant")


def by_message(records: list[InvocationRecord]) -> list[list[InvocationRecord]]:
    """The attempts of each message, in order."""
    messages: dict[str, list[InvocationRecord]] = defaultdict(list)
    for record in records:
        messages[record.message_id].append(record)
    return [sorted(attempts, key=lambda record: record.attempt) for attempts in messages.values()]


@pytest.mark.parametrize("transport", ["wire", "boto3"])
def test_a_throttled_message_is_tried_again_and_every_attempt_is_a_record(
    transport: str, start_emulator: Any, tmp_path: Path
) -> None:
    faults = [{"kind": "error", "code": "ThrottlingException", "count": 5}]
    emulator = start_emulator(config=FAST | {"faults": faults})
    retry = ("--retry", "fixed", "--retry-delay", "0.2s", "--transport", transport)
    locust = LocustProcess("single_prompt", emulator.url, tmp_path, *NOVA, *OPEN, *retry, "--test-duration", "2s")
    output = locust.finish()
    records = locust.records()
    messages = by_message(records)

    assert locust.process.returncode == 0, output
    assert_records_are_the_truth(records, emulator.truth())
    assert len(messages) == locust.load()["arrivals_offered"] == 40
    assert locusts_own_counts(tmp_path)["Aggregated"] == len(records) == 45
    assert Counter(record.outcome for record in records) == {Outcome.THROTTLED: 5, Outcome.OK: 40}
    for attempts in messages:
        assert [record.attempt for record in attempts] == list(range(1, len(attempts) + 1))
        assert len({(record.intended_at, record.prompt_id, record.phase) for record in attempts}) == 1
        assert attempts[-1].outcome is Outcome.OK
        for earlier, later in itertools.pairwise(attempts):
            assert (later.started_at or 0) - (earlier.ended_at or 0) >= 0.2
            assert (later.e2e_ms or 0) > (earlier.e2e_ms or 0) + 200


def test_an_outage_of_a_region_moves_its_messages_and_they_come_back(start_emulator: Any, tmp_path: Path) -> None:
    outage = {"kind": "outage", "match": {"region": "us-east-1"}, "count": 3}
    emulator = start_emulator(config=FAST | {"faults": [outage]})
    failover = ("--failover-regions", "us-east-1,us-west-2", "--failover-cool-down", "0.5s")
    locust = LocustProcess("single_prompt", emulator.url, tmp_path, *NOVA, *OPEN, *failover, "--test-duration", "6s")
    output = locust.finish()
    messages = by_message(locust.records())

    assert locust.process.returncode == 0, output
    assert len(messages) == 120
    assert all(attempts[-1].outcome is Outcome.OK for attempts in messages), "no message is lost to the outage"
    failed = [attempts for attempts in messages if len(attempts) > 1]
    assert len(failed) == 3
    for first, second in failed:
        assert (first.region, first.outcome) == ("us-east-1", Outcome.OVERLOADED)
        assert (second.region, second.attempt) == ("us-west-2", 2)
    last = max(messages, key=lambda attempts: attempts[0].intended_at or 0)
    regions = Counter(attempts[-1].region for attempts in messages)
    assert last[0].region == "us-east-1", "after the outage the preferred region is used again"
    assert regions["us-west-2"] > 3, "during the cool-down messages go to the other region at once"


def test_no_retry_begins_once_the_test_ends(start_emulator: Any, tmp_path: Path) -> None:
    """What waits for its next attempt ends with the attempt it had; nothing is invented and nothing hangs."""
    faults = [{"kind": "error", "code": "ThrottlingException"}]
    emulator = start_emulator(config=FAST | {"faults": faults})
    retry = ("--retry", "fixed", "--retry-delay", "60s", "--drain-timeout", "30s")
    locust = LocustProcess("single_prompt", emulator.url, tmp_path, *NOVA, *OPEN, *retry, "--test-duration", "1s")
    output = locust.finish(timeout_s=25.0)
    records = locust.records()

    assert locust.process.returncode == 0, output
    assert {record.outcome for record in records} <= {Outcome.THROTTLED, Outcome.DROPPED}
    assert {record.attempt for record in records} == {1}
    assert locust.load()["aborted"] == 0
    assert len(records) == locust.load()["arrivals_offered"] == 20
