"""docs/running.md says what the command does."""

from pathlib import Path

import pytest

from bedrock.yaml_documents import format_path
from orchestrator.exit_codes import ExitCode
from orchestrator.flags import RUN_ONLY, SCENARIO_FLAGS, Flag
from orchestrator.settings import resolve

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "running.md").read_text(encoding="utf-8")
DEFAULTS = {row.name: row.value for row in resolve(PROJECT / "scenarios" / "permutations.yaml", {}, {}).listing()}


def row_of(flag: Flag) -> str:
    """The flag's row in the table: flag, variables, default of the permutation suite, meaning."""
    name = f"{flag.text}`, `{flag.short}" if flag.short else flag.text
    metavar = f" {flag.metavar}" if flag.metavar else ""
    default = DEFAULTS.get(format_path(flag.path) if flag.path else flag.name) or str(flag.default or "—")
    variables = ", ".join(f"`{variable}`" for variable in flag.env_vars)
    return f"| `{name}{metavar}` | {variables} | {default} | {flag.help} |"


@pytest.mark.parametrize("flag", [*SCENARIO_FLAGS, *RUN_ONLY], ids=lambda flag: flag.text)
def test_every_flag_is_documented_with_its_variable_and_its_default(flag):
    assert row_of(flag) in PAGE.splitlines(), f"docs/running.md lacks the row {row_of(flag)}"


@pytest.mark.parametrize("code", list(ExitCode))
def test_every_exit_code_is_documented(code):
    assert f"\n| {int(code)} | " in PAGE
