"""Load: who starts, who waits, who is turned away and how slow it gets, on a virtual clock and over HTTP."""

import heapq
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from emulator.capacity import FLEX, PRIORITY, Capacity, CapacityLimits, Seat, Shed, Waiting
from emulator.process import EmulatorProcess
from tests.emulator.test_truth import request_bytes
from tests.support.faults import wait_for
from tests.support.sdk import FAST, NOVA, ask, client

StartEmulator = Callable[..., EmulatorProcess]
Begin = Callable[..., Any]

DEFAULT = "default"
TIERS = (PRIORITY, DEFAULT, FLEX)
limits_of_any_kind = st.builds(
    CapacityLimits,
    knee=st.none() | st.integers(1, 12),
    exponent=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    limit=st.none() | st.integers(1, 12),
    priority_share=st.sampled_from([0.0, 0.1, 0.29, 0.5, 0.99]),
    flex_share=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    flex_queue=st.integers(0, 4),
)


# --- the state machine ---------------------------------------------------------------------------------------


class AnyTraffic(RuleBasedStateMachine):
    """Calls come, end, and vanish while they wait, in any order; the rules of the documentation hold throughout."""

    seats = Bundle("seats")
    waits = Bundle("waits")

    def __init__(self) -> None:
        super().__init__()
        self.capacity: Capacity | None = None
        self.seated: dict[Seat, None] = {}
        self.queue: list[Waiting] = []
        self.now_s = 0.0

    @precondition(lambda self: self.capacity is None)
    @rule(limits=limits_of_any_kind)
    def begin(self, limits: CapacityLimits) -> None:
        self.capacity = Capacity(limits)

    def in_tier(self, tier: str) -> int:
        return sum(seat.tier == tier for seat in self.seated)

    def has_room(self, tier: str) -> bool:
        """The documented rule, written once more."""
        limits = self.limits()
        places = limits.limit if limits.limit is not None else 10**9
        if tier != PRIORITY:
            places -= int(places * limits.priority_share + 1e-9) if limits.limit is not None else 0
        if tier == FLEX and limits.knee is not None:
            others = len(self.seated) - self.in_tier(FLEX)
            if others > limits.flex_share * limits.knee or len(self.seated) >= limits.knee:
                return False
        return len(self.seated) < places

    def limits(self) -> CapacityLimits:
        assert self.capacity is not None
        return self.capacity.limits

    def expected_slow_down(self, tier: str) -> float:
        limits = self.limits()
        load = 1 + (self.in_tier(PRIORITY) if tier == PRIORITY else len(self.seated))
        return 1.0 if limits.knee is None or load <= limits.knee else (load / limits.knee) ** limits.exponent

    @precondition(lambda self: self.capacity is not None)
    @rule(target=seats, tier=st.sampled_from(TIERS))
    def come(self, tier: str) -> Any:
        assert self.capacity is not None
        self.now_s += 1.0
        room, expected = self.has_room(tier), self.expected_slow_down(tier)
        place = self.capacity.enter(tier, self.now_s)
        if room:
            assert isinstance(place, Seat)
            assert place.slow_down == pytest.approx(expected)
            self.seated[place] = None
        elif tier == FLEX and len(self.queue) < self.limits().flex_queue:
            assert isinstance(place, Waiting)
            assert place.until_s == self.now_s + self.limits().flex_wait_s
            self.queue.append(place)
        else:
            assert place is Shed.SHED, "others do not wait"
        return place

    @precondition(lambda self: self.capacity is not None)
    @rule(place=consumes(seats))
    def end(self, place: Seat | Waiting | Shed) -> None:
        """An answer ends, or a client gives up waiting."""
        assert self.capacity is not None
        if isinstance(place, Waiting):
            was_waiting = place in self.queue
            assert self.capacity.give_up(place) == was_waiting
            if was_waiting:
                self.queue.remove(place)
        elif isinstance(place, Seat):
            self.leave(place)

    @precondition(lambda self: bool(self.seated))
    @rule(number=st.integers(0, 100))
    def leave_any(self, number: int) -> None:
        self.leave(list(self.seated)[number % len(self.seated)])

    def leave(self, seat: Seat) -> None:
        assert self.capacity is not None
        was_seated = self.seated.pop(seat, "no") is None
        started = self.capacity.leave(seat)
        assert was_seated or not started, "a seat is left once"
        for waiting, new in started:
            assert waiting is self.queue.pop(0), "first come, first served"
            assert new.tier == FLEX
            assert new.slow_down == pytest.approx(self.expected_slow_down(FLEX))
            assert self.has_room(FLEX)
            self.seated[new] = None

    @precondition(lambda self: self.capacity is not None)
    @invariant()
    def the_counts_agree_and_nobody_waits_while_there_is_room(self) -> None:
        assert self.capacity is not None
        assert (self.capacity.in_flight, self.capacity.waiting) == (len(self.seated), len(self.queue))
        limit = self.limits().limit
        assert limit is None or len(self.seated) <= limit
        assert not (self.queue and self.has_room(FLEX))


