"""The real command, for everything that ends before anything is sent."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import orchestrator.cli
from orchestrator.command_line import to_nowhere
from orchestrator.flags import RUN_ONLY, SCENARIO_FLAGS

PROJECT = Path(__file__).parents[2]


def run(*arguments: str, cwd: Path = PROJECT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(PROJECT / "run_tests.py"), *arguments],
        cwd=cwd,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["smoke", "--service-tiers", "prio"], "--service-tiers: 'prio' is not one of"),
        (["smoke", "--prompt-sizes", "smal"], "--prompt-sizes: 'smal' is not one of"),
        (["smoke", "--prompts-file", "/nowhere.json"], "--prompts-file: Cannot use /nowhere.json as a prompt library"),
        (["smoke", "--endpoint-url", "http://127.0.0.1:9"], "Nothing answers at http://127.0.0.1:9"),
        (["smoke", "--target", "aws"], "--max-cost-usd: requests to AWS cost money"),
        (["smoke", "--target", "aws", "--max-cost-usd", "1"], "--yes: this sends paid requests to AWS us-east-1"),
        (["smoke", "--model-id", "amazon.nova-po-v1:0"], "Did you mean amazon.nova-pro-v1:0?"),
        (["smoke", "--user-count", "3"], "unrecognized arguments: --user-count 3. Did you mean --user-counts?"),
        (["smoke", "--resume"], "there is no run of the scenario smoke in test_results to resume"),
        (["smoke", "--set", "load.rat=5/s"], "--set load.rat: unknown key. Did you mean rate?"),
        (["validate"], "the following arguments are required: FILE"),
        (["list", "--format", "yaml"], "--format: 'yaml' is not one of text, json."),
        (["schema", "smoke"], "unrecognized arguments: smoke"),
        (["smoke", "--baseline", "/nowhere"], "--baseline: /nowhere is not a results directory"),
        (["smoke", "--fail-on", "regression"], "--fail-on: regression needs a --baseline to compare with"),
        (["smoke", "--seed"], "argument --seed: expected one argument"),
        (["smok"], "'smok' is neither a command nor a scenario file. Did you mean smoke?"),
        (["plann"], "'plann' is neither a command nor a scenario file. Did you mean plan?"),
        (["smoke", "nowhere.yaml"], "nowhere.yaml: cannot be read: No such file or directory"),
        (["report"], "the following arguments are required: DIR"),
        (["smoke", "--results-dir", "\udcff"], r"'\udcff' is not text in UTF-8"),
        (["report", "/nowhere"], "/nowhere is not a results directory: it has no run.json"),
    ],
)
def test_a_mistake_is_one_clear_sentence_and_exit_code_4(arguments, said):
    done = run(*arguments)

    assert done.returncode == 4
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert said in sentence
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_aws_without_credentials_is_refused_before_anything_is_sent():
    nothing = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    done = run("smoke", "--target", "aws", "--max-cost-usd", "1", "--yes", **nothing)

    assert done.returncode == 4
    assert "error: --target: No AWS credentials found" in done.stderr


def test_a_finished_run_is_not_overwritten(tmp_path):
    (tmp_path / "run.json").write_text('{"cells": []}', encoding="utf-8")
    done = run("smoke", "--results-dir", str(tmp_path))

    assert done.returncode == 4
    assert "already holds results" in done.stderr


TEN_MISTAKES = """\
name: ten-mistakes
descripton: x
target: on
routing: novaa
load:
  rate: 5
  duration: 1:30
  pattern: spik
  warmup: 1s
  warmup: 2s
matrix:
  service_tiers: [Priorty]
objectives:
  - ttfd_ms p95 < 400ms
emulator:
  default: {quota: {rmp: 3}}
