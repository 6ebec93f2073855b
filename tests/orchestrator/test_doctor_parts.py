"""The parts of a check-up by themselves: what is asked, what answers mean, expiry, clocks, the process that asks."""

import base64
import json
import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.catalog import default_catalog
from bedrock.endpoint import Endpoint
from bedrock.invocation import InvocationRecord
from bedrock.outcome import Outcome
from orchestrator.doctor_asking import Answers, ask_all
from orchestrator.doctor_clock import ClockDifference, clock_finding, difference
from orchestrator.doctor_credentials import CredentialFacts, api_key_expiry, credentials_finding, look_at_credentials
from orchestrator.doctor_endpoint import EndpointFacts, endpoint_text, look_at_endpoint, region_findings
from orchestrator.doctor_findings import EPILOG, Status, could_not_tell, exit_code, misconfigured, ok, warn
from orchestrator.doctor_plan import (
    MAX_TOKENS,
    MOST_INPUT_TOKENS,
    Question,
    Transports,
    chosen_transports,
    most_cost_usd,
    other_regions,
    questions,
    without_both,
)
from orchestrator.doctor_reading import read_answers, sight
from orchestrator.doctor_refusals import meaning
from orchestrator.exit_codes import ExitCode
from orchestrator.preflight import prepare
from orchestrator.settings import resolve
from scenarios.model import Request

DEMO = Path(__file__).parents[2] / "scenarios" / "demo.yaml"
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NOVA = Question("converse_stream", "us.amazon.nova-pro-v1:0", "priority", "priority")
PLAIN = Request.model_validate({})
BOTH = Transports(("wire", "boto3"), frozenset({"wire"}))


def record(transport: str = "wire", outcome: Outcome = Outcome.OK, **values) -> InvocationRecord:
    made = InvocationRecord("doctor", "doctor", transport, 0, "m", api="converse_stream", transport=transport)
    made.outcome = outcome
    for name, value in values.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, []),
        (
            {"set_values": ["matrix.regions=[us-east-1, us-west-2]"]},
            ["cells of the plan call us-west-2; only us-east-1 is checked here"],
        ),
        ({"set_values": ["matrix.regions=[us-east-1, us-west-2]"], "region": "us-west-2"}, []),
        (
            {"set_values": ["failover.regions=[us-east-1, us-west-2]"]},
            ["cells of the plan call us-west-2; only us-east-1 is checked here"],
        ),
    ],
)
def test_a_check_up_says_which_regions_it_does_not_look_at(arguments, said):
    assert [finding.text for finding in other_regions(resolve(DEMO, arguments, {}))] == said


# --- what is asked -------------------------------------------------------------------------------------------------


def test_each_model_and_tier_of_a_plan_is_asked_once_and_the_most_it_costs_is_known():
    plan = prepare(resolve(DEMO, {"service_tiers": "default,flex"}, {})).plan
    catalog = default_catalog()
    asked = questions(plan, catalog, PLAIN)

    assert len(asked) == len({(question.model_id, question.tier) for question in asked}) == 4
    price = catalog.price(asked[0].model_id, asked[0].tier)
    one = (MOST_INPUT_TOKENS * price.input + MAX_TOKENS * price.output) / 1e6
    assert most_cost_usd(asked[:1], ("wire",), catalog) == pytest.approx(one)
    assert most_cost_usd(asked[:1], ("wire", "boto3"), catalog) == pytest.approx(2 * one)
    assert most_cost_usd([Question("converse", "amazon.nova-pro-v1:0", "reserved", None)], ("wire",), catalog) is None


def test_a_model_without_tiers_is_asked_as_a_load_test_asks_it():
    settings = {"model_id": "amazon.nova-lite-v1:0", "service_tiers": "default"}
    (question,) = questions(prepare(resolve(DEMO, settings, {})).plan, default_catalog(), PLAIN)

    assert (question.tier, question.sent_tier) == ("default", None)


def test_a_question_carries_what_the_requests_of_the_test_do():
    given = {"nonce": True, "latency": "optimized", "stop_sequences": "END", "request_metadata": "team=search"}
    settings = resolve(DEMO, given | {"model_id": "amazon.nova-pro-v1:0", "service_tiers": "default"}, {})
    (question,) = questions(prepare(settings).plan, default_catalog(), settings.scenario.request)

    sent = Question(**json.loads(json.dumps(asdict(question)))).invocation()  # as the asking process reads it

    assert re.fullmatch(r"\[request( \d{4}){4}\]\n\nReply with OK\.", sent.prompt)
    assert (sent.latency, sent.stop_sequences, sent.request_metadata) == ("optimized", ("END",), {"team": "search"})


