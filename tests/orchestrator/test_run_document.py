"""`run.json` while a run happens."""

from pathlib import Path

from orchestrator.exit_codes import ExitCode
from orchestrator.identity import command_line, new_run_id
from orchestrator.limits import StopReason
from orchestrator.preflight import prepare
from orchestrator.run_document import RunDocument, RunStart
from orchestrator.settings import resolve
from scenarios.provenance import git_commit, versions
from scenarios.run_directory import RunDirectory

SMOKE = Path(__file__).parents[2] / "scenarios" / "smoke.yaml"


def make(folder: Path) -> tuple[RunDirectory, RunDocument]:
    settings = resolve(SMOKE, {"rates": "2/s,3/s"}, {})
    directory = RunDirectory(folder)
    start = RunStart("id", ("smoke", "--rates", "2/s,3/s"), 1000.0)
    return directory, RunDocument(directory, settings, prepare(settings).cells, start)


def test_a_run_has_its_identity_from_the_start_and_its_exit_code_only_at_the_end(tmp_path):
    directory, document = make(tmp_path)
    run = directory.read_run()

    assert run["run_id"] == "id"
    assert run["command"] == "python run_tests.py smoke --rates 2/s,3/s"
    assert (run["target"], run["load_model"], run["sdk_retries"], run["fail_on"]) == ("emulator", "open", "off", "both")
    assert (run["sla_s"], run["daily_messages"], run["monthly_cost_limit_usd"]) == (3.0, 1_000_000, 50_000.0)
    assert (run["started_at"], run["ended_at"], run["exit_code"], run["stopped_by"]) == (1000.0, None, None, None)
    assert [cell["status"] for cell in run["cells"]] == ["pending", "pending"]
    assert run["objectives"][1] == "error_rate < 5%"

    document.finish(ExitCode.FAILED)
    assert directory.read_run()["exit_code"] == 1


def test_a_run_says_what_its_requests_carried_with_a_digest_of_the_system_prompt(tmp_path):
    clerk = tmp_path / "clerk.txt"
    clerk.write_text("Be a clerk.", encoding="utf-8")
    settings = resolve(SMOKE, {"system_prompt_file": str(clerk), "stop_sequences": "END"}, {})
    preparation, directory = prepare(settings), RunDirectory(tmp_path / "run")
    RunDocument(directory, settings, preparation.cells, RunStart("id", ("smoke",), 1000.0), preparation.system)

    assert directory.read_run()["request"] == {
        "system_prompt": {"file": str(clerk), "tokens": 4, "sha256": preparation.system.sha256},
        "cache_system": False,
        "latency": None,
        "stop_sequences": ["END"],
        "metadata": {},
    }


def test_every_change_is_on_disk_at_once(tmp_path):
    directory, document = make(tmp_path)
    first, second = (cell["cell"] for cell in directory.read_run()["cells"])

    document.set_endpoint("http://127.0.0.1:1")
    document.set_status(first, "finished")
    document.set_status(second, "failed", "it crashed")
    document.end(2000.0, StopReason.MAX_REQUESTS)

    run = directory.read_run()
    assert run["endpoint_url"] == "http://127.0.0.1:1"
    assert [(cell["status"], cell["reason"]) for cell in run["cells"]] == [("finished", None), ("failed", "it crashed")]
    assert (run["ended_at"], run["stopped_by"]) == (2000.0, "max_requests")


def test_a_bug_leaves_no_cell_running(tmp_path):
    directory, document = make(tmp_path)
    first = directory.read_run()["cells"][0]["cell"]
    document.set_status(first, "running")

    document.fail(1500.0)

    run = directory.read_run()
    assert (run["exit_code"], run["ended_at"]) == (3, 1500.0)
    assert [cell["status"] for cell in run["cells"]] == ["failed", "pending"]


def test_ids_sort_by_time_and_never_repeat():
    assert new_run_id("x", 0.0).startswith("19700101T000000Z-x-")
    assert new_run_id("x", 0.0) != new_run_id("x", 0.0)


def test_the_command_can_be_pasted_into_a_shell():
    assert (
        command_line(["my scenario.yaml", "--rates", "2/s"], {}) == "python run_tests.py 'my scenario.yaml' --rates 2/s"
    )


def test_versions_and_commit_are_known_here():
    assert versions()["locust"] == "2.47.0"
    assert versions()["project"]
    commit = git_commit()
    assert commit is None or len(commit.removesuffix("-dirty")) == 40


def test_the_command_has_the_variables_that_made_the_run_and_no_account_ids():
    arn = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/x"
    command = command_line(["--model-id", arn], {"DESCRIPTION": "a b", "RATES": "3/s", "X": arn})

    masked = arn.replace("123456789012", "<account>")
    assert command == f"DESCRIPTION='a b' RATES=3/s X='{masked}' python run_tests.py --model-id '{masked}'"


def test_the_variables_of_a_run_are_in_its_file(tmp_path):
    settings = resolve(SMOKE, {}, {"RATES": "3/s", "TEST_DURATION": "2s", "PATH": "/bin"})
    directory = RunDirectory(tmp_path)
    RunDocument(directory, settings, prepare(settings).cells, RunStart("id", ("smoke",), 1000.0))

    assert directory.read_run()["command"] == "RATES=3/s TEST_DURATION=2s python run_tests.py smoke"
