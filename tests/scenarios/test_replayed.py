"""Messages of a trace: what it names is sent, the rest is drawn."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.tokens import estimate_tokens
from scenarios.arrivals import Wanted
from scenarios.prompts import DEFAULT_FILE, Prompt, PromptLibrary, load_prompts
from scenarios.replayed import ReplaySampler
from scenarios.trace import Trace, TraceError, read_trace
from scenarios.traffic import MessageSampler, SinglePromptSampler, load_mix, load_routing

LIBRARY = load_prompts(DEFAULT_FILE)
MIX = load_mix("mangaassist")
LITE, PRO, MICRO = "amazon.nova-2-lite-v1:0", "amazon.nova-pro-v1:0", "amazon.nova-micro-v1:0"


def trace_of(folder: Path, *rows: str) -> Trace:
    path = folder / "trace.csv"
    path.write_text("time,query_type,prompt_id,input_tokens,output_tokens,model\n" + "".join(f"{r}\n" for r in rows))
    return read_trace(path)


def mixed(*traces: Trace, size: str | None = "small") -> ReplaySampler:
    return ReplaySampler(MessageSampler(MIX, load_routing("nova"), LIBRARY, size, 1), LIBRARY, traces)


def single(*traces: Trace, library: PromptLibrary = LIBRARY) -> ReplaySampler:
    return ReplaySampler(SinglePromptSampler(library, "medium", 1, PRO), library, traces)


def test_counts_per_query_type_are_those_of_the_trace_exactly(tmp_path: Path) -> None:
    types = ["greeting"] * 7 + ["recommendation"] * 3 + ["order_status"]
    trace = trace_of(tmp_path, *(f"{n},{query_type},,,," for n, query_type in enumerate(types)))
    sampler = mixed(trace)
    messages = [sampler.message_as(index, wanted) for index, wanted in enumerate(trace.wanted)]

    assert Counter(message.query_type for message in messages) == Counter(types)
    assert {message.model_id for message in messages if message.query_type == "recommendation"} == {PRO}
    assert {message.model_id for message in messages if message.query_type == "greeting"} == {LITE}
    assert {message.prompt_size for message in messages} == {"small"}
    assert len({message.prompt_id for message in messages if message.query_type == "greeting"}) > 1
    assert {message.max_tokens for message in messages} == {None}


@given(st.integers(1, 2000), st.integers(0, 10**6), st.sampled_from(MIX.query_types).map(lambda each: each.name))
def test_no_prompt_of_the_type_is_nearer_to_the_input_tokens(tokens: int, index: int, query_type: str) -> None:
    message = mixed().message_as(index, Wanted(query_type, input_tokens=tokens))

    distances = [
        abs(estimate_tokens(prompt.text) - tokens) for prompt in LIBRARY.prompts if prompt.query_type == query_type
    ]
    assert abs(estimate_tokens(message.text) - tokens) == min(distances)
    assert message == mixed().message_as(index, Wanted(query_type, input_tokens=tokens))


def test_a_prompt_id_chooses_the_prompt_and_with_it_type_and_route() -> None:
    prompt = next(each for each in LIBRARY.prompts if each.query_type == "recommendation" and each.size == "large")
    message = mixed().message_as(3, Wanted(prompt_id=prompt.id, input_tokens=1))

    assert (message.prompt_id, message.text, message.prompt_size) == (prompt.id, prompt.text, "large")
    assert (message.query_type, message.model_id) == ("recommendation", PRO)


def test_a_model_and_output_tokens_are_those_of_the_message() -> None:
    message = mixed().message_as(0, Wanted("greeting", output_tokens=17, model_id=MICRO))

    assert (message.model_id, message.max_tokens, message.query_type) == (MICRO, 17, "greeting")


def test_complex_queries_of_a_mixed_type_take_the_complex_route() -> None:
    sampler = mixed(size=None)
    messages = [sampler.message_as(index, Wanted("japanese_query")) for index in range(200)]

    assert {(message.complexity, message.model_id) for message in messages} == {("simple", LITE), ("complex", PRO)}


def test_what_a_trace_leaves_open_is_the_samplers_own() -> None:
    sampler = MessageSampler(MIX, load_routing("nova"), LIBRARY, None, 1)

    for index in range(50):
        assert mixed(size=None).message_as(index, Wanted()) == sampler.message(index) == mixed(size=None).message(index)


def test_a_single_model_takes_any_type_and_serves_it_with_its_own_prompts_or_the_default_ones() -> None:
    small = PromptLibrary("mine", (Prompt("m", None, "medium", "en", None, "hello there"),))

    assert single(library=small).message_as(0, Wanted("refund")).text == "hello there"
    assert single(library=small).message_as(0, Wanted("refund")).query_type == "refund"
    assert single(library=small).message_as(0, Wanted("refund", input_tokens=900)).prompt_id == "m"
    assert single().message_as(0, Wanted("greeting")).prompt_id.startswith("greeting")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("1,gretting,,,,", "the mix has no query type 'gretting'; did you mean 'greeting'?"),
        ("1,,greeting-smal-en-1,,,", "has no prompt 'greeting-smal-en-1'. Did you mean greeting-small-en-1?"),
        ("1,,,,,amazon.nova-por-v1:0", "Did you mean amazon.nova-pro-v1:0?"),
        ("1,,,,,amazon.titan-embed-text-v2:0", "titan-embed"),
    ],
)
def test_what_cannot_be_sent_is_told_with_its_line_before_anything_is(tmp_path: Path, row: str, said: str) -> None:
    trace = trace_of(tmp_path, "0,greeting,,,,", row, row)
    with pytest.raises(TraceError) as caught:
        mixed(trace)

    assert str(caught.value).startswith(f"Cannot use {trace.file}:3 as a trace: ")
    assert said in str(caught.value)
