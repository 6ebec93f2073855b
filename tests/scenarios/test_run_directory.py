"""Files of a results directory."""

from pathlib import Path

import pytest

from scenarios.run_directory import RunDirectory, RunDirectoryError, write_json


def test_run_json_is_read_back_as_written(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    directory.write_run({"run_id": "a", "cells": []})

    assert directory.read_run() == {"run_id": "a", "cells": []}
    assert [path.name for path in directory.path.iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    "content", [None, "{", "[]", '{"no": "cells"}', '{"cells": null}', '{"cells": [], "schema_version": 2}']
)
def test_what_is_no_results_directory_is_said_so(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content, encoding="utf-8")

    with pytest.raises(RunDirectoryError, match=r"run\.json"):
        RunDirectory(tmp_path).read_run()


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="Out of range"):
        write_json(path, {"a": float("nan")})

    assert path.read_text(encoding="utf-8") == '{\n  "a": 1\n}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_record_files_are_found_in_order(tmp_path: Path) -> None:
    cell = RunDirectory(tmp_path).cell("us-default-small-u3")
    for process in ("worker-1", "local", "worker-0"):
        cell.path.mkdir(parents=True, exist_ok=True)
        cell.requests(process).touch()

    assert [path.name for path in cell.all_requests()] == [
        "requests-local.jsonl",
        "requests-worker-0.jsonl",
        "requests-worker-1.jsonl",
    ]
