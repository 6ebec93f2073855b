"""Quotas on a virtual clock: never more than the limit, never a refusal without need, nothing lost at settlement.

Each window is checked against its documented rule, written here once more over the whole list of what happened.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.quotas import (
    Admission,
    QuotaLimits,
    QuotaPool,
    Refusal,
    ReservationRule,
    ReservedCapacity,
    ReservedLimits,
    Window,
)

WINDOWS = list(Window)
MIDNIGHT = 1_700_006_400  # Unix seconds: a whole number of days
#: Sums of many floats differ in their last digits.
EXACT = 1e-6


@dataclass
class Call:
    """One call of a random history: when it starts, what it asks for, when it ends and with how many tokens."""

    start_s: float
    input_tokens: int
    max_tokens: int
    end_s: float
    output_tokens: int
    #: Of the input, what came from the prompt cache.
    cache_read_tokens: int = 0
    #: Whether it was turned away for want of capacity, after it had taken its share of the quota.
    is_shed: bool = False
    #: What it holds of the quota, and since when: the reservation, then what it used.
    held: list[tuple[float, float]] = field(default_factory=list)


@st.composite
def histories(draw: st.DrawFn) -> list[Call]:
    """Calls in the order in which they start, over a few minutes, crowded and spread out."""
    calls, start_s = [], float(MIDNIGHT + draw(st.integers(0, 59)))
    for _ in range(draw(st.integers(1, 25))):
        start_s += draw(st.sampled_from([0.0, 0.125, 1.0, 7.5, 30.0, 59.875, 60.0, 61.0]))
        max_tokens, input_tokens = draw(st.integers(1, 400)), draw(st.integers(1, 200))
        calls.append(
            Call(
                start_s=start_s,
                input_tokens=input_tokens,
                max_tokens=max_tokens,
                end_s=start_s + draw(st.sampled_from([0.25, 3.0, 20.0, 60.0, 90.0])),
                output_tokens=draw(st.integers(0, max_tokens)),
                cache_read_tokens=draw(st.sampled_from([0, input_tokens // 2, input_tokens])),
                is_shed=draw(st.integers(0, 9)) == 0,
            )
        )
    return calls


def held_in_minute(calls: Sequence[Call], now_s: float, limit: float) -> float:
    """`fixed_minute`: what calls that started in the clock minute of now hold."""
    return sum(call.held[-1][1] for call in calls if call.start_s // 60 == now_s // 60)


def held_in_last_60_s(calls: Sequence[Call], now_s: float, limit: float) -> float:
    """`sliding`: what calls that started less than 60 seconds ago hold."""
    return sum(call.held[-1][1] for call in calls if now_s - call.start_s < 60.0)


def missing_from_bucket(calls: Sequence[Call], now_s: float, limit: float) -> float:
    """`token_bucket`: what the bucket lacks: the most, over all moments, of taken since then minus refilled since then.

    This is the closed form of a bucket that starts full and stops at its limit.
    """
    moves: list[tuple[float, Fraction]] = []
    for call in calls:
        before = Fraction(0)
        for at_s, amount in call.held:
            moves.append((at_s, Fraction(amount) - before))
            before = Fraction(amount)
    moves.sort(key=lambda move: move[0])
    worst = Fraction(0)
    for first in range(len(moves)):
        refilled = Fraction(limit) / 60 * (Fraction(now_s) - Fraction(moves[first][0]))
        worst = max(worst, sum((amount for _, amount in moves[first:]), Fraction(0)) - refilled)
    return float(worst)


Held = Callable[[Sequence[Call], float, float], float]
HELD: dict[Window, Held] = {
    Window.FIXED_MINUTE: held_in_minute,
    Window.SLIDING: held_in_last_60_s,
    Window.TOKEN_BUCKET: missing_from_bucket,
}


def replay(calls: Sequence[Call], limits: QuotaLimits, check: Callable[[list[Call], Call, bool], None]) -> None:
    """Run a history through a pool in the order of time; `check` sees each decision and the calls accepted before."""
    pool = QuotaPool(limits)
    accepted: list[Call] = []
    open_calls: list[tuple[float, int, Call, Admission]] = []
    multiplied = limits.reservation is ReservationRule.MULTIPLIED
    for number, call in enumerate(calls):
        while open_calls and open_calls[0][0] <= call.start_s:
            settle(limits, open_calls.pop(0))
        answer = pool.admit(call.input_tokens, call.max_tokens, call.start_s)
        reserved = call.input_tokens + call.max_tokens * (limits.burndown if multiplied else 1)
        call.held = [(call.start_s, reserved)]
        check(accepted, call, isinstance(answer, Admission))
        if isinstance(answer, Admission):
            accepted.append(call)
            open_calls.append((call.end_s, number, call, answer))
            open_calls.sort(key=lambda entry: entry[:2])


def settle(limits: QuotaLimits, entry: tuple[float, int, Call, Admission]) -> None:
    end_s, _, call, admission = entry
    if call.is_shed:
        admission.give_back(end_s)
        call.held.append((end_s, 0.0))
    else:
        admission.settle(call.output_tokens, end_s, call.cache_read_tokens)
        used = call.input_tokens - call.cache_read_tokens + call.output_tokens * limits.burndown
        call.held.append((end_s, used))


@pytest.mark.parametrize("window", WINDOWS)
@given(
    calls=histories(),
    tpm=st.integers(100, 2000),
    burndown=st.sampled_from([1.0, 1.1, 5.0]),
    reservation=st.sampled_from(ReservationRule),
)
def test_tokens_are_accepted_exactly_while_they_fit(
    window: Window, calls: list[Call], tpm: int, burndown: float, reservation: ReservationRule
) -> None:
    def check(accepted: list[Call], call: Call, is_accepted: bool) -> None:
        total = HELD[window](accepted, call.start_s, tpm) + call.held[0][1]
        if is_accepted:
            assert total <= tpm + EXACT, "accepted above the quota"
        else:
            assert total > tpm - EXACT, "refused although it fits"

    replay(calls, QuotaLimits(tpm=tpm, window=window, burndown=burndown, reservation=reservation), check)


@pytest.mark.parametrize("window", WINDOWS)
@given(calls=histories(), rpm=st.integers(1, 12))
def test_requests_are_accepted_exactly_while_they_fit(window: Window, calls: list[Call], rpm: int) -> None:
    """A finished request still counts, and one that was shed: only time gives requests back."""

    def check(accepted: list[Call], call: Call, is_accepted: bool) -> None:
        requests = [Call(c.start_s, 0, 0, 0.0, 0, held=[(c.start_s, 1)]) for c in accepted]
        total = HELD[window](requests, call.start_s, rpm) + 1
        assert is_accepted == (total <= rpm + EXACT)

    replay(calls, QuotaLimits(rpm=rpm, window=window), check)


@given(calls=histories(), tpd=st.integers(100, 2000), burndown=st.sampled_from([1.0, 5.0]))
def test_the_daily_quota_accepts_exactly_while_it_fits(calls: list[Call], tpd: int, burndown: float) -> None:
    """The histories last less than a day and begin with one."""

    def check(accepted: list[Call], call: Call, is_accepted: bool) -> None:
        total = sum(earlier.held[-1][1] for earlier in accepted) + call.held[0][1]
        assert is_accepted == (total <= tpd + EXACT)

    replay(calls, QuotaLimits(tpd=tpd, burndown=burndown), check)


@given(calls=histories(), input_tpm=st.integers(50, 500), output_tpm=st.integers(50, 800))
def test_a_reservation_serves_exactly_while_both_its_parts_fit(
    calls: list[Call], input_tpm: int, output_tpm: int
) -> None:
    """Input and output tokens of a clock minute, each against its own limit; cache reads and burn-down play no part."""
    reserved = ReservedCapacity(ReservedLimits(input_tpm, output_tpm))
    running: list[tuple[float, int, Call, Admission]] = []
    used: dict[int, tuple[int, int]] = {}
    for number, call in enumerate(calls):
        while running and running[0][0] <= call.start_s:
            end_s, earlier_number, earlier, held = running.pop(0)
            held.settle(earlier.output_tokens, end_s, earlier.cache_read_tokens)
            used[earlier_number] = (earlier.input_tokens - earlier.cache_read_tokens, earlier.output_tokens)
        same_minute = [n for n in used if calls[n].start_s // 60 == call.start_s // 60]
        room = [
            sum(used[n][part] for n in same_minute) + asked <= limit
            for part, asked, limit in ((0, call.input_tokens, input_tpm), (1, call.max_tokens, output_tpm))
        ]
        held_now = reserved.admit(call.input_tokens, call.max_tokens, call.start_s)
        assert (held_now is not None) == all(room)
        if held_now is not None:
            used[number] = (call.input_tokens, call.max_tokens)
            running.append((call.end_s, number, call, held_now))
            running.sort(key=lambda entry: entry[:2])


@given(calls=histories(), tpm=st.integers(100, 2000))
def test_no_clock_minute_takes_more_reservations_than_the_quota(calls: list[Call], tpm: int) -> None:
    """Calls that never end: nothing is given back."""
    for call in calls:
        call.end_s = math.inf
    taken: dict[float, float] = {}

    def check(accepted: list[Call], call: Call, is_accepted: bool) -> None:
        minute = call.start_s // 60
        taken[minute] = taken.get(minute, 0.0) + (call.held[0][1] if is_accepted else 0.0)

    replay(calls, QuotaLimits(tpm=tpm, window=Window.FIXED_MINUTE), check)
    assert max(taken.values()) <= tpm


@pytest.mark.parametrize("window", [Window.SLIDING, Window.TOKEN_BUCKET])
@given(calls=histories(), tpm=st.integers(100, 2000))
def test_no_stretch_of_time_takes_more_than_its_share(window: Window, calls: list[Call], tpm: int) -> None:
    """Sliding: the quota in any 60 s. Bucket: the quota times 1 + t / 60 in any t seconds."""
    for call in calls:
        call.end_s = math.inf
    starts: list[tuple[float, float]] = []

    def check(accepted: list[Call], call: Call, is_accepted: bool) -> None:
        if is_accepted:
            starts.append((call.start_s, call.held[0][1]))

    replay(calls, QuotaLimits(tpm=tpm, window=window), check)
    for first, (from_s, _) in enumerate(starts):
        for last in range(first, len(starts)):
            length_s = starts[last][0] - from_s
            taken = sum(amount for _, amount in starts[first : last + 1])
            if window is Window.SLIDING:
                assert length_s >= 60.0 or taken <= tpm
            else:
                assert taken <= tpm * (1 + length_s / 60) + EXACT


@pytest.mark.parametrize("window", WINDOWS)
def test_what_was_reserved_and_not_used_comes_back_at_the_end_of_the_call(window: Window) -> None:
    pool = QuotaPool(QuotaLimits(tpm=1000, window=window))
    call = accepted(pool.admit(100, 900, MIDNIGHT))

    assert pool.admit(1, 1, MIDNIGHT) is Refusal.TPM
    call.settle(50, MIDNIGHT)  # used: 150
    assert pool.admit(1, 850, MIDNIGHT) is Refusal.TPM
    accepted(pool.admit(1, 849, MIDNIGHT))


@pytest.mark.parametrize("window", WINDOWS)
def test_an_answer_can_burn_more_than_was_reserved_and_later_calls_wait(window: Window) -> None:
    """100 + 5 x 300 = 1600 tokens of a quota of 1000, of which 400 were reserved."""
    pool = QuotaPool(QuotaLimits(tpm=1000, window=window, burndown=5.0))
    call = accepted(pool.admit(100, 300, MIDNIGHT))
    call.settle(300, MIDNIGHT + 1)

    assert pool.admit(1, 1, MIDNIGHT + 30) is Refusal.TPM
    again_at = {Window.FIXED_MINUTE: 60, Window.SLIDING: 60, Window.TOKEN_BUCKET: 37}[window]
    accepted(pool.admit(1, 1, MIDNIGHT + again_at))


def test_the_multiplied_reservation_counts_burndown_at_the_start() -> None:
    plain = QuotaLimits(tpm=1000, burndown=5.0)
    multiplied = QuotaLimits(tpm=1000, burndown=5.0, reservation=ReservationRule.MULTIPLIED)

    accepted(QuotaPool(plain).admit(100, 200, MIDNIGHT))  # 300
    assert QuotaPool(multiplied).admit(100, 200, MIDNIGHT) is Refusal.TPM  # 1100
    accepted(QuotaPool(multiplied).admit(100, 180, MIDNIGHT))  # 1000


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("reservation", list(ReservationRule))
def test_what_was_read_from_the_prompt_cache_is_reserved_and_then_free(
    window: Window, reservation: ReservationRule
) -> None:
    """600 of 700 input tokens come from the cache: reserved are 700 and the output, used 100 + 2 x 20 = 140."""
    pool = QuotaPool(QuotaLimits(tpm=1000, window=window, burndown=2.0, reservation=reservation))
    full = 150 if reservation is ReservationRule.MULTIPLIED else 300
    call = accepted(pool.admit(700, full, MIDNIGHT))
    assert pool.admit(1, 1, MIDNIGHT) is Refusal.TPM
    call.settle(20, MIDNIGHT, cache_read_tokens=600)

    factor = 2 if reservation is ReservationRule.MULTIPLIED else 1
    assert pool.admit(0, 860 // factor + 1, MIDNIGHT) is Refusal.TPM
    accepted(pool.admit(0, 860 // factor, MIDNIGHT))


@pytest.mark.parametrize("window", WINDOWS)
def test_a_call_that_is_not_served_gives_all_its_tokens_back_but_has_been_a_request(window: Window) -> None:
    pool = QuotaPool(QuotaLimits(rpm=2, tpm=100, tpd=100, window=window))
    accepted(pool.admit(60, 40, MIDNIGHT)).give_back(MIDNIGHT + 1)

    accepted(pool.admit(60, 40, MIDNIGHT + 1)).give_back(MIDNIGHT + 2)
    refused = pool.admit(1, 1, MIDNIGHT + 2)
    assert refused is Refusal.RPM


@pytest.mark.parametrize("window", [Window.FIXED_MINUTE, Window.SLIDING])
def test_a_call_that_outlives_its_window_gives_nothing_back_to_the_next(window: Window) -> None:
    pool = QuotaPool(QuotaLimits(tpm=1000, window=window))
    long_call = accepted(pool.admit(100, 900, MIDNIGHT + 10))
    accepted(pool.admit(100, 900, MIDNIGHT + 75))
    long_call.settle(0, MIDNIGHT + 80)

    assert pool.admit(1, 1, MIDNIGHT + 80) is Refusal.TPM


def test_a_clock_minute_forgets_at_its_end_and_a_sliding_one_after_60_s() -> None:
    at = MIDNIGHT + 59
    fixed, sliding = (QuotaPool(QuotaLimits(rpm=1, window=window)) for window in (Window.FIXED_MINUTE, Window.SLIDING))
    for pool in (fixed, sliding):
        accepted(pool.admit(1, 1, at))

    accepted(fixed.admit(1, 1, at + 1))
    assert sliding.admit(1, 1, at + 59.9) is Refusal.RPM
    accepted(sliding.admit(1, 1, at + 60))


def test_a_bucket_refills_evenly_and_never_above_one_minute() -> None:
    pool = QuotaPool(QuotaLimits(rpm=60, window=Window.TOKEN_BUCKET))

    def burst(at_s: float) -> int:
        return sum(isinstance(pool.admit(1, 1, at_s), Admission) for _ in range(200))

    assert [burst(MIDNIGHT + at) for at in (0, 1, 1.5, 11.5, 1000)] == [60, 1, 0, 10, 60]


@pytest.mark.parametrize("window", WINDOWS)
def test_the_daily_quota_ends_at_midnight_utc_whatever_the_window(window: Window) -> None:
    pool = QuotaPool(QuotaLimits(tpd=1000, window=window))
    accepted(pool.admit(500, 500, MIDNIGHT - 1))

    assert pool.admit(1, 1, MIDNIGHT - 0.5) is Refusal.TPD
    accepted(pool.admit(1, 999, MIDNIGHT))
    assert pool.admit(1, 1, MIDNIGHT + 86_399) is Refusal.TPD


@pytest.mark.parametrize(
    ("limits", "refusal"),
    [
        (QuotaLimits(rpm=1), Refusal.RPM),
        (QuotaLimits(tpm=30), Refusal.TPM),
        (QuotaLimits(tpd=30), Refusal.TPD),
        (QuotaLimits(rpm=1, tpm=30, tpd=30), Refusal.RPM),
        (QuotaLimits(rpm=9, tpm=30, tpd=30), Refusal.TPM),
        (QuotaLimits(rpm=9, tpm=99, tpd=30), Refusal.TPD),
    ],
)
def test_the_refusal_names_the_first_quota_without_room(limits: QuotaLimits, refusal: Refusal) -> None:
    pool = QuotaPool(limits)
    accepted(pool.admit(10, 10, MIDNIGHT))

    assert pool.admit(10, 10, MIDNIGHT) is refusal


@pytest.mark.parametrize("window", WINDOWS)
@given(refused=st.integers(1, 50))
def test_a_refused_call_takes_nothing(window: Window, refused: int) -> None:
    pool = QuotaPool(QuotaLimits(rpm=2, tpm=100, tpd=100, window=window))
    for _ in range(refused):
        assert pool.admit(100, 1, MIDNIGHT) is Refusal.TPM

    accepted(pool.admit(40, 10, MIDNIGHT))
    accepted(pool.admit(40, 10, MIDNIGHT))


@pytest.mark.parametrize("window", WINDOWS)
def test_a_fractional_burndown_leaves_no_crumbs(window: Window) -> None:
    """3 + 1.6 x 10 = 19 of 21 are used, though floats add up to a little more; the other 2 must be there."""
    pool = QuotaPool(QuotaLimits(tpm=21, window=window, burndown=1.6))
    for output_tokens in (3, 4, 3):
        accepted(pool.admit(1, 5, MIDNIGHT)).settle(output_tokens, MIDNIGHT)

    assert pool.admit(1, 2, MIDNIGHT) is Refusal.TPM
    accepted(pool.admit(1, 1, MIDNIGHT))


def test_without_limits_everything_is_accepted() -> None:
    pool = QuotaPool(QuotaLimits())

    assert all(isinstance(pool.admit(10**6, 10**6, MIDNIGHT), Admission) for _ in range(100))


def accepted(answer: Admission | Refusal) -> Admission:
    assert isinstance(answer, Admission), f"refused for {answer}"
    return answer
