"""The JSON Schema of scenario files, for editors: `python -m scenarios.schema` writes `scenarios/schema.json`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scenarios.model import Scenario, Section
from scenarios.run_directory import write_text

SCHEMA_FILE = Path(__file__).parent / "schema.json"


def schema_text() -> str:
    """The schema as the committed file has it: defaults as a file would write them, with units."""
    schema = _without_titles(Scenario.model_json_schema(by_alias=True))
    for section in _sections(Section):
        entry = schema["$defs"].get(section.__name__)
        if entry is not None and not entry.get("required"):
            _write_defaults(entry, section)
    for entry in schema["properties"].values():
        if "$ref" in entry:
            entry.pop("default", None)  # it is that of the section's keys
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Load test scenario"}
    return json.dumps(head | schema, ensure_ascii=False, indent=2) + "\n"


def _sections(base: type[Section]) -> Iterator[type[Section]]:
    for section in base.__subclasses__():
        yield section
        yield from _sections(section)


def _write_defaults(schema: dict[str, Any], section: type[Section]) -> None:
    """Defaults of a section's keys with their units, instead of the numbers that Python has."""
    defaults = section.model_validate({}).model_dump(mode="json")
    for key, entry in schema["properties"].items():
        entry["default"] = defaults[key]


def _without_titles(value: Any) -> Any:
    """Without the titles that pydantic derives from names: they only repeat these."""
    if isinstance(value, dict):
        return {
            key: _without_titles(item) for key, item in value.items() if not (key == "title" and isinstance(item, str))
        }
    return [_without_titles(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    write_text(SCHEMA_FILE, schema_text())
