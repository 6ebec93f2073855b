"""`validate`: what is said of files, as text and as JSON."""

import json

import pytest

from orchestrator.cli import main
from orchestrator.validation import validate, validation_document

GOOD = "name: good\nrouting: {routing}\nload: {{rate: 5/s}}\n"


def test_a_valid_file_is_a_line_with_its_cells_and_exit_code_0(capsys):
    assert main(["validate", "smoke", "permutations"]) == 0

    out, err = capsys.readouterr()
    assert out.splitlines()[0].endswith("smoke.yaml: valid, 1 cell")
    assert out.splitlines()[1].endswith("permutations.yaml: valid, 27 cells")
    assert err == ""


def test_problems_are_lines_as_compilers_write_them_and_other_files_are_still_checked(tmp_path, capsys):
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: bad\nroutin: nova\nload:\n  rate: 5\n", encoding="utf-8")

    assert main(["validate", str(bad), "smoke"]) == 4
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{bad}:2:1: routin: unknown key. Did you mean routing?"
    assert lines[1].startswith(f"{bad}:4:3: load.rate: 5 is not a rate")
    assert lines[2].endswith("smoke.yaml: valid, 1 cell")


def test_the_json_document_has_line_and_column(tmp_path, capsys):
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: bad\nrouting: nova\nload: {rate: 5/s, user: 3}\n", encoding="utf-8")

    assert main(["validate", str(bad), str(tmp_path / "nowhere.yaml"), "--format", "json"]) == 4
    document = json.loads(capsys.readouterr().out)
    first, second = document["files"]
    assert (document["valid"], first["valid"], first["cells"]) == (False, False, None)
    assert [(problem["line"], problem["column"]) for problem in first["problems"]] == [(3, 19)]
    assert "Did you mean users?" in first["problems"][0]["problem"]
    assert (second["problems"][0]["line"], second["problems"][0]["problem"]) == (
        None,
        "cannot be read: No such file or directory",
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("prompts_file: p.json\n", ":4:1: prompts_file: Cannot use"),
        ("matrix: {include: [{routing: none.yaml}]}\n", ":4:21: matrix.include[0].routing: Cannot use"),
        ("sessions: none\n", ":4:1: sessions: Cannot use 'none'"),
        ("request: {system_file: none.txt}\n", ":4:11: request.system_file: "),
        ("emulator:\n  faults:\n    - {kind: stal}\n", ":6:8: emulator.faults[0].kind: unknown kind of fault 'stal'"),
        ("emulator: {responses: [a.yaml]}\n", ":4:12: emulator.responses: cannot read"),
    ],
)
def test_what_a_scenario_names_is_checked_too(tmp_path, more, said):
    path = tmp_path / "s.yaml"
    path.write_text(GOOD.format(routing="nova") + more, encoding="utf-8")
    (tmp_path / "p.json").write_text("{}", encoding="utf-8")

    (problem,) = validate(path).problems
    assert str(problem).startswith(f"{path}{said}")


@pytest.mark.parametrize("other", ["", "retries: 3\n"], ids=["alone", "beside a mistake in the scenario"])
def test_a_mistake_inside_a_file_that_the_scenario_names_has_its_place_in_that_file(tmp_path, other):
    path, routing = tmp_path / "s.yaml", tmp_path / "r.yaml"
    path.write_text(f"name: x\nrouting: r.yaml\nload: {{pattern: replay, trace: t.csv}}\n{other}", encoding="utf-8")
    routing.write_text("simple: amazon.nova-po-v1:0\ncomplx: amazon.nova-pro-v1:0\n", encoding="utf-8")

    problems = validate(path).problems

    assert [str(problem.position) for problem in problems if problem.file == str(routing)] == ["1:1", "1:1", "2:1"]
    assert [problem.text for problem in problems if "nova-po" in problem.text] == [
        "simple: Unknown model 'amazon.nova-po-v1:0'. Did you mean amazon.nova-pro-v1:0?"
    ]
    assert len([problem for problem in problems if "t.csv as a trace" in problem.text]) == 1


def test_flags_and_variables_of_a_run_have_no_say(tmp_path, monkeypatch):
    monkeypatch.setenv("SERVICE_TIERS", "nonsense")
    path = tmp_path / "s.yaml"
    path.write_text(GOOD.format(routing="nova"), encoding="utf-8")

    assert validate(path).is_valid


def test_cells_that_bedrock_refuses_are_counted(tmp_path, capsys):
    path = tmp_path / "s.yaml"
    path.write_text(GOOD.format(routing="current") + "matrix: {service_tiers: [default, flex]}\n", encoding="utf-8")

    assert main(["validate", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: valid, 1 cell, 1 skipped because Bedrock refuses them\n"
    assert validation_document([validate(path)])["files"][0]["cells"] == 1
