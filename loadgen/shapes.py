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
from scenarios.user_profiles import UserProfile


class UserShape(LoadTestShape):
    """Follows a profile of users: the first of them at the spawn rate, every later change at once.

    Locust asks about once a second. `tick` therefore answers when the number changes and not before, so that a spike
    begins when it should.
    """

    # A shape that is not abstract is taken into use by Locust as soon as a locustfile imports it.
    abstract = True
    use_common_options = True

    def __init__(self, profile: UserProfile, spawn_rate: float, run_time_s: float | None) -> None:
        """`run_time_s` is Locust's own limit, counted from the start of the test; Locust leaves it to shapes."""
        super().__init__()
        self.profile = profile
        self._spawn_rate = spawn_rate
        self._run_time_s = math.inf if run_time_s is None else run_time_s
        self._begun_at: float | None = None
        self._is_held = False
        self._news = Event()
        self._users: int | None = None

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
            elapsed_s = 0.0 if self._begun_at is None else now() - self._begun_at
            left_s = min(self.profile.duration_s - elapsed_s, self._run_time_s - self.get_run_time())
            if left_s <= 0.0:
                return None
            users = self.profile.users_at(elapsed_s)
            if users != self._users:
                return self._change_to(users)
            self._news.clear()
            self._news.wait(min(left_s, self.profile.next_change_s(elapsed_s) - elapsed_s))
        gevent.sleep(math.inf)  # Locust ends this greenlet once the test has stopped
        return None

    def _change_to(self, users: int) -> tuple[int, float]:
        rate = self._spawn_rate if self._users is None else float(abs(users - self._users))
        self._users = users
        return users, rate


def choose_shape(
    environment: Any, options: LoadOptions, users: int, spawn_rate: float, run_time_s: float | None
) -> None:
    """Give the next test of an environment the shape of its pattern, or none where the number of users stays.

    OptionsError where there is a shape already that is somebody else's.
    """
    given = environment.shape_class
    if options.is_open_loop or options.user_pattern.is_flat:
        if isinstance(given, UserShape):
            environment.shape_class = None
        return
    if given is not None and not isinstance(given, UserShape):
        raise OptionsError(["--pattern: the locustfile has a load shape of its own; do without one of the two"])
    shape = UserShape(options.user_profile(users), spawn_rate, run_time_s)
    shape.runner = environment.runner
    environment.shape_class = shape


def shape_of(environment: Any) -> UserShape | None:
    """The shape of the environment's test, where it follows a pattern of users."""
    return environment.shape_class if isinstance(environment.shape_class, UserShape) else None
