"""The prompt library: the shipped one keeps its own rules, users' files work, and bad files are explained."""

import itertools
import json
import re
import statistics

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from scenarios.prompts import (
    DEFAULT_FILE,
    SIZES,
    PromptFileError,
    PromptLibrary,
    detect_language,
    load_prompts,
)

QUERY_TYPES = (
    "product_lookup",
    "recommendation",
    "price_check",
    "japanese_query",
    "manga_summary",
    "order_status",
    "greeting",
)
#: Words for English, characters for Japanese (docs/traffic.md).
LENGTHS = {
    ("en", "small"): (3, 8),
    ("en", "medium"): (30, 50),
    ("en", "large"): (130, 175),
    ("ja", "small"): (8, 20),
    ("ja", "medium"): (30, 50),
    ("ja", "large"): (115, 160),
}
MEAN_WORDS = {"small": 5, "medium": 40, "large": 150}
THREE_SIZES = {
    "small": {"text": "What is new?", "description": "short"},
    "medium": {"text": "What is new this week in your shop?", "description": "longer"},
    "large": {"text": "Please tell me at length what is new this week in your shop.", "description": "longest"},
}

library = load_prompts(DEFAULT_FILE)


def length(prompt):
    return len(prompt.text) if prompt.language == "ja" else len(prompt.text.split())


@pytest.fixture
def write(tmp_path):
    """Writes a prompts file: text as it is, anything else as JSON."""

    def write(content, name="mine.json"):
        path = tmp_path / name
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def problems_of(path):
    with pytest.raises(PromptFileError) as caught:
        load_prompts(path)
    assert str(path) in str(caught.value)
    return caught.value.problems


# The shipped library


@pytest.mark.parametrize("prompt", library.prompts, ids=lambda prompt: prompt.id)
def test_shipped_prompts_have_the_length_of_their_size(prompt):
    shortest, longest = LENGTHS[prompt.language, prompt.size]

    assert shortest <= length(prompt) <= longest


@pytest.mark.parametrize("size", SIZES)
def test_english_prompts_have_the_promised_length_on_average(size):
    words = [length(prompt) for prompt in library.prompts if prompt.language == "en" and prompt.size == size]

    assert statistics.mean(words) == pytest.approx(MEAN_WORDS[size], rel=0.1)


@pytest.mark.parametrize(("query_type", "size"), list(itertools.product(QUERY_TYPES, SIZES)))
def test_every_query_type_has_prompts_of_every_size_and_language(query_type, size):
    prompts = library.select(size, query_type)
    languages = [prompt.language for prompt in prompts]

    assert {prompt.query_type for prompt in prompts} == {query_type}
    if query_type == "japanese_query":
        complexities = [prompt.complexity for prompt in prompts]
        assert set(languages) == {"ja"}
        assert len(prompts) >= 4
        assert complexities.count("simple") == complexities.count("complex")
    else:
        assert languages.count("en") >= 2
        assert languages.count("ja") >= 2


def test_shipped_complexities_are_those_of_the_query_types():
    complexities = {
        query_type: {prompt.complexity for prompt in library.prompts if prompt.query_type == query_type}
        for query_type in QUERY_TYPES
    }

    assert complexities == {
        "product_lookup": {"simple"},
        "recommendation": {"complex"},
        "price_check": {"simple"},
        "japanese_query": {"simple", "complex"},
        "manga_summary": {"complex"},
        "order_status": {"simple"},
        "greeting": {"simple"},
    }


def test_ids_and_texts_are_unique():
    assert len({prompt.id for prompt in library.prompts}) == len(library.prompts)
    assert len({prompt.text for prompt in library.prompts}) == len(library.prompts)


def test_stated_languages_are_those_of_the_texts():
    assert [prompt.id for prompt in library.prompts if detect_language(prompt.text) != prompt.language] == []


def test_texts_hold_no_addresses_or_phone_numbers():
    personal = re.compile(r"@|https?:|\d{2,4}-\d{2,4}-\d{3,4}|〒")

    assert [prompt.id for prompt in library.prompts if personal.search(prompt.text)] == []


def test_the_file_keeps_one_prompt_per_line():
    lines = DEFAULT_FILE.read_text(encoding="utf-8").splitlines()

    assert sum('"text":' in line for line in lines) == len(library.prompts)