@pytest.mark.parametrize(
    ("flag", "variable", "asked", "needed"),
    [
        (None, None, ("wire", "boto3"), {"wire"}),
        ("both", None, ("wire", "boto3"), {"wire", "boto3"}),
        (" both ", "wire", ("wire", "boto3"), {"wire", "boto3"}),
        (None, "both", ("wire", "boto3"), {"wire", "boto3"}),
        ("boto3", "both", ("boto3",), {"boto3"}),
        (None, "boto3", ("boto3",), {"boto3"}),
    ],
)
def test_which_transports_are_asked_and_which_are_needed(flag, variable, asked, needed):
    arguments = {"transport": flag}
    environ = {} if variable is None else {"TRANSPORT": variable}
    settings = resolve(DEMO, *without_both(arguments, environ))

    assert chosen_transports(arguments, environ, settings) == Transports(asked, frozenset(needed))


# --- what it comes to ----------------------------------------------------------------------------------------------


def test_the_exit_code_tells_a_wrong_configuration_from_an_open_question():
    fine, note = ok("a", "x"), warn("a", "x", "y")
    wrong, silent = misconfigured("a", "x", "y"), could_not_tell("a", "x", "y")

    assert exit_code([fine, note]) == ExitCode.OK
    assert exit_code([fine, silent]) == ExitCode.INCONCLUSIVE
    assert exit_code([silent, wrong]) == ExitCode.USAGE_ERROR
    assert exit_code([]) == ExitCode.OK


@pytest.mark.parametrize(
    ("code", "message", "check", "advice"),
    [
        ("UnrecognizedClientException", "The security token included in the request is invalid.", "credentials", "sts"),
        ("ExpiredTokenException", "The security token included in the request is expired", "credentials", "sign in"),
        ("InvalidSignatureException", "Signature expired: a is now earlier than b", "clock", "clock"),
        ("InvalidSignatureException", "The request signature we calculated does not match", "credentials", "secret"),
        (
            "AccessDeniedException",
            "Authentication failed: Please make sure your API Key is valid.",
            "credentials",
            "key",
        ),
        ("AccessDeniedException", "You don't have access to the model", "model", "bedrock:InvokeModelWithResponseStr"),
        ("ValidationException", "The provided service tier is not supported for this model", "tier", "tier"),
        ("ValidationException", "Reservation not found.", "tier", "tier"),
        ("ValidationException", "The provided model identifier is invalid.", "model", "--model-id"),
        ("ValidationException", "with on-demand throughput isn’t supported", "model", "--region-prefixes"),
        ("NoCredentialsError", "Unable to locate credentials", "credentials", "sts"),
        ("EndpointProviderError", "FIPS and custom endpoint are not supported", "transport", "FIPS"),
        ("SomethingNew", "never seen", "model", "words"),
    ],
)
def test_refusals_name_what_is_wrong_and_what_to_do(code, message, check, advice):
    means = meaning(record(outcome=Outcome.CLIENT_ERROR, error_code=code, error_message=message))

    assert means.check == check
    assert advice in means.advice
    assert not means.is_open


@given(
    outcome=st.sampled_from([outcome for outcome in Outcome if outcome is not Outcome.OK]),
    code=st.none() | st.text(max_size=20),
    message=st.none() | st.text(max_size=40),
    api=st.sampled_from(["converse", "converse_stream", "invoke_model", "invoke_model_stream"]),
)
def test_only_a_client_error_is_blamed_on_the_configuration(outcome, code, message, api):
    means = meaning(record(outcome=outcome, error_code=code, error_message=message, api=api))

    assert means.advice.endswith(".")
    assert "{" not in means.advice
    assert means.is_open == (outcome is not Outcome.CLIENT_ERROR)


def test_a_permission_is_that_of_the_api():
    denied = {"outcome": Outcome.CLIENT_ERROR, "error_code": "AccessDeniedException"}

    assert "bedrock:InvokeModel on" in meaning(record(api="converse", **denied)).advice
    assert "bedrock:InvokeModelWithResponseStream on" in meaning(record(api="invoke_model_stream", **denied)).advice


def read(*answers: Answers, transports: Transports = BOTH, asked=(NOVA,)):
    return [(found.status, found.check, found.text) for found in read_answers(asked, answers, transports)]


def test_another_tier_than_asked_for_is_a_warning():
    served = [Answers(name, (record(name, served_tier="default"),)) for name in ("wire", "boto3")]
    ((status, check, text),) = read(*served)

    assert (status, check) == (Status.WARN, "tier")
    assert text == "answered over wire and boto3, but in the tier default"


def test_transports_that_count_tokens_or_tiers_differently_are_told():
    wire = Answers("wire", (record("wire", served_tier="priority", input_tokens=4),))
    boto3 = Answers("boto3", (record("boto3", served_tier=None, input_tokens=9),))

    told = [text for status, _, text in read(wire, boto3) if status is Status.WARN]
    assert told == [
        "the transports disagree on input tokens: wire 4, boto3 9",
        "the transports disagree on the served tier: wire priority, boto3 —",
    ]


