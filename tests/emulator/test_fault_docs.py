"""docs/emulator-faults.md knows every key, kind, error and exception of a fault rule."""

from pathlib import Path

import pytest
import yaml

from bedrock.catalog import default_catalog
from emulator.config_faults import parse_rules
from emulator.fault_sections import KINDS, MatchSection, RuleSection
from emulator.modelled_errors import IN_STREAM, MODELLED

PAGE = (Path(__file__).parents[2] / "docs" / "emulator-faults.md").read_text(encoding="utf-8")
RULES = PAGE.partition("\n## Rules\n")[2]


@pytest.mark.parametrize(
    "key",
    [
        *(name for name in RuleSection.model_fields if name != "match"),
        *(f"match.{name}" for name in MatchSection.model_fields),
    ],
)
def test_every_key_of_all_rules_has_a_row(key: str) -> None:
    assert f"\n| `{key}` |" in RULES


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_row_with_its_parameters(kind: str) -> None:
    rows = [row for row in RULES.splitlines() if row.startswith(f"| `{kind}` |")]

    assert rows
    for name in KINDS[kind].model_fields.keys() - RuleSection.model_fields.keys():
        assert any(f"`{name}" in row for row in rows), name


@pytest.mark.parametrize("code", MODELLED)
def test_every_error_has_a_row_with_its_status_and_wordings(code: str) -> None:
    (row,) = [row for row in RULES.splitlines() if row.startswith(f"| `{code}` | {MODELLED[code].status} |")]

    assert all(f"`{wording}`" in row for wording in MODELLED[code].wordings)


@pytest.mark.parametrize("exception", IN_STREAM)
def test_every_exception_of_a_stream_is_named(exception: str) -> None:
    assert f"`{exception}`" in RULES


def test_the_examples_are_valid() -> None:
    examples = [yaml.safe_load(block.split("```")[0]) for block in PAGE.split("```yaml\n")[1:]]
    rules = [rule for example in examples for rule in example.get("faults", ())]
    problems: list[str] = []

    assert len(parse_rules(rules, default_catalog(), problems)) == len(rules) > 0
    assert problems == []