def test_the_emulator_has_answers_for_every_query_type_in_both_languages():
    path = DEFAULT_FILE.parent / "emulator" / "data" / "responses.yaml"
    responses = yaml.safe_load(path.read_text(encoding="utf-8"))["responses"]

    assert set(responses) == {*QUERY_TYPES, "general", "reasoning"}
    for by_language in responses.values():
        assert set(by_language) == {"en", "ja"}
        for language, sentences in by_language.items():
            assert len(set(sentences)) == len(sentences) >= 8
            assert all(sentence.endswith("。" if language == "ja" else (".", "!")) for sentence in sentences)
            assert {detect_language(sentence) for sentence in sentences} == {language}


# A user's own file


def test_a_file_with_three_sizes_is_a_library(write):
    mine = load_prompts(write(THREE_SIZES))

    assert [(prompt.id, prompt.size, prompt.query_type) for prompt in mine.prompts] == [
        ("small", "small", None),
        ("medium", "medium", None),
        ("large", "large", None),
    ]
    assert mine.sizes == SIZES
    assert mine.query_types == ()


@pytest.mark.parametrize("query_type", [None, "greeting", "a type of my own"])
def test_default_entries_serve_every_query_type(write, query_type):
    mine = load_prompts(write(THREE_SIZES))

    assert [prompt.text for prompt in mine.select("medium", query_type)] == [THREE_SIZES["medium"]["text"]]
    assert len(mine.select(None, query_type)) == 3


def test_a_query_types_own_prompts_come_before_the_default_entries(write):
    own = [{"id": "hi", "size": "small", "text": "Hello there!"}]
    mine = load_prompts(write({**THREE_SIZES, "query_types": {"greeting": own}}))

    assert [prompt.id for prompt in mine.select("small", "greeting")] == ["hi"]
    assert [prompt.id for prompt in mine.select("large", "greeting")] == ["large"]
    assert [prompt.id for prompt in mine.select("small")] == ["small"]


def test_prompts_of_query_types_stand_in_where_no_default_entry_is(write):
    own = [{"size": "small", "text": "Hello there!"}, {"size": "small", "text": "Good morning!"}]
    mine = load_prompts(write({"query_types": {"greeting": own}}))

    assert [prompt.id for prompt in mine.select("small")] == ["greeting-1", "greeting-2"]


def test_a_size_may_have_several_default_entries(write):
    mine = load_prompts(write({"small": [{"text": "One?"}, {"text": "Two?", "id": "second"}]}))

    assert [prompt.id for prompt in mine.select("small")] == ["small-1", "second"]


def test_a_missing_size_is_named_with_what_there_is(write):
    mine = load_prompts(write({"small": {"text": "Hi."}, "medium": {"text": "Hello to you all."}}))

    with pytest.raises(PromptFileError, match="it has no large prompt; it has: small, medium"):
        mine.select("large")


def test_a_missing_query_type_is_named_with_what_there_is(write):
    mine = load_prompts(write({"query_types": {"greeting": [{"size": "small", "text": "Hi."}]}}))

    with pytest.raises(PromptFileError, match=r"no small prompt for the query type 'refund'.*query types: greeting"):
        mine.select("small", "refund")


def test_an_unknown_size_is_refused_with_a_suggestion():
    with pytest.raises(PromptFileError, match="did you mean 'medium'"):
        library.select("meduim")


def test_an_empty_library_says_so():
    with pytest.raises(PromptFileError, match="query types: none"):
        PromptLibrary("nothing.json", ()).select(None, "greeting")


def test_a_byte_order_mark_is_accepted(tmp_path):
    path = tmp_path / "windows.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(THREE_SIZES).encode())

    assert load_prompts(path).sizes == SIZES


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is new?", "en"),
        ("新刊はありますか", "ja"),
        ("『Moonlit Courier』の在庫は？", "ja"),
        ("Où est ma commande, déjà expédiée ?", None),
        ("123?", None),
    ],
)
def test_the_language_of_a_bare_text_is_guessed_or_left_open(write, text, language):
    assert load_prompts(write({"small": {"text": text}})).prompts[0].language == language


