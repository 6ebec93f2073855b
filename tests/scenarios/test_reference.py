"""docs/scenario-reference.md against the models."""

from scenarios.model import ExtraCell, Failover, Load, Scenario
from scenarios.reference import REFERENCE_FILE, reference_text


def test_the_committed_page_is_fresh():
    assert REFERENCE_FILE.read_text(encoding="utf-8") == reference_text(), "run: python -m scenarios.reference"


def test_every_key_has_a_row_in_its_section():
    text = reference_text()
    for title, section in (
        ("Top level", Scenario),
        ("`load`", Load),
        ("`matrix.include[]`", ExtraCell),
        ("`failover`", Failover),
    ):
        rows = text.split(f"\n## {title}\n")[1].split("\n## ")[0]
        for name, info in section.model_fields.items():
            assert f"\n| `{info.alias or name}` | " in rows


def test_a_row_says_what_may_stand_there_and_what_stands_for_it():
    rows = reference_text().splitlines()

    assert "| `target` | `emulator`, `aws` | `emulator` | emulator costs nothing; aws sends paid" in "\n".join(rows)
    assert any(row.startswith("| `duration` | like `30s` | `60s` | Measured time of a cell, ") for row in rows)
    assert any(row.startswith("| `name` | text | required | ") for row in rows)
    assert any(row.startswith("| `max_cost_usd` | number above 0 or `none` |  | ") for row in rows)
    assert any(row.startswith("| `delay` | like `5s` | `1s` | ") for row in rows)
