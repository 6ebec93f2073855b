"""What leaves the results directory, and that none of it can change a result."""

import json
from pathlib import Path

import pytest

from analysis.summary import analyse, write_summary
from orchestrator.flags import without_secrets
from orchestrator.outlets import add_to_job_summary, annotate, post_to_webhook
from orchestrator.settings import resolve
from orchestrator.webhook import read_webhook_url
from scenarios.run_directory import RunDirectory
from tests.support.run_builder import CellSpec, build_run
from tests.support.webhook import SECRET, receiving

SMOKE = Path(__file__).parents[2] / "scenarios" / "smoke.yaml"


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run that missed its objective, analysed."""
    cells = [CellSpec("a", n=90, ttft_ms=900.0)]
    path = build_run(tmp_path_factory.mktemp("failed") / "run", cells, objectives=["ttft_ms p95 < 600ms"])
    write_summary(path, analyse(path))
    return RunDirectory(path)


def posted(directory: RunDirectory, url: str) -> list[str]:
    """What is said on stderr about posting the run's result."""
    said: list[str] = []
    post_to_webhook(url, directory, json.loads(directory.summary_json.read_text(encoding="utf-8")), said.append)
    return said


def test_the_result_is_posted_as_slack_takes_it(failed):
    with receiving() as (url, bodies):
        assert posted(failed, url) == []

    (message,) = [json.loads(body) for body in bodies]
    assert message["text"].startswith("❌ FAIL: built-for-tests\nMissed: ttft_ms p95 &lt; 600ms")
    assert {block["type"] for block in message["blocks"]} == {"header", "section"}


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (500, {}, "it answered 500"),
        (302, {"Location": "http://127.0.0.1:9/elsewhere"}, "it answered 302"),
    ],
)
def test_an_answer_that_is_no_success_is_a_sentence_and_is_not_followed(failed, status, headers, said):
    with receiving(status, headers) as (url, bodies):
        sentences = posted(failed, url)

    assert sentences == [f"The webhook could not be reached: {said}. The result is not affected."]
    assert len(bodies) == 1


def test_nobody_there_is_a_sentence_without_the_address(failed):
    (sentence,) = posted(failed, f"http://127.0.0.1:9/services/{SECRET}")

    assert "Connection refused" in sentence
    assert SECRET not in sentence
    assert "127.0.0.1" not in sentence


def test_what_is_for_this_machine_goes_through_no_proxy(failed, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # nobody listens there
    monkeypatch.delenv("no_proxy", raising=False)
    with receiving() as (url, bodies):
        assert posted(failed, url) == []
    assert len(bodies) == 1


@pytest.mark.parametrize("url", ["https://hooks.example/services/x", "http://127.0.0.1:9/x", "http://localhost/x"])
def test_addresses_that_keep_the_message_private_are_taken(url):
    assert read_webhook_url(f" {url} ") == url


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/x",
        "ftp://x",
        "file:///etc/passwd",
        "https://",
        "x",
        "",
        "https://a b",
        "http://[::",
        "https://h.example:port/x",
        "https://h.example:99999/x",
        "https://user:key@h.example/x",
        "https://h.example/ü",
    ],
)
def test_other_addresses_are_refused_without_being_repeated(url):
    with pytest.raises(ValueError, match="not an https address") as refused:
        read_webhook_url(url)

    assert not url or url not in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [({"webhook_url": f"https://h.example/{SECRET}"}, {}), ({}, {"WEBHOOK_URL": f"https://h.example/{SECRET}"})],
)
def test_the_address_is_in_force_and_recorded_nowhere(arguments, environment):
    settings = resolve(SMOKE, arguments, environment)

    assert settings.options.webhook_url == f"https://h.example/{SECRET}"
    for shown in (
        repr(settings.options),
        settings.effective_yaml(),
        str(settings.listing()),
        str(settings.environment),
    ):
        assert SECRET not in shown


def test_the_recorded_command_has_no_secrets():
    arguments = ["smoke", "--webhook-url", "https://x", "--seed", "3", "--webhook-url=https://y", "-y"]

    assert without_secrets(arguments) == ["smoke", "--seed", "3", "-y"]


def test_nothing_is_said_to_github_outside_of_its_jobs(failed):
    summary = json.loads(failed.summary_json.read_text(encoding="utf-8"))
    said: list[str] = []
    add_to_job_summary(failed, {}, said.append)
    annotate(failed, summary, {}, said.append)

    assert said == []
    annotate(failed, summary, {"GITHUB_ACTIONS": "true"}, said.append)
    assert said[0].startswith("::error title=FAIL%3A built-for-tests::Missed: ttft_ms p95 < 600ms")


def test_a_job_summary_that_cannot_be_written_is_a_sentence(failed, tmp_path):
    said: list[str] = []
    add_to_job_summary(failed, {"GITHUB_STEP_SUMMARY": str(tmp_path / "nowhere" / "summary.md")}, said.append)

    assert said == ["The summary of the GitHub job could not be written: No such file or directory"]
