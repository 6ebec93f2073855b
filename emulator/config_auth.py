"""The `auth` key of the configuration: `accept`, `verify`, or a mapping with credentials of one's own.

What is wrong is told without the value that was given: it may be a secret.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from emulator.config_sections import Section, suggestion
from emulator.sigv4 import Credentials

#: What the banner tells to export; everybody knows them.
WELL_KNOWN_CREDENTIALS = Credentials("emulator", "emulator")
WELL_KNOWN_BEARER_TOKEN = "emulator"  # noqa: S105 - the banner prints it, it protects nothing

_EXAMPLE = "{mode: verify, access_key_id: ..., secret_access_key: ...}"


class AuthMode(StrEnum):
    """What becomes of a request's credentials."""

    ACCEPT = "accept"
    VERIFY = "verify"


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """Who may call the runtime's operations; with `verify`, None means that nobody gets in that way."""

    mode: AuthMode = AuthMode.ACCEPT
    credentials: Credentials | None = WELL_KNOWN_CREDENTIALS
    bearer_token: str | None = field(default=WELL_KNOWN_BEARER_TOKEN, repr=False)

    @property
    def is_verified(self) -> bool:
        """Whether requests without the right credentials are refused."""
        return self.mode is AuthMode.VERIFY

    @property
    def is_well_known(self) -> bool:
        """Whether the credentials are those that the banner prints."""
        return self.credentials == WELL_KNOWN_CREDENTIALS or self.bearer_token == WELL_KNOWN_BEARER_TOKEN


#: Printable ASCII without what separates the parts of an Authorization header.
KeyId = Annotated[str, Field(strict=True, pattern=r"^[!-+\--.0-~]+$")]
Token = Annotated[str, Field(strict=True, pattern=r"^[!-~]+$")]
Secret = Annotated[str, Field(strict=True, min_length=1)]


class AuthSection(Section):
    """The mapping; with no credentials at all they are the well-known ones."""

    mode: AuthMode = AuthMode.VERIFY
    access_key_id: KeyId | None = None
    secret_access_key: Secret | None = None
    session_token: Token | None = None
    bearer_token: Token | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "AuthSection":
        if self.mode is AuthMode.ACCEPT and self.given().keys() - {"mode"}:
            raise ValueError("credentials have no effect with `mode: accept`; write `mode: verify`")
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("`access_key_id` and `secret_access_key` go together")
        if self.session_token is not None and self.access_key_id is None:
            raise ValueError("`session_token` belongs to an `access_key_id` and its `secret_access_key`")
        return self

    def settings(self) -> AuthSettings:
        """What was given, in the form that the emulator uses."""
        if not self.given().keys() - {"mode"}:
            return AuthSettings(self.mode)
        credentials = None
        if self.access_key_id is not None and self.secret_access_key is not None:
            credentials = Credentials(self.access_key_id, self.secret_access_key, self.session_token)
        return AuthSettings(self.mode, credentials, self.bearer_token)


def check_auth(raw: Any, problems: list[str]) -> AuthSettings:
    """The settings of a decoded `auth`; what is wrong with it is appended to `problems`."""
    if isinstance(raw, str) and raw in list(AuthMode):
        return AuthSettings(AuthMode(raw))
    if not isinstance(raw, dict):
        hint = suggestion(raw, list(AuthMode)) if isinstance(raw, str) else ""
        problems.append(f"auth: must be `accept`, `verify` or a mapping like `{_EXAMPLE}`{hint}")
        return AuthSettings()
    try:
        return AuthSection.model_validate(raw).settings()
    except ValidationError as error:
        problems.extend(_in_words(problem) for problem in error.errors(include_url=False))
        return AuthSettings()


def _in_words(problem: Any) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    match problem["type"]:
        case "value_error":
            return f"auth: {problem['msg'].removeprefix('Value error, ')}"
        case "extra_forbidden":
            return f"auth.{name}: unknown key{suggestion(name, AuthSection.model_fields)}"
        case "enum":
            return "auth.mode: must be `accept` or `verify`"
        case "string_type":
            return f"auth.{name}: must be text; put a number in quotes"
        case "string_too_short":
            return f"auth.{name}: must not be empty"
        case _:
            without = "spaces, commas and slashes" if name == "access_key_id" else "spaces"
            return f"auth.{name}: must be printable ASCII characters without {without}"
