"""Real SDKs against an emulator that verifies who calls."""

import http.client
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from emulator.process import EmulatorProcess
from tests.support.sdk import FAST, NOVA, ask

KEY_ID, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
OWN = {"mode": "verify", "access_key_id": KEY_ID, "secret_access_key": SECRET, "bearer_token": "the-right-one"}
ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0"


@pytest.fixture(scope="module")
def emulator() -> Iterator[EmulatorProcess]:
    with EmulatorProcess({**FAST, "auth": OWN}, seed=1, tls=True) as running:
        yield running


def sdk(emulator: EmulatorProcess, key_id: str = KEY_ID, secret: str = SECRET, **options: Any) -> Any:
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=emulator.url,
        region_name="eu-central-1",
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        verify=emulator.ca_bundle and str(emulator.ca_bundle),
        config=Config(retries={"total_max_attempts": 3, "mode": "standard"}, **options),
    )


def refusal(call: Callable[[], Any]) -> tuple[int, str, str]:
    """Status, code and message of the exception that the SDK raises."""
    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value.response
    return error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"], error["Error"]["Message"]


@pytest.mark.parametrize("model_id", [NOVA, "us.amazon.nova-pro-v1:0", ARN])
def test_the_right_secret_gets_an_answer(emulator: EmulatorProcess, model_id: str) -> None:
    client = sdk(emulator)

    assert client.converse(**ask("漫画?") | {"modelId": model_id})["usage"]["outputTokens"] == 50
    assert [*client.converse_stream(**ask() | {"modelId": model_id})["stream"]][-1]["metadata"]["usage"]


@pytest.mark.parametrize("operation", ["converse", "converse_stream"])
def test_a_wrong_secret_is_refused(emulator: EmulatorProcess, operation: str) -> None:
    status, code, message = refusal(lambda: getattr(sdk(emulator, secret=SECRET.lower()), operation)(**ask()))

    assert (status, code) == (403, "InvalidSignatureException")
    assert message.startswith("The request signature we calculated does not match the signature you provided.")


def test_an_unknown_key_and_a_stray_session_token_are_refused(
    emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = (403, "UnrecognizedClientException", "The security token included in the request is invalid.")

    assert refusal(lambda: sdk(emulator, key_id="SOMEONE").converse(**ask())) == expected
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "left over")
    client = boto3.client("bedrock-runtime", endpoint_url=emulator.url, verify=str(emulator.ca_bundle))
    assert refusal(lambda: client.converse(**ask())) == expected


def test_a_request_without_a_signature_is_refused(emulator: EmulatorProcess) -> None:
    client = sdk(emulator, signature_version=UNSIGNED)

    assert refusal(lambda: client.converse(**ask())) == (
        403,
        "MissingAuthenticationTokenException",
        "Missing Authentication Token",
    )


def test_a_bearer_token_gets_an_answer_only_if_it_is_the_right_one(
    emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "the-right-one")
    assert sdk(emulator).converse(**ask())["stopReason"] == "end_turn"

    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "the-wrong-one")
    assert refusal(lambda: sdk(emulator).converse(**ask())) == (
        403,
        "AccessDeniedException",
        "Authentication failed: Please make sure your API Key is valid.",
    )


def test_a_refused_call_is_logged_once_and_uses_up_nothing(start_emulator: Any) -> None:
    emulator = start_emulator(config={**FAST, "auth": OWN, NOVA: {"quota": {"rpm": 1}}})
    refusal(lambda: sdk(emulator, secret=SECRET.lower()).converse(**ask()))
    sdk(emulator).converse(**ask())
    refused, answered = emulator.truth()

    assert (refused["status"], refused["outcome"], refused["error_code"]) == (
        403,
        "client_error",
        "InvalidSignatureException",
    )
    assert (refused["input_tokens"], refused["output_tokens"], refused["served_tier"]) == (None, None, None)
    assert answered["outcome"] == "ok"


def test_who_calls_is_looked_at_before_what_is_asked(emulator: EmulatorProcess) -> None:
    client = sdk(emulator, secret=SECRET.lower())

    assert refusal(lambda: client.converse(**ask() | {"modelId": "no.such-model"}))[0] == 403
    assert refusal(lambda: sdk(emulator).converse(**ask() | {"modelId": "no.such-model"}))[0] == 400


def test_plain_verify_is_for_the_credentials_of_the_banner(start_emulator: Any) -> None:
    emulator = start_emulator(config={**FAST, "auth": "verify"})

    assert sdk(emulator, "emulator", "emulator").converse(**ask())["stopReason"] == "end_turn"
    assert refusal(lambda: sdk(emulator, "emulator", "another").converse(**ask()))[1] == "InvalidSignatureException"


def test_without_auth_anybody_gets_an_answer(start_emulator: Any) -> None:
    emulator = start_emulator(config=FAST)

    for client in (sdk(emulator, "any", "thing"), sdk(emulator, signature_version=UNSIGNED)):
        assert client.converse(**ask())["stopReason"] == "end_turn"


def test_a_signed_header_may_be_sent_twice(start_emulator: Any) -> None:
    emulator = start_emulator(config={**FAST, "auth": OWN})
    address = emulator.url.removeprefix("http://")
    body = b'{"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}'
    request = AWSRequest("POST", f"{emulator.url}/model/{NOVA}/converse", {"Host": address}, body)
    for value in ("a", "b  c"):
        request.headers["X-Custom"] = value
    SigV4Auth(Credentials(KEY_ID, SECRET), "bedrock", "us-east-1").add_auth(request)

    connection = http.client.HTTPConnection(address, timeout=30)
    connection.putrequest("POST", f"/model/{NOVA}/converse", skip_host=True, skip_accept_encoding=True)
    for name, value in [*request.headers.items(), ("Content-Length", str(len(body)))]:
        connection.putheader(name, value)
    connection.endheaders(body)
    assert connection.getresponse().status == 200
    connection.close()