TestAnyTraffic = AnyTraffic.TestCase


@given(limits_of_any_kind, st.lists(st.sampled_from(TIERS), max_size=20))
def test_priority_is_never_slower_than_default_and_never_shed_before_it(
    limits: CapacityLimits, before: list[str]
) -> None:
    def after(tier: str) -> Seat | Waiting | Shed:
        capacity = Capacity(limits)
        for earlier in before:
            capacity.enter(earlier, 0.0)
        return capacity.enter(tier, 0.0)

    priority, default, flex = (after(tier) for tier in TIERS)
    if isinstance(default, Seat):
        assert isinstance(priority, Seat)
        assert priority.slow_down <= default.slow_down
    else:
        assert not isinstance(flex, Seat), "flex does not start where default does not"


@given(st.integers(1, 30), st.integers(1, 60), st.sampled_from([0.5, 1.0, 2.0]))
def test_a_steady_crowd_gets_done_what_the_exponent_says(knee: int, users: int, exponent: float) -> None:
    """A closed loop of users, each answer one second of work: `users` answers in every `slow-down` seconds."""
    capacity = Capacity(CapacityLimits(knee=knee, exponent=exponent))
    ends: list[tuple[float, int, Seat]] = []

    def start(number: int, now_s: float) -> None:
        seat = capacity.enter(DEFAULT, now_s)
        assert isinstance(seat, Seat)
        heapq.heappush(ends, (now_s + seat.slow_down, number, seat))

    for number in range(users):
        start(number, 0.0)
    finished_s: list[float] = []
    for number in range(users, users * 6):
        now_s, _, seat = heapq.heappop(ends)
        capacity.leave(seat)
        finished_s.append(now_s)
        start(number, now_s)
    slow_down = max(1.0, users / knee) ** exponent

    for earlier, later in zip(finished_s[2 * users :], finished_s[3 * users :], strict=False):
        assert later - earlier == pytest.approx(slow_down), "so the throughput is users / slow-down"


@given(st.integers(1, 50), st.integers(0, 200))
def test_with_exponent_one_all_calls_of_a_full_house_together_get_what_the_knee_gets(knee: int, extra: int) -> None:
    """Processor sharing: calls x speed of each is constant above the knee."""
    limits = CapacityLimits(knee=knee)

    assert (knee + extra) / limits.slow_down(knee + extra) == pytest.approx(knee)
    assert limits.slow_down(knee) == 1.0


def test_a_share_of_the_places_is_kept_for_priority() -> None:
    capacity = Capacity(CapacityLimits(limit=10, priority_share=0.2, flex_queue=0))
    answers = [isinstance(capacity.enter(DEFAULT, 0.0), Seat) for _ in range(9)]

    assert answers == [True] * 8 + [False]
    assert capacity.enter(FLEX, 0.0) is Shed.SHED
    assert [isinstance(capacity.enter(PRIORITY, 0.0), Seat) for _ in range(3)] == [True, True, False]


# --- over HTTP -----------------------------------------------------------------------------------------------


def slow(**concurrency: Any) -> dict[str, Any]:
    """Answers that last until they are given up: a minute and more, after a first token at 100 ms."""
    latency = {"ttft_ms": 100, "prefill_ms_per_token": 0.0, "tokens_per_second": 100}
    no_factors = {tier: {"ttft_factor": 1, "speed_factor": 1} for tier in TIERS}
    return {"default": {"latency": latency, "output_tokens": 9000, "concurrency": concurrency, "tiers": no_factors}}


