"""Going on with an earlier run: what is kept, what is run again, what is refused."""

import fcntl
import json
import time
from pathlib import Path

import pytest

from bedrock.catalog import default_catalog
from orchestrator.cell_config import config_hashes
from orchestrator.cell_times import suite_s
from orchestrator.preflight import Preparation, prepare
from orchestrator.results_directory import WRITERS_LOCK, open_directory, reopen_directory, set_aside
from orchestrator.resume import check_directory, resumption, spent_in
from orchestrator.run_document import RunDocument, RunStart
from orchestrator.settings import resolve
from scenarios.run_directory import RunDirectory, RunDirectoryError

SCENARIO = """
name: four
model_id: amazon.nova-pro-v1:0
load: {rate: 5/s, duration: 1s}
matrix: {service_tiers: [default, flex], prompt_sizes: [small, medium]}
"""


def prepared(folder: Path, scenario: str = SCENARIO, **arguments) -> Preparation:
    file = folder / "scenario.yaml"
    file.write_text(scenario, encoding="utf-8")
    given = {"results_dir": str(folder / "out"), "resume": True}
    return prepare(resolve(file, given | arguments, {}))


def unheard(text: str) -> None:
    raise AssertionError(text)


def record(cell: str, tokens: int) -> str:
    return json.dumps(
        {
            "cell": cell,
            "started_at": 1.0,
            "outcome": "ok",
            "model_id": "us.amazon.nova-pro-v1:0",
            "requested_tier": "default",
            "input_tokens": tokens,
            "output_tokens": tokens,
        }
    )


def write_run(folder: Path, statuses: dict[str, str], scenario: str = SCENARIO, **arguments) -> RunDirectory:
    """What a run of the scenario left, its cells with these statuses; each that was started has files."""
    preparation = prepared(folder, scenario, **arguments)
    directory = RunDirectory(folder / "out")
    start = RunStart("first", ("scenario.yaml",), 1000.0)
    hashes = config_hashes(preparation)
    document = RunDocument(directory, preparation.settings, preparation.cells, start, hashes=hashes)
    for cell, status in statuses.items():
        document.set_status(cell, status)
        place = directory.cell(cell)
        place.path.mkdir(parents=True)
        place.load_json.write_text("{}", encoding="utf-8")
        place.requests("local").write_text(record(cell, 1000) + "\n", encoding="utf-8")
        (directory.path / f"test_{cell}_stats.csv").write_text("half", encoding="utf-8")
    return directory


STATUSES = {
    "us-default-small-r5": "finished",
    "us-default-medium-r5": "interrupted",
    "us-flex-small-r5": "running",
}


def kept(preparation: Preparation) -> set[str]:
    return set(resumption(preparation, config_hashes(preparation)).kept)


def test_finished_cells_are_kept_and_all_others_are_run_again(tmp_path):
    write_run(tmp_path, STATUSES)
    preparation = prepared(tmp_path)

    assert kept(preparation) == {"us-default-small-r5"}
    (sentence,) = check_directory(preparation, unheard)
    assert sentence == (
        f"Resuming {tmp_path / 'out'}: 1 of 4 cells are finished and kept; the 3 others are run, from their beginning."
    )


def test_a_cell_whose_records_have_gone_is_run_again(tmp_path):
    directory = write_run(tmp_path, STATUSES)
    directory.cell("us-default-small-r5").requests("local").unlink()

    assert kept(prepared(tmp_path)) == set()


@pytest.mark.parametrize(
    "change",
    [
        {"seed": "2"},
        {"test_duration": "2s"},
        {"max_tokens": "7"},
        {"transport": "boto3"},
        {"nonce": True},
        {"processes": "2"},
        {"set_values": ["emulator.default.output_tokens={distribution: fixed, median: 3}"]},
    ],
)
def test_a_cell_of_another_configuration_is_not_kept(tmp_path, change):
    write_run(tmp_path, STATUSES)

    assert kept(prepared(tmp_path, **change)) == set()


@pytest.mark.parametrize(
    "change", [{"rounds": "3"}, {"cool_down": "5s"}, {"service_tiers": "default,priority"}, {"fail_on": "never"}]
)
def test_a_suite_may_grow_and_keeps_what_it_has(tmp_path, change):
    write_run(tmp_path, STATUSES)

    assert kept(prepared(tmp_path, **change)) == {"us-default-small-r5"}


def test_the_content_of_prompts_counts_and_not_the_place_of_the_file(tmp_path):
    prompts = Path(__file__).parents[2] / "prompts.json"
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    for copy in (one, other):
        copy.write_bytes(prompts.read_bytes())
    write_run(tmp_path, STATUSES, prompts_file=str(one))

    assert kept(prepared(tmp_path, prompts_file=str(other)))
    other.write_bytes(prompts.read_bytes() + b" ")
    assert not kept(prepared(tmp_path, prompts_file=str(other)))


@pytest.mark.parametrize(
    ("scenario", "arguments", "said"),
    [
        (SCENARIO.replace("four", "five"), {}, "cannot be resumed: it holds the scenario four, and not five"),
        (SCENARIO, {"target": "aws"}, "it was measured at an emulator of its own, and not at AWS"),
        (SCENARIO, {"endpoint_url": "http://127.0.0.1:1"}, "of its own, and not at http://127.0.0.1:1"),
        (SCENARIO, {"force": True}, "give one of them, not both"),
        (SCENARIO, {"results_dir": "/nowhere"}, "/nowhere is not a results directory: it has no run.json"),
    ],
)
def test_what_cannot_be_resumed_is_refused_in_a_sentence(tmp_path, scenario, arguments, said):
    write_run(tmp_path, STATUSES)

    with pytest.raises(RunDirectoryError, match=said):
        check_directory(prepared(tmp_path, scenario, **arguments), unheard)


