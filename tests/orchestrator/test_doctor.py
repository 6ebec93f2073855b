"""The real command `run_tests.py doctor` against real emulators, with everything that can be wrong."""

import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.doctor import FAST, NAME, NOVA_PRO, PROJECT, answering, checkup, doctor, findings, only, paid
from tests.support.scripted_server import error


@pytest.fixture
def fast(start_emulator):
    """An emulator that answers quickly."""
    return start_emulator(FAST)


# --- all is well ---------------------------------------------------------------------------------------------------


def test_everything_is_checked_and_both_transports_are_compared(start_emulator):
    emulator = start_emulator(FAST)
    code, found = checkup("demo", "--endpoint-url", emulator.url)

    assert code == 0
    assert found["verdict"] == {"status": "ok", "exit_code": 0}
    assert {finding["check"] for finding in found["findings"]} == {
        "credentials",
        "region",
        "endpoint",
        "clock",
        "model",
    }
    assert found["endpoint"]["tcp_ms"] > 0
    assert abs(found["clock"]["ahead_s"]) < 5
    asked = [(request["model_id"], request["service_tier"]) for request in found["requests"]]
    assert len(asked) == len(set(asked)) == 4
    truth = emulator.truth()
    assert len(truth) == 8, "one request for each model, tier and transport"
    sent = {(line["model_id"], line["requested_tier"]) for line in truth}
    assert len(sent) == 4
    ids = {line["request_id"]: line for line in truth}
    for request in found["requests"]:
        for seen in request["seen"].values():
            line = ids.pop(seen["request_id"])
            assert seen["output_tokens"] == line["output_tokens"] <= 10
            assert seen["input_tokens"] == line["input_tokens"]
            assert seen["served_tier"] == request["service_tier"]
            assert seen["http_status"] == 200
            assert seen["ttft_ms"] >= 5.0
        assert request["difference"]["same_outcome"]
        assert request["difference"]["ttft_ms"] == pytest.approx(
            request["seen"]["boto3"]["ttft_ms"] - request["seen"]["wire"]["ttft_ms"]
        )
    assert found["requests"][0]["seen"]["wire"]["connect_ms"] > 0


def test_it_starts_an_emulator_of_its_own_and_shows_a_table():
    done = doctor(*NOVA_PRO)

    assert done.returncode == 0
    assert f"{NAME} default: answered over wire and boto3, in the tier default" in done.stdout
    assert "boto3 - wire" in done.stdout
    assert done.stdout.rstrip().endswith("Doctor: ok")
    assert "Asking over wire ..." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "transports"),
    [
        (["--transport", "wire"], {}, ["wire"]),
        ([], {"TRANSPORT": "boto3"}, ["boto3"]),
        (["--transport", "both"], {"TRANSPORT": "boto3"}, ["wire", "boto3"]),
    ],
)
def test_one_transport_or_both(fast, arguments, environment, transports):
    code, found = checkup(*NOVA_PRO, *arguments, "--endpoint-url", fast.url, **environment)

    assert code == 0
    assert found["transports"] == transports
    assert list(found["requests"][0]["seen"]) == transports
    assert len(fast.truth()) == len(transports)


@pytest.mark.parametrize("api", ["converse", "converse_stream", "invoke_model", "invoke_model_stream"])
def test_the_api_of_the_test_is_the_one_that_is_asked(fast, api):
    code, found = checkup(*NOVA_PRO, "--api", api, "--endpoint-url", fast.url)

    assert code == 0
    assert found["requests"][0]["api"] == api
    assert len({line["operation"] for line in fast.truth()}) == 1


