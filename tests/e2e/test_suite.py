"""Whole suites through the real command: emulator, Locust, records, analysis, report."""

import contextlib
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from bedrock.catalog import default_catalog
from orchestrator.live import record_cost_usd
from scenarios.run_directory import RunDirectory
from tests.support.webhook import SECRET, receiving

pytestmark = pytest.mark.e2e

PROJECT = Path(__file__).parents[2]

#: An emulator that answers quickly, so that a second holds many calls.
FAST = """
emulator:
  default:
    latency: {ttft_ms: {distribution: fixed, median: 40}, tokens_per_second: {distribution: fixed, median: 400}}
    output_tokens: {distribution: fixed, median: 20}
"""

SUITE = f"""
name: tiny
routing: nova
load: {{rate: 10/s, duration: 4s, warmup: 1s}}
matrix:
  service_tiers: [priority]
  prompt_sizes: [small]
  include:
    - {{users: 3, prompt_size: mixed, service_tier: default}}
objectives:
  - error_rate < 50% with min_samples=5
  - e2e_ms p50 < 2500ms
{FAST}"""

LONG = f"""
name: long
routing: nova
load: {{rate: 10/s, duration: 10m, drain_timeout: 10s}}
matrix: {{prompt_sizes: [small], service_tiers: [default, flex]}}
{FAST}"""

AT_ONCE = f"""
name: at-once
load: {{rate: 10/s, duration: 10m, drain_timeout: 10s}}
matrix:
  models: [amazon.nova-pro-v1:0, amazon.nova-lite-v1:0]
  prompt_sizes: [small]
  service_tiers: [default]
  include: [{{model_id: amazon.nova-pro-v1:0, rate: 5/s, prompt_size: small, service_tier: default}}]
order: {{parallel_cells: 3, shuffle: false}}
{FAST}"""


@dataclass(frozen=True)
class Ended:
    exit_code: int
    stdout: str
    stderr: str
    directory: RunDirectory

    @property
    def run(self) -> dict[str, Any]:
        return self.directory.read_run()

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads(self.directory.summary_json.read_text(encoding="utf-8"))


