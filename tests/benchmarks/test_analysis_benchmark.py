"""`python -m benchmarks.analysis`: its records are records, its figures add up, its mistakes are one sentence."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from analysis.summary import analyse
from bedrock.invocation import FIELD_NAMES, InvocationRecord
from benchmarks.analysis import growth, render
from benchmarks.analysis_records import write_directory

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "benchmarks.analysis"]


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *options], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300.0)


def test_its_lines_are_those_of_the_load_generator(tmp_path: Path) -> None:
    written = write_directory(tmp_path, 2_000)

    files = sorted(tmp_path.glob("cells/*/requests-*.jsonl"))
    assert sum(path.stat().st_size for path in files) == written
    lines = [line for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 2_000
    for line in lines[::50]:
        assert tuple(json.loads(line)) == FIELD_NAMES
        again = json.loads(InvocationRecord.from_json(line).to_json())
        assert again == json.loads(line)


def test_the_same_size_and_seed_have_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("other", 0), ("next", 1)):
        write_directory(tmp_path / name, 600, seed)

    one, other, another = (
        [path.read_bytes() for path in sorted((tmp_path / name).rglob("*.json*"))] for name in ("one", "other", "next")
    )
    assert one == other != another


def test_the_run_it_invents_is_sound(tmp_path: Path) -> None:
    write_directory(tmp_path, 40_000)

    summary = analyse(tmp_path).summary

    assert summary["validity"]["skipped_lines"] == {}
    assert summary["total"]["metrics"]["requests"] == 40_000
    wrong = {check["name"] for check in summary["validity"]["checks"] if check["status"] == "FAIL"}
    assert wrong == set()


def test_it_measures_every_stage_at_three_sizes(tmp_path: Path) -> None:
    places = ("--directory", str(tmp_path / "records"), "--json", str(tmp_path / "out.json"))
    done = run("--records", "3200", "--no-report", *places)

    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert [size["records"] for size in results["sizes"]] == [500, 800, 3200]
    for size in results["sizes"]:
        for one in (size["first"], size["again"]):
            seconds = {stage["name"]: stage["seconds"] for stage in one["stages"]}
            assert set(seconds) == {
                "import", "load", "derive", "metrics", "objectives", "validity", "comparison", "tier comparison",
                "verdict", "cost", "throttling", "saturation", "rounds", "findings", "recovery", "time series",
                "curves",
            }  # fmt: skip
            assert all(stage["seconds"] > 0 and stage["peak_rss_mb"] > 10 for stage in one["stages"])
            assert one["seconds"] == pytest.approx(sum(seconds.values()))
            assert one["analysis"]["seconds"] == one["seconds"]
    assert done.stdout == render(results) + "\n"
    assert list((tmp_path / "records").iterdir()) == []


def test_growth_is_the_power_of_the_records_in_the_analysis() -> None:
    def size(records: int, seconds: float, memory: float) -> dict[str, Any]:
        stages = [
            {"name": "import", "seconds": 1.0, "cpu_s": 1.0, "peak_rss_mb": 100.0},
            {"name": "load", "seconds": seconds, "cpu_s": 2.0 * seconds, "peak_rss_mb": 100.0 + memory},
            {"name": "report", "seconds": 9.0, "cpu_s": 9.0, "peak_rss_mb": 900.0},
        ]
        return {"records": records, "first": {"stages": stages}}

    assert growth([size(1, 1, 1), size(100, 3.0, 50.0), size(400, 12.0, 800.0)]) == pytest.approx(
        {"seconds": 1.0, "cpu_s": 1.0, "memory": 2.0}
    )
    assert growth([size(5, 1, 1)] * 3) == {"seconds": None, "cpu_s": None, "memory": None}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--records", "12"], "--records 12 is less than 1,000"),
        (["--records", "many"], "is not a whole number above 0"),
        (["--json", "/nowhere/out.json"], "cannot write /nowhere/out.json"),
    ],
)
def test_a_mistake_is_one_sentence(options: list[str], sentence: str) -> None:
    done = run(*options)

    assert done.returncode == 4
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