"""


def test_ten_mistakes_are_ten_problems_each_with_its_line_and_a_way_out_and_nothing_is_sent(tmp_path, start_emulator):
    scenario = tmp_path / "ten.yaml"
    scenario.write_text(TEN_MISTAKES, encoding="utf-8")
    emulator = start_emulator()
    done = run(str(scenario), "--endpoint-url", emulator.url, "--results-dir", str(tmp_path / "results"))

    expected = [
        (":2:1: ", "Did you mean description?"),
        (":3:9: ", "YAML reads this as true"),
        (":4:1: ", "did you mean 'nova'?"),
        (":6:3: ", "write a number and a unit, like 12/s"),
        (":7:13: ", "write a duration with units, like 1m30s"),
        (":8:3: ", "Did you mean spike?"),
        (":10:3: ", "already given in line 9"),
        (":12:19: ", "Did you mean priority?"),
        (":14:5: ", "Did you mean ttft_ms?"),
        (":16:21: ", "did you mean `rpm`?"),
    ]
    told = [line.removeprefix("error: ") for line in done.stderr.splitlines()]
    assert done.returncode == 4
    assert len(told) == len(expected)
    for problem, (place, hint) in zip(told, expected, strict=True):
        assert problem.startswith(f"{scenario}{place}")
        assert hint in problem
    assert emulator.stats()["total"]["requests"] == 0
    assert not (tmp_path / "results").exists()


def test_a_plan_sends_nothing_and_writes_nothing(tmp_path):
    done = run("plan", cwd=tmp_path)

    assert done.returncode == 0
    assert done.stdout.count("users, 1m") == 27
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_dry_run_is_the_same_as_plan():
    assert run("smoke", "--dry-run").stdout == run("plan", "smoke").stdout
    assert run("smoke", DRY_RUN="1").stdout == run("plan", "smoke").stdout


def test_the_plan_as_json_is_one_document():
    done = run("plan", "smoke", "--format", "json", SERVICE_TIERS="default,priority", BASE_MODEL_ID="")

    plan = json.loads(done.stdout)
    sources = {row["name"]: row["from"] for row in plan["settings"]}
    assert plan["total"]["cells"] == 2
    assert sources["matrix.service_tiers"] == "environment SERVICE_TIERS"


def test_help_names_every_flag_and_exit_code():
    text = run("--help").stdout

    assert all(flag.text in text for flag in (*SCENARIO_FLAGS, *RUN_ONLY))
    assert "--set PATH=VALUE" in text
    assert all(f"\n  {code} " in text for code in range(4))


def test_flags_may_stand_before_and_after_scenarios():
    assert run("plan", "--seed", "3", "smoke", "--processes", "2").returncode == 0


def test_a_bug_is_exit_code_3_with_the_traceback_in_a_file(monkeypatch, capsys):
    def broken(_words: list[str]) -> int:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(orchestrator.cli, "_dispatch", broken)

    assert orchestrator.cli.main([]) == 3
    said = capsys.readouterr().err
    log = Path(said.split()[-1])
    assert said.startswith("internal error: ZeroDivisionError: a bug")
    assert "Traceback" in log.read_text(encoding="utf-8")
    log.unlink()


def test_a_full_disk_is_no_bug(monkeypatch, capsys):
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert orchestrator.cli.main(["schema"]) == 3
        to_nowhere(full)  # what is left in it could not be written either

    assert capsys.readouterr().err.startswith("error: No space left on device. What was written stays;")


def test_a_log_that_cannot_be_written_changes_no_exit_code(monkeypatch):
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stderr", full)
        assert orchestrator.cli.main(["smok"]) == 4


def test_a_terminal_without_unicode_gets_its_results(monkeypatch):
    shown = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", shown)

    assert orchestrator.cli.main(["list"]) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_is_stopped_before_it_begins_ends_with_2(number, tmp_path):
    os.mkfifo(tmp_path / "scenario.yaml")
    process = subprocess.Popen([sys.executable, "run_tests.py", tmp_path / "scenario.yaml"], cwd=PROJECT, stderr=-1)
    with (tmp_path / "scenario.yaml").open("w"):  # opened as soon as the command reads it
        process.send_signal(number)
        _, said = process.communicate(timeout=60)

    assert process.returncode == 2
    assert said == b"interrupted before anything was sent\n"


def test_the_orchestrator_starts_without_locust_gevent_or_boto3():
    script = (
        "import sys, orchestrator.cli, orchestrator.suite; "
        "print([name for name in ('locust', 'gevent', 'boto3') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=False)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("slip", ["--forc", "--forced", "--ye", "--yess"])
def test_nobody_is_sent_to_a_flag_that_takes_away_a_safety_catch(slip):
    done = run("smoke", slip)

    assert done.returncode == 4
    assert f"unrecognized arguments: {slip}." in done.stderr
    assert not {"--force", "--yes"} & set(done.stderr.replace("?", " ").split())


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        ([], {"FORMAT": "xml"}, "environment FORMAT: 'xml' is not one of text, json"),
        (["--format", "xml"], {}, "--format: 'xml' is not one of text, json"),
    ],
)
def test_a_format_that_report_cannot_write_is_refused(arguments, environment, said, tmp_path):
    done = run("report", str(tmp_path), *arguments, **environment)

    assert done.returncode == 4
    assert said in done.stderr


def test_a_limit_that_no_price_stands_behind_is_refused():
    arguments = ("--model-id", "anthropic.claude-haiku-4-5-20251001-v1:0", "--service-tiers", "reserved")
    done = run("smoke", "--target", "aws", "--max-cost-usd", "1", "--yes", *arguments)

    assert done.returncode == 4
    assert "error: --max-cost-usd: no price per token is known" in done.stderr


def test_a_plan_shows_no_account_ids():
    arn = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc"
    for arguments in ([], ["--format", "json"]):
        done = run("plan", "smoke", "--model-id", f"{arn}=amazon.nova-pro-v1:0", *arguments)

        assert done.returncode == 0, done.stderr
        assert "<account>" in done.stdout
        assert "123456789012" not in done.stdout + done.stderr
