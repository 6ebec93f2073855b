"""Mixes and routings as files: the shipped ones, users' own, bad ones explained, the documented examples."""

import contextlib
import io
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from bedrock.catalog import default_catalog
from scenarios.prompts import DEFAULT_FILE, SIZES, Prompt, PromptLibrary, load_prompts
from scenarios.session_files import load_sessions
from scenarios.traffic import (
    MessageSampler,
    Routing,
    absolute_routing,
    load_mix,
    load_routing,
    routing_names,
)
from scenarios.traffic_files import TrafficError

HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"

library = load_prompts(DEFAULT_FILE)
reference = load_routing("reference")

#: The smallest mix.
ONE_TYPE = {
    "prompt_sizes": {"small": "100%"},
    "query_types": {"greeting": {"share": "100%", "complexity": "simple", "route": "simple"}},
}


def default_library(*sizes):
    return PromptLibrary("mine.json", tuple(Prompt(size, None, size, None, None, f"A {size} one.") for size in sizes))


def messages(count, mix, prompts, size=None):
    sampler = MessageSampler(mix, reference, prompts, size, seed=1)
    return [sampler.message(index) for index in range(count)]


@pytest.fixture
def write(tmp_path):
    """Writes a YAML file: text as it is, anything else dumped."""

    def write(content, name="mine.yaml"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
        return path

    return write


def one_type(**changes):
    entry = {**ONE_TYPE["query_types"]["greeting"], **changes}
    return {**ONE_TYPE, "query_types": {"greeting": {key: value for key, value in entry.items() if value is not None}}}


# Routings


def test_shipped_routings_are_listed():
    assert routing_names() == ("current", "nova", "reference")


@pytest.mark.parametrize("name", routing_names())
def test_shipped_routings_name_models_of_the_catalogue(name):
    routing = load_routing(name)

    assert routing.name == name
    assert routing.description
    assert default_catalog().resolve(routing.simple).id == routing.simple
    assert default_catalog().resolve(routing.complex).id == routing.complex


def test_only_the_nova_routing_serves_every_tier():
    served = {
        name: set(default_catalog().resolve(load_routing(name).simple).tiers)
        & set(default_catalog().resolve(load_routing(name).complex).tiers)
        for name in routing_names()
    }

    assert served == {"current": {"default"}, "nova": {"default", "priority", "flex"}, "reference": {"default"}}


def test_current_models_are_not_at_the_end_of_their_life():
    current = load_routing("current")

    assert not default_catalog().resolve(current.simple).end_of_life
    assert not default_catalog().resolve(current.complex).end_of_life


def test_a_routing_may_be_a_file(write):
    path = write({"simple": "amazon.nova-micro-v1:0", "complex": "amazon.nova-premier-v1:0"}, "cheap.yaml")
    routing = load_routing(path)

    assert routing == load_routing(str(path))
    assert (routing.name, routing.simple, routing.complex) == (
        "cheap",
        "amazon.nova-micro-v1:0",
        "amazon.nova-premier-v1:0",
    )


def test_one_model_can_serve_both_roles():
    routing = Routing.single(HAIKU)

    assert (routing.name, routing.model_id("simple"), routing.model_id("complex")) == (HAIKU, HAIKU, HAIKU)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            {"simple": "amazon.nova-lit-v1:0", "complex": "amazon.nova-pro-v1:0"},
            "simple: Unknown model 'amazon.nova-lit-v1:0'. Did you mean amazon.nova-lite-v1:0?",
        ),
        (
            {"simple": "us.amazon.nova-lite-v1:0", "complex": "amazon.nova-pro-v1:0"},
            "simple is 'us.amazon.nova-lite-v1:0'; write the base id 'amazon.nova-lite-v1:0', "
            "the prefix is a region prefix",
        ),
        (
            {"simple": "amazon.nova-lite-v1:0"},
            "complex is missing; give the base id of the model that answers complex messages",
        ),
        (
            {"simple": "amazon.nova-lite-v1:0", "complex": ["amazon.nova-pro-v1:0"]},
            "complex must be text, not a list; give the base id of the model that answers complex messages",
        ),
        (
            {"simple": "amazon.nova-lite-v1:0", "complex": "amazon.nova-pro-v1:0", "simpel": "x"},
            "unknown key 'simpel'; did you mean 'simple'?",
        ),
        (
            {"simple": "amazon.nova-lite-v1:0", "complex": "amazon.nova-pro-v1:0", "schema_version": 3},
            "schema_version is 3, this program reads 1",
        ),
        (
            {"simple": "amazon.nova-lite-v1:0", "complex": "amazon.nova-pro-v1:0", "description": 3},
            "description must be text, not a number",
        ),
        ("- a\n", "the file must hold a mapping with simple, complex, not a list"),
        ("", "the file must hold a mapping with simple, complex, not nothing"),
        ("simple: [1", "is not valid YAML: the bracket of line 1 is not closed with ], or a comma is missing"),
    ],
)
def test_a_bad_routing_gets_one_clear_sentence(write, content, problem):
    path = write(content)

    with pytest.raises(TrafficError) as caught:
        load_routing(path)
    assert caught.value.problems == (problem,)
    assert str(caught.value).startswith("Cannot use ")
    assert str(path) in str(caught.value)


