"""Checks of request bodies that several dialects share; each raises ServiceError in the service's words."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bedrock.catalog import Model
from emulator import errors


def decode_body(raw: bytes) -> dict[str, Any]:
    """The request body as a mapping."""
    try:
        body = json.loads(raw)
    except json.JSONDecodeError as error:
        raise errors.malformed(f"#: it is not JSON ({error})") from None
    except UnicodeDecodeError:
        raise errors.malformed("#: it is not UTF-8") from None
    except RecursionError:
        raise errors.malformed("#: it is nested too deeply") from None
    except ValueError:  # the only one left
        raise errors.malformed("#: it has a number of too many digits") from None
    if not isinstance(body, dict):
        raise errors.malformed("#: expected type: JSONObject")
    return body


def shown(value: Any) -> str:
    """What a client sent, short enough for an error message."""
    return str(value)[:100]


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    """A mapping, empty where nothing is given."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise errors.malformed(f"#/{where}: expected type: JSONObject")
    return value


def objects(value: Any, where: str) -> list[dict[str, Any]]:
    """A list of mappings, empty where nothing is given; `where` is a path with dots."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise errors.malformed(f"#/{where.replace('.', '/')}: expected type: array of JSONObject")
    return value


def whole_number(value: Any, where: str) -> int:
    """A whole number; `where` is a path with slashes."""
    if isinstance(value, bool) or not isinstance(value, int):
        found = json.dumps(value)[:100] if isinstance(value, bool) else shown(value)
        raise errors.malformed(f"#/{where}: expected type: Integer, found: {found}")
    return value


def check_share(value: Any, where: str) -> None:
    """Nothing, or a number from 0 to 1, such as a temperature; `where` is a path with dots."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise errors.malformed(f"#/{where.replace('.', '/')}: expected type: Float, found: {shown(value)}")
    if not 0.0 <= value <= 1.0:
        bound = "less than or equal to 1" if value > 1.0 else "greater than or equal to 0"
        raise errors.constraint(f"Value '{shown(value)}' at '{where}'", f"Member must have value {bound}")


def strings(value: Any, where: str) -> tuple[str, ...]:
    """A list of strings, none of them empty; no strings where nothing is given."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise errors.malformed(f"#/{where}: expected type: array of non-empty strings")
    return tuple(value)


def within_model(max_tokens: int, model: Model) -> int:
    """A limit of output tokens that the model can keep."""
    if max_tokens > model.max_output_tokens:
        raise errors.over_max_tokens(model.max_output_tokens)
    return max_tokens


def starts_with_user(roles: Sequence[str]) -> None:
    """The rule of all conversations: the first to speak, apart from the system, is the user."""
    spoken = [role for role in roles if role != "system"]
    if spoken[:1] != ["user"]:
        raise errors.validation(
            "A conversation must start with a user message. "
            "Try again with a conversation that starts with a user message."
        )