def test_prefixes_and_tiers_multiply_and_a_tier_the_model_has_not_is_not_asked_for(fast):
    code, found = checkup(
        "--model-id", "amazon.nova-pro-v1:0,amazon.nova-lite-v1:0", "--service-tiers", "default,flex",
        "--region-prefixes", "us,none", "--endpoint-url", fast.url,
    )  # fmt: skip

    asked = {(request["model_id"], request["service_tier"]) for request in found["requests"]}
    assert asked == {
        *((prefix + "amazon.nova-pro-v1:0", tier) for prefix in ("us.", "") for tier in ("default", "flex")),
        *((prefix + "amazon.nova-lite-v1:0", "default") for prefix in ("us.", "")),
    }
    assert code == 0
    check, text, _ = only(found, "warn")
    assert check == "tier"
    assert "Nova Lite does not accept the flex tier" in text


def test_a_dry_run_sends_nothing(fast):
    code, found = checkup(*NOVA_PRO, "--dry-run", "--endpoint-url", fast.url)

    assert code == 0
    assert "dry run" in only(found, "warn")[1]
    assert fast.truth() == []


# --- the service refuses -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "exit_code", "check", "said", "advice"),
    [
        ({"kind": "error", "code": "AccessDeniedException"}, 4, "model", "client_error (403", "InvokeModelWith"),
        ({"kind": "error", "code": "ResourceNotFoundException"}, 4, "model", "client_error (404", "--model-id"),
        ({"kind": "error", "code": "ValidationException", "message": "throughput"}, 4, "model", "on-demand", "prefix"),
        (
            {"kind": "error", "code": "ExpiredTokenException", "status": 403, "message": "The token is expired"},
            4, "credentials", "ExpiredTokenException", "sign in again",
        ),
        ({"kind": "error", "code": "ThrottlingException"}, 5, "quota", "throttled (429", "Service Quotas"),
        ({"kind": "error", "code": "ThrottlingException", "message": "day"}, 5, "quota", "per day", "daily tokens"),
        ({"kind": "error", "code": "InternalServerException"}, 5, "model", "server_error (500", "Try again"),
        ({"kind": "outage", "match": {"region": "us-east-1"}}, 5, "model", "overloaded (503", "no capacity"),
        ({"kind": "outage", "mode": "refuse_connection"}, 5, "endpoint", "connection_error", "network"),
        ({"kind": "cut", "at": "frame_border"}, 5, "model", "truncated", "in between"),
        ({"kind": "stream_exception", "exception": "throttlingException"}, 5, "quota", "throttled", "quota"),
    ],
    ids=lambda value: str(value.get("code") or value["kind"]) if isinstance(value, dict) else "",
)  # fmt: skip
def test_what_the_service_refuses_is_told_with_what_to_do(  # noqa: PLR0917 - one table
    start_emulator, fault, exit_code, check, said, advice
):
    emulator = start_emulator({**FAST, "faults": [fault]})
    code, found = checkup(*NOVA_PRO, "--endpoint-url", emulator.url)

    assert code == exit_code
    (failed,) = [finding for finding in found["findings"] if finding["status"] == "fail"]
    assert failed["check"] == check
    assert failed["subject"] == f"{NAME} default"
    assert failed["text"].startswith("wire and boto3: ")
    assert said in failed["text"]
    assert advice in failed["advice"]
    assert failed["reason"] == ("configuration" if exit_code == 4 else "could_not_tell")
    assert found["requests"][0]["difference"]["same_outcome"]


def test_one_model_without_access_is_named_and_the_others_are_asked_all_the_same(start_emulator):
    denied = {"kind": "error", "code": "AccessDeniedException", "match": {"model": "amazon.nova-2-lite-v1:0"}}
    code, found = checkup("demo", "--endpoint-url", start_emulator({**FAST, "faults": [denied]}).url)

    assert code == 4
    failed = [finding["subject"] for finding in found["findings"] if finding["status"] == "fail"]
    assert failed == ["us.amazon.nova-2-lite-v1:0 default", "us.amazon.nova-2-lite-v1:0 priority"]
    passed = [finding["subject"] for finding in found["findings"] if finding["check"] == "model"]
    assert "us.amazon.nova-pro-v1:0 priority" in passed


