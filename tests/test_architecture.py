"""Who may import whom (docs: imports only go down, no circles)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

#: Each room and the rooms below it that it may know.
MAY_IMPORT = {
    "bedrock": set(),
    "scenarios": {"bedrock"},
    "emulator": {"bedrock"},
    "benchmarks": {"analysis", "bedrock", "emulator", "loadgen", "reports", "scenarios"},
    "loadgen": {"scenarios", "bedrock"},
    "locustfiles": {"loadgen"},
    "analysis": {"scenarios", "bedrock"},
    "reports": {"analysis", "scenarios", "bedrock"},
    "orchestrator": {"scenarios", "analysis", "reports", "bedrock", "emulator"},
    "run_tests.py": {"orchestrator"},
}

#: Libraries that a room must not load: they patch the standard library, or are slow, or belong to another job.
FORBIDDEN = {
    "scenarios": {"locust", "gevent", "boto3", "botocore"},
    "emulator": {"locust", "gevent", "boto3"},
    "analysis": {"locust", "gevent", "boto3", "matplotlib"},
    "reports": {"locust", "gevent", "boto3"},
    "orchestrator": {"locust", "gevent", "boto3"},
}


def imported(path: Path) -> set[str]:
    """Top-level names of everything a file imports, at any depth of nesting."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.partition(".")[0])
    return names


def files(room: str) -> list[Path]:
    return [ROOT / room] if room.endswith(".py") else sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_only_go_down(room: str) -> None:
    rooms = set(MAY_IMPORT) - {"run_tests.py"}
    wrong = {
        str(path.relative_to(ROOT)): sorted(strangers)
        for path in files(room)
        if (strangers := (imported(path) & rooms) - MAY_IMPORT[room] - {room})
    }

    assert files(room)
    assert wrong == {}


@pytest.mark.parametrize("room", FORBIDDEN)
def test_no_room_loads_what_does_not_belong_to_it(room: str) -> None:
    wrong = {str(path.relative_to(ROOT)): sorted(imported(path) & FORBIDDEN[room]) for path in files(room)}

    assert {path: names for path, names in wrong.items() if names} == {}


def test_only_transports_and_credentials_know_the_sdk() -> None:
    knowing = {path.name for path in files("bedrock") if imported(path) & {"boto3", "botocore", "urllib3"}}

    assert knowing == {"sdk_transport.py", "sdk_settings.py", "credentials.py", "factory.py"}
