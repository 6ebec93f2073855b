"""What a check-up says of money and quotas: the real command against an endpoint that may cost something."""

import json
import os
import pty
import subprocess
import sys
from typing import Any

import pytest

from tests.support.doctor import FAST, NAME, NOVA_PRO, PROJECT, answering, checkup, doctor, findings, only, paid


@pytest.fixture
def fast(start_emulator):
    """An emulator that answers quickly."""
    return start_emulator(FAST)


# --- money ---------------------------------------------------------------------------------------------------------


def test_what_may_cost_money_is_said_first_and_not_sent_without_an_answer(fast):
    done = doctor("demo", "--endpoint-url", paid(fast.url), "--format", "json")

    assert done.returncode == 4
    found = json.loads(done.stdout)
    assert "8 requests of at most 10 output tokens: at most $0.0" in done.stderr
    assert only(found, "fail")[0] == "consent"
    assert "nothing was sent" in only(found, "fail")[1]
    assert 0 < found["cost"]["at_most_usd"] < 0.01
    assert fast.truth() == []
    assert fast.stats()["total"]["requests"] == 0


def test_a_budget_holds_for_a_check_up_too(fast):
    code, found = checkup("demo", "--endpoint-url", paid(fast.url), "--yes", "--max-cost-usd", "0.00001")

    assert code == 4
    assert "may cost more than --max-cost-usd" in only(found, "fail")[1]
    assert fast.truth() == []


@pytest.mark.parametrize(("answer", "exit_code", "requests"), [("y\n", 0, 2), ("n\n", 4, 0), ("\n", 4, 0)])
def test_on_a_terminal_it_asks(fast, answer, exit_code, requests):
    ours, theirs = pty.openpty()
    with answering(quotas(requests=5.0)) as url:
        process = subprocess.Popen(
            [sys.executable, "run_tests.py", "doctor", *NOVA_PRO, "--endpoint-url", paid(fast.url)],
            cwd=PROJECT,
            env=os.environ | {"AWS_ENDPOINT_URL_SERVICE_QUOTAS": url},
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
        )
        os.write(ours, answer.encode())
        process.communicate(timeout=60)
    said = os.read(ours, 65536).decode()
    os.close(ours)
    os.close(theirs)

    assert process.returncode == exit_code
    assert "2 requests of at most 10 output tokens: at most $0.0" in said
    assert "Start? [y/N]" in said
    assert len(fast.truth()) == requests


# --- quotas --------------------------------------------------------------------------------------------------------


def quotas(**values: float) -> bytes:
    """An answer of Service Quotas, in the AWS JSON protocol: values by the beginning of the quota's name."""
    rest = {
        "requests": "Cross-region model inference requests per minute for Amazon Nova Pro",
        "tokens": "Cross-region model inference tokens per minute for Amazon Nova Pro",
        "day": "Model invocation max tokens per day for Amazon Nova Pro (doubled for cross-region calls)",
    }
    listed = [{"ServiceCode": "bedrock", "QuotaName": rest[name], "Value": value} for name, value in values.items()]
    return whole(200, {"Quotas": [*listed, {"QuotaName": "Knowledge bases per account", "Value": 100.0}]})


def whole(status: int, document: dict[str, Any], kind: str = "") -> bytes:
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/x-amz-json-1.1\r\nConnection: close\r\n"
    error_type = f"x-amzn-ErrorType: {kind}\r\n" if kind else ""
    return f"{head}{error_type}Content-Length: {len(body)}\r\n\r\n".encode() + body


def with_quotas(emulator, answer: bytes, *arguments: str) -> tuple[int, dict[str, Any]]:
    with answering(answer) as url:
        return checkup(*arguments, "--endpoint-url", paid(emulator.url), "--yes", AWS_ENDPOINT_URL_SERVICE_QUOTAS=url)


def test_the_accounts_quotas_are_compared_with_the_plan(fast):
    arguments = ("demo", "--routing", "nova", "--service-tiers", "default")
    code, found = with_quotas(fast, quotas(requests=2.0, tokens=9e6, day=9e9), *arguments)

    assert code == 0
    (mine,) = [quota for quota in found["quotas"] if quota["model_id"] == NAME]
    assert (mine["requests_per_minute"], mine["tokens_per_minute"], mine["tokens_per_day"]) == (2.0, 9e6, 9e9)
    assert mine["planned_requests_per_minute"] > 2
    over = [finding for finding in found["findings"] if finding["subject"] == NAME and finding["check"] == "quota"]
    assert over[0]["status"] == "warn"
    assert "expect throttling" in over[0]["text"]


def test_without_a_scenario_there_is_no_load_to_compare_with(fast):
    code, found = with_quotas(fast, quotas(requests=2.0), *NOVA_PRO)

    assert code == 0
    assert ("quota", "2 requests/min", None) in findings(found, "ok")
    assert found["quotas"][0]["planned_requests_per_minute"] is None


def test_a_quota_of_nothing_fails(fast):
    code, found = with_quotas(fast, quotas(requests=0.0, tokens=0.0), *NOVA_PRO)

    assert code == 4
    assert "quota is 0" in only(found, "fail")[1]


def test_a_refusal_to_list_quotas_is_a_note(fast):
    refusal = whole(400, {"__type": "AccessDeniedException", "Message": "\x1b[31mno"}, "AccessDeniedException")
    code, found = with_quotas(fast, refusal, *NOVA_PRO)

    assert code == 0
    check, text, advice = only(found, "warn")
    assert (check, text) == ("quota", "Service Quotas refused: AccessDeniedException")
    assert "servicequotas:ListServiceQuotas" in advice


def test_an_answer_that_is_none_of_service_quotas_is_a_note_too(fast):
    code, found = with_quotas(
        fast, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n<html", *NOVA_PRO
    )

    assert code == 0
    assert only(found, "warn")[0] == "quota"