def test_a_refused_tier_is_told_from_a_refused_model(start_emulator):
    refused = {
        "kind": "error", "code": "ValidationException", "match": {"tier": "flex"},
        "message": "The provided service tier is not supported for this model",
    }  # fmt: skip
    emulator = start_emulator({**FAST, "faults": [refused]})
    code, found = checkup(*NOVA_PRO[:2], "--service-tiers", "default,flex", "--endpoint-url", emulator.url)

    assert code == 4
    (failed,) = [finding for finding in found["findings"] if finding["status"] == "fail"]
    assert (failed["check"], failed["subject"]) == ("tier", f"{NAME} flex")


def test_a_throttle_that_only_the_first_transport_met_is_a_warning(start_emulator):
    once = {"kind": "error", "code": "ThrottlingException", "count": 1}
    code, found = checkup(*NOVA_PRO, "--endpoint-url", start_emulator({**FAST, "faults": [once]}).url)

    assert code == 0
    check, text, _ = only(found, "warn")
    assert (check, text.split(":")[0]) == ("quota", "wire")
    assert not found["requests"][0]["difference"]["same_outcome"]


def test_hostile_words_of_a_service_are_shown_without_their_escapes():
    hostile = "\x1b[31mred\x1b[0m \x07bell\u202e 123456789012 line\r\nbreak [bold]x[/bold]"
    with answering(error(400, "Va\x9b31mlidation", hostile)) as url:
        done = doctor(*NOVA_PRO, "--endpoint-url", url)

    assert done.returncode == 4
    assert not any(sign in done.stdout for sign in ("\x1b", "\x07", "\u202e", "\x9b", "\r", "123456789012"))
    assert "[bold]x[/bold]" in done.stdout


# --- the way there -------------------------------------------------------------------------------------------------


def test_nothing_answers():
    code, found = checkup(*NOVA_PRO, "--endpoint-url", "http://127.0.0.1:9")

    assert code == 5
    check, text, advice = only(found, "fail")
    assert check == "endpoint"
    assert "Nothing answers at http://127.0.0.1:9" in text
    assert "python -m emulator" in advice
    assert "no model was asked" in only(found, "warn")[1]


def test_https_with_an_authority_that_nobody_trusts(start_emulator):
    emulator = start_emulator(FAST, tls=True)
    code, found = checkup(*NOVA_PRO, "--endpoint-url", emulator.url)

    assert code == 4
    check, text, advice = only(found, "fail")
    assert check == "endpoint"
    assert "is not trusted" in text
    assert "AWS_CA_BUNDLE" in advice
    assert emulator.truth() == []

    code, found = checkup(*NOVA_PRO, "--endpoint-url", emulator.url, AWS_CA_BUNDLE=str(emulator.ca_bundle))
    assert code == 0
    assert found["endpoint"]["tls_version"].startswith("TLS")
    assert found["endpoint"]["tls_ms"] > 0


def test_a_proxy_that_only_the_sdk_can_use(fast):
    through = {"HTTP_PROXY": f"http://user:secret@127.0.0.1:{urlsplit(fast.url).port}", "NO_PROXY": "", "no_proxy": ""}
    arguments = (*NOVA_PRO, "--endpoint-url", "http://bedrock.invalid", "--yes")
    code, found = checkup(*arguments, "--transport", "wire", **through)

    assert code == 4
    assert "wire cannot be used here: A proxy is set" in only(found, "fail")[1]
    assert "secret" not in json.dumps(found)
    assert found["endpoint"]["proxy"] == f"127.0.0.1:{urlsplit(fast.url).port}"


def test_a_mistake_in_the_flags_is_one_sentence():
    done = doctor("--model-id", "amazon.nova-po-v1:0")

    assert done.returncode == 4
    assert "Did you mean amazon.nova-pro-v1:0?" in done.stderr
    assert done.stdout == ""
    assert "doctor takes one scenario at a time" in doctor("smoke", "demo").stderr
    assert "endpoint_url" in doctor(*NOVA_PRO, "--endpoint-url", "127.0.0.1:9").stderr.replace("-", "_")


