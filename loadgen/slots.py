"""Slots of the open loop: enough from the start, and more of them while arrivals wait for one.

A slot is a Locust user. Too few of them turn a slow service into dropped arrivals, which is the generator's fault and
not the service's; the calls that wait are measured from their intended start either way.
"""

import gevent

import itertools
import logging
import math
from collections.abc import Callable
from typing import Any

from bedrock.catalog import UnknownModelError, default_catalog
from loadgen.preparation import Preparation
from loadgen.session import Sampler
from scenarios.plan import SystemPart, mean_e2e_s, slots_for
from scenarios.sessions import ONE_SHOT, SessionSampler, SessionShape
from scenarios.traffic import Message

logger = logging.getLogger(__name__)

#: How often somebody looks whether arrivals wait.
LOOK_INTERVAL_S = 0.25
#: Without a limit of the user's: so many times the slots of the start, and never more than this.
DEFAULT_GROWTH = 10
MOST_SLOTS = 10_000
#: Messages whose expected latency is looked at; enough for the shares of the mix.
_SAMPLE = 500
#: Of a conversation without foreseeable end, as many turns are looked at.
_MOST_TURNS = 200
#: Locust warns of more users started a second by one process.
_SPAWN_RATE = 100.0


def expected_slots(preparation: Preparation) -> int | None:
    """Slots for the peak rate and the expected latency, with head-room; None where the latency cannot be guessed."""
    options = preparation.options
    samplers = list(preparation.samplers.values())
    if len(samplers) != 1 or not options.is_open_loop:
        return None
    sample, shape = _sample(samplers[0])
    try:
        e2e_s = mean_e2e_s(
            sample,
            options.max_tokens,
            default_catalog(),
            SystemPart(0 if options.system is None else options.system.tokens),
            options.service_tier,
        )
    except UnknownModelError:
        return None
    return min(slots_for(options.schedule().peak_rps * shape.lasts_s(e2e_s)), MOST_SLOTS)


def _sample(sampler: Sampler) -> tuple[list[Message], SessionShape]:
    """Messages as they will be sent, and the mean shape of the conversations that they are part of."""
    if not isinstance(sampler, SessionSampler):
        return [sampler.message(index) for index in range(_SAMPLE)], ONE_SHOT
    turns = [turn for number in range(_SAMPLE) for turn in itertools.islice(sampler.turns(number), _MOST_TURNS)]
    thinking_s = math.fsum(turn.think_time_s for turn in turns)
    return [turn.message for turn in turns], SessionShape(len(turns) / _SAMPLE, thinking_s / _SAMPLE)


def slot_limit(slots: int, asked: int) -> int:
    """Slots at most; `asked` is the user's limit, 0 for none."""
    return asked or min(DEFAULT_GROWTH * slots, max(MOST_SLOTS, slots))


def wanted(slots: int, waiting: int, limit: int) -> int:
    """Slots for that many arrivals that wait: as many more, and a quarter for those to come."""
    if waiting == 0 or slots >= limit:
        return slots
    return min(slots + max(waiting, math.ceil(slots / 4)), limit)


class SlotKeeper:
    """Adds slots to a running test."""

    def __init__(self, runner: Any, waiting: Callable[[], int], limit: int) -> None:
        self._runner = runner
        self._waiting = waiting
        self._limit = limit
        self._greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        waited = 0
        while True:
            gevent.sleep(LOOK_INTERVAL_S)
            waiting = self._waiting()
            # An arrival that waits now may have a slot in a moment; one that waited before has none to come.
            self._grow_for(min(waiting, waited))
            waited = waiting

    def _grow_for(self, waiting: int) -> None:
        slots = int(self._runner.target_user_count)
        more = wanted(slots, waiting, self._limit)
        dispatcher = self._runner._users_dispatcher  # noqa: SLF001 - two dispatches at a time would break it
        if more > slots and not (dispatcher is not None and dispatcher.dispatch_in_progress):
            logger.warning("%d arrivals wait for a slot: going from %d to %d slots", waiting, slots, more)
            self._runner.start(more, min(float(more - slots), _SPAWN_RATE * max(self._runner.worker_count, 1)))

    def stop(self) -> None:
        """The test ends."""
        self._greenlet.kill()
