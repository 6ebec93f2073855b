"""Checks of InvokeModel's bodies, in the words of the service's JSON schema; each raises ServiceError.

The service writes `#: required key [prompt] not found#: extraneous key [messages] is not permitted`: the path, what is
wrong there, and nothing between two problems.
"""

from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any

from bedrock.catalog import Model
from emulator import errors
from emulator.body_checks import shown, within_model

#: A message names at most so many keys; a body may have millions.
_MOST_KEYS = 20


def check_keys(body: Mapping[str, Any], required: Collection[str], optional: Collection[str], where: str = "#") -> None:
    """Every required key is there and no unknown one; all that is wrong is told at once."""
    problems = [f"{where}: required key [{key}] not found" for key in required if body.get(key) is None]
    strangers = (key for key in body if key not in required and key not in optional)
    problems += [f"{where}: extraneous key [{shown(key)}] is not permitted" for key in islice(strangers, _MOST_KEYS)]
    if problems:
        raise errors.malformed("".join(problems))


def required_text(value: Any, where: str) -> str:
    """A text that is not empty; `where` is a path with slashes."""
    if not isinstance(value, str):
        raise _wrong_type(value, where, "String")
    if not value:
        raise errors.malformed(f"#/{where}: expected minLength: 1, actual: 0")
    return value


def optional_text(value: Any, where: str) -> str | None:
    """A text, or nothing."""
    return None if value is None else required_text(value, where)


def boolean(value: Any, where: str, *, default: bool) -> bool:
    """True or false."""
    if value is None:
        return default
    if not isinstance(value, bool):
        raise _wrong_type(value, where, "Boolean")
    return value


def array(value: Any, where: str) -> list[Any]:
    """A list with something in it."""
    if not isinstance(value, list):
        raise _wrong_type(value, where, "JSONArray")
    if not value:
        raise errors.malformed(f"#/{where}: expected minimum item count: 1, found: 0")
    return value


def members(value: Any, where: str) -> list[dict[str, Any]]:
    """A list of objects with something in it."""
    items = array(value, where)
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise _wrong_type(item, f"{where}/{index}", "JSONObject")
    return items


def one_of(value: Any, choices: Collection[Any], where: str) -> Any:
    """One of the values of an enumeration."""
    # By type as well: 1 is not true, and a list cannot be looked for in a set.
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise errors.malformed(f"#/{where}: {shown(value)} is not a valid enum value")
    return value


def token_limit(value: Any, where: str, model: Model, default: int) -> int:
    """The most tokens an answer may have: at least one, and no more than the model writes."""
    if value is None:
        return min(default, model.max_output_tokens)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong_type(value, where, "Integer")
    if value < 1:
        raise errors.malformed(f"#/{where}: {shown(value)} is not greater or equal to 1")
    return within_model(value, model)


def _wrong_type(value: Any, where: str, expected: str) -> errors.ServiceError:
    return errors.malformed(f"#/{where}: expected type: {expected}, found: {_type_name(value)}")


def _type_name(value: Any) -> str:
    names = {str: "String", bool: "Boolean", int: "Integer", float: "BigDecimal", list: "JSONArray", dict: "JSONObject"}
    return names.get(type(value), "Null")
