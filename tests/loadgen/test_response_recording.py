"""Keeping what models said: one answer to each prompt, for the emulator to repeat, and for nobody else to read."""

import json
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.catalog import default_catalog
from bedrock.client import BedrockClient, make_transport
from bedrock.endpoint import Endpoint
from bedrock.invocation import Exchange, Invocation, InvocationRecord
from bedrock.outcome import Outcome
from bedrock.transcript import Transcript
from emulator.fixture_files import read_fixtures
from emulator.fixtures import Fixture
from emulator.model_request import ModelRequest
from loadgen.line_files import LineFile
from loadgen.response_recording import ResponseRecorder
from tests.support.locust_process import LocustProcess
from tests.support.sdk import FAST

NOVA = "amazon.nova-pro-v1:0"

texts = st.text(min_size=1, max_size=60).filter(lambda text: text.strip() != "")


class FileRecorder(ResponseRecorder):
    """Writes where a session on the results directory's own machine does."""

    def __init__(self, path: Path) -> None:
        super().__init__(LineFile(path, is_private=True))
        self.path = path


def asked(prompt: str = "Hello", model_id: str = f"us.{NOVA}", system: str | None = None) -> Invocation:
    return Invocation("converse_stream", model_id, prompt, 100, system=system)


def record(outcome: Outcome = Outcome.OK, stop_reason: str | None = "end_turn", tokens: int | None = 7) -> Any:
    return InvocationRecord(
        "run", "cell", "local", 0, "m", outcome=outcome, stop_reason=stop_reason, output_tokens=tokens
    )


def answer(text: str = "Hi!", reasoning: str = "") -> Transcript:
    transcript = Transcript()
    transcript.add_text(text)
    transcript.add_reasoning(reasoning)
    return transcript


