"""The emulator as other projects have it: installed with pip from a checkout, and started from elsewhere."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from emulator.process import PROJECT_ROOT

PATIENCE_S = 120.0

PRODUCT_TEST = """
import boto3
import emulator

def test_answer(bedrock_environment):
    bedrock = boto3.client("bedrock-runtime")
    message = {"role": "user", "content": [{"text": "Hello"}]}
    answer = bedrock.converse(modelId="amazon.nova-pro-v1:0", messages=[message])

    assert emulator.__file__ == "WHERE/emulator/__init__.py"
    assert answer["usage"]["outputTokens"] == 40
"""

#: Prints the distributions of everything that the command and the plugin load.
LIST_LOADED = """
import sys
from importlib.metadata import packages_distributions
import emulator.cli, emulator.pytest_plugin
owners = packages_distributions()
print(*sorted({owner.lower() for name in set(sys.modules) & set(owners) for owner in owners[name]}))
"""


def run(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command in a folder, with nothing of the checkout in reach."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=folder, env=clean | environment, capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which pip has put a copy of this checkout; what it needs is in the tests' own environment."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in ("pyproject.toml", "bedrock", "emulator", "loadgen"):
        copy = shutil.copytree if (PROJECT_ROOT / name).is_dir() else shutil.copy
        copy(PROJECT_ROOT / name, source / name)
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--target", str(target)]
    done = run(source, sys.executable, "-m", "pip", "install", *options, str(source))
    assert done.returncode == 0, done.stderr
    return target


def test_the_emulator_and_what_it_needs_are_installed_and_nothing_else(installed: Path) -> None:
    packages = {path.name for path in installed.iterdir() if (path / "__init__.py").exists()}
    data = [path for room in ("emulator", "bedrock") for path in (PROJECT_ROOT / room / "data").iterdir()]

    assert packages == {"bedrock", "emulator"}
    assert data
    for path in data:
        assert (installed / path.relative_to(PROJECT_ROOT)).read_bytes() == path.read_bytes()


def test_the_command_starts_an_emulator_from_anywhere(installed: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [installed / "bin" / "bedrock-emulator", "--port", "0", "--stop-with-stdin"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        _, said = process.communicate(timeout=PATIENCE_S)

    assert ready.startswith("listening on http://127.0.0.1:"), said
    assert process.returncode == 0


def test_pytest_finds_the_fixtures_without_being_told(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "test_product.py").write_text(PRODUCT_TEST.replace("WHERE", str(installed)), encoding="utf-8")
    pytest_command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    found = run(tmp_path, *pytest_command, PYTHONPATH=str(installed))
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["emulator.pytest_plugin"]\n', encoding="utf-8")
    found_and_named = run(tmp_path, *pytest_command, PYTHONPATH=str(installed))

    assert "1 passed" in found.stdout, found.stdout
    assert "1 passed" in found_and_named.stdout, found_and_named.stdout


def test_the_emulator_needs_nothing_of_this_project_that_it_does_not_declare(installed: Path, tmp_path: Path) -> None:
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {requirement.partition(">")[0] for requirement in project["dependencies"]}
    lines = (PROJECT_ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0] for line in lines if "==" in line}
    loaded = run(tmp_path, sys.executable, "-P", "-c", LIST_LOADED, PYTHONPATH=str(installed)).stdout.split()

    page = (PROJECT_ROOT / "docs" / "emulator-testing.md").read_text(encoding="utf-8")

    assert all(f"`{name}`" in page for name in [project["name"], *declared, *project["scripts"]])
    assert {"bedrock-loadtest", "uvloop", "httptools", "pydantic", "pyyaml"} <= set(loaded)
    assert set(loaded) & (pinned - declared) == set()
    assert declared <= pinned
