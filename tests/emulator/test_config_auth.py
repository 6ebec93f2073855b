"""The `auth` key of the configuration: who is let in, and what is wrong with a file, told without its secrets."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from emulator.auth import AcceptAll, VerifySignatures, make_authenticator
from emulator.config import ConfigError, EmulatorConfig, parse_config, read_config
from emulator.config_auth import AuthMode, AuthSettings
from emulator.sigv4 import Credentials

OWN = "access_key_id: AKID, secret_access_key: 'p@ss/word'"


def auth(text: str) -> AuthSettings:
    return parse_config({"auth": yaml.safe_load(text)}).auth


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        auth(text)
    return caught.value.problems


def test_without_a_word_about_it_everybody_is_let_in() -> None:
    assert EmulatorConfig().auth == parse_config({}).auth == auth("accept")
    assert isinstance(make_authenticator(EmulatorConfig().auth), AcceptAll)


@pytest.mark.parametrize("text", ["verify", "{mode: verify}", "{}"])
def test_plain_verify_is_for_the_credentials_of_the_banner(text: str) -> None:
    settings = auth(text)

    assert isinstance(make_authenticator(settings), VerifySignatures)
    assert settings == AuthSettings(AuthMode.VERIFY, Credentials("emulator", "emulator"), "emulator")
    assert settings.is_well_known


def test_credentials_of_ones_own_replace_the_well_known_ones() -> None:
    settings = auth(f"{{mode: verify, {OWN}, session_token: tok, bearer_token: bear}}")

    assert settings == AuthSettings(AuthMode.VERIFY, Credentials("AKID", "p@ss/word", "tok"), "bear")
    assert not settings.is_well_known


def test_what_is_not_given_beside_own_credentials_lets_nobody_in() -> None:
    assert auth(f"{{{OWN}}}").bearer_token is None
    assert auth("{bearer_token: bear}").credentials is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("verfy", "secret_access_key: ...}`; did you mean `verify`?"),
        ("true", "must be `accept`, `verify` or a mapping like "),
        ("null", "must be `accept`, `verify` or a mapping like "),
        ("[verify]", "must be `accept`, `verify` or a mapping like "),
        ("{mode: maybe}", ".mode: must be `accept` or `verify`"),
        ("{mod: verify}", ".mod: unknown key; did you mean `mode`?"),
        ("{access_key_id: AKID}", "`access_key_id` and `secret_access_key` go together"),
        ("{secret_access_key: hush}", "`access_key_id` and `secret_access_key` go together"),
        ("{session_token: hush, bearer_token: x}", "`session_token` belongs to an `access_key_id`"),
        (f"{{mode: accept, {OWN}}}", "credentials have no effect with `mode: accept`; write `mode: verify`"),
        ("{access_key_id: AKID, secret_access_key: 12345}", ".secret_access_key: must be text; put a number in quotes"),
        ("{access_key_id: AKID, secret_access_key: ''}", ".secret_access_key: must not be empty"),
        ("{access_key_id: a/b, secret_access_key: hush}", ".access_key_id: must be printable ASCII characters without"),
        ("{bearer_token: hush hush}", ".bearer_token: must be printable ASCII characters without spaces"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(text: str, problem: str) -> None:
    (found,) = problems(text)

    assert found.startswith("auth")
    assert problem in found


def test_it_is_told_together_with_the_files_other_problems(tmp_path: Path) -> None:
    path = tmp_path / "emulator.yaml"
    path.write_text("seed: x\nauth: {mode: none, bearer_token: 1}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_config(path)

    assert len(caught.value.problems) == 3


SECRETS = st.sampled_from(["hush-hush", "hush, hush", "", ["hush"], {"hush": "hush"}, 123])


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "mode": st.sampled_from(["verify", "accept", "hush"]),
            "access_key_id": st.just("AKID"),
            **dict.fromkeys(("secret_access_key", "session_token", "bearer_token", "x"), SECRETS),
        },
    )
)
def test_no_secret_is_repeated_whatever_is_wrong(raw: object) -> None:
    try:
        told = repr(parse_config({"auth": raw}))
    except ConfigError as error:
        told = str(error)

    assert "hush" not in told
    assert "123" not in told
