"""The load shape that a pattern of users becomes, and when a test has one.

Locust drives it: it asks `tick` for the number of users, starts and stops them over all workers, and ends the test
when there is no answer left. So the counts in the web UI are those of the pattern.
"""

import gevent
from gevent.event import Event
from locust import LoadTestShape

import math
from typing import Any

from bedrock.clock import now
from loadgen.options import LoadOptions, OptionsError
from scenarios.user_profiles import UserCourse


class UserShape(LoadTestShape):
    """Follows a profile of users.

    Locust asks about once a second. `tick` therefore answers when the number changes and not before, so that a spike
    begins when it should.
    """

    # A shape that is not abstract is taken into use by Locust as soon as a locustfile imports it.
    abstract = True
    use_common_options = True

    def __init__(self, course: UserCourse) -> None:
        super().__init__()
        self._course = course
        self._begun_at: float | None = None
        self._is_held = False
        self._news = Event()

    @property
    def peak_users(self) -> int:
        """The most users there will be at once."""
        return self._course.profile.peak_users

    def begin(self, at: float) -> None:
        """The first users are all there: the profile starts at `at` (Unix seconds)."""
        self._begun_at = at
        self._news.set()

    def hold(self) -> None:
        """The test is ending: change no users any more, calls in flight are theirs."""
        self._is_held = True
        self._news.set()

    def tick(self) -> tuple[int, float] | None:
        """Users and how many to start or stop a second, as soon as they differ from before; None at the end."""
        while not self._is_held:
            profile_s = 0.0 if self._begun_at is None else now() - self._begun_at
            run_s = self.get_run_time()
            if self._course.is_over(profile_s, run_s):
                return None
            if (change := self._course.change(profile_s)) is not None:
                return change
            self._news.clear()
            self._news.wait(self._course.pause_s(profile_s, run_s))
        gevent.sleep(math.inf)  # Locust ends this greenlet once the test has stopped
        return None


def choose_shape(
    environment: Any, options: LoadOptions, users: int, spawn_rate: float, run_time_s: float | None
) -> None:
    """Give the next test of an environment the shape of its pattern, or none where the number of users stays.

    `run_time_s` is Locust's own limit (`-t`), which it leaves to shapes to keep.
    OptionsError where there is a shape already that is somebody else's.
    """
    given = environment.shape_class
    if options.is_open_loop or options.user_pattern.is_flat:
        if isinstance(given, UserShape):
            environment.shape_class = None
        return
    if given is not None and not isinstance(given, UserShape):
        raise OptionsError(["--pattern: the locustfile has a load shape of its own; do without one of the two"])
    shape = UserShape(UserCourse(options.user_profile(users), spawn_rate, run_time_s))
    shape.runner = environment.runner
    environment.shape_class = shape


def shape_of(environment: Any) -> UserShape | None:
    """The shape of the environment's test, where it follows a pattern of users."""
    return environment.shape_class if isinstance(environment.shape_class, UserShape) else None
