"""Prompt caching: what is read, written and forgotten, and what a client, the quota and the log see of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.catalog import default_catalog
from emulator.caching import CacheUse, PromptCache, check_cache_points, usage
from emulator.errors import ServiceError
from emulator.model_request import CachePrefix, ModelRequest
from emulator.process import EmulatorProcess
from tests.support.families import METRICS, invoke, stream
from tests.support.sdk import FAST, NOVA, ask, client

StartEmulator = Callable[..., EmulatorProcess]

SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"
LLAMA = "meta.llama3-3-70b-instruct-v1:0"
MODELS = default_catalog().models
POINT = {"cachePoint": {"type": "default"}}
#: 1,500 words are 2,000 tokens.
LONG = "manga " * 1500
SHORT = "manga " * 600


def prefix(name: str, tokens: int = 2000, ttl_s: float = 300.0) -> CachePrefix:
    return CachePrefix(name.encode(), tokens, ttl_s)


# --- the cache -----------------------------------------------------------------------------------------------


def test_a_prefix_is_written_once_and_read_from_the_writers_first_token_on() -> None:
    cache = PromptCache(min_tokens=1024)
    first = cache.use([prefix("a")], 10.0)
    cache.write(first, available_at=11.0)

    assert (first.read_tokens, first.write_tokens) == (0, 2000)
    assert cache.use([prefix("a")], 10.9).write_tokens == 2000, "it is still being written"
    again = cache.use([prefix("a")], 11.0)
    assert (again.read_tokens, again.write_tokens) == (2000, 0)


def test_the_longest_known_prefix_is_read_and_the_rest_is_written() -> None:
    cache = PromptCache(min_tokens=1024)
    system, history, turn = prefix("s", 1100), prefix("s/h", 1500), prefix("s/h/t", 1600)
    cache.write(cache.use([system], 0.0), 0.0)
    use = cache.use([system, history, turn], 1.0)
    cache.write(use, 1.0)

    assert (use.read_tokens, use.write_tokens) == (1100, 500)
    assert cache.use([system, history], 2.0) == CacheUse(read_tokens=1500)
    assert cache.use([turn], 2.0) == CacheUse(read_tokens=1600)


@pytest.mark.parametrize("ttl_s", [300.0, 3600.0])
def test_a_prefix_lives_for_its_time_after_its_last_use(ttl_s: float) -> None:
    cache = PromptCache(min_tokens=1024)
    asked = [prefix("a", ttl_s=ttl_s)]
    cache.write(cache.use(asked, 0.0), 0.0)
    for number in range(1, 4):
        assert cache.use(asked, number * (ttl_s - 1)).read_tokens == 2000, "each use renews it"

    assert cache.use(asked, 3 * (ttl_s - 1) + ttl_s).read_tokens == 0
    assert len(cache) == 0


def test_below_the_minimum_a_cache_point_does_nothing() -> None:
    cache = PromptCache(min_tokens=1024)
    use = cache.use([prefix("a", 1023)], 0.0)
    cache.write(use, 0.0)

    assert use == CacheUse()
    assert len(cache) == 0


def test_the_cache_is_bounded_and_forgets_what_was_not_used_for_longest() -> None:
    cache = PromptCache(min_tokens=1, max_entries=3)
    for name in "abc":
        cache.write(cache.use([prefix(name)], 0.0), 0.0)
    cache.use([prefix("a")], 1.0)
    cache.write(cache.use([prefix("d")], 2.0), 2.0)

    assert len(cache) == 3
    assert [cache.use([prefix(name)], 3.0).read_tokens for name in "abcd"] == [2000, 0, 2000, 2000]


@dataclass
class Known:
    """A prefix in the plain reference: when it can be read, and all its uses."""

    available_at: float
    ttl_s: float
    uses: list[float]

    def is_readable(self, now_s: float) -> bool:
        return self.available_at <= now_s < max(self.uses) + self.ttl_s


requests_over_time = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.5, 60.0, 299.0, 300.0, 3000.0]),  # since the one before
        st.sampled_from([0.0, 1.0, 10.0]),  # until its first token
        st.lists(st.integers(0, 1), min_size=1, max_size=4),  # which of two texts each block is
        st.integers(0, 4),  # how many of its points have the long time to live
    ),
    max_size=25,
)


@given(requests_over_time)
def test_any_sequence_of_requests_reads_what_the_rules_say(requests: list[tuple[float, float, list[int], int]]) -> None:
    """Blocks of 400 tokens and a minimum of 800: prefixes share their beginnings as conversations do."""
    cache, known, now_s = PromptCache(min_tokens=800), dict[bytes, Known](), 0.0
    for pause_s, ttft_s, blocks, long_lived in requests:
        now_s += pause_s
        prefixes = [
            CachePrefix(bytes(blocks[:count]), 400 * count, 3600.0 if count <= long_lived else 300.0)
            for count in range(1, len(blocks) + 1)
        ]
        eligible = [prefix for prefix in prefixes if prefix.tokens >= 800]
        readable = [p for p in eligible if p.digest in known and known[p.digest].is_readable(now_s)]
        read_tokens = max((p.tokens for p in readable), default=0)
        use = cache.use(prefixes, now_s)
        assert use.read_tokens == read_tokens
        assert use.write_tokens == (eligible[-1].tokens - read_tokens if eligible else 0)
        for p in readable:
            known[p.digest].uses.append(now_s)
        cache.write(use, now_s + ttft_s)
        for p in eligible:
            if p.tokens > read_tokens:
                remember(known, p, now_s + ttft_s)


def remember(known: dict[bytes, Known], written: CachePrefix, available_at: float) -> None:
    entry = known.get(written.digest)
    if entry is None or max(entry.uses) + entry.ttl_s <= available_at:
        known[written.digest] = Known(available_at, written.ttl_s, [available_at])
    else:
        entry.available_at = min(entry.available_at, available_at)
        entry.ttl_s = max(entry.ttl_s, written.ttl_s)
        entry.uses.append(available_at)


# --- what is refused and what is reported --------------------------------------------------------------------


def refusal(model_id: str, prefixes: Sequence[CachePrefix], *, is_converse: bool = True) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        check_cache_points(prefixes, MODELS[model_id], is_converse=is_converse)
    return caught.value


def test_a_model_that_cannot_cache_refuses_cache_points() -> None:
    error = refusal(LLAMA, [prefix("a")])

    assert (error.code, error.status) == ("AccessDeniedException", 403)
    assert error.message.startswith("You invoked an unsupported model or your request did not allow prompt caching.")


@pytest.mark.parametrize("model_id", [SONNET, NOVA])
def test_four_cache_points_are_enough(model_id: str) -> None:
    check_cache_points([prefix(name) for name in "abcd"], MODELS[model_id], is_converse=True)
    error = refusal(model_id, [prefix(name) for name in "abcde"])

    assert (error.code, error.status) == ("ValidationException", 400)
    assert error.message == (
        "The model returned the following errors: A maximum of 4 blocks with cache_control may be provided. Found 5."
    )
    assert refusal(model_id, [prefix("a")] * 5, is_converse=False).message.startswith("A maximum of 4")


def test_only_claude_keeps_a_prefix_for_an_hour_and_the_long_lived_ones_come_first() -> None:
    check_cache_points([prefix("a", ttl_s=3600.0), prefix("b")], MODELS[SONNET], is_converse=True)

    assert refusal(NOVA, [prefix("a", ttl_s=3600.0)]).message == (
        "Extended TTL prompt caching is only supported for Anthropic models"
    )
    assert "ttl='1h' cache_control block must not come after" in (
        refusal(SONNET, [prefix("a"), prefix("b", ttl_s=3600.0)]).message
    )


@pytest.mark.parametrize(
    ("model_id", "points", "reported"),
    [(SONNET, 0, (0, 0)), (SONNET, 1, (0, 0)), (NOVA, 0, (None, None)), (NOVA, 1, (0, 0)), (LLAMA, 0, (None, None))],
)
def test_counts_of_the_cache_are_reported_as_in_recorded_answers(
    model_id: str, points: int, reported: tuple[int | None, int | None]
) -> None:
    request = ModelRequest("Hi", 20, 100, cache_prefixes=tuple(prefix("a", 10) for _ in range(points)))
    counted = usage(request, MODELS[model_id], CacheUse(), 5)

    assert (counted.cache_read_tokens, counted.cache_write_tokens) == reported
    assert (counted.input_tokens, counted.total_tokens) == (20, 25)


@given(st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 500))
def test_read_written_and_plain_tokens_add_up_to_all_that_was_sent(
    read: int, written: int, plain: int, output: int
) -> None:
    request = ModelRequest("Hi", read + written + plain, 1000, cache_prefixes=(prefix("a"),))
    use = CacheUse(read, (prefix("b", read + written),) if written else ())
    counted = usage(request, MODELS[SONNET], use, output)

    assert (counted.input_tokens, counted.cache_read_tokens, counted.cache_write_tokens) == (plain, read, written)
    assert counted.total_tokens == read + written + plain + output


# --- over HTTP -----------------------------------------------------------------------------------------------


def cached(text: str = LONG, model_id: str = NOVA, question: str = "Which one?", **extra: Any) -> dict[str, Any]:
    return ask(question, system=[{"text": text}, POINT], **extra) | {"modelId": model_id}


def counts(answer: dict[str, Any]) -> tuple[int, ...]:
    names = ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens", "outputTokens", "totalTokens")
    return tuple(answer["usage"][name] for name in names)


def test_the_second_call_with_the_same_prefix_reads_the_cache(start_emulator: StartEmulator) -> None:
    emulator = start_emulator(config=FAST)
    bedrock = client(emulator)
    first, other_id = bedrock.converse(**cached()), bedrock.converse(**cached(model_id=f"us.{NOVA}", question="And?"))
    events = bedrock.converse_stream(**cached(question="Hello there, which?"))["stream"]
    streamed = next(event["metadata"] for event in events if "metadata" in event)
    rows = emulator.truth()

    assert counts(first)[1:3] == (0, 2000)
    assert counts(other_id)[1:3] == counts(streamed)[1:3] == (2000, 0), "the cache is the model's, not the id's"
    for answer, row in zip((first, other_id, streamed), rows, strict=True):
        assert sum(counts(answer)[:4]) == counts(answer)[4]
        assert counts(answer)[:3] == (row["input_tokens"], row["cache_read_tokens"], row["cache_write_tokens"])
        assert 0 < counts(answer)[0] < 10
    total = emulator.stats()["total"]
    assert (total["cache_read_tokens"], total["cache_write_tokens"]) == (4000, 2000)


def test_another_text_a_short_prefix_and_a_reset_are_no_hits(start_emulator: StartEmulator) -> None:
    emulator = start_emulator(config=FAST)
    bedrock = client(emulator)
    bedrock.converse(**cached())

    assert counts(bedrock.converse(**cached("x " + LONG)))[1:3] == (0, 2002)
    assert counts(bedrock.converse(**cached(SHORT)))[:3] == (803, 0, 0), "800 and the question"
    assert "cacheReadInputTokens" not in bedrock.converse(**ask(LONG))["usage"]
    emulator.reset()
    assert counts(bedrock.converse(**cached()))[1:3] == (0, 2000)


def test_prefill_takes_only_a_share_of_its_time_for_what_is_read(start_emulator: StartEmulator) -> None:
    """1 ms a token, a quarter of it for what is read. `firstByteLatency` is that of the plan, not of a clock."""
    slower = {"prefill_ms_per_token": 1.0, "cache_read_share": 0.25}
    emulator = start_emulator(config=FAST | {NOVA: {"latency": slower}})
    bedrock = client(emulator)
    body = {"system": [{"text": LONG}, POINT], "messages": ask("Which one?")["messages"]}
    first_bytes_ms = [stream(bedrock, NOVA, body)[0][-1][METRICS]["firstByteLatency"] for _ in range(2)]

    assert first_bytes_ms == [20 + 2003, 20 + 3 + 500]


def test_cache_points_are_refused_over_http_in_the_services_words(start_emulator: StartEmulator) -> None:
    emulator = start_emulator(config=FAST)
    bedrock = client(emulator)
    with pytest.raises(bedrock.exceptions.AccessDeniedException, match="did not allow prompt caching"):
        bedrock.converse(**cached(model_id=LLAMA))
    many = [{"text": "a"}, POINT, {"text": "b"}, POINT, {"text": "c"}, POINT, {"text": "d"}, POINT, POINT]
    with pytest.raises(bedrock.exceptions.ValidationException, match="A maximum of 4 blocks"):
        bedrock.converse_stream(**ask(system=many))

    assert [row["status"] for row in emulator.truth()] == [403, 400]


def test_invoke_model_caches_as_converse_does(start_emulator: StartEmulator) -> None:
    emulator = start_emulator(config=FAST)
    bedrock = client(emulator)
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 20,
        "system": [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "messages": [{"role": "user", "content": "Which one?"}],
    }
    whole, headers = invoke(bedrock, SONNET, body)
    chunks, _ = stream(bedrock, SONNET, body)

    assert whole["usage"]["cache_creation_input_tokens"] == 2000
    assert headers["x-amzn-bedrock-cache-write-input-token-count"] == "2000"
    started = chunks[0]["message"]["usage"]
    assert (started["input_tokens"], started["cache_read_input_tokens"]) == (3, 2000)
    assert counts(bedrock.converse(**cached(model_id=SONNET)))[1:3] == (2000, 0)


def test_what_is_read_from_the_cache_is_reserved_but_not_charged(start_emulator: StartEmulator) -> None:
    """Of 5,000 tokens the first call uses 2,053. The others use 53 each, but reserve 2,103 while they run."""
    quota = {"tpm": 5000, "window": "sliding"}
    emulator = start_emulator(config={"default": FAST["default"] | {"quota": quota}})
    bedrock = client(emulator)
    for _ in range(17):
        bedrock.converse(**cached(inferenceConfig={"maxTokens": 100}))
    with pytest.raises(bedrock.exceptions.ThrottlingException):
        bedrock.converse(**cached("y " + LONG, inferenceConfig={"maxTokens": 100}))
