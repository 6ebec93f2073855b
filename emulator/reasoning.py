"""Whether a request lets the model think before it answers, and for how long."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from bedrock.catalog import Model
from emulator import errors
from emulator.body_checks import mapping, shown, whole_number

#: Least `budget_tokens` that Anthropic's models take.
_LEAST_BUDGET = 1024
#: Assumption: how many tokens Nova 2 thinks at most, by `maxReasoningEffort`.
_EFFORT_TOKENS = {"low": 1024, "medium": 4096, "high": 16384}


def budget_of_fields(fields: Mapping[str, Any], model: Model) -> int | None:
    """Most tokens of thought that a request's model-specific fields allow, None where it asks for none.

    Anthropic takes `thinking` (`reasoning_config` in older models' documentation): `{type: enabled, budget_tokens}`;
    Nova 2 takes `reasoningConfig`: `{type: enabled, maxReasoningEffort}`.
    """
    for name in ("thinking", "reasoning_config", "reasoningConfig"):
        setting = mapping(fields.get(name), name)
        if setting and setting.get("type") != "disabled":
            return _budget(name, setting, model)
    return None


def _budget(name: str, setting: Mapping[str, Any], model: Model) -> int:
    if setting.get("type") not in ("enabled", "adaptive"):
        raise errors.malformed(f"#/{name}/type: {shown(setting.get('type'))} is not a valid enum value")
    if not model.reasoning:
        raise errors.malformed(f"#: extraneous key [{name}] is not permitted")
    if name == "reasoningConfig":
        effort = setting.get("maxReasoningEffort", "medium")
        if not isinstance(effort, str) or effort not in _EFFORT_TOKENS:
            raise errors.malformed(f"#/{name}/maxReasoningEffort: {shown(effort)} is not a valid enum value")
        return _EFFORT_TOKENS[effort]
    if setting["type"] == "adaptive":
        return model.max_output_tokens
    budget = whole_number(setting.get("budget_tokens"), f"{name}/budget_tokens")
    if budget < _LEAST_BUDGET:
        raise errors.validation(f"{name}.enabled.budget_tokens: Input should be greater than or equal to 1024")
    return budget


def signature(request_id: str) -> str:
    """What stands for the model's signature under its thoughts: opaque, and the same for the same request."""
    return base64.b64encode(hashlib.sha256(request_id.encode()).digest()).decode("ascii")