def test_a_transport_that_no_test_uses_does_not_fail_the_check_up():
    good, bad = record("wire"), record("boto3", Outcome.CLIENT_ERROR, error_code="EndpointProviderError")
    answers = (Answers("wire", (good,)), Answers("boto3", (bad,)))

    assert [status for status, *_ in read(*answers)] == [Status.OK, Status.WARN]
    needed = Transports(("wire", "boto3"), frozenset({"wire", "boto3"}))
    assert [status for status, *_ in read(*answers, transports=needed)] == [Status.OK, Status.FAIL]
    ((status, _, text), _) = read(Answers("boto3", refused="A proxy"), Answers("wire", (good,)))
    assert (status, text) == (Status.WARN, "boto3 cannot be used here: A proxy")


def test_questions_that_were_not_sent_are_no_success():
    broken = record("wire", Outcome.CONNECTION_ERROR, error_code="ConnectionFailed")
    other = Question("converse_stream", "us.amazon.nova-lite-v1:0", "default", None)
    said = read(Answers("wire", (broken,)), Answers("boto3", is_cut_off=True), asked=(NOVA, other))

    assert {status for status, *_ in said} == {Status.FAIL}
    assert [text for _, _, text in said][2:] == ["wire: not asked: there was no connection", "boto3: no answer in time"]


def test_numbers_that_are_none_are_not_shown_as_numbers():
    seen = sight(record(input_tokens="<script>", output_tokens=True, request_id="a\x1b[2Jb" * 50))

    assert (seen.input_tokens, seen.output_tokens) == (None, None)
    assert "\x1b" not in (seen.request_id or "")
    assert len(seen.request_id or "") <= 80


# --- credentials ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expires_in", "renewed", "status", "said"),
    [
        (None, False, Status.OK, "from SSO"),
        (timedelta(hours=2), False, Status.OK, "valid until 2026-11-21 14:00 UTC"),
        (timedelta(minutes=10), True, Status.OK, "renewed by themselves"),
        (timedelta(minutes=10), False, Status.WARN, "in 10 min"),
        (timedelta(0), True, Status.FAIL, "expired at 2026-11-21 12:00 UTC"),
    ],
)
def test_credentials_that_end_soon_are_told(expires_in, renewed, status, said):
    end = None if expires_in is None else NOW + expires_in
    found = credentials_finding(CredentialFacts("SSO", renewed, end), NOW)

    assert found.status is status
    assert said in found.text


def api_key(url: str) -> str:
    return "bedrock-api-key-" + base64.b64encode(url.encode()).decode()


def test_a_short_term_api_key_says_when_it_ends():
    url = "bedrock.amazonaws.com/?Action=CallWithBearerToken&X-Amz-Date=20261121T110000Z&X-Amz-Expires=43200&Version=1"

    assert api_key_expiry(api_key(url)) == NOW + timedelta(hours=11)
    assert api_key_expiry(api_key(url.replace("20261121T", "20269921T"))) is None
    assert api_key_expiry("ABSKlong-term") is None


@given(st.text(max_size=60))
def test_no_token_breaks_the_look_at_its_end(text):
    assert api_key_expiry("bedrock-api-key-" + text) is None


def test_a_bearer_token_is_named_and_not_shown(monkeypatch):
    expired = api_key("bedrock.amazonaws.com/?X-Amz-Date=20261120T110000Z&X-Amz-Expires=3600")
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", expired)
    found = look_at_credentials(Endpoint("us-east-1"), NOW)

    assert found.status is Status.FAIL
    assert "AWS_BEARER_TOKEN_BEDROCK" in found.text
    assert expired not in found.text


def test_loopback_gets_none_of_the_users_credentials(monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "nowhere")

    assert look_at_credentials(Endpoint("us-east-1", "http://127.0.0.1:1"), NOW).status is Status.OK
    found = look_at_credentials(Endpoint("us-east-1"), NOW)
    assert found.status is Status.FAIL
    assert "nowhere" in found.text + (found.advice or "")


# --- the endpoint and the clock ------------------------------------------------------------------------------------


def test_fips_and_dual_stack_lead_where_the_sdk_leads(monkeypatch):
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    monkeypatch.setenv("HTTPS_PROXY", "http://somebody:secret@proxy.invalid:3128")
    facts, finding = look_at_endpoint(Endpoint("us-east-1"))

    assert facts is not None
    assert facts.is_fips
    assert facts.url == "https://bedrock-runtime-fips.us-east-1.amazonaws.com"
    assert facts.proxy == "proxy.invalid:3128"
    assert finding.is_open
    assert "the proxy proxy.invalid:3128 has no address" in finding.text


