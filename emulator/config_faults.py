"""Fault rules as users write them, in the configuration or at run time, and plain words for what is wrong with one."""

from typing import Any

from pydantic import ValidationError

from bedrock.catalog import Catalog
from emulator.config_sections import suggestion
from emulator.fault_sections import KINDS, MatchSection, RuleSection, unknown
from emulator.faults import Rule


def parse_rules(raw: Any, catalog: Catalog, problems: list[str], where: str = "faults") -> list[Rule]:
    """The rules of a decoded list; what is wrong with them is appended to `problems`. They are numbered from 1."""
    if not isinstance(raw, list):
        problems.append(f"{where}: must be a list of rules, like `[{{kind: stall, rate: 0.01}}]`")
        return []
    rules = [_parse_rule(f"{where}.{number}", entry, catalog, problems) for number, entry in enumerate(raw, start=1)]
    return [rule for rule in rules if rule is not None]


def _parse_rule(where: str, raw: Any, catalog: Catalog, problems: list[str]) -> Rule | None:
    if not isinstance(raw, dict):
        problems.append(f"{where}: must be a rule, like `{{kind: stall, rate: 0.01}}`, not {raw!r}")
        return None
    kind = raw.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        problems.append(f"{where}.kind: {unknown(kind, list(KINDS), 'kind of fault')}")
        return None
    try:
        section = KINDS[kind].model_validate(raw, context={"catalog": catalog})
    except ValidationError as error:
        problems.extend(_in_words(where, problem, KINDS[kind]) for problem in error.errors(include_url=False))
        return None
    rule = section.rule()
    if not rule.match.operations:
        possible = " and ".join(sorted(section.operations))
        problems.append(f"{where}.match.operation: `{rule.label}` can only hit {possible}, and this leaves them out")
        return None
    return rule


def _in_words(where: str, problem: Any, section: type[RuleSection]) -> str:
    location = [str(part) for part in problem["loc"]]
    place = ".".join((where, *location))
    if problem["type"] == "extra_forbidden":
        known = MatchSection if location[:-1] == ["match"] else section
        return f"{place}: unknown key{suggestion(location[-1], known.model_fields)}"
    if problem["type"] == "missing":
        return f"{place}: is missing"
    if problem["type"] in ("model_type", "model_attributes_type"):
        return f"{place}: must be a mapping, like `{{operation: ConverseStream}}`, not {problem['input']!r}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{place}: {message}"
    message = message.replace("Input should be", "must be").replace("a valid integer", "a whole number")
    return f"{place}: {message[:1].lower()}{message[1:]}, not {problem['input']!r}"
