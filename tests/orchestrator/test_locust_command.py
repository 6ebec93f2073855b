"""The command line of a cell, against the options that Locust files really have."""

import subprocess
import sys
from pathlib import Path

import pytest

from bedrock.catalog import default_catalog
from bedrock.endpoint import Endpoint
from orchestrator.limits import Limits
from orchestrator.locust_command import PROJECT, RunIdentity, child_environment, locust_command
from scenarios.cells import Cell, expand
from scenarios.model import Failover, Request, Retry, Scenario
from scenarios.run_directory import RunDirectory

ROUTINGS = {"nova": ("amazon.nova-2-lite-v1:0", "amazon.nova-pro-v1:0")}


def cell_of(**values) -> Cell:
    return expand(Scenario.model_validate({"name": "x"} | values), default_catalog(), ROUTINGS)[0]


def identity(folder: Path, **values) -> RunIdentity:
    return RunIdentity(
        **{
            "run_id": "r1",
            "directory": RunDirectory(folder),
            "endpoint": Endpoint("eu-west-1", "http://127.0.0.1:1234"),
            "target": "emulator",
            "transport": "boto3",
            "prompts_file": PROJECT / "prompts.json",
            "seed": 5,
            "processes": 1,
            "include_failures": False,
            "record_responses": False,
            "retry": Retry.model_validate({}),
            "failover": Failover.model_validate({}),
            "request": Request.model_validate({}),
        }
        | values
    )


def options_of(command: list[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for word in command if word.startswith("--") and "=" in word)


def test_an_open_cell_starts_all_its_slots_at_once(tmp_path):
    cell = cell_of(routing="nova", load={"rate": "2.5/s", "duration": "90s", "warmup": "500ms", "pattern": "spike"})
    command = locust_command(cell, 30, identity(tmp_path), Limits())
    options = options_of(command)

    assert command[command.index("-f") + 1].endswith("locustfiles/mangaassist.py")
    assert command[command.index("-u") + 1] == command[command.index("-r") + 1] == "30"
    assert options["--routing"] == "nova"
    assert "--model-id" not in options
    assert options["--rate"] == "2.5/s"
    assert (options["--test-duration"], options["--warmup"]) == ("90s", "0.5s")
    assert (options["--pattern"], options["--spike-window"]) == ("spike", "40%-60%")
    assert options["--endpoint-url"] == "http://127.0.0.1:1234"
    assert options["--results-dir"] == str(tmp_path)
    assert (options["--cell"], options["--run-id"], options["--seed"]) == (cell.cell, "r1", "5")
    assert "--processes" not in command
    assert not {"--include-failures", "--record-responses"} & set(command)


def test_conversations_have_a_locustfile_of_their_own_and_bring_their_file(tmp_path):
    alone = cell_of(routing="nova", load={"rate": "2/s"})
    talking = cell_of(routing="nova", sessions="/data/own.yaml", load={"rate": "2/s"})
    command = locust_command(talking, 30, identity(tmp_path), Limits())

    assert command[command.index("-f") + 1].endswith("locustfiles/mangaassist_sessions.py")
    assert options_of(command)["--sessions"] == "/data/own.yaml"
    assert options_of(locust_command(alone, 30, identity(tmp_path), Limits()))["--sessions"] == "mangaassist"


def test_a_pattern_reaches_locust_with_all_it_needs(tmp_path):
    load = {"pattern": "steps", "step_rates": ["1/s", "2.5/s"], "step_duration": "9s", "process": "gamma"}
    options = options_of(locust_command(cell_of(routing="nova", load=load), 30, identity(tmp_path), Limits()))

    assert (options["--rate"], options["--step-rates"], options["--test-duration"]) == ("2.5/s", "1/s,2.5/s", "18s")
    assert (options["--arrival-process"], options["--burstiness"]) == ("gamma", "1")
    assert (options["--stages-file"], options["--trace-file"]) == ("", "")


def test_several_stages_reach_locust_as_a_file_in_the_cells_directory(tmp_path):
    cell = cell_of(routing="nova", load=[{"rate": "1/s"}, {"rate": "2/s"}])
    options = options_of(locust_command(cell, 30, identity(tmp_path), Limits()))

    assert options["--stages-file"] == str(tmp_path / "cells" / cell.cell / "stages.yaml")
    assert (options["--rate"], options["--test-duration"]) == ("", "")


def test_a_closed_cell_starts_its_users_at_the_spawn_rate(tmp_path):
    cell = cell_of(
        model_id="amazon.nova-pro-v1:0",
        load={"users": 12, "spawn_rate": 4, "think_time": "1s-2s"},
        matrix={"region_prefixes": ["none"]},
    )
    command = locust_command(
        cell, 12, identity(tmp_path, processes=2, include_failures=True, record_responses=True), Limits()
    )
    options = options_of(command)

    assert command[command.index("-f") + 1].endswith("locustfiles/single_prompt.py")
    assert (command[command.index("-u") + 1], command[command.index("-r") + 1]) == ("12", "4")
    assert (options["--rate"], options["--think-time"], options["--region-prefix"]) == ("", "1s-2s", "none")
    assert options["--model-id"] == "amazon.nova-pro-v1:0"
    assert command[command.index("--processes") + 1] == "2"
    assert command[command.index("--master-bind-host") + 1] == "127.0.0.1"
    assert command[-2:] == ["--include-failures", "--record-responses"]


@pytest.mark.parametrize(
    "values",
    [
        {"routing": "nova", "load": {"rate": "2/s"}},
        {"model_id": "amazon.nova-pro-v1:0", "load": {"users": 3}},
    ],
)
def test_locust_understands_the_options_and_refuses_an_endpoint_that_is_not_there(tmp_path, values):
    """Exit 4 with one sentence about the endpoint means that all options were understood and found valid."""
    command = locust_command(
        cell_of(**values), 3, identity(tmp_path, endpoint=Endpoint("r", "http://127.0.0.1:9")), Limits()
    )

    done = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(PROJECT)}
    )

    assert done.returncode == 4
    assert "Nothing answers at http://127.0.0.1:9" in done.stderr
    assert done.stderr.count("error:") == 1
    assert command[0] == sys.executable


