"""Files of fixtures: what they may hold, what is wrong with them, and an emulator that answers from them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bedrock.catalog import default_catalog
from emulator.answer import StopReason
from emulator.config import ConfigError, parse_config, read_config
from emulator.fixture_files import FixtureError, read_fixtures
from emulator.fixtures import Fixture, Fixtures
from emulator.model_request import ModelRequest
from emulator.process import PROJECT_ROOT
from tests.support.sdk import FAST, NOVA, ask, client

PROMPT, TEXT = "Where is my order?", "Your order left our warehouse this morning."


def read(*paths: Path) -> Fixtures:
    return read_fixtures(paths, default_catalog())


def written(folder: Path, content: str | bytes, name: str = "responses.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def answer(fixtures: Fixtures, prompt: str = PROMPT, **how: Any) -> Fixture | None:
    return fixtures.find(NOVA, ModelRequest(prompt=prompt, input_tokens=1, max_tokens=9, **how))


def problems_of(*paths: Path) -> list[str]:
    with pytest.raises(FixtureError) as caught:
        read(*paths)
    return caught.value.problems


# --- what a file may hold ------------------------------------------------------------------------------------

WHOLE = {
    "prompt": PROMPT, "model": f"us.{NOVA}", "system": "Be brief.", "text": TEXT, "reasoning": "Hmm.",
    "stop_reason": "max_tokens", "output_tokens": 31, "schema_version": 1,
}  # fmt: skip
AS_READ = Fixture(
    TEXT,
    prompt=PROMPT,
    model=f"us.{NOVA}",
    system="Be brief.",
    reasoning="Hmm.",
    stop_reason=StopReason.MAX_TOKENS,
    output_tokens=31,
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", json.dumps(WHOLE)),
        ("a.txt", "\ufeff\n" + json.dumps(WHOLE) + "\r\n\n"),
        ("a.yaml", yaml.safe_dump([WHOLE])),
        ("a.YML", "# answers\n" + json.dumps([WHOLE])),
    ],
)
def test_json_lines_and_yaml_lists_hold_the_same(tmp_path: Path, name: str, content: str) -> None:
    fixtures = read_fixtures([written(tmp_path, content, name)], default_catalog())

    found = fixtures.find(f"us.{NOVA}", ModelRequest(PROMPT, input_tokens=1, max_tokens=9, system="Be brief."))
    assert found == AS_READ
    assert len(fixtures) == 1


texts = st.text(min_size=1, max_size=60).filter(lambda text: text.strip() != "")


@given(st.dictionaries(texts, texts, min_size=1, max_size=5), st.booleans())
def test_every_text_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, answers: dict[str, str], ascii_only: bool
) -> None:
    """Line separators of Unicode, control characters and quotes included."""
    lines = [json.dumps({"prompt": p, "text": t}, ensure_ascii=ascii_only) for p, t in answers.items()]
    fixtures = read(written(tmp_path_factory.mktemp("f"), "\n".join(lines)))

    assert {prompt: found.text for prompt in answers if (found := answer(fixtures, prompt))} == answers


def test_files_are_read_in_their_order(tmp_path: Path) -> None:
    one = written(tmp_path, json.dumps({"pattern": "order", "text": "one"}), "1.jsonl")
    two = written(tmp_path, json.dumps({"pattern": "order", "text": "two"}), "2.jsonl")

    assert [getattr(answer(read(*files)), "text", None) for files in ((one, two), (two, one))] == ["one", "two"]


# --- what is wrong with it -----------------------------------------------------------------------------------

GOOD = f'"prompt": "{PROMPT}", "text": "{TEXT}"'


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"prompt": "x"}', "text: is missing"),
        ('{"text": "y"}', "give `prompt` or `pattern`, one of them and not both"),
        ('{"prompt": "x", "pattern": "x", "text": "y"}', "give `prompt` or `pattern`, one of them and not both"),
        ('{"prompt": "x", "text": " \\n"}', "text: is empty"),
        ('{"prompt": "", "text": "y"}', "prompt: is empty"),
        ('{"prompt": null, "text": "y"}', "prompt: must be text; put a number or a word like yes in quotes"),
        ('{"prompt": "x", "text": 7}', "text: must be text; put a number or a word like yes in quotes"),
        (f'{{{GOOD}, "reasoning": ""}}', "reasoning: is empty"),
        (f'{{{GOOD}, "txet": "y"}}', "txet: unknown key; did you mean `text`?"),
        (f'{{{GOOD}, "stop_reason": "stop_sequence"}}', "stop_reason: must be end_turn or max_tokens"),
        (f'{{{GOOD}, "stop_reason": []}}', "stop_reason: must be end_turn or max_tokens"),
        (f'{{{GOOD}, "output_tokens": 0}}', "output_tokens: must be a whole number from 1 to 200,000"),
        (f'{{{GOOD}, "output_tokens": true}}', "output_tokens: must be a whole number from 1 to 200,000"),
        (f'{{{GOOD}, "output_tokens": 2.5}}', "output_tokens: must be a whole number from 1 to 200,000"),
        (
            f'{{{GOOD}, "reasoning": "z", "output_tokens": 1}}',
            "output_tokens: must be a whole number from 2 to 200,000",
        ),
        (f'{{{GOOD}, "schema_version": 2}}', "schema_version: must be 1, the version that this emulator reads"),
        (
            f'{{{GOOD}, "model": "amazon.nova-por-v1:0"}}',
            f"model: unknown model 'amazon.nova-por-v1:0'; did you mean `{NOVA}`?",
        ),
        (f'{{{GOOD}, "model": "nova*"}}', "model: no model's id fits the pattern 'nova*'"),
        (
            '{"pattern": "(order", "text": "y"}',
            "pattern: is not a regular expression of Python: missing ), unterminated subpattern at position 0",
        ),
        ('{"prompt": "x", "text": "y", "prompt": "z"}', "`prompt` is given twice"),
        ('{"prompt": "x", "text": ', "is not JSON: Expecting value at column 25"),
        ('["prompt"]', "must be a mapping of `prompt` or `pattern`, `text` and so on"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, line: str, problem: str) -> None:
    path = written(tmp_path, f"{{{GOOD}}}\n\n{line}\n")

    assert [said.replace(str(tmp_path), "") for said in problems_of(path)] == [f"/responses.jsonl:3: {problem}"]


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    lines = written(tmp_path, '{"prompt": "x", "txt": "y", "output_tokens": -1}\n{}\n')
    people = written(tmp_path, f"- prompt: yes\n  text: {TEXT}\n  text: again\n- 3\n- text: x\n", "people.yaml")
    problems = problems_of(lines, tmp_path / "none.jsonl", people)

    assert [problem.replace(f"{tmp_path}/", "") for problem in problems] == [
        "responses.jsonl:1: txt: unknown key; did you mean `text`?",
        "responses.jsonl:1: text: is missing",
        "responses.jsonl:1: output_tokens: must be a whole number from 1 to 200,000",
        "responses.jsonl:2: give `prompt` or `pattern`, one of them and not both",
        "responses.jsonl:2: text: is missing",
        "cannot read none.jsonl: No such file or directory",
        "people.yaml:1:11: YAML reads this as true: write true; text needs quotes",
        "people.yaml:3:3: the key text is already given in line 2",
        "people.yaml:4: must be a mapping of `prompt` or `pattern`, `text` and so on",
        "people.yaml:5: give `prompt` or `pattern`, one of them and not both",
    ]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.jsonl", "\n \n", "has no entries"),
        ("a.yaml", "# nothing yet\n", "has no entries"),
        ("a.yaml", "[]", "has no entries"),
        ("a.yaml", "prompt: x\ntext: y\n", "must be a list of entries, like `- {prompt: ..., text: ...}`"),
        ("b.yaml", "- {prompt: 2026-13-40, text: y}", "YAML reads this as a date; text needs quotes"),
        ("a.jsonl", b"\xff\xfe", "is not text in UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_at_all_is_told_in_a_sentence(
    tmp_path: Path, name: str, content: str | bytes, problem: str
) -> None:
    path = written(tmp_path, content, name)

    (said,) = problems_of(path)
    assert said.startswith((f"{path}: {problem}", f"{path}:1:12: {problem}"))


def test_what_is_told_does_not_give_prompts_and_answers_away(tmp_path: Path) -> None:
    private = "My card is 4111"
    entry = {"prompt": [private], "text": {"a": private}, "reasoning": 1, "system": private}
    paths = [
        written(tmp_path, json.dumps(entry)),
        written(tmp_path, f'{{"prompt": "{private}", "text": "{private}",', "torn.jsonl"),
        written(tmp_path, f"- prompt: x\n  text: '{private}\n", "torn.yaml"),
        written(tmp_path, f"- prompt: x\n  text: {private}: {private}\n", "colon.yaml"),
    ]
    problems = problems_of(*paths)

    assert not [problem for problem in problems if "4111" in problem]
    assert any(problem.startswith(f"{tmp_path}/colon.yaml:2:24: is not valid YAML: no colon") for problem in problems)


# --- the configuration's key ---------------------------------------------------------------------------------


def test_files_of_the_configuration_are_beside_it(tmp_path: Path) -> None:
    path = written(tmp_path, "responses: [a.jsonl, sub/b.yaml, /etc/c.yaml]", "emulator.yaml")

    assert read_config(path).responses == (tmp_path / "a.jsonl", tmp_path / "sub/b.yaml", Path("/etc/c.yaml"))


@pytest.mark.parametrize("value", ["a.jsonl", [""], [3], {"a": 1}, None])
def test_the_key_is_a_list_of_files(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"responses: must be a list of files, like `\[responses.jsonl\]`"):
        parse_config({"responses": value})


# --- an emulator with fixtures -------------------------------------------------------------------------------


def test_unmodified_clients_get_the_given_answer_whole_or_streamed(start_emulator: Any, tmp_path: Path) -> None:
    entry = {"prompt": PROMPT, "reasoning": "An order.", "text": TEXT, "output_tokens": 40, "stop_reason": "max_tokens"}
    emulator = start_emulator(config=FAST | {"responses": [str(written(tmp_path, json.dumps(entry)))]})
    bedrock = client(emulator)
    whole = bedrock.converse(**ask(PROMPT))
    events = list(bedrock.converse_stream(**ask(PROMPT))["stream"])
    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]

    thought, answer = whole["output"]["message"]["content"]
    assert thought["reasoningContent"]["reasoningText"]["text"] == "An order."
    assert answer == {"text": TEXT}
    assert (whole["stopReason"], whole["usage"]["outputTokens"]) == ("max_tokens", 40)
    assert "".join(delta.get("text", "") for delta in deltas) == TEXT
    assert "".join(delta.get("reasoningContent", {}).get("text", "") for delta in deltas) == "An order."
    assert events[-1]["metadata"]["usage"] == whole["usage"]
    assert [row["output_tokens"] for row in emulator.truth()] == [40, 40]


def test_the_system_prompt_of_a_request_is_what_a_fixture_can_ask_for(start_emulator: Any, tmp_path: Path) -> None:
    entry = {"pattern": ".", "system": "Be brief.\nBe kind.", "text": TEXT}
    emulator = start_emulator(config=FAST | {"responses": [str(written(tmp_path, json.dumps(entry)))]})
    bedrock = client(emulator)

    def said(**how: Any) -> str:
        text: str = bedrock.converse(**ask("Hello", **how))["output"]["message"]["content"][0]["text"]
        return text

    assert said(system=[{"text": "Be brief."}, {"text": "Be kind."}]) == TEXT
    assert TEXT not in (said(system=[{"text": "Be brief."}]), said())


def test_the_stats_say_how_many_answers_were_given_ones(start_emulator: Any, tmp_path: Path) -> None:
    entry = {"prompt": PROMPT, "text": TEXT}
    emulator = start_emulator(config=FAST | {"responses": [str(written(tmp_path, json.dumps(entry)))]})
    for prompt in (PROMPT, "Hello", PROMPT):
        client(emulator).converse(**ask(prompt))
    stats = emulator.stats()

    assert (stats["total"]["fixture_answers"], stats["total"]["requests"]) == (2, 3)
    assert stats["models"][NOVA]["default"]["fixture_answers"] == 2
    emulator.reset()
    assert emulator.stats()["total"]["fixture_answers"] == 0


def test_a_file_of_the_command_line_comes_before_one_of_the_configuration(tmp_path: Path) -> None:
    """Both are read: the mistakes are told in the order in which the files count."""
    config = written(tmp_path, "responses: [config.jsonl]", "emulator.yaml")
    options = ["--config", str(config), "--responses", "/no/option.jsonl", "--responses", "/no/other.jsonl"]
    done = subprocess.run(
        [sys.executable, "-m", "emulator", "--port", "0", *options],
        capture_output=True, text=True, check=False, timeout=60, cwd=PROJECT_ROOT,
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.splitlines() == [
        "emulator: the responses cannot be used:",
        "  - cannot read /no/option.jsonl: No such file or directory",
        "  - cannot read /no/other.jsonl: No such file or directory",
        f"  - cannot read {tmp_path}/config.jsonl: No such file or directory",
    ]