# --- credentials ---------------------------------------------------------------------------------------------------


def verifying(start_emulator, **auth: str):
    keys = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "a-long-one"}
    return start_emulator({**FAST, "auth": {"mode": "verify", **keys, **auth}})


def test_keys_of_somebody_else_are_refused_without_being_shown(start_emulator):
    url = paid(verifying(start_emulator).url)
    keys = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "another"}
    code, found = checkup(*NOVA_PRO, "--endpoint-url", url, "--yes", **keys)

    assert code == 4
    check, text, _ = only(found, "fail")
    assert check == "credentials"
    assert "InvalidSignatureException" in text
    assert "from the environment" in next(text for check, text, _ in findings(found, "ok"))
    assert not {"AKIDEXAMPLE", "another"} & set(json.dumps(found).replace('"', " ").split())


TOKEN = {"session_token": "t"}


def credential_process(folder: Path, expires_at: datetime) -> dict[str, str]:
    """An AWS configuration whose profile gets its keys from a process, and forgets those of the environment."""
    answer = folder / "keys.json"
    keys = {"Version": 1, "AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "a-long-one", "SessionToken": "t"}
    answer.write_text(json.dumps(keys | {"Expiration": expires_at.isoformat()}), encoding="utf-8")
    config = folder / "config"
    config.write_text(f"[profile tester]\ncredential_process = cat {answer}\n", encoding="utf-8")
    return {
        "AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "tester", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "",
    }  # fmt: skip


def test_expired_credentials_are_found_before_anything_is_sent(start_emulator, tmp_path):
    emulator = verifying(start_emulator, **TOKEN)
    expired = credential_process(tmp_path, datetime.now(UTC) - timedelta(hours=1))
    code, found = checkup(*NOVA_PRO, "--endpoint-url", paid(emulator.url), "--yes", **expired)

    assert code == 4
    check, text, advice = only(found, "fail")
    assert check == "credentials"
    assert "expired" in text
    assert "Sign in again" in advice
    assert emulator.truth() == []


def test_the_source_of_credentials_and_their_end_are_told(start_emulator, tmp_path):
    emulator = verifying(start_emulator, **TOKEN)
    end = datetime.now(UTC) + timedelta(hours=2)
    code, found = checkup(*NOVA_PRO, "--endpoint-url", paid(emulator.url), "--yes", **credential_process(tmp_path, end))

    assert code == 0
    text = findings(found, "ok")[0][1]
    assert text.startswith("from the profile's credential_process, profile tester; valid until ")
    assert f"{end:%Y-%m-%d %H:%M} UTC" in text


# --- the end ---------------------------------------------------------------------------------------------------------


def test_an_interrupted_check_up_says_so_and_leaves_nothing_running(start_emulator):
    emulator = start_emulator({"default": {"latency": {"ttft_ms": {"distribution": "fixed", "median": 60_000}}}})
    command = [sys.executable, str(PROJECT / "run_tests.py"), "doctor", *NOVA_PRO, "--endpoint-url", emulator.url]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while emulator.stats()["total"]["in_flight"] == 0:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)

    assert process.returncode == 2
    assert "interrupted; requests that had been sent may be billed" in said
    while emulator.stats()["total"]["in_flight"] > 0:  # the asking process has gone
        time.sleep(0.05)


# --- model ids with an account in them -----------------------------------------------------------------------------


def test_account_ids_of_arns_are_sent_and_not_shown(fast):
    arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0"
    arguments = ("--model-id", arn, "--service-tiers", "default", "--endpoint-url", fast.url)
    code, found = checkup(*arguments)
    done = doctor(*arguments)

    assert code == done.returncode == 0
    assert "123456789012" not in json.dumps(found) + done.stdout + done.stderr
    assert found["requests"][0]["model_id"] == arn.replace("123456789012", "<account>")
