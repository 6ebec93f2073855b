"""The load shape of a pattern of users, without a clock: profiles that began in the past have their changes due."""

import gevent
from locust import LoadTestShape
from locust.env import Environment

from argparse import Namespace
from collections.abc import Callable
from typing import Any

import pytest

from bedrock.clock import now
from loadgen.options import OPTIONS, OptionsError, read_options
from loadgen.shapes import UserShape, choose_shape, shape_of
from scenarios.user_profiles import UserPattern

SPIKE = UserPattern("spike", spike_factor=10.0).profile(50, 100.0, warmup_s=10.0)


def test_the_first_users_come_at_the_spawn_rate_and_later_changes_at_once() -> None:
    shape = UserShape(SPIKE, 3.0, None)

    assert shape.tick() == (5, 3.0)
    shape.begin(now() - 60.0)
    assert shape.tick() == (50, 45.0)
    shape.begin(now() - 80.0)
    assert shape.tick() == (5, 45.0)


def test_the_end_of_the_profile_ends_the_test() -> None:
    shape = UserShape(SPIKE, 3.0, None)
    shape.tick()
    shape.begin(now() - 110.0)

    assert shape.tick() is None


def test_locusts_own_run_time_ends_it_too_even_before_all_users_are_there() -> None:
    shape = UserShape(SPIKE, 3.0, 30.0)
    shape.tick()
    shape.start_time -= 31.0

    assert shape.tick() is None


@pytest.mark.parametrize("act", [lambda shape: shape.hold(), lambda shape: shape.begin(now())], ids=["ending", "begun"])
def test_nothing_is_asked_for_before_the_next_change_nor_while_the_test_ends(act: Callable[[UserShape], None]) -> None:
    shape = UserShape(SPIKE, 3.0, None)
    shape.tick()
    act(shape)
    asked = gevent.spawn(shape.tick)
    gevent.sleep(0)

    assert not asked.ready()
    asked.kill()


def chosen(environment: Environment, **given: Any) -> UserShape | None:
    defaults = {option.flag.removeprefix("--").replace("-", "_"): option.default for option in OPTIONS}
    choose_shape(environment, read_options(Namespace(**defaults | given)), 20, 5.0, None)
    return shape_of(environment)


def test_only_users_with_a_pattern_have_a_shape() -> None:
    environment = Environment()
    environment.create_local_runner()
    shape = chosen(environment, pattern="burst", test_duration="1m")

    assert shape is not None
    assert shape.runner is environment.runner
    assert shape.profile.peak_users == 20
    assert chosen(environment) is None
    assert chosen(environment, pattern="burst", test_duration="1m", rate="5/s") is None
    assert environment.shape_class is None


def test_a_locustfiles_own_shape_stays_and_excludes_a_pattern() -> None:
    class Own(LoadTestShape):
        def tick(self) -> None:
            return None

    environment = Environment(shape_class=Own())

    assert chosen(environment) is None
    assert isinstance(environment.shape_class, Own)
    with pytest.raises(OptionsError, match="a load shape of its own"):
        chosen(environment, pattern="ramp", test_duration="1m")


def test_locust_never_takes_the_shape_by_itself() -> None:
    assert UserShape.abstract