def test_no_real_credential_and_no_proxy_reaches_a_loopback_endpoint():
    given = {
        "PATH": "/bin",
        "AWS_ACCESS_KEY_ID": "AKIAREAL",
        "AWS_SECRET_ACCESS_KEY": "real",
        "AWS_SESSION_TOKEN": "real",
        "AWS_PROFILE": "production",
        "AWS_BEARER_TOKEN_BEDROCK": "real",
        "HTTPS_PROXY": "http://proxy",
    }
    environment = child_environment(given, Endpoint("us-east-1", "http://127.0.0.1:8700"))

    assert "real" not in " ".join(environment.values()).lower()
    assert environment["AWS_ACCESS_KEY_ID"] == "emulator"
    assert "AWS_PROFILE" not in environment
    assert "HTTPS_PROXY" not in environment
    assert environment["PATH"] == "/bin"


def test_aws_gets_the_credentials_of_the_user_and_nobody_gets_locust_settings():
    switches = {"INCLUDE_FAILURES": "true", "RECORD_RESPONSES": "true"}
    given = {"AWS_PROFILE": "production", "LOCUST_RUN_TIME": "5m"} | switches
    environment = child_environment(given, Endpoint("us-east-1"))

    assert environment["AWS_PROFILE"] == "production"
    assert "LOCUST_RUN_TIME" not in environment
    assert not switches.keys() & environment.keys()
    assert "AWS_ACCESS_KEY_ID" not in environment