def test_the_way_is_told_in_one_line():
    facts = EndpointFacts(
        "https://x", True, True, None, ("10.0.0.1", "10.0.0.2"), 1.0, 2.0, 3.0, "TLSv1.3"
    )  # fmt: skip

    assert endpoint_text(facts) == (
        "https://x (FIPS and dual stack) · DNS 1.0 ms (10.0.0.1, 10.0.0.2) · TCP 2.0 ms · TLSv1.3 3.0 ms"
    )


def test_a_ca_bundle_that_is_none_is_a_mistake_of_the_configuration(monkeypatch, tmp_path, start_emulator):
    bundle = tmp_path / "empty.pem"
    bundle.write_text("", encoding="utf-8")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    _, finding = look_at_endpoint(Endpoint("us-east-1", start_emulator({}, tls=True).url))

    assert finding.status is Status.FAIL
    assert not finding.is_open
    assert "The CA bundle" in finding.text


def test_https_to_a_server_that_speaks_http(start_emulator):
    url = start_emulator({}).url.replace("http:", "https:")
    _, finding = look_at_endpoint(Endpoint("us-east-1", url))

    assert finding.text.startswith("no TLS with 127.0.0.1")
    assert not finding.is_open


def test_a_region_that_the_sdk_does_not_know_is_told_with_the_one_that_was_meant():
    (finding,) = region_findings(Endpoint("us-eats-1"))

    assert finding.status is Status.WARN
    assert "Did you mean us-east-1?" in (finding.advice or "")
    assert region_findings(Endpoint("us-east-1"))[0].status is Status.OK


@given(ahead_s=st.floats(-1000, 1000), took_s=st.floats(0, 4), part=st.floats(0, 1))
def test_the_true_difference_of_the_clocks_lies_within_what_is_told(ahead_s, took_s, part):
    written_at = 1_790_000_000.0 + part  # on the server's clock, somewhere within the request
    asked_at = written_at - took_s * part + ahead_s
    found = difference(formatdate(written_at, usegmt=True), asked_at, asked_at + took_s)

    assert found is not None
    assert abs(found.ahead_s - ahead_s) <= found.uncertainty_s + 1e-6


@pytest.mark.parametrize(
    ("ahead_s", "status", "said"),
    [
        (0.3, Status.OK, "agrees"),
        (-12.0, Status.OK, "12.0 s behind"),
        (40.0, Status.WARN, "40.0 s ahead of"),
        (-301.0, Status.FAIL, "301.0 s behind"),
        (300.2, Status.WARN, "300.2 s ahead"),
    ],
)
def test_a_wrong_clock_is_told_before_aws_refuses_its_signatures(ahead_s, status, said):
    found = clock_finding(ClockDifference(ahead_s, 0.6))

    assert found.status is status
    assert said in found.text


@pytest.mark.parametrize("date", ["", "yesterday", "Sat, 99 Nov 2026 12:00:00 GMT", "\x00"])
def test_a_date_that_is_none_is_no_difference(date):
    assert difference(date, 0.0, 1.0) is None
    assert clock_finding(None).status is Status.WARN


# --- docs/doctor.md ------------------------------------------------------------------------------------------------


def test_the_page_names_every_check_and_every_exit_code():
    page = (DEMO.parents[1] / "docs" / "doctor.md").read_text(encoding="utf-8")
    checks = ("credentials", "region", "endpoint", "tier", "consent", "clock", "quota", "model", "transport")

    assert [check for check in checks if f"\n| {check} | " not in page] == []
    codes = (ExitCode.OK, ExitCode.INTERRUPTED, ExitCode.INTERNAL_ERROR, ExitCode.USAGE_ERROR, ExitCode.INCONCLUSIVE)
    assert [int(code) for code in codes if f"\n| {int(code)} | " not in page or f"\n  {int(code)} " not in EPILOG] == []


# --- the process that asks -----------------------------------------------------------------------------------------


@contextmanager
def silent_server() -> Iterator[str]:
    """Takes requests and never answers."""
    ended = threading.Event()

    class Silence(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            ended.wait(60.0)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Silence) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            ended.set()
            server.shutdown()


def test_a_server_that_never_answers_does_not_hold_a_check_up_for_ever():
    with silent_server() as url:
        answers = ask_all("wire", Endpoint("us-east-1", url), [NOVA], lambda _: None, limit_s=3.0)

    assert answers == Answers("wire", is_cut_off=True)


def test_without_a_connection_the_next_question_is_not_sent():
    heard: list[InvocationRecord] = []
    answers = ask_all("boto3", Endpoint("us-east-1", "http://127.0.0.1:9"), [NOVA, NOVA], heard.append)

    assert [answer.outcome for answer in answers.records] == [Outcome.CONNECTION_ERROR]
    assert heard == list(answers.records)
    assert answers.of(1) is None
