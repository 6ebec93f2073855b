"""The wire transport's signature against botocore's signer, byte for byte."""

import datetime
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from bedrock.wire.signing import BearerAuthorizer, SigV4Authorizer

AT = datetime.datetime(2026, 11, 21, 12, 34, 56, tzinfo=datetime.UTC)
visible = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
model_ids = st.sampled_from(
    [
        "us.amazon.nova-pro-v1%3A0",
        "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.amazon.nova-pro-v1%3A0",
        "amazon.nova-pro-v1:0",
        "a%20b~c_d-e.f",
    ]
)


class FixedTimeSigV4(SigV4Auth):
    """botocore's signer at a time of our own."""

    def add_auth(self, request: AWSRequest) -> None:
        request.context["timestamp"] = AT.strftime("%Y%m%dT%H%M%SZ")
        self._modify_request_before_signing(request)
        canonical = self.canonical_request(request)
        to_sign = self.string_to_sign(request, canonical)
        self._inject_signature_to_request(request, self.signature(to_sign, request))


def botocores(url: str, fields: dict[str, str], body: bytes, credentials: Any, region: str) -> dict[str, str]:
    request = AWSRequest("POST", url, headers=fields, data=body)
    FixedTimeSigV4(credentials, "bedrock", region).add_auth(request)
    return {name: value for name, value in request.headers.items() if name not in fields}


operations = st.sampled_from(["converse", "converse-stream", "invoke", "invoke-with-response-stream"])
paths = st.builds("/model/{}/{}".format, model_ids, operations)
bodies = st.binary(max_size=200) | st.text(max_size=80).map(str.encode)
extras = st.dictionaries(st.sampled_from(["X-Amzn-Bedrock-Service-Tier", "Accept"]), visible)
keys = st.builds(ReadOnlyCredentials, st.just("AKIDEXAMPLE"), visible, st.none() | visible)


@given(paths, bodies, extras, keys, st.sampled_from(["us-east-1", "eu-central-1"]))
def test_the_signature_is_botocores(
    path: str, body: bytes, extra: dict[str, str], credentials: ReadOnlyCredentials, region: str
) -> None:
    fields = {"Host": "127.0.0.1:8700", "Content-Type": "application/json", **extra}
    ours = SigV4Authorizer(lambda: credentials, region, clock=AT.timestamp).headers(path, fields, body)

    assert ours == botocores(f"http://127.0.0.1:8700{path}", fields, body, credentials, region)


def test_new_credentials_and_a_new_day_are_used_at_once() -> None:
    current: dict[str, Any] = {"credentials": ReadOnlyCredentials("ONE", "first", None), "at": AT.timestamp()}
    signer = SigV4Authorizer(lambda: current["credentials"], "us-east-1", clock=lambda: current["at"])

    def signed() -> str:
        return signer.headers("/model/m/converse", {"Host": "h"}, b"{}")["Authorization"]

    first = signed()
    assert signed() == first
    current["credentials"] = ReadOnlyCredentials("TWO", "second", None)
    assert "Credential=TWO/20261121/" in signed()
    current["at"] += 86_400.0
    assert "Credential=TWO/20261122/" in signed()
    assert len({first, signed()}) == 2


def test_a_bearer_token_is_read_anew_for_each_request() -> None:
    tokens = iter(["one", "two"])
    authorizer = BearerAuthorizer(lambda: next(tokens))
    sent = [authorizer.headers("/p", {}, b"")["Authorization"] for _ in range(2)]

    assert sent == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize("value", ["  two   spaces ", "tab\there"])
def test_white_space_in_a_header_is_signed_as_it_is_sent(value: str) -> None:
    credentials = ReadOnlyCredentials("AKID", "secret", None)
    fields = {"Host": "127.0.0.1:8700", "X-Amzn-Bedrock-Request-Metadata": value}
    ours = SigV4Authorizer(lambda: credentials, "us-east-1", clock=AT.timestamp).headers("/p", fields, b"")

    assert (
        ours["Authorization"]
        == botocores("http://127.0.0.1:8700/p", fields, b"", credentials, "us-east-1")["Authorization"]
    )