def test_retries_and_failover_of_the_scenario_reach_locust(tmp_path: Path) -> None:
    retry = Retry.model_validate({"policy": "fixed", "max_attempts": 4, "delay": "250ms"})
    failover = Failover.model_validate({"regions": ["us-east-1", "us-west-2"], "cool_down": "2s"})
    command = locust_command(
        cell_of(model_id="amazon.nova-pro-v1:0", load={"rate": "5/s"}),
        3,
        identity(tmp_path, retry=retry, failover=failover),
        Limits(),
    )

    assert "--retry=fixed" in command
    assert "--retry-attempts=4" in command
    assert "--retry-delay=0.25s" in command
    assert "--failover-regions=us-east-1,us-west-2" in command
    assert "--failover-cool-down=2s" in command
    assert "--failover-max-cool-down=600s" in command


def test_processes_of_one_run_meet_at_a_port_of_their_own(tmp_path: Path) -> None:
    cell = cell_of(model_id="amazon.nova-pro-v1:0", load={"rate": "5/s"})
    command = locust_command(cell, 3, identity(tmp_path, processes=2, master_port=45678), Limits())

    assert command[command.index("--master-bind-port") + 1] == "45678"
    assert command[command.index("--master-port") + 1] == "45678"


def test_what_requests_carry_reaches_locust_and_the_system_prompt_goes_by_its_file(tmp_path: Path) -> None:
    request = Request.model_validate(
        {
            "system_file": "/etc/clerk.txt",
            "cache_system": True,
            "latency": "optimized",
            "stop_sequences": ["\n\n", "a,b"],
            "metadata": {"team": "search"},
        }
    )
    cell = cell_of(model_id="amazon.nova-pro-v1:0", load={"rate": "5/s"})
    command = locust_command(cell, 3, identity(tmp_path, request=request), Limits())
    options = options_of(command)

    assert options["--system-prompt-file"] == "/etc/clerk.txt"
    assert options["--latency"] == "optimized"
    assert options["--stop-sequences"] == '["\\n\\n", "a,b"]'
    assert options["--request-metadata"] == '{"team": "search"}'
    assert "--cache-system" in command


def test_what_requests_do_not_carry_is_said_too_so_that_no_variable_adds_it(tmp_path: Path) -> None:
    command = locust_command(
        cell_of(model_id="amazon.nova-pro-v1:0", load={"rate": "5/s"}), 3, identity(tmp_path), Limits()
    )
    environment = child_environment({"CACHE_SYSTEM": "true"}, Endpoint("us-east-1", "http://127.0.0.1:8700"))

    assert {"--system-prompt-file=", "--latency=none", "--stop-sequences=[]", "--request-metadata={}"} <= set(command)
    assert "--cache-system" not in command
    assert "CACHE_SYSTEM" not in environment


def test_a_region_of_the_cell_takes_the_place_of_the_runs(tmp_path):
    own = cell_of(routing="nova", load={"rate": "2/s"}, matrix={"regions": ["us-west-2"], "apis": ["invoke_model"]})
    options = options_of(locust_command(own, 3, identity(tmp_path), Limits()))

    assert (options["--region"], options["--api"]) == ("us-west-2", "invoke_model")
    assert (
        options_of(locust_command(cell_of(routing="nova", load={"rate": "2/s"}), 3, identity(tmp_path), Limits()))[
            "--region"
        ]
        == "eu-west-1"
    )


def test_a_cell_is_told_the_limits_of_the_suite_and_where_all_count_what_they_use_up(tmp_path):
    cell = cell_of(routing="nova", load={"rate": "2/s"})
    limited = options_of(locust_command(cell, 3, identity(tmp_path), Limits(max_cost_usd=0.05, max_requests=0)))
    free = options_of(locust_command(cell, 3, identity(tmp_path), Limits()))

    assert (limited["--max-requests"], limited["--max-cost-usd"]) == ("0", "0.05")
    assert limited["--usage-file"] == str(identity(tmp_path).directory.usage)
    assert (free["--max-requests"], free["--max-cost-usd"], free["--usage-file"]) == ("", "", "")
