"""Stages one after the other, and traces, as one schedule."""

import itertools
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.dealing import Deal, Hand
from scenarios.arrivals import Arrival, Wanted, arrivals, process_named
from scenarios.patterns import PatternError, step_levels, sustained
from scenarios.rates import RateProfile
from scenarios.schedule import REPLAY_TAIL_S, Replay, Schedule, Stage, make_schedule, outline
from scenarios.trace import read_trace

patterns = st.sampled_from(["sustained", "ramp", "burst", "spike", "steps", "production"])


@st.composite
def stages(draw: st.DrawFn, process: str | None = None) -> Stage:
    rate_rps = draw(st.floats(0.1, 40.0))
    return Stage(
        pattern=draw(patterns),
        rate_rps=rate_rps,
        duration_s=draw(st.floats(0.5, 30.0)),
        process=process or draw(st.sampled_from(["constant", "poisson", "gamma"])),
        burstiness=draw(st.sampled_from([0.5, 2.0])),
        start_rps=draw(st.floats(0.0, 20.0)),
        levels_rps=step_levels(rate_rps, draw(st.integers(1, 6))),
    )


def whole(schedule: Schedule, seed: int = 1) -> list[Arrival]:
    return list(schedule.arrivals(seed))


def trace_of(folder: Path, *rows: str) -> str:
    path = folder / "trace.csv"
    path.write_text("time,query_type\n" + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return str(path)


def replay_stage(trace: str, **values: float | None) -> Stage:
    return Stage("replay", None, values.pop("duration_s", None), "poisson", trace=trace, **values)  # type: ignore[arg-type]


@given(st.lists(stages(process="constant"), min_size=1, max_size=4), st.floats(0, 8), st.floats(0, 1), st.floats(0, 1))
def test_constant_arrivals_are_the_integral_within_one_across_stages_too(
    parts: list[Stage], warmup_s: float, one: float, other: float
) -> None:
    schedule = make_schedule([Stage(**vars_of(part, burstiness=1.0)) for part in parts], warmup_s)
    start_s, end_s = sorted((one * schedule.duration_s, other * schedule.duration_s))
    count = sum(start_s <= arrival.at_s < end_s for arrival in schedule.arrivals(1))

    assert abs(count - schedule.expected_between(start_s, end_s)) <= 1.0 + 1e-6


def vars_of(stage: Stage, **changes: object) -> dict[str, object]:
    return {name: getattr(stage, name) for name in stage.__slots__} | changes


@given(st.lists(stages(), min_size=1, max_size=4), st.floats(0, 8), st.integers(0, 99))
def test_arrivals_of_stages_are_in_order_numbered_and_carry_the_phase_of_their_instant(
    parts: list[Stage], warmup_s: float, seed: int
) -> None:
    schedule = make_schedule(parts, warmup_s)
    found = whole(schedule, seed)

    assert [arrival.index for arrival in found] == list(range(len(found)))
    assert all(a.at_s <= b.at_s + 1e-9 for a, b in itertools.pairwise(found))
    for arrival in found:
        phase = next(
            (each for each in schedule.phases() if each.start_s <= arrival.at_s < each.end_s), schedule.phases()[-1]
        )
        assert arrival.phase == phase.name
    assert found == whole(schedule, seed)


@given(st.lists(stages(), min_size=1, max_size=4))
def test_stages_are_as_long_and_as_many_as_their_parts(parts: list[Stage]) -> None:
    schedule, alone = make_schedule(parts), [make_schedule([part]) for part in parts]
    edges = list(itertools.accumulate((part.duration_s for part in alone), initial=0.0))

    assert schedule.duration_s == pytest.approx(edges[-1])
    assert schedule.peak_rps == max(part.peak_rps for part in alone)
    for (start_s, end_s), part in zip(itertools.pairwise(edges), alone, strict=True):
        assert schedule.expected_between(start_s, end_s) == pytest.approx(part.expected_between(0.0, part.duration_s))
        assert len(schedule.phases()) == sum(len(each.phases()) for each in alone)


def test_stages_of_one_process_are_arrivals_of_their_profiles_joined() -> None:
    one, other = Stage("sustained", 3.0, 10.0, "poisson"), Stage("spike", 2.0, 20.0, "poisson")
    joined = RateProfile((*sustained(3.0, 10.0).segments, *make_profile(other).segments))

    expected = [(arrival.index, arrival.at_s) for arrival in arrivals(joined, process_named("poisson", 1.0), 4)]
    assert [(arrival.index, arrival.at_s) for arrival in make_schedule([one, other]).arrivals(4)] == expected


def make_profile(stage: Stage) -> RateProfile:
    shape = stage.shape()
    assert isinstance(shape, RateProfile)
    return shape


@given(st.lists(stages(), min_size=1, max_size=3), st.integers(1, 5))
def test_the_union_over_processes_is_the_schedule_of_one(parts: list[Stage], shares: int) -> None:
    schedule = make_schedule(parts, 1.0)
    dealt = [list(Hand([Deal(0.0, share, shares)]).arrivals(schedule.arrivals(3), math.inf)) for share in range(shares)]

    assert sorted(itertools.chain(*dealt), key=lambda arrival: arrival.index) == whole(schedule, 3)


def test_phases_are_named_so_that_each_belongs_to_one_stage() -> None:
    parts = [
        Stage("sustained", 1.0, 1.0, "poisson", name="calm"),
        Stage("spike", 1.0, 10.0, "poisson"),
        Stage("spike", 1.0, 10.0, "poisson", name="sale"),
        Stage("ramp", 1.0, 1.0, "poisson"),
        Stage("burst", 1.0, 1.0, "poisson"),
        Stage("sustained", 1.0, 1.0, "poisson"),
    ]

    assert [phase.name for phase in make_schedule(parts, 1.0).phases()] == [
        *("warmup", "calm"),
        *("baseline", "spike", "recovery"),
        *("sale-baseline", "sale-spike", "sale-recovery"),
        *("rise", "burst", "stage5-steady", "stage6-steady"),
    ]


@pytest.mark.parametrize(
    ("stage", "rate_rps"),
    [
        (Stage("spike", 2.0, 50.0, "poisson"), 2.0),
        (Stage("burst", 2.0, 50.0, "poisson"), 2.0),
        (Stage("production", 2.0, 50.0, "poisson"), 2.0),
        (Stage("ramp", 8.0, 50.0, "poisson"), 4.0),
        (Stage("ramp", 8.0, 50.0, "poisson", start_rps=1.0), 1.0),
        (Stage("steps", 8.0, 50.0, "poisson", levels_rps=(3.0, 8.0)), 3.0),
    ],
)
def test_one_warm_up_comes_first_at_the_rate_the_load_begins_with(stage: Stage, rate_rps: float) -> None:
    schedule = make_schedule([stage, Stage("sustained", 99.0, 1.0, "poisson")], 5.0)

    assert schedule.phases()[0].name == "warmup"
    assert schedule.expected_between(0.0, 5.0) == pytest.approx(5.0 * rate_rps)
    assert schedule.duration_s == pytest.approx(56.0)


def test_a_schedule_without_end_goes_on_and_is_the_last() -> None:
    endless = Stage("sustained", 2.0, None, "constant")

    first = [arrival.at_s for arrival in itertools.islice(make_schedule([endless]).arrivals(1), 3)]
    assert first == [0.25, 0.75, 1.25]
    assert outline([endless]).duration_s is None
    with pytest.raises(PatternError, match="Only the last stage"):
        make_schedule([endless, endless])


def test_the_busiest_minute_is_found_wherever_it_is() -> None:
    assert make_schedule([Stage("sustained", 2.0, 30.0, "poisson")]).busiest(60.0) == pytest.approx(60.0)
    assert make_schedule([Stage("sustained", 2.0, 300.0, "poisson")]).busiest(60.0) == pytest.approx(120.0)
    assert make_schedule([Stage("spike", 1.0, 300.0, "poisson")]).busiest(60.0) == pytest.approx(600.0)
    up_and_down = [Stage("ramp", 10.0, 100.0, "poisson"), Stage("ramp", 0.001, 50.0, "poisson", start_rps=10.0)]
    assert make_schedule(up_and_down).busiest(60.0) == pytest.approx(480.0, rel=1e-3)


@settings(max_examples=25)
@given(
    gaps=st.lists(st.floats(0.0, 30.0).map(lambda gap: round(gap, 3)), min_size=1, max_size=60),
    speed=st.sampled_from([0.5, 1.0, 8.0]),
    shares=st.integers(1, 4),
)
def test_a_replay_repeats_the_times_exactly_and_deals_the_whole_trace(
    tmp_path_factory: pytest.TempPathFactory, gaps: list[float], speed: float, shares: int
) -> None:
    times = list(itertools.accumulate(gaps))
    path = trace_of(tmp_path_factory.mktemp("trace"), *(f"{at!r},t{n % 3}" for n, at in enumerate(times)))
    schedule = make_schedule([replay_stage(path, trace_speed=speed)])
    found = whole(schedule)

    assert [arrival.at_s for arrival in found] == [(at - times[0]) / speed for at in times]
    assert [arrival.wanted for arrival in found] == [Wanted(f"t{n % 3}") for n in range(len(times))]
    dealt = [list(Hand([Deal(0.0, share, shares)]).arrivals(schedule.arrivals(1), math.inf)) for share in range(shares)]
    assert sorted(itertools.chain(*dealt), key=lambda arrival: arrival.index) == found
    assert found[-1].at_s < schedule.duration_s
    assert schedule.expected_between(0.0, schedule.duration_s) == len(found)
    assert schedule.busiest(schedule.duration_s) == len(found)


def test_a_replay_is_cut_by_a_duration_and_warmed_up_at_its_mean_rate(tmp_path: Path) -> None:
    trace = trace_of(tmp_path, *(f"{second},x" for second in range(100)))
    schedule = make_schedule([replay_stage(trace, duration_s=9.5)], 10.0)

    assert schedule.replays()[0].count == 10
    assert [arrival.phase for arrival in whole(schedule)].count("replay") == 10
    assert schedule.expected_between(0.0, 10.0) == pytest.approx(10 * 10 / 9.5)
    assert schedule.duration_s == pytest.approx(19.5)
    assert outline([replay_stage(trace)]).rate_rps == pytest.approx(100 / (99 + REPLAY_TAIL_S))


def test_the_rate_of_a_trace_is_that_of_its_seconds(tmp_path: Path) -> None:
    replay = Replay(read_trace(trace_of(tmp_path, "0,a", "5,a", "5.2,a", "5.9,a", "6.5,a", "9,a")))

    assert replay.peak_rps == 3.0
    assert (replay.rate_at(5.5), replay.rate_at(3.0), replay.rate_at(100.0)) == (3.0, 0.0, 0.0)
    assert make_schedule([replay_stage(replay.trace.file)]).busiest(1.6) == 4.0


@pytest.mark.parametrize("speed", [0.0, -1.0, math.inf, math.nan])
def test_a_speed_that_is_none_is_refused(tmp_path: Path, speed: float) -> None:
    with pytest.raises(PatternError, match="speed"):
        replay_stage(trace_of(tmp_path, "0,a"), trace_speed=speed).shape()