@pytest.fixture
def begin() -> Iterator[Callable[..., Any]]:
    """Begins a stream and leaves it open; nothing is closed before the test ends because nobody refers to it."""
    streams: list[Any] = []

    def start(bedrock: Any, **extra: Any) -> Any:
        streams.append(bedrock.converse_stream(**ask(**extra))["stream"])
        next(iter(streams[-1]))
        return streams[-1]

    yield start
    for stream in streams:
        stream.close()


def tier(name: str) -> dict[str, Any]:
    return {"serviceTier": {"type": name}}


def in_flight(emulator: EmulatorProcess) -> int:
    count: int = emulator.stats()["total"]["in_flight"]
    return count


def test_the_knee_shows_in_the_ttft_of_calls_that_overlap(start_emulator: StartEmulator, tmp_path: Path) -> None:
    emulator = start_emulator(config=slow(knee=2))
    bedrock = client(emulator)
    # The first event comes a decode interval before the first token, and that interval is slowed down as well.
    streams = []
    for _ in range(6):
        stream = bedrock.converse_stream(**ask())["stream"]
        assert any("contentBlockDelta" in event for event in stream)
        streams.append(stream)
    for stream in streams:
        stream.close()
    wait_for(lambda: len(emulator.truth()) == 6)
    ttft_s = [
        entry["first_token_at"] - entry["received_at"]
        for entry in sorted(emulator.truth(), key=lambda entry: entry["received_at"])
    ]

    for load, measured_s in enumerate(ttft_s, start=1):
        assert measured_s >= 0.1 * max(1.0, load / 2) - 1e-6, f"call {load} came too early"


def test_above_the_limit_the_sdk_raises_service_unavailable_and_a_place_comes_free_again(
    start_emulator: StartEmulator, begin: Begin
) -> None:
    emulator = start_emulator(config=slow(limit=2) | {NOVA: {"quota": {"rpm": 3, "window": "sliding"}}})
    bedrock = client(emulator)
    streams = [begin(bedrock), begin(bedrock)]
    with pytest.raises(bedrock.exceptions.ServiceUnavailableException) as caught:
        bedrock.converse(**ask())
    streams[0].close()
    wait_for(lambda: in_flight(emulator) == 1)

    assert caught.value.response["Error"]["Message"] == "Too many connections, please wait before trying again."
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    entry = emulator.truth()[0]
    assert (entry["outcome"], entry["status"], entry["served_tier"], entry["input_tokens"]) == (
        "overloaded", 503, None, None,
    )  # fmt: skip
    with pytest.raises(bedrock.exceptions.ThrottlingException):
        bedrock.converse(**ask())  # the call that was shed has counted as a request


def test_all_ids_of_a_model_are_one_load_and_the_wording_can_be_chosen(
    start_emulator: StartEmulator, begin: Begin
) -> None:
    emulator = start_emulator(config=slow(limit=1, wording="capacity"))
    bedrock = client(emulator)
    begin(bedrock)
    with pytest.raises(bedrock.exceptions.ServiceUnavailableException, match="Bedrock is unable to process"):
        bedrock.converse(**ask() | {"modelId": f"us.{NOVA}"})

    begin(bedrock, modelId="amazon.nova-lite-v1:0")


def test_a_shed_call_gives_its_tokens_back(start_emulator: StartEmulator, begin: Begin) -> None:
    """It had reserved 800 tokens of input and 100 of output; were any of its input charged, 600 would not fit."""
    emulator = start_emulator(config=slow(limit=1) | {NOVA: {"quota": {"tpm": 1200, "window": "sliding"}}})
    bedrock = client(emulator)
    small: dict[str, Any] = {"inferenceConfig": {"maxTokens": 100}}
    stream = begin(bedrock, **small)
    with pytest.raises(bedrock.exceptions.ServiceUnavailableException):
        bedrock.converse(**ask("manga " * 600, **small))
    stream.close()
    wait_for(lambda: in_flight(emulator) == 0)

    begin(bedrock, inferenceConfig={"maxTokens": 600})


