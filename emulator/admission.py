"""From a request that has been read to the start of its answer: what pays for its tokens, and its place in the load.

    reserved    within the reservation a call is served as such, without quota or shared capacity; else as `default`
    optimized   within the quota of its own a call is served so, without the model id's quota; else as `standard`
    quota       refuses with 429
    capacity    refuses with 503, or lets wait (`emulator.capacity`)

The quota is asked first, as by the service's front door; a call for which there is then no place gives its tokens back,
but has counted as a request.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from bedrock.clock import now
from emulator import errors
from emulator.answer import ServedAs
from emulator.capacity import Capacity, Seat, Shed, Waiting
from emulator.errors import ServiceError
from emulator.http import Exchange
from emulator.ledger import Call
from emulator.model_request import ModelRequest
from emulator.model_states import ModelState
from emulator.quotas import Admission, Refusal
from emulator.schedule import Agenda
from emulator.service_options import DEFAULT_TIER, OPTIMIZED_LATENCY, RESERVED_TIER, STANDARD_LATENCY
from emulator.timing import UNCHANGED, Factors
from emulator.truth import CLIENT_GONE

_REFUSALS = {Refusal.RPM: errors.RPM_MESSAGE, Refusal.TPM: errors.TPM_MESSAGE, Refusal.TPD: errors.TPD_MESSAGE}

#: Begins an answer, given what the load does to it and when work on it begins (Unix seconds).
Start = Callable[[Factors, float], None]


def take_tokens(request: ModelRequest, served: ServedAs, state: ModelState, call: Call) -> ServedAs:
    """Take the call's tokens from what pays for them, until it is over; returns how it is served then.

    ServiceError, and nothing taken, where the quota has no room.
    """
    tokens = (request.input_tokens, request.max_tokens, now())
    if served.tier == RESERVED_TIER:
        if state.reserved is not None and _holds(call, state.reserved.admit(*tokens)):
            return served
        served = replace(served, tier=DEFAULT_TIER)
    if served.latency == OPTIMIZED_LATENCY and state.optimized_pool is not None:
        if _holds(call, state.optimized_pool.admit(*tokens)):
            return served
        served = replace(served, latency=STANDARD_LATENCY)
    if state.pool is not None:
        answer = state.pool.admit(*tokens)
        if isinstance(answer, Refusal):
            raise errors.throttled(_REFUSALS[answer])
        _holds(call, answer)
    return served


def _holds(call: Call, answer: Admission | Refusal | None) -> bool:
    """Whether there was room; what the call holds is then settled when it is over."""
    if not isinstance(answer, Admission):
        return False
    call.when_over(partial(_settle, call, answer))
    return True


def _settle(call: Call, held: Admission, generated_tokens: int, at: float) -> None:
    if call.entry.served_tier is None:  # its answer never began
        held.give_back(at)
    else:
        held.settle(generated_tokens, at, call.entry.cache_read_tokens or 0)


@dataclass(frozen=True, slots=True)
class Applicant:
    """A call that wants a place: how to start it, and how to turn it away."""

    call: Call
    exchange: Exchange
    start: Start
    turn_away: Callable[[ServiceError], None]


class Places:
    """Gives calls their place in a model's load: at once, after a wait, or not at all."""

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda
        self._queue: dict[Waiting, Callable[[Seat], None]] = {}

    def enter(self, capacity: Capacity, tier: str, applicant: Applicant) -> None:
        """Have the call started now or when it is its turn, or turned away; its place is free when it is over."""
        if tier == RESERVED_TIER:  # what is reserved is there, whatever the load
            applicant.start(UNCHANGED, applicant.exchange.started_at)
            return
        place = capacity.enter(tier, now())
        if isinstance(place, Shed):
            applicant.turn_away(errors.at_capacity(capacity.limits.message))
        elif isinstance(place, Waiting):
            self._wait(capacity, place, applicant)
        else:
            self._occupy(capacity, place, applicant.call)
            applicant.start(place.factors, applicant.exchange.started_at)

    def _occupy(self, capacity: Capacity, seat: Seat, call: Call) -> None:
        call.when_over(lambda _tokens, _at: self._call_up(capacity.leave(seat)))

    def _call_up(self, started: list[tuple[Waiting, Seat]]) -> None:
        for waiting, seat in started:
            self._queue.pop(waiting)(seat)

    def _wait(self, capacity: Capacity, waiting: Waiting, applicant: Applicant) -> None:
        call = applicant.call

        def called_up(seat: Seat) -> None:
            self._occupy(capacity, seat, call)
            # Not here and now: this happens while another call ends, which an error in this one must not disturb.
            self._agenda.at(now(), lambda: None if call.is_over else applicant.start(seat.factors, now()))

        def leave_queue(_tokens: int, _at: float) -> None:
            if capacity.give_up(waiting):
                del self._queue[waiting]

        def time_is_up() -> None:
            if waiting in self._queue:
                applicant.turn_away(errors.at_capacity(capacity.limits.message))

        self._queue[waiting] = called_up
        call.when_over(leave_queue)
        applicant.exchange.on_gone = lambda: call.end(CLIENT_GONE)
        self._agenda.at(waiting.until_s, time_is_up)
