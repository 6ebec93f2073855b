"""The pytest plugin as another project uses it: its own rootdir, its own tests, its own pytest process."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.process import PROJECT_ROOT, EmulatorProcess
from emulator.pytest_plugin import client_environment

PAGE = (PROJECT_ROOT / "docs" / "emulator-testing.md").read_text(encoding="utf-8")

URL = "http://127.0.0.1:8700"

CONFTEST = 'pytest_plugins = ["emulator.pytest_plugin"]'

CALL = """
import boto3

def converse(**more):
    bedrock = boto3.client("bedrock-runtime")
    message = {"role": "user", "content": [{"text": "Hello"}]}
    return bedrock.converse(modelId="amazon.nova-pro-v1:0", messages=[message], **more)
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """An empty project on a machine with AWS settings of its owner's."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT_ROOT))
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "of-the-owner")
    monkeypatch.setenv("AWS_PROFILE", "of-the-owner")
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(calling=CALL)
    return pytester


def run(project: pytest.Pytester, *options: str) -> pytest.RunResult:
    return project.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:xdist", *options)


def test_a_test_of_another_project_talks_to_the_emulator_and_reads_what_it_did(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_product="""
        from calling import converse

        def test_answer(bedrock_environment):
            seen = len(bedrock_environment.truth())
            answer = converse()
            (entry,) = bedrock_environment.truth(since=seen)

            assert answer["usage"]["outputTokens"] == entry["output_tokens"] == 40
            assert entry["request_id"] == answer["ResponseMetadata"]["RequestId"]

        def test_the_same_emulator_serves_all_tests(bedrock_environment, bedrock_emulator):
            converse()
            assert bedrock_environment is bedrock_emulator
            assert bedrock_emulator.stats()["total"]["requests"] == 2
        """
    )

    run(project).assert_outcomes(passed=2)


def test_the_environment_is_changed_for_the_test_alone(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_product="""
        import os

        def test_inside(bedrock_environment):
            assert os.environ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] == bedrock_environment.url
            assert os.environ["AWS_ACCESS_KEY_ID"] == "emulator"
            assert "AWS_BEARER_TOKEN_BEDROCK" not in os.environ
            assert "AWS_PROFILE" not in os.environ

        def test_afterwards(bedrock_emulator):
            assert "AWS_ENDPOINT_URL_BEDROCK_RUNTIME" not in os.environ
            assert "AWS_ACCESS_KEY_ID" not in os.environ
            assert os.environ["AWS_BEARER_TOKEN_BEDROCK"] == os.environ["AWS_PROFILE"] == "of-the-owner"
        """
    )

    run(project).assert_outcomes(passed=2)


def test_a_project_configures_the_emulator_by_overriding_a_fixture(project: pytest.Pytester) -> None:
    project.makeconftest(
        CONFTEST
        + """
import pytest

@pytest.fixture(scope="session")
def bedrock_emulator_config():
    return {"default": {"latency": {"ttft_ms": 5, "tokens_per_second": 2000}, "output_tokens": 3}}
        """
    )
    project.makepyfile(
        test_product="""
        from calling import converse

        def test_answer(bedrock_environment):
            assert converse()["usage"]["outputTokens"] == 3
        """
    )

    run(project).assert_outcomes(passed=1)


def test_the_factory_gives_a_test_emulators_of_its_own(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_product="""
        import boto3, botocore, pytest
        from calling import converse

        def test_throttling(bedrock_emulator_factory, bedrock_environment, monkeypatch):
            limited = bedrock_emulator_factory({"default": {"latency": {"ttft_ms": 5}, "quota": {"rpm": 1}}}, seed=3)
            assert limited.url != bedrock_environment.url
            monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", limited.url)
            monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
            for _ in range(2):
                try:
                    converse()
                except botocore.exceptions.ClientError as error:
                    assert error.response["Error"]["Code"] == "ThrottlingException"
            assert limited.stats()["total"]["outcomes"] == {"ok": 1, "throttled": 1}
        """
    )

    run(project).assert_outcomes(passed=1)


def test_a_wrong_configuration_is_told_in_the_tests_error(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_product="""
        def test_answer(bedrock_emulator_factory):
            bedrock_emulator_factory({"default": {"latency": {"ttft": 5}}})
        """
    )
    result = run(project)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*default.latency.ttft: unknown key; did you mean `ttft_ms`?*"])


def test_folders_with_our_names_where_the_tests_are_run_are_not_taken_for_ours(
    start_emulator: Callable[..., EmulatorProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("emulator", "bedrock"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('not ours')\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    assert start_emulator().stats()["total"]["requests"] == 0


def test_the_tests_of_the_page_pass_as_they_are_printed(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT_ROOT))
    files = dict(re.findall(r"```(?:python|yaml)\n# ([\w.]+)\n(.*?)```", PAGE, re.DOTALL))
    for name, text in files.items():
        start = f"{CONFTEST}\n" if name == "conftest.py" else ""
        (pytester.path / name).write_text(start + text, encoding="utf-8")

    assert {"assistant.py", "conftest.py", "test_assistant.py", "test_trouble.py", "answers.yaml"} <= set(files)
    run(pytester).assert_outcomes(passed=7)


def test_the_plugin_loads_no_sdk(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_product="""
        import sys

        def test_modules(bedrock_environment):
            assert not {"boto3", "botocore", "uvloop", "locust"} & set(sys.modules)
        """
    )

    run(project).assert_outcomes(passed=1)


@given(
    st.dictionaries(
        st.sampled_from(["AWS_REGION", "AWS_DEFAULT_REGION", "NO_PROXY", "no_proxy", "AWS_ACCESS_KEY_ID"]),
        st.sampled_from(["", "eu-west-1", "10.0.0.1,internal.test", "127.0.0.1"]),
    )
)
def test_a_region_of_the_project_stays_and_loopback_is_never_proxied(environment: Mapping[str, str]) -> None:
    changed = client_environment(URL, environment)

    assert changed["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] == URL
    assert changed["AWS_ACCESS_KEY_ID"] == "emulator"
    given_region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    assert changed["AWS_REGION"] == (given_region or "us-east-1")
    assert changed["AWS_DEFAULT_REGION"] == (environment.get("AWS_DEFAULT_REGION") or changed["AWS_REGION"])
    hosts = changed["NO_PROXY"].split(",")
    assert {"127.0.0.1", "localhost"} <= set(hosts)
    assert len(hosts) == len(set(hosts))
    assert "" not in hosts
    assert changed["no_proxy"] == changed["NO_PROXY"]
    assert changed["AWS_CONFIG_FILE"] == os.devnull
