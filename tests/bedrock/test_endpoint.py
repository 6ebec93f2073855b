"""Where calls go, and which credentials may go there."""

import socket

import pytest

from bedrock.credentials import check_credentials
from bedrock.endpoint import Endpoint, EndpointError


@pytest.mark.parametrize("url", ["http://127.0.0.1:8700", "http://localhost:1", "http://[::1]:5", "https://127.9.9.9"])
def test_loopback_endpoints_get_no_real_credentials(url: str) -> None:
    endpoint = Endpoint("us-east-1", url)

    assert endpoint.is_loopback
    assert endpoint.placeholder_credentials()["aws_access_key_id"] == "emulator"
    check_credentials(endpoint)


@pytest.mark.parametrize("url", [None, "https://bedrock-runtime.us-east-1.amazonaws.com", "http://10.0.0.1:80"])
def test_other_endpoints_use_the_users_own(url: str | None) -> None:
    endpoint = Endpoint("us-east-1", url)

    assert not endpoint.is_loopback
    assert endpoint.placeholder_credentials() == {}


def test_without_credentials_aws_is_refused_with_what_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    nowhere = tmp_path_factory.mktemp("no-aws") / "none"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(nowhere))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(nowhere))

    with pytest.raises(EndpointError, match="AWS_PROFILE"):
        check_credentials(Endpoint("us-east-1"))


def test_a_listening_endpoint_is_reachable_and_a_closed_one_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        Endpoint("us-east-1", url).check_reachable()

    with pytest.raises(EndpointError, match="Nothing answers at"):
        Endpoint("us-east-1", url).check_reachable()


@pytest.mark.parametrize("url", ["127.0.0.1:8700", "ftp://127.0.0.1", "http://", "http://host:99999", "nonsense"])
def test_what_is_no_url_is_said_so(url: str) -> None:
    with pytest.raises(EndpointError, match="write it like"):
        Endpoint("us-east-1", url).check_reachable()


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(EndpointError, match="user name or a password") as refused:
        Endpoint("us-east-1", "http://bob:hunter2@127.0.0.1:8700").check_reachable()

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"])
def test_calls_for_aws_are_not_diverted_by_the_environment(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:8700")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    with pytest.raises(EndpointError, match=variable):
        check_credentials(Endpoint("us-east-1"))
    check_credentials(Endpoint("us-east-1", "http://127.0.0.1:8700"))