def test_flex_is_shed_while_default_and_priority_still_start(start_emulator: StartEmulator, begin: Begin) -> None:
    emulator = start_emulator(config=slow(knee=1, flex_share=0, flex_queue=0, limit=10))
    bedrock = client(emulator)
    streams = [begin(bedrock), begin(bedrock)]
    with pytest.raises(bedrock.exceptions.ServiceUnavailableException):
        begin(bedrock, **tier("flex"))
    streams += [begin(bedrock, **tier("priority")), begin(bedrock)]

    assert in_flight(emulator) == 4


def test_flex_waits_for_the_others_and_then_starts(start_emulator: StartEmulator, begin: Begin) -> None:
    emulator = start_emulator(config=slow(knee=1, flex_share=0, flex_wait_s=60))
    bedrock = client(emulator)
    stream = begin(bedrock)
    answers: list[dict[str, Any]] = []
    flex = ask(**tier("flex"), inferenceConfig={"maxTokens": 2})
    waiting = threading.Thread(target=lambda: answers.append(client(emulator).converse(**flex)))
    waiting.start()
    wait_for(lambda: in_flight(emulator) == 2)
    stream.close()
    waiting.join(30)
    first, second = emulator.truth()

    assert first["outcome"] == "client_gone"
    assert (second["served_tier"], second["outcome"]) == ("flex", "ok")
    assert second["ended_at"] >= first["ended_at"] + 0.1, "work began when the other had ended"
    waited_s = first["ended_at"] - second["received_at"]
    assert answers[0]["metrics"]["latencyMs"] >= 1000 * (waited_s + 0.1) - 1, "the wait is part of the latency"


def test_flex_does_not_wait_for_ever(start_emulator: StartEmulator, begin: Begin) -> None:
    emulator = start_emulator(config=slow(knee=1, flex_share=0, flex_wait_s=0.2))
    bedrock = client(emulator)
    begin(bedrock)
    with pytest.raises(bedrock.exceptions.ServiceUnavailableException):
        bedrock.converse(**ask(**tier("flex")))
    (entry,) = emulator.truth()

    assert entry["ended_at"] - entry["received_at"] >= 0.2 - 1e-6
    assert (entry["requested_tier"], entry["served_tier"], entry["outcome"]) == ("flex", None, "overloaded")


def test_a_client_that_vanishes_from_the_queue_takes_nothing_with_it(
    start_emulator: StartEmulator, begin: Begin
) -> None:
    config = slow(knee=1, flex_share=0, flex_queue=1, flex_wait_s=60)
    emulator = start_emulator(config=config | {NOVA: {"quota": {"tpm": 1500, "window": "sliding"}}})
    bedrock = client(emulator)
    first = begin(bedrock, inferenceConfig={"maxTokens": 500})
    body = {"messages": ask()["messages"], **tier("flex"), "inferenceConfig": {"maxTokens": 900}}
    host, port = emulator.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(request_bytes(f"/model/{NOVA}/converse", body))
        wait_for(lambda: in_flight(emulator) == 2)
    wait_for(emulator.truth)
    (entry,) = emulator.truth()
    first.close()
    wait_for(lambda: in_flight(emulator) == 0)

    assert entry["outcome"] == "client_gone"
    assert (entry["served_tier"], entry["input_tokens"], entry["output_tokens"]) == (None, None, None)
    begin(bedrock, **tier("flex"), inferenceConfig={"maxTokens": 900})


def test_a_reset_forgets_no_call_in_flight(start_emulator: StartEmulator, begin: Begin) -> None:
    emulator = start_emulator(config=slow(limit=1))
    bedrock = client(emulator)
    stream = begin(bedrock)
    emulator.reset()
    with pytest.raises(bedrock.exceptions.ServiceUnavailableException):
        bedrock.converse(**ask())
    stream.close()
    wait_for(lambda: in_flight(emulator) == 0)

    begin(bedrock)


def test_without_concurrency_load_changes_nothing(start_emulator: StartEmulator) -> None:
    emulator = start_emulator(config=FAST)
    bedrock = client(emulator)
    streams = [bedrock.converse_stream(**ask(**tier("flex")))["stream"] for _ in range(5)]

    assert all(any("metadata" in event for event in stream) for stream in streams)
