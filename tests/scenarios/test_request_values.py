"""Texts of flags and files that say what requests carry."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from scenarios.model import Request
from scenarios.request_values import (
    MAX_METADATA_ENTRIES,
    RequestValueError,
    check_metadata,
    check_stop_sequences,
    parse_metadata,
    parse_stop_sequences,
    read_system_prompt,
)


def test_stop_sequences_are_a_comma_list_or_json_where_spaces_and_commas_count():
    assert parse_stop_sequences("END, STOP") == ["END", "STOP"]
    assert parse_stop_sequences('["\\n\\n", "a,b"]') == ["\n\n", "a,b"]
    assert parse_stop_sequences("") == parse_stop_sequences("[]") == []


def test_metadata_are_pairs_or_json_where_commas_and_equal_signs_count():
    assert parse_metadata("team=search, run = 7") == {"team": "search", "run": "7"}
    assert parse_metadata('{"team": "a=b,c"}') == {"team": "a=b,c"}
    assert parse_metadata("empty=") == {"empty": ""}
    assert parse_metadata("") == parse_metadata("{}") == {}


@given(st.lists(st.text(min_size=1), max_size=5), st.dictionaries(st.text(min_size=1), st.text(), max_size=5))
def test_what_the_orchestrator_writes_for_locust_is_read_as_it_was(sequences, metadata):
    assert parse_stop_sequences(json.dumps(sequences)) == sequences
    assert parse_metadata(json.dumps(metadata)) == metadata


@pytest.mark.parametrize("text", ["[1]", '["a"', "[" * 100_000, '[["a"]]'])
def test_what_is_no_list_of_texts_is_refused_in_a_sentence(text):
    with pytest.raises(RequestValueError, match="it is not a list of texts"):
        parse_stop_sequences(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("team", "'team' is not an entry: write key=value"),
        ("=x", "'=x' is not an entry"),
        ("a=1,a=2", "the key 'a' is given twice"),
        ('{"a": 1}', "it is not an object of texts"),
        ('{"a"', "it is not an object of texts"),
    ],
)
def test_what_is_no_metadata_is_refused_in_a_sentence(text, sentence):
    with pytest.raises(RequestValueError, match=sentence):
        parse_metadata(text)


@pytest.mark.parametrize(
    ("sequences", "sentence"),
    [
        ([""], "at least one character"),
        (["a", "a"], "given twice"),
        ([str(number) for number in range(2501)], "Bedrock takes 2500 at most"),
    ],
)
def test_stop_sequences_that_bedrock_does_not_take_are_refused(sequences, sentence):
    with pytest.raises(RequestValueError, match=sentence):
        check_stop_sequences(sequences)


@pytest.mark.parametrize(
    "metadata",
    [{"": "x"}, {"a" * 257: "x"}, {"a": "x" * 257}, {"a": "マンガ"}, {"a!": "x"}, {"a": "x;y"}],
)
def test_metadata_outside_bedrocks_limits_are_refused(metadata):
    with pytest.raises(RequestValueError, match="256"):
        check_metadata(metadata)


def test_metadata_at_bedrocks_limits_are_taken():
    longest = {"k" * 256: "a b:_@$#=/+,.-", "empty": ""} | {str(n): "x" for n in range(MAX_METADATA_ENTRIES - 2)}

    assert check_metadata(longest) == longest
    with pytest.raises(RequestValueError, match="17 entries; Bedrock takes 16 at most"):
        check_metadata(longest | {"one": "more"})


def test_a_system_prompt_is_every_character_of_its_file_and_shows_none_of_them(tmp_path: Path):
    file = tmp_path / "clerk.txt"
    file.write_bytes(b"\xef\xbb\xbf" + "秘密 one two three\n".encode())
    prompt = read_system_prompt(file)

    assert prompt.text == "秘密 one two three\n"
    assert prompt.tokens == 7  # 2 x 1.5 + 3 / 0.75
    assert prompt.summary() == {
        "file": str(file),
        "tokens": 7,
        "sha256": hashlib.sha256(prompt.text.encode()).hexdigest(),
    }
    assert "秘密" not in f"{prompt} {prompt!r} {prompt.summary()}"


def test_a_file_without_a_system_prompt_is_refused_in_a_sentence(tmp_path: Path):
    for name, content, sentence in (
        ("absent.txt", None, "cannot be read"),
        ("empty.txt", b" \n", "is empty"),
        ("latin.txt", b"caf\xe9", "is not UTF-8 text"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(RequestValueError, match=f"{name} {sentence}"):
            read_system_prompt(tmp_path / name)
    with pytest.raises(RequestValueError, match="is not a file"):
        read_system_prompt("/dev/zero")


@pytest.mark.parametrize(
    "values",
    [
        {"cache_system": True},
        {"cache_system": "yes", "system_file": "a.txt"},
        {"latency": "optimised"},
        {"stop_sequences": "END"},
        {"stop_sequences": [""]},
        {"metadata": {"a": 1}},
        {"system": "You are a clerk"},
    ],
)
def test_a_scenario_with_a_request_that_cannot_be_is_refused(values):
    with pytest.raises(ValidationError):
        Request.model_validate(values)


def test_nothing_is_asked_for_that_a_scenario_does_not_name():
    request = Request.model_validate({})

    assert (request.system_file, request.latency, request.stop_sequences, request.metadata) == (None, None, (), {})
    assert not request.cache_system