def lines_of(*paths: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").split("\n") if line]


@pytest.fixture
def recorder(tmp_path: Path) -> FileRecorder:
    return FileRecorder(tmp_path / "cells" / "a" / "responses-local.jsonl")


def test_an_answer_that_comes_of_a_conversation_is_not_kept(recorder: FileRecorder) -> None:
    later = replace(asked(), history=(Exchange("Hello?", "Hi."),))

    assert recorder.transcript_for(later) is None
    assert recorder.transcript_for(asked()) is not None


def test_an_answer_is_in_the_file_as_soon_as_it_is_kept(recorder: FileRecorder) -> None:
    recorder.keep(asked("漫画は？", system="Be brief."), record(), answer("はい。", "hmm"))

    assert "漫画は？" in recorder.path.read_text(encoding="utf-8"), "people can read it"
    assert lines_of(recorder.path) == [
        {
            "schema_version": 1,
            "model": NOVA,
            "system": "Be brief.",
            "prompt": "漫画は？",
            "text": "はい。",
            "reasoning": "hmm",
            "stop_reason": "end_turn",
            "output_tokens": 7,
        }
    ]


invocations = st.builds(asked, texts, system=st.none() | texts)
stop_reasons = st.sampled_from(["end_turn", "stop", "FINISH", "max_tokens", "length", "LENGTH"])
records = st.builds(record, stop_reason=stop_reasons, tokens=st.none() | st.integers(0, 9999))


@given(invocations, records, texts, st.just("") | texts)
def test_the_emulator_reads_every_line_and_finds_the_answer_again(
    tmp_path_factory: pytest.TempPathFactory, invocation: Invocation, call: InvocationRecord, text: str, reasoning: str
) -> None:
    recorder = FileRecorder(tmp_path_factory.mktemp("r") / "responses.jsonl")
    recorder.keep(invocation, call, answer(text, reasoning))
    recorder.close()
    fixtures = read_fixtures([recorder.path], default_catalog())
    request = ModelRequest(prompt=invocation.prompt, input_tokens=1, max_tokens=9, system=invocation.system)
    found = fixtures.find(f"eu.{NOVA}", request)

    is_cut = call.stop_reason in ("max_tokens", "length", "LENGTH")
    assert found is not None, "under another inference profile too"
    assert (found.text, found.reasoning) == (text, reasoning or None)
    assert found.stop_reason == ("max_tokens" if is_cut else "end_turn")
    assert found.output_tokens in (call.output_tokens, None)


@pytest.mark.parametrize("lone", ["\ud83d", "a\udc00b"])
def test_half_a_surrogate_pair_in_a_prompt_does_not_spoil_the_file(recorder: FileRecorder, lone: str) -> None:
    recorder.keep(asked(lone), record(), answer())
    fixtures = read_fixtures([recorder.path], default_catalog())

    assert isinstance(fixtures.find(NOVA, ModelRequest(prompt=lone, input_tokens=1, max_tokens=9)), Fixture)


def test_the_first_answer_to_a_prompt_is_kept_and_no_second_one_is_collected(recorder: FileRecorder) -> None:
    first, other = asked(), asked("Bye")
    assert recorder.transcript_for(first) is not None
    recorder.keep(first, record(), answer("one"))
    recorder.keep(asked(model_id=f"eu.{NOVA}"), record(), answer("two"))
    recorder.keep(other, record(), answer("three"))

    assert [line["text"] for line in lines_of(recorder.path)] == ["one", "three"]
    assert recorder.transcript_for(first) is None
    assert recorder.transcript_for(asked(system="Be brief.")) is not None
    assert recorder.transcript_for(asked(model_id="amazon.nova-lite-v1:0")) is not None


@pytest.mark.parametrize(
    "kept_not",
    [
        (record(outcome), answer())
        for outcome in (Outcome.THROTTLED, Outcome.TRUNCATED, Outcome.ABORTED, Outcome.STREAM_ERROR, Outcome.TIMEOUT)
    ]
    + [(record(stop_reason=reason), answer()) for reason in ("guardrail_intervened", "tool_use", "stop_sequence", None)]
    + [(record(), answer("")), (record(), answer(" \n", "only thought"))],
    ids=lambda case: f"{case[0].outcome}/{case[0].stop_reason}/{case[1].text!r}",
)
def test_only_whole_answers_that_can_be_repeated_are_kept(recorder: FileRecorder, kept_not: Any) -> None:
    recorder.keep(asked(), *kept_not)
    assert lines_of(recorder.path) == []

    recorder.keep(asked(), record(), answer("at last"))
    assert [line["text"] for line in lines_of(recorder.path)] == ["at last"]


def test_nobody_else_may_read_the_file_whatever_its_permissions_were(tmp_path: Path) -> None:
    new, old = tmp_path / "new.jsonl", tmp_path / "old.jsonl"
    old.write_text("{}\n", encoding="utf-8")
    old.chmod(0o664)
    mask = os.umask(0)
    try:
        for path in (new, old):
            FileRecorder(path).close()
    finally:
        os.umask(mask)

    assert [stat.S_IMODE(path.stat().st_mode) for path in (new, old)] == [0o600, 0o600]
    assert old.read_text(encoding="utf-8") == "{}\n", "an earlier file is added to"


# --- a real run ----------------------------------------------------------------------------------------------

LOAD = ("-u", "4", "-r", "4", "--think-time", "0s-0.05s", "--routing", "nova", "--test-duration", "2s")
#: Long enough for some answers to be cut by --max-tokens, and some not.
TALKATIVE = {"default": FAST["default"] | {"output_tokens": {"distribution": "lognormal", "median": 60, "sigma": 0.5}}}


@pytest.mark.e2e
def test_an_emulator_repeats_what_was_recorded_from_another_one(start_emulator: Any, tmp_path: Path) -> None:
    original = start_emulator(config=TALKATIVE, seed=3)
    locust = LocustProcess(
        "mangaassist", original.url, tmp_path, *LOAD, "--max-tokens", "70", "--processes", "2", "--record-responses"
    )
    output = locust.finish()
    paths = sorted(tmp_path.glob("cells/*/responses-*.jsonl"))
    recorded = {(line["model"], line["prompt"]): line for line in reversed(lines_of(*paths))}

    assert locust.process.returncode == 0, output
    assert [path.name for path in paths] == ["responses-worker-0.jsonl", "responses-worker-1.jsonl"]
    assert f"Prompts and answers are written to {paths[0]}" in output
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    assert {line["stop_reason"] for line in recorded.values()} == {"end_turn", "max_tokens"}

    calls = "".join(path.read_text(encoding="utf-8") for path in tmp_path.glob("cells/*/requests-*.jsonl"))
    assert not [line for line in recorded.values() if line["prompt"] in calls or line["text"] in calls]

    copy = start_emulator(config=FAST | {"responses": list(map(str, paths))}, seed=99)
    clients = [
        BedrockClient(make_transport("boto3", Endpoint("us-east-1", url), pool_size=1, read_timeout_s=30))
        for url in (copy.url, original.url)
    ]
    for (model_id, prompt), line in recorded.items():
        replayed, again = (call(client, model_id, prompt) for client in clients)
        made, transcript = replayed
        assert (transcript.text, made.stop_reason) == (line["text"], line["stop_reason"])
        assert made.output_tokens == line["output_tokens"]
        assert made.input_tokens == again[0].input_tokens
    assert copy.stats()["total"]["fixture_answers"] == len(recorded)


def call(client: BedrockClient, model_id: str, prompt: str) -> tuple[InvocationRecord, Transcript]:
    made, transcript = InvocationRecord("run", "cell", "local", 0, "m"), Transcript()
    client.invoke(Invocation("converse_stream", f"us.{model_id}", prompt, 70), made, transcript)
    assert made.outcome is Outcome.OK
    return made, transcript


@pytest.mark.e2e
def test_nothing_is_recorded_unless_asked_for(start_emulator: Any, tmp_path: Path) -> None:
    emulator = start_emulator(config=FAST)
    locust = LocustProcess("mangaassist", emulator.url, tmp_path, *LOAD)
    output = locust.finish()

    assert locust.process.returncode == 0, output
    assert locust.records()
    assert not list(tmp_path.rglob("responses-*"))
    assert "Prompts and answers" not in output
