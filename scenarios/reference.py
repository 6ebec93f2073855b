"""The reference page of scenario files, from the models' descriptions: `python -m scenarios.reference` writes it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scenarios.run_directory import write_text
from scenarios.schema import schema_text

REFERENCE_FILE = Path(__file__).parent.parent / "docs" / "scenario-reference.md"

_HEAD = """# Scenario reference

Every key that a scenario file may have, with what stands for it where it is left out. The page is generated from the
models that check the files (`python -m scenarios.reference`); [running suites](running.md#scenario-files) has the rest:
how files are found, checked, and overridden from the command line.
"""

_Schema = Mapping[str, Any]


def reference_text() -> str:
    """The page as the committed file has it."""
    schema = json.loads(schema_text())
    parts = [_HEAD]
    for title, about, section in _sections(schema):
        parts.append(f"\n## {title}\n\n{about}\n\n| key | value | default | meaning |\n|---|---|---|---|\n")
        required = section.get("required", ())
        parts += [_row(key, entry, key in required) for key, entry in section["properties"].items()]
    return "".join(parts)


def _sections(schema: _Schema) -> Iterator[tuple[str, str, _Schema]]:
    """Title, description and schema of the whole file and then of each section in it, outermost first."""
    yield "Top level", schema["description"], schema
    waiting: list[tuple[tuple[str, ...], _Schema]] = [((), schema)]
    seen: set[str] = set()
    for path, section in waiting:
        for key, entry in section["properties"].items():
            for name, is_item in _refs(entry):
                if name in seen:
                    continue
                seen.add(name)
                inner = schema["$defs"][name]
                place = (*path, f"{key}[]" if is_item else key)
                yield f"`{'.'.join(place)}`", inner["description"], inner
                waiting.append((place, inner))


def _refs(entry: Any, is_item: bool = False) -> Iterator[tuple[str, bool]]:
    """The sections that a value may be, and whether it is a list of them."""
    if "$ref" in entry:
        yield entry["$ref"].rpartition("/")[2], is_item
    for choice in entry.get("anyOf", ()):
        yield from _refs(choice, is_item)
    if "items" in entry:
        yield from _refs(entry["items"], is_item=True)


def _row(key: str, entry: _Schema, is_required: bool) -> str:
    default = "required" if is_required else _default(entry)
    return f"| `{key}` | {_value(entry)} | {default} | {entry['description']} |\n"


def _default(entry: _Schema) -> str:
    """As the file writes it; nothing for a section, whose keys have rows of their own."""
    default = entry.get("default")
    if default in (None, []) or isinstance(default, dict):
        return ""
    items = default if isinstance(default, list) else [default]
    return f"`{', '.join(item if isinstance(item, str) else json.dumps(item) for item in items)}`"


def _value(entry: _Schema) -> str:
    """What may stand there, in a few words."""
    if "anyOf" in entry:
        found = [_value(choice) for choice in entry["anyOf"] if choice.get("type") != "null"]
        return " or ".join(dict.fromkeys(found))
    if "enum" in entry or "const" in entry:
        return ", ".join(f"`{option}`" for option in entry.get("enum") or [entry["const"]])
    if entry.get("examples"):
        return f"like `{entry['examples'][0]}`"
    if entry.get("type") == "array":
        return f"list of: {_value(entry['items'])}"
    return f"{_WORDS[entry.get('type', 'object')]}{_bounds(entry)}"


#: Types of the schema as people call them.
_WORDS = {
    "object": "mapping",
    "integer": "whole number",
    "number": "number",
    "boolean": "`true` or `false`",
    "string": "text",
}


def _bounds(entry: _Schema) -> str:
    limits = {
        "minimum": "from {}",
        "exclusiveMinimum": "above {}",
        "maximum": "up to {}",
        "exclusiveMaximum": "below {}",
    }
    return "".join(f" {words.format(format(entry[name], ',.15g'))}" for name, words in limits.items() if name in entry)


if __name__ == "__main__":
    write_text(REFERENCE_FILE, reference_text())