def test_every_fault_has_its_line_and_column_those_of_a_mix_that_conversations_name_too(write):
    write("query_types:\n  greeting: {share: 90%, complexity: simple, rout: simple}\n", "mix.yaml")
    talk = write("mix: mix.yaml\nlanguages: {en: 90%}\nthink_time: 5\nintents: {ask: {first: 100%, next: {aks: 5%}}}\n")

    with pytest.raises(TrafficError) as caught:
        load_sessions(talk)

    places = [str(fault).removeprefix(f"{talk.parent}/").split(": ")[0] for fault in caught.value.faults]
    assert places == [
        "mix.yaml:1:1",  # prompt_sizes is missing
        "mix.yaml:2:3",  # route is missing
        "mix.yaml:2:46",  # rout
        "mine.yaml:2:1",  # 90 %
        "mine.yaml:3:1",  # 5 has no unit
        "mine.yaml:4:37",  # aks
    ]


@pytest.mark.parametrize(("load", "what"), [(load_routing, "routing"), (load_mix, "mix")])
def test_an_unknown_name_is_told_what_there_is(load, what):
    with pytest.raises(TrafficError, match=f"no {what} has that name and it is no path of a YAML file; known: "):
        load("zzz")


def test_a_misspelt_name_is_told_the_right_one():
    with pytest.raises(TrafficError, match="did you mean 'reference'"):
        load_routing("refrence")
    with pytest.raises(TrafficError, match="did you mean 'mangaassist'"):
        load_mix("mangaasist")


@pytest.mark.parametrize("load", [load_routing, load_mix])
def test_files_that_cannot_be_read_are_named(load, tmp_path):
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\x80abc")

    for path, reason in [
        (tmp_path / "no.yaml", "cannot be read"),
        (tmp_path, "cannot be read"),
        (binary, "not UTF-8"),
    ]:
        with pytest.raises(TrafficError, match=f"{path.name}.*{reason}"):
            load(path)


def test_every_problem_of_a_routing_is_told_at_once(write):
    with pytest.raises(TrafficError) as caught:
        load_routing(write({"simple": "nope", "complex": 4, "other": 1}))
    assert len(caught.value.problems) == 3


# Mixes


def test_a_mix_may_be_a_file(write):
    content = {
        "description": "two kinds",
        "prompt_sizes": {"small": "75%", "large": "25%"},
        "query_types": {
            "question": {"share": 0.6, "complexity": "simple", "route": "simple"},
            "essay": {"share": "40%", "complexity": "complex", "route": "complex", "prompt_sizes": {"large": "100%"}},
        },
    }
    mix = load_mix(str(write(content, "own.yaml")))
    sent = messages(1000, mix, default_library(*SIZES))

    assert (mix.name, mix.description) == ("own", "two kinds")
    assert Counter((message.query_type, message.prompt_size) for message in sent) == {
        ("question", "small"): 450,
        ("question", "large"): 150,
        ("essay", "large"): 400,
    }