def test_a_directory_of_plain_locust_cannot_be_resumed(tmp_path):
    RunDirectory(tmp_path / "out").write_run({"run_id": "x", "scenario": "four", "cells": []})

    with pytest.raises(RunDirectoryError, match="written by plain Locust"):
        check_directory(prepared(tmp_path), unheard)


def test_a_run_that_was_killed_before_it_wrote_anything_begins_anew(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").touch()

    assert kept(prepared(tmp_path)) == set()


def test_without_a_directory_the_newest_run_of_the_scenario_is_resumed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, name in ((1, "four"), (2, "four"), (3, "five")):
        path = tmp_path / "test_results" / f"2026112{number}T000000Z-{name}"
        RunDirectory(path).write_run(
            {"run_id": "x", "scenario": name, "target": "emulator", "starts_emulator": True, "cells": []}
        )
    preparation = prepared(tmp_path, results_dir=None)

    assert resumption(preparation, {}).directory.path.name == "20261122T000000Z-four"


def test_files_of_cells_that_run_again_are_moved_out_of_their_way_whole(tmp_path):
    directory = write_run(tmp_path, STATUSES)
    directory.report_html.write_text("old", encoding="utf-8")

    moved = set_aside(directory, {"us-default-small-r5"})

    assert moved == ["us-default-medium-r5", "us-flex-small-r5"]
    assert [path.name for path in directory.path.glob("cells/*")] == ["us-default-small-r5"]
    assert [path.name for path in directory.path.glob("test_*")] == ["test_us-default-small-r5_stats.csv"]
    aside = directory.set_aside / "us-flex-small-r5"
    assert (aside / "cell" / "requests-local.jsonl").exists()
    assert (aside / "test_us-flex-small-r5_stats.csv").exists()
    assert not directory.report_html.exists(), "a report of other data than there is now"


def test_a_cell_can_be_set_aside_more_than_once(tmp_path):
    directory = write_run(tmp_path, {"us-flex-small-r5": "failed"})
    set_aside(directory, ())
    directory.cell("us-flex-small-r5").path.mkdir(parents=True)
    set_aside(directory, ())

    assert len(list(directory.set_aside.iterdir())) == 2


def test_what_was_paid_for_counts_also_where_it_is_run_again(tmp_path):
    directory = write_run(tmp_path, STATUSES)
    before = spent_in(directory, default_catalog())
    set_aside(directory, {"us-default-small-r5"})

    assert before.requests == 3
    assert before.cost_usd > 0
    assert spent_in(directory, default_catalog()) == before


def test_a_run_whose_budget_is_used_up_keeps_what_it_has(tmp_path):
    directory = write_run(tmp_path, STATUSES)
    spent = prepared(tmp_path, SCENARIO + "budget: {max_requests: 3}\n")

    with pytest.raises(RunDirectoryError, match="what was sent before has used up max_requests; give a higher one"):
        check_directory(spent, lambda _: None)
    assert not directory.set_aside.exists()
    assert check_directory(prepared(tmp_path, SCENARIO + "budget: {max_requests: 4}\n"), lambda _: None)


def test_a_resumed_run_stays_the_same_run_and_says_that_it_was_resumed(tmp_path):
    directory = write_run(tmp_path, STATUSES)
    preparation = prepared(tmp_path)
    earlier = resumption(preparation, config_hashes(preparation))
    start = RunStart("second", ("scenario.yaml", "--resume"), 2000.0)
    RunDocument(
        directory,
        preparation.settings,
        preparation.cells,
        start,
        hashes=config_hashes(preparation),
        earlier=earlier.run,
        kept=earlier.kept,
    )

    run = directory.read_run()
    assert (run["run_id"], run["started_at"], run["exit_code"]) == ("first", 1000.0, None)
    assert run["command"] == "python run_tests.py scenario.yaml"
    (resumed,) = run["resumed"]
    assert (resumed["at"], resumed["kept"]) == (2000.0, ["us-default-small-r5"])
    assert resumed["command"].endswith("--resume")
    statuses = {cell["cell"]: cell["status"] for cell in run["cells"]}
    assert set(statuses.values()) == {"finished", "pending"}


def test_only_the_cells_that_are_left_count_for_the_time(tmp_path):
    preparation = prepared(tmp_path, cool_down="10s")
    cells = list(preparation.cells)

    assert suite_s(preparation.settings, preparation.plan, cells) == pytest.approx(preparation.plan.duration_s)
    one = preparation.plan.cells[0].duration_s
    assert suite_s(preparation.settings, preparation.plan, cells[1:]) == pytest.approx(
        preparation.plan.duration_s - one - 10.0
    )


def test_a_directory_in_use_is_refused_at_once(tmp_path):
    open_directory(tmp_path / "out", "x", 0.0, force=False)

    with pytest.raises(RunDirectoryError, match="is in use by a run that is still going on"):
        reopen_directory(tmp_path / "out")


def test_the_locust_of_a_killed_run_is_waited_for_and_that_is_said(tmp_path, monkeypatch):
    write_run(tmp_path, STATUSES)
    said = []
    with (tmp_path / "out" / WRITERS_LOCK).open("ab") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        monkeypatch.setattr(time, "sleep", lambda _: fcntl.flock(writer, fcntl.LOCK_UN))

        check_directory(prepared(tmp_path), said.append)

    assert said == [f"Waiting for the Locust of the run that was killed in {tmp_path / 'out'}: it lets its calls end"]


def test_what_is_still_written_is_not_taken(tmp_path):
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / WRITERS_LOCK).open("ab") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)

        with pytest.raises(RunDirectoryError, match="still written by the Locust of a run that was killed"):
            reopen_directory(tmp_path / "out")
