"""Users over time: the traffic patterns of the closed loop, where the load is a number of users and not a rate.

A pattern has the shape that it has in the open loop, scaled so that `users` is the most there are at any moment: what
`-u` means to Locust. Numbers are whole and at least 1. Pure functions of their parameters.
"""

import bisect
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from scenarios.patterns import DEFAULT_STEPS, PATTERNS, PatternError, step_levels
from scenarios.rates import Phase, RateProfile, Segment
from scenarios.schedule import Stage

#: Patterns that a number of users can follow. The others say how many messages arrive, which users do not decide.
USER_PATTERNS = ("sustained", "ramp", "burst", "spike", "steps")

#: What a closed loop says of a pattern that it cannot follow.
NEEDS_OPEN_LOOP = "needs the open loop: give a rate instead of users"


@dataclass(frozen=True, slots=True)
class UserLevel:
    """So many users from `start_s` on, in seconds from the start of the profile."""

    start_s: float
    users: int


class UserProfile:
    """How many users there are at each moment. Times are seconds from the moment the first of them are all there."""

    def __init__(self, continuous: RateProfile) -> None:
        """`continuous` has users as its levels; between two of them the number goes up one by one."""
        self._continuous = continuous

    @cached_property
    def levels(self) -> tuple[UserLevel, ...]:
        """The steps that the number of users goes through, in order of time."""
        found: list[UserLevel] = []
        start_s = 0.0
        for segment in self._continuous.segments:
            for level in _levels(segment, start_s):
                if not found or found[-1].users != level.users:
                    found.append(level)
            start_s += segment.duration_s
        return tuple(found)

    @property
    def duration_s(self) -> float:
        """Length in seconds, warm-up included; may be infinite."""
        return self._continuous.duration_s

    @property
    def peak_users(self) -> int:
        """The most users of any moment."""
        return max(level.users for level in self.levels)

    def phases(self) -> tuple[Phase, ...]:
        """Warm-up and the pattern's phases."""
        return self._continuous.phases()

    def users_at(self, time_s: float) -> int:
        """Users at `time_s`; before the start those of the start, after the end those of the end."""
        return self.levels[max(self._index(time_s), 0)].users

    def next_change_s(self, time_s: float) -> float:
        """When the number changes next, behind `time_s`; the end where it does not."""
        later = self.levels[self._index(time_s) + 1 :]
        return later[0].start_s if later else self.duration_s

    def _index(self, time_s: float) -> int:
        return bisect.bisect_right(self.levels, time_s, key=lambda level: level.start_s) - 1

    @property
    def user_seconds(self) -> float:
        """The area under the number of users, warm-up included."""
        return self._continuous.expected_between(0.0, self.duration_s)

    def busiest(self, width_s: float) -> float:
        """User-seconds in the stretch of `width_s` seconds that has most of them."""
        starts = self._continuous.busy_windows(width_s)
        return max(self._continuous.expected_between(start, start + width_s) for start in starts)


class UserCourse:
    """What whoever starts and stops users has to do as the time of a profile passes.

    The first users come at `spawn_rate` a second; every later change happens at once. `profile_s` is the time of the
    profile, 0 until the first users are all there, and `run_s` that of the whole test, which may last `run_time_s`.
    """

    def __init__(self, profile: UserProfile, spawn_rate: float, run_time_s: float | None = None) -> None:
        self.profile = profile
        self._spawn_rate = spawn_rate
        self._run_time_s = math.inf if run_time_s is None else run_time_s
        self._users: int | None = None

    def is_over(self, profile_s: float, run_s: float) -> bool:
        """Whether the test has to end."""
        return self._left_s(profile_s, run_s) <= 0.0

    def change(self, profile_s: float) -> tuple[int, float] | None:
        """Users from now on, and how many to start or stop a second; None where the last answer still holds."""
        users = self.profile.users_at(profile_s)
        if users == self._users:
            return None
        per_second = self._spawn_rate if self._users is None else float(abs(users - self._users))
        self._users = users
        return users, per_second

    def pause_s(self, profile_s: float, run_s: float) -> float:
        """How long there is nothing to do."""
        return min(self._left_s(profile_s, run_s), self.profile.next_change_s(profile_s) - profile_s)

    def _left_s(self, profile_s: float, run_s: float) -> float:
        return min(self.profile.duration_s - profile_s, self._run_time_s - run_s)


def _levels(segment: Segment, start_s: float) -> Iterator[UserLevel]:
    """A segment's steps: the k-th user comes where the line crosses k - 1/2, so that the mean is the line's."""
    first, last = _whole(segment.start_rps), _whole(segment.end_rps)
    yield UserLevel(start_s, first)
    slope = (segment.end_rps - segment.start_rps) / segment.duration_s
    for users in range(first + 1, last + 1):
        yield UserLevel(start_s + (users - 0.5 - segment.start_rps) / slope, users)


def _whole(users: float) -> int:
    return max(1, math.floor(users + 0.5))


@dataclass(frozen=True, slots=True)
class UserPattern:
    """A pattern of users, still without their number: `steps` counts the levels of the pattern `steps`."""

    name: str = "sustained"
    spike_factor: float = 10.0
    spike_window: tuple[float, float] = (0.4, 0.6)
    steps: int = DEFAULT_STEPS

    @property
    def is_flat(self) -> bool:
        """Whether the number of users never changes."""
        return self.name == "sustained"

    def profile(self, users: int, duration_s: float, warmup_s: float = 0.0) -> UserProfile:
        """The profile with at most `users` at once, over `duration_s`, behind a warm-up at its first level.

        A burst warms up at its mean, a quarter of `users`: at its first level the warm-up would be the burst.
        PatternError for a pattern that users cannot follow or that has no end.
        """
        if self.name in PATTERNS and self.name not in USER_PATTERNS:
            raise PatternError(f"{self.name} {NEEDS_OPEN_LOOP}")
        shape = self._shape(duration_s)
        scale = users / shape.peak_rps
        segments = tuple(_scaled(segment, scale) for segment in shape.segments)
        if warmup_s > 0.0:
            warm = _whole(scale) if self.name == "burst" else _whole(segments[0].start_rps)
            segments = (Segment("warmup", warmup_s, warm, warm), *segments)
        return UserProfile(RateProfile(segments))

    def _shape(self, duration_s: float) -> RateProfile:
        """The open loop's pattern of that name, with a rate of 1."""
        levels = step_levels(1.0, self.steps)
        stage = Stage(
            self.name, 1.0, duration_s, "constant", levels_rps=levels,
            spike_factor=self.spike_factor, spike_window=self.spike_window,
        )  # fmt: skip
        shape = stage.shape()
        assert isinstance(shape, RateProfile), "users replay no trace"  # noqa: S101 - refused before
        return shape


def _scaled(segment: Segment, scale: float) -> Segment:
    """The segment in users: a level is a whole number of them, a slope goes through all numbers."""
    if segment.start_rps == segment.end_rps:
        level = _whole(segment.start_rps * scale)
        return Segment(segment.name, segment.duration_s, level, level)
    return Segment(segment.name, segment.duration_s, segment.start_rps * scale, segment.end_rps * scale)
