"""Messages that leave the machine: GitHub's annotations and the webhook's document."""

import json
from typing import Any

import pytest

from reports.annotations import MAX_OF_A_KIND, annotations
from reports.material import Material, prepare
from reports.webhook import webhook_payload
from tests.reports.pages import Rendered

SECRETS = ("123456789012", "AKIAIOSFODNN7EXAMPLE", "210987654321")


def material_of(run: Rendered, **summary: Any) -> Material:
    return prepare({**run.analysis.summary, **summary}, run.analysis.run, run.analysis.records)


def verdict(status: str, *reasons: str) -> dict[str, Any]:
    return {"status": status, "exit_code": 1, "reasons": list(reasons)}


def test_every_missed_objective_is_an_error_at_its_run(small_run: Rendered) -> None:
    lines = annotations(material_of(small_run))

    assert lines[0].startswith("::error title=FAIL%3A built-for-tests::Missed: ttft_ms p95 < 600ms (observed")
    assert all(line.startswith("::error ") == ("::Missed: " in line) for line in lines)
    assert len(set(lines)) == len(lines) > 1, "doubts are there too, as warnings"


def test_a_doubt_is_a_warning_and_a_pass_is_nothing(small_run: Rendered) -> None:
    unclear = material_of(small_run, verdict=verdict("INCONCLUSIVE", "no data"))
    passed = material_of(small_run, verdict=verdict("PASS", "All 5 objectives were met"))

    assert annotations(unclear) == ["::warning title=INCONCLUSIVE%3A built-for-tests::no data"]
    assert annotations(passed) == []


@pytest.mark.parametrize("status", ["FAIL", "INCONCLUSIVE"])
def test_no_text_becomes_a_command_of_its_own(small_run: Rendered, status: str) -> None:
    hostile = "100 %0A::error::x\n::set-output name=a::b\r::stop-commands::z"
    checks = [{"name": "c", "status": "WARN", "reason": hostile, "advice": hostile}] * 30
    lines = annotations(material_of(small_run, verdict=verdict(status, *[hostile] * 30), validity={"checks": checks}))

    assert len(lines) <= 2 * MAX_OF_A_KIND
    for kind in ("::error", "::warning"):
        assert len([line for line in lines if line.startswith(kind)]) <= MAX_OF_A_KIND
    for line in lines:
        assert "\n" not in line
        assert "\r" not in line
        assert "100 %250A" in line
        assert line.startswith(("::error title=", "::warning title="))


def test_the_message_tells_verdict_objectives_and_numbers(small_run: Rendered) -> None:
    message = webhook_payload(material_of(small_run))
    text = "\n".join(block["text"]["text"] for block in message["blocks"])

    assert message["blocks"][0]["text"]["text"] == "❌ FAIL: built-for-tests"
    assert "❌ ttft_ms p95 &lt; 600ms: 742 ms" in text
    assert "Whole response: p50 1,052 ms" in text
    assert "exit code: 1" in text


def test_hostile_text_is_no_markup_in_a_chat_and_fits_its_limits(hostile_run: Rendered) -> None:
    many = [f"<!channel> @here <http://evil.example|click> & {i} {'x' * 5000}" for i in range(50)]
    message = webhook_payload(material_of(hostile_run, verdict=verdict("FAIL", *many)))
    texts = [message["text"], *(block["text"]["text"] for block in message["blocks"][1:])]

    assert not any("<" in text or ">" in text for text in texts)
    assert "@here" not in json.dumps(message, ensure_ascii=False)
    assert not any(secret in json.dumps(message) for secret in SECRETS)
    assert len(message["blocks"][0]["text"]["text"]) <= 150
    assert all(len(text) <= 3000 for text in texts)
