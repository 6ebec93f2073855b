"""Plain `locust -f`: what its results say of the run, and that they never mix with those of another."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from loadgen.plain_run import PlainRun
from scenarios.run_directory import RunDirectory, RunDirectoryError
from tests.support.locust_process import LocustProcess

FAST = {
    "latency": {
        "ttft_ms": {"distribution": "fixed", "median": 30},
        "tokens_per_second": {"distribution": "fixed", "median": 800},
    },
    "output_tokens": {"distribution": "fixed", "median": 20},
}
SHORT = ("-u", "2", "-r", "2", "--think-time", "0.05s-0.1s", "--test-duration", "1s")
NOVA = ("--model-id", "amazon.nova-pro-v1:0")
ACCOUNT = "123456789012"
PROVISIONED = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:provisioned-model/abcdef123456"

SHOP = """
from locust import task
from loadgen.users import MangaAssistUser, SinglePromptUser

class Shop({base}):
    @task
    def talk(self):
        self.ask(self.next_message())
"""


def parsed(results_dir: str = "") -> Namespace:
    return Namespace(locustfile="locustfiles/single_prompt.py", results_dir=results_dir)


def run_of(results: Path) -> dict[str, Any]:
    return RunDirectory(results).read_run()


@pytest.mark.e2e
def test_sizes_of_the_mix_are_refused_where_no_mix_is_sent(tmp_path: Path) -> None:
    locust = LocustProcess("single_prompt", "http://127.0.0.1:9", tmp_path, "--prompt-size", "mixed")
    output = locust.finish()

    assert locust.process.returncode == 4, output
    assert "error: --prompt-size: mixed takes the sizes of the mix" in output
    assert "Traceback" not in output


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("base", "sent"),
    [("MangaAssistUser", (None, "nova")), ("SinglePromptUser", ("amazon.nova-pro-v1:0", None))],
)
def test_a_copied_locustfile_says_what_its_users_send_whatever_it_is_called(
    base: str, sent: tuple[str | None, str | None], start_emulator: Any, tmp_path: Path
) -> None:
    locustfile = tmp_path / "mangaassist.py" if base == "SinglePromptUser" else tmp_path / "shop.py"
    locustfile.write_text(SHOP.format(base=base), encoding="utf-8")
    emulator = start_emulator(config={"default": FAST})
    results = tmp_path / "results"
    locust = LocustProcess(str(locustfile), emulator.url, results, *NOVA, "--routing", "nova", *SHORT)
    output = locust.finish()

    assert locust.process.returncode == 0, output
    (cell,) = run_of(results)["cells"]
    assert (cell["model_id"], cell["routing"]) == sent
    assert run_of(results)["routing"] == sent[1]


@pytest.mark.e2e
def test_the_run_says_how_many_processes_and_which_variables_made_it(
    start_emulator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator = start_emulator(config={"default": FAST})
    monkeypatch.setenv("BASE_MODEL_ID", "amazon.nova-pro-v1:0")
    monkeypatch.setenv("MAX_TOKENS", "50")
    monkeypatch.setenv("TEST_DURATION", "9m")  # the command line says something else
    locust = LocustProcess("single_prompt", emulator.url, tmp_path, *SHORT, "--processes", "2")
    output = locust.finish()

    assert locust.process.returncode == 0, output
    assert run_of(tmp_path)["processes"] == 2
    assert run_of(tmp_path)["command"].startswith("BASE_MODEL_ID=amazon.nova-pro-v1:0 MAX_TOKENS=50 ")
    assert "TEST_DURATION=" not in run_of(tmp_path)["command"]


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("run", "said"),
    [
        ({"run_id": "x", "cells": [], "ended_at": 2.0, "exit_code": 0}, "holds the results of a finished run"),
        ({"run_id": "x", "cells": [], "ended_at": None, "exit_code": None}, "another run, which may still be going on"),
        (None, "another run, which may still be going on"),
    ],
)
def test_results_of_another_run_are_refused_and_left_as_they_are(
    run: dict[str, Any] | None, said: str, tmp_path: Path
) -> None:
    before = "" if run is None else json.dumps(run)
    (tmp_path / "run.json").write_text(before, encoding="utf-8")
    locust = LocustProcess("single_prompt", "http://127.0.0.1:9", tmp_path, *NOVA, *SHORT)
    output = locust.finish()

    assert locust.process.returncode == 4, output
    (sentence,) = [line for line in output.splitlines() if line.startswith("error: ")]
    assert said in sentence
    assert (tmp_path / "run.json").read_text(encoding="utf-8") == before
    assert not (tmp_path / "cells").exists()


def test_runs_of_the_same_second_get_directories_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(5):
        PlainRun(parsed())

    assert len(list((tmp_path / "test_results").iterdir())) == 5


def test_a_directory_that_was_taken_after_the_check_is_refused(tmp_path: Path) -> None:
    PlainRun(parsed(str(tmp_path / "mine")))

    with pytest.raises(RunDirectoryError, match="choose another directory"):
        PlainRun(parsed(str(tmp_path / "mine")))


def assert_no_account_in(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert [path.name for path in files if ACCOUNT.encode() in path.read_bytes()] == []


@pytest.mark.e2e
@pytest.mark.parametrize("transport", ["wire", "boto3"])
@pytest.mark.parametrize("api", ["converse_stream", "invoke_model_stream"])
def test_provisioned_throughput_is_a_model_whose_account_is_written_nowhere(
    transport: str, api: str, start_emulator: Any, tmp_path: Path
) -> None:
    emulator = start_emulator(config={"default": FAST, "aliases": {PROVISIONED: "amazon.nova-pro-v1:0"}})
    how = ("--transport", transport, "--api", api, "--record-responses", "--logfile", str(tmp_path / "log"))
    model = ("--model-id", f"{PROVISIONED}=amazon.nova-pro-v1:0")
    locust = LocustProcess("single_prompt", emulator.url, tmp_path, *how, *model, *SHORT)
    output = locust.finish()
    records = locust.records()

    assert locust.process.returncode == 0, output
    assert {row["model_id"] for row in emulator.truth()} == {PROVISIONED}
    masked = f"arn:aws:bedrock:us-east-1:<account>:provisioned-model/abcdef123456={NOVA[1]}"
    assert {(record.outcome, record.model_id) for record in records} == {("ok", masked)}
    (cell,) = run_of(tmp_path)["cells"]
    assert (cell["model_id"], cell["region_prefix"]) == (masked, None)
    assert ACCOUNT not in output
    assert_no_account_in(tmp_path)


@pytest.mark.e2e
def test_an_arn_that_does_not_say_its_model_is_refused_without_its_account(tmp_path: Path) -> None:
    locust = LocustProcess("single_prompt", "http://127.0.0.1:9", tmp_path, "--model-id", PROVISIONED)
    output = locust.finish()

    assert locust.process.returncode == 4, output
    assert "This ARN does not say which model it stands for" in output
    assert ACCOUNT not in output