def test_a_share_of_nothing_sends_nothing(write):
    none = {"share": "0%", "complexity": "complex", "route": "complex"}
    content = one_type()
    content["query_types"]["never"] = none

    sent = messages(200, load_mix(write(content)), default_library("small"))

    assert {message.query_type for message in sent} == {"greeting"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (one_type(share="90%"), "the shares of query_types add up to 90 %, not 100 %"),
        (one_type(share="101%"), "query_types.greeting.share: '101%' is not a share: it must lie between 0% and 100%"),
        (one_type(share="much"), "query_types.greeting.share: 'much' is not a share: write 40% or 0.4"),
        (one_type(share=True), "query_types.greeting.share: True is not a share: write 40% or 0.4"),
        (one_type(share=None), "query_types.greeting.share is missing; write a share like 25%"),
        (
            one_type(share="33.333%"),
            "query_types.greeting.share is 33.333%; shares have at most two decimals of a percent",
        ),
        (one_type(complexity="hard"), "query_types.greeting.complexity is 'hard'; known: simple, complex, mixed"),
        (one_type(complexity=None), "query_types.greeting.complexity is missing; one of: simple, complex, mixed"),
        (one_type(complexity="mixed"), "query_types.greeting.complex_share is missing; write a share like 25%"),
        (one_type(complex_share="5%"), "query_types.greeting.complex_share only makes sense with complexity: mixed"),
        (one_type(route="simpel"), "query_types.greeting.route is 'simpel'; did you mean 'simple'?"),
        (one_type(route=None), "query_types.greeting.route is missing; one of: simple, complex"),
        (one_type(route=["simple"]), "query_types.greeting.route is ['simple']; did you mean 'simple'?"),
        (one_type(weight=3), "unknown key 'weight' in query_types.greeting; known: "),
        (
            one_type(languages={"jp": "100%"}),
            "unknown key 'jp' in query_types.greeting.languages; known: en, ja",
        ),
        (
            {**ONE_TYPE, "prompt_sizes": {"huge": "100%"}},
            "unknown key 'huge' in prompt_sizes; known: small, medium, large",
        ),
        (
            {**ONE_TYPE, "prompt_sizes": {"small": "50%", "large": "49.5%"}},
            "the shares of prompt_sizes add up to 99.5 %, not 100 %",
        ),
        (
            {**ONE_TYPE, "prompt_sizes": "small"},
            "prompt_sizes must be a mapping of small, medium, large to shares, not text",
        ),
        (
            {"query_types": ONE_TYPE["query_types"]},
            "prompt_sizes is missing; give small, medium and large their shares",
        ),
        (
            {**ONE_TYPE, "query_types": {"greeting": "8%"}},
            "query_types.greeting must be a mapping with share, complexity and route, not text",
        ),
        (
            {**ONE_TYPE, "query_types": {}},
            "query_types must be a mapping of at least one query type to its share and route",
        ),
        ({**ONE_TYPE, "langauges": {}}, "unknown key 'langauges'; did you mean 'languages'?"),
    ],
)
def test_a_bad_mix_gets_one_clear_sentence(write, content, problem):
    with pytest.raises(TrafficError) as caught:
        load_mix(write(content))
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(problem)


def test_the_shipped_files_explain_themselves():
    for folder in ("mixes", "routings", "conversations"):
        for path in (Path(DEFAULT_FILE).parent / "scenarios" / folder).glob("*.yaml"):
            assert path.read_text(encoding="utf-8").startswith("# ")


# The documentation

DOCUMENT = Path(DEFAULT_FILE).parent / "docs" / "traffic.md"


def examples(kind):
    """The fenced blocks of the page that are marked with this word."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("example", examples("json prompts"))
def test_the_documented_prompts_files_work(write, example):
    own = load_prompts(write(example, "own.json"))

    assert len(messages(100, load_mix("mangaassist"), own, "small")) == 100


def test_the_documented_routing_and_mix_work_together(write):
    (routing,) = map(load_routing, [write(example, "small.yaml") for example in examples("yaml routing")])
    (mix,) = map(load_mix, [write(example, "desk.yaml") for example in examples("yaml mix")])
    sampler = MessageSampler(mix, routing, library, None, 1)
    sent = Counter((message.query_type, message.model_id) for message in map(sampler.message, range(10_000)))

    assert sent == {
        ("order_status", "amazon.nova-micro-v1:0"): 6000,
        ("greeting", "amazon.nova-micro-v1:0"): 1500,
        ("refund", "amazon.nova-micro-v1:0"): 1500,
        ("refund", "amazon.nova-lite-v1:0"): 1000,
    }


def test_the_documented_program_prints_what_is_documented():
    (program,) = examples("python")
    (output,) = examples("text")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, str(DOCUMENT), "exec"), {})  # noqa: S102 - our own page

    assert printed.getvalue() == output


def test_the_documented_table_is_the_shipped_mix():
    rows = re.findall(r"^\| (\w+) \| (\d+) % \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)

    assert {name: int(percent) / 100 for name, percent in rows} == load_mix("mangaassist").shares()


def test_a_routing_file_starts_at_its_folder_and_a_shipped_name_stays_one(tmp_path):
    (tmp_path / "mine").write_text("", encoding="utf-8")

    assert absolute_routing("nova", tmp_path) == "nova"
    assert absolute_routing("novaa", tmp_path) == "novaa", "a slip of the finger, to be told as one"
    assert absolute_routing("my.yaml", tmp_path) == str(tmp_path / "my.yaml")
    assert absolute_routing("mine", tmp_path) == str(tmp_path / "mine")
    assert absolute_routing("/a/my.yaml", tmp_path) == "/a/my.yaml"