def test_a_stated_language_is_believed(write):
    entry = {"text": "Moonlit Courier?", "language": "ja", "complexity": "complex"}
    prompt = load_prompts(write({"small": entry})).prompts[0]

    assert (prompt.language, prompt.complexity) == ("ja", "complex")


@given(st.text(min_size=1).filter(str.strip))
def test_any_text_that_can_be_sent_arrives_unchanged(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("prompts") / "any.json"
    path.write_text(json.dumps({"small": {"text": text}}), encoding="ascii")

    assert load_prompts(path).prompts[0].text == text


# Files that cannot be used


GREETING = {"id": "a", "size": "small", "text": "Hello!"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"small": ', "the file is not JSON: Expecting value at line 1, column 11"),
        ("[]", "the file must hold an object with small, medium, large or query_types, not a list"),
        ("{}", "the file has no prompts: give it small, medium, large or query_types"),
        pytest.param("[" * 100_000, "the file is nested too deeply", id="nested"),
        ('{"small": {"text": "a"}, "small": {"text": "b"}}', "the key 'small' appears twice in the same object"),
        ({"small": {"text": "Hi."}, "lagre": {"text": "Hi."}}, "unknown key 'lagre'; did you mean 'large'?"),
        ({"small": {"text": "Hi."}, "schema_version": 2}, "schema_version is 2, this program reads 1"),
        ({"small": "Hi."}, "small must be an object with a text, not text"),
        ({"small": []}, "small is an empty list; leave it out or give it an entry with a text"),
        ({"small": {"description": "none"}}, "small.text is missing"),
        ({"small": {"text": "  \n"}}, "small.text is empty"),
        ({"small": {"text": 7}}, "small.text must be text"),
        ({"small": {"text": "Hi.", "langauge": "en"}}, "unknown key 'langauge' in small; did you mean 'language'?"),
        ({"small": {"text": "Hi.", "language": "de"}}, "small.language is 'de'; known: en, ja"),
        ({"small": {"text": "Hi.", "id": ""}}, "small.id must be text that is not empty"),
        (
            '{"small": {"text": "\\ud83d"}}',
            "small.text has half of a surrogate pair (\\ud800 to \\udfff), which cannot be sent",
        ),
        ({"query_types": {}}, "query_types must be an object of lists of prompts by query type, not an empty one"),
        ({"query_types": {"greeting": []}}, "query_types.greeting must be a list of at least one prompt"),
        (
            {"query_types": {"greeting": [{"text": "Hi."}]}},
            "query_types.greeting[1].size is missing; one of: small, medium, large",
        ),
        (
            {"query_types": {"greeting": [{"text": "Hi.", "size": "smal"}]}},
            "query_types.greeting[1].size is 'smal'; did you mean 'small'?",
        ),
        (
            {"query_types": {"greeting": [GREETING, GREETING]}},
            "query_types.greeting[2].id 'a' is taken by another prompt",
        ),
    ],
)
def test_a_bad_file_gets_one_clear_sentence(write, content, problem):
    assert problems_of(write(content)) == (problem,)


def test_all_problems_are_told_at_once(write):
    path = write({"smal": {}, "medium": {"text": ""}, "large": 3})
    problems = problems_of(path)

    assert problems == (
        "unknown key 'smal'; did you mean 'small'?",
        "medium.text is empty",
        "large must be an object with a text, not a number",
    )


def test_one_problem_makes_one_line(write):
    path = write({"small": {"text": ""}})

    with pytest.raises(PromptFileError) as caught:
        load_prompts(path)
    assert str(caught.value) == f"Cannot use {path} as a prompt library: small.text is empty"


def test_a_missing_file_is_named(tmp_path):
    assert problems_of(tmp_path / "nowhere.json") == ("the file cannot be read (No such file or directory)",)


def test_a_directory_is_no_file(tmp_path):
    assert problems_of(tmp_path) == ("the file cannot be read (Is a directory)",)


def test_a_file_in_another_encoding_is_named(tmp_path):
    path = tmp_path / "sjis.json"
    path.write_bytes(json.dumps({"small": {"text": "在庫はありますか"}}, ensure_ascii=False).encode("shift_jis"))

    assert problems_of(path) == ("the file is not UTF-8 text (byte 20)",)