def start(folder: Path, scenario: str, *arguments: str, charts: bool = False) -> subprocess.Popen[str]:
    path = folder / "scenario.yaml"
    path.write_text(scenario, encoding="utf-8")
    words = [str(path), "--results-dir", str(folder / "out"), *([] if charts else ["--no-charts"]), *arguments]
    return subprocess.Popen(
        [sys.executable, str(PROJECT / "run_tests.py"), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )


def wait(process: subprocess.Popen[str], folder: Path) -> Ended:
    stdout, stderr = process.communicate(timeout=120)
    return Ended(process.returncode, stdout, stderr, RunDirectory(folder / "out"))


def records_of(directory: RunDirectory) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in sorted(directory.path.glob("cells/*/requests-*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def truth_of(directory: RunDirectory) -> list[dict[str, Any]]:
    return [json.loads(line) for line in directory.truth_log.read_text(encoding="utf-8").splitlines()]


def until(condition: Callable[[], Any]) -> Any:
    """Wait for something that is bound to happen; the limit only ends a broken test."""
    give_up_at = time.monotonic() + 60.0
    while not (value := condition()):
        assert time.monotonic() < give_up_at, "it did not happen"
        time.sleep(0.05)
    return value


def record_count(folder: Path) -> int:
    return len(records_of(RunDirectory(folder / "out")))


def assert_nothing_is_left(folder: Path) -> None:
    """No process of this run is alive: not Locust, not the emulator."""
    mark = str(folder)
    left = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if mark in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                left.append(process.cmdline())
    assert left == []


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Ended:
    folder = tmp_path_factory.mktemp("tiny")
    ended = wait(start(folder, SUITE, "--format", "json", charts=True), folder)
    assert_nothing_is_left(folder)
    return ended


def unless_spoiled(ended: Ended, exit_code: int) -> int:
    """The exit code, or 5 where this machine was too busy for the generator: then no other would be honest."""
    return 5 if ended.summary["validity"]["status"] == "INVALID" else exit_code


def test_a_suite_that_meets_its_objectives_ends_with_0(tiny):
    assert tiny.exit_code == unless_spoiled(tiny, 0), tiny.stderr
    assert [cell["status"] for cell in tiny.run["cells"]] == ["finished", "finished"]
    assert tiny.run["exit_code"] == tiny.exit_code
    assert tiny.run["load_model"] == "mixed"


def test_every_request_is_a_record_and_every_token_is_counted(tiny):
    records = {record["request_id"]: record for record in records_of(tiny.directory)}
    truth = {entry["request_id"]: entry for entry in truth_of(tiny.directory)}

    assert len(records) > 40
    assert records.keys() == truth.keys()
    for name in ("input_tokens", "output_tokens", "outcome", "model_id", "requested_tier"):
        assert {key: record[name] for key, record in records.items()} == {
            key: entry[name] for key, entry in truth.items()
        }, name
    assert len(truth) == tiny.summary["total"]["metrics"]["requests"]


def test_json_format_writes_one_document_and_nothing_else(tiny):
    document = json.loads(tiny.stdout)
    paths = document.pop("paths")

    assert document == tiny.summary
    assert Path(paths["report_html"]) == tiny.directory.report_html.absolute()


def test_the_results_directory_has_everything_of_the_contract(tiny):
    directory = tiny.directory
    names = [
        *("run.json", "effective.yaml", "summary.json", "report.html", "summary.md", "junit.xml", "token_data.jsonl"),
        *("requests.parquet", "charts/latency_heatmap.png", "emulator/config.yaml", "emulator/stats.json"),
    ]
    assert [name for name in names if not (directory.path / name).exists()] == []
    for cell in tiny.run["cells"]:
        assert (directory.path / f"test_{cell['cell']}_stats.csv").exists()
        assert (directory.path / f"test_{cell['cell']}_report.html").exists()
        assert directory.cell(cell["cell"]).load_json.exists()
    stats = json.loads((directory.emulator / "stats.json").read_text(encoding="utf-8"))
    assert stats["total"]["requests"] == len(truth_of(directory))


def report(directory: RunDirectory) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "run_tests.py", "report", str(directory.path), "--no-charts"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("changes", "exit_code"),
    [
        ({}, 0),
        ({"objectives": ["ttft_ms p50 < 1ms"]}, 1),
        ({"objectives": ["ttft_ms p50 < 1ms"], "fail_on": "never"}, 0),
        ({"objectives": ["ttft_ms p50 < 1s for service_tier=flex"]}, 5),
    ],
)
def test_a_report_is_made_again_from_the_files_and_ends_like_its_verdict(tiny, tmp_path, changes, exit_code):
    copy = RunDirectory(tmp_path / "copy")
    shutil.copytree(tiny.directory.path, copy.path)
    copy.report_html.unlink()
    copy.write_run(tiny.run | changes)

    done = report(copy)

    assert done.returncode == unless_spoiled(tiny, exit_code), done.stderr
    assert "Verdict: " in done.stdout
    assert done.stdout.splitlines()[-1] == str(copy.report_html)
    assert "charts of this report were left out" in copy.report_html.read_text(encoding="utf-8")
    assert not list(copy.charts.iterdir()), "none stay that would not belong to this page"


def test_an_interrupted_suite_drains_reports_tells_everybody_and_ends_with_2(tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "job.md"))
    with receiving() as (webhook, bodies):
        process = start(tmp_path, LONG, "--webhook-url", webhook)
        until(lambda: record_count(tmp_path) >= 10)
        process.send_signal(signal.SIGTERM)
        ended = wait(process, tmp_path)

    assert ended.exit_code == 2, ended.stderr
    assert ended.directory.report_html.exists()
    assert (ended.run["stopped_by"], ended.run["exit_code"]) == ("interrupt", 2)
    assert [cell["status"] for cell in ended.run["cells"]] == ["interrupted", "pending"]
    sent = {record["request_id"] for record in records_of(ended.directory) if record["started_at"] is not None}
    assert sent == {entry["request_id"] for entry in truth_of(ended.directory)}, "nothing is lost at the end"
    assert "Verdict: " in ended.stdout
    assert "The run was interrupted; results are partial" in json.loads(bodies[0])["text"]
    assert "\n::warning title=INCONCLUSIVE%3A long::The run was interrupted" in ended.stderr
    assert (tmp_path / "job.md").read_text() == ended.directory.summary_md.read_text()
    written = [path.read_bytes() for path in ended.directory.path.rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in content for content in [*written, (ended.stdout + ended.stderr).encode()])
    assert_nothing_is_left(tmp_path)


def test_a_second_signal_aborts_and_still_leaves_a_report(tmp_path):
    slow = LONG.replace("median: 40", "median: 8000")
    process = start(tmp_path, slow)
    until(lambda: any((tmp_path / "out" / "cells").glob("*/health-*.jsonl")))
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    ended = wait(process, tmp_path)

    assert ended.exit_code == 2, ended.stderr
    assert ended.directory.report_html.exists()
    assert_nothing_is_left(tmp_path)


def test_a_limit_on_requests_holds_for_all_processes_of_cells_that_run_at_once_and_ends_with_6(tmp_path):
    ended = wait(start(tmp_path, AT_ONCE, "--max-requests", "60", "--processes", "2"), tmp_path)

    assert ended.exit_code == 6, ended.stderr
    assert ended.run["stopped_by"] == "max_requests"
    assert [cell["status"] for cell in ended.run["cells"]] == ["interrupted", "interrupted", "pending"]
    assert ended.directory.report_html.exists()
    truth = truth_of(ended.directory)
    assert len(truth) == 60 == len(records_of(ended.directory)), "what the limit held back was never due"
    checks = {check["name"]: check["status"] for check in ended.summary["validity"]["checks"]}
    assert (checks["dropped_arrivals"], checks["achieved_rate"], checks["unaccounted_arrivals"]) == ("OK", "OK", "OK")
    assert {line["model_id"] for line in truth} == {"us.amazon.nova-pro-v1:0", "us.amazon.nova-lite-v1:0"}
    assert not ended.directory.usage.exists()


def test_a_limit_on_cost_stops_the_suite_within_the_cost_of_the_calls_in_flight(tmp_path):
    ended = wait(start(tmp_path, LONG, "--rates", "40/s", "--max-cost-usd", "0.002", "--processes", "2"), tmp_path)

    assert ended.exit_code == 6, ended.stderr
    assert ended.run["stopped_by"] == "max_cost_usd"
    records = records_of(ended.directory)
    costs = [record_cost_usd(record, default_catalog()) for record in records]
    last_sent_at = max(record["started_at"] for record in records if record["started_at"])
    in_flight = math.fsum(
        cost for record, cost in zip(records, costs, strict=True) if (record["ended_at"] or 0.0) > last_sent_at
    )
    assert 0.0015 < math.fsum(costs) <= 0.002 + in_flight
    assert ended.summary["total"]["metrics"]["cost_usd"] == pytest.approx(math.fsum(costs))


def test_too_many_errors_stop_the_suite_with_6(tmp_path):
    faults = "  faults: [{kind: error, code: InternalServerException}]\n"
    budget = "budget: {max_error_rate: 50%, error_min_requests: 5}\n"
    ended = wait(start(tmp_path, LONG + faults + budget), tmp_path)

    assert ended.exit_code == 6, ended.stderr
    assert ended.run["stopped_by"] == "max_error_rate"
    assert [cell["status"] for cell in ended.run["cells"]] == ["interrupted", "pending"]


def test_a_report_that_cannot_be_written_is_an_internal_error_with_a_log(tiny, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(tiny.directory.path, copy)
    RunDirectory(copy).summary_json.unlink()
    RunDirectory(copy).summary_json.mkdir()

    done = report(RunDirectory(copy))

    assert done.returncode == 3
    assert "Traceback" in Path(done.stderr.rsplit("The traceback is in ", 1)[1].strip()).read_text(encoding="utf-8")


def test_the_progress_of_a_run_can_be_followed_as_json_lines(tiny):
    events = [json.loads(line) for line in tiny.stderr.splitlines()]

    assert [events[0]["event"], events[-1]["event"]] == ["plan", "note"]
    assert "progress" in {event["event"] for event in events}
    assert events[0]["total"]["cells"] == len(tiny.run["cells"])


def test_throttling_in_the_summary_is_that_of_the_truth(tmp_path):
    quota = SUITE.replace("  default:\n", "  default:\n    quota: {rpm: 15, window: sliding}\n")
    ended = wait(start(tmp_path, quota, "--rates", "12/s"), tmp_path)

    outcomes = Counter(entry["outcome"] for entry in truth_of(ended.directory))
    metrics = ended.summary["total"]["metrics"]
    assert outcomes["throttled"] > 0
    assert metrics["outcomes"]["throttled"] == outcomes["throttled"]
    assert metrics["throttle_rate"] == outcomes["throttled"] / outcomes.total()


def locust_processes(orchestrator: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return [child for child in psutil.Process(orchestrator).children() if "locust" in child.cmdline()]
    return []


def test_a_crash_of_locust_fails_its_cell_and_the_suite_goes_on(tmp_path):
    process = start(tmp_path, SUITE, "--service-tiers", "default,priority", "--test-duration", "3s")
    until(lambda: record_count(tmp_path) >= 3)
    (locust,) = locust_processes(process.pid)
    locust.kill()
    ended = wait(process, tmp_path)

    assert ended.exit_code == 5, ended.stderr
    first, second = ended.run["cells"]
    assert first["status"] == "failed"
    assert first["reason"].startswith("Locust was ended by SIGKILL: ")
    assert second["status"] == "finished"


@pytest.fixture
def hanging_up() -> Iterator[str]:
    """An endpoint that takes connections and closes them at once."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    server.accept()[0].close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def test_an_endpoint_that_never_answers_is_inconclusive(tmp_path, hanging_up):
    ended = wait(start(tmp_path, SUITE, "--endpoint-url", hanging_up, "--rates", "5/s", "--warmup", "0s"), tmp_path)

    assert ended.exit_code == 5, ended.stderr
    assert ended.summary["verdict"]["status"] == "INCONCLUSIVE"
    assert "No request was accepted by the service" in ended.stdout
    assert not ended.directory.emulator.exists(), "no emulator is started for a given endpoint"


def test_without_results_dir_latest_points_to_the_run(tmp_path):
    (tmp_path / "scenario.yaml").write_text(SUITE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(PROJECT / "run_tests.py"), "scenario.yaml", "--rates", "12/s", "--test-duration", "1s"],
        cwd=tmp_path,
        env=os.environ | {"WARMUP": "0s", "FAIL_ON": "never", "NO_CHARTS": "yes"},
        capture_output=True,
        text=True,
        check=False,
    )

    latest = tmp_path / "test_results" / "latest"
    assert done.returncode in (0, 5), done.stderr
    assert latest.is_symlink()
    assert latest.resolve().name.endswith("-tiny")
    assert done.stdout.splitlines()[-1] == str(latest.parent.absolute() / latest.resolve().name / "report.html")
