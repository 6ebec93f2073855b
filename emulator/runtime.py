"""What happens to a request: read, admitted or refused, composed, planned, answered."""

import contextlib
import random
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bedrock.catalog import profile_id, split_model_id
from bedrock.clock import now
from bedrock.outcome import classify_http_error
from emulator import errors
from emulator.admission import Applicant, Places, take_tokens
from emulator.answer import ServedAs, Usage
from emulator.auth import caller_region, make_authenticator
from emulator.body_checks import decode_body
from emulator.caching import CacheUse, check_cache_points, usage
from emulator.composition import compose
from emulator.config import EmulatorConfig
from emulator.count_tokens import count_tokens
from emulator.delivery import Outbox
from emulator.dialect import Dialect
from emulator.dialects import Dialects
from emulator.errors import ServiceError
from emulator.fault_delivery import answered_by, delivery_under
from emulator.faults import FaultBook, Hit, Traits
from emulator.http import Exchange
from emulator.ledger import Call, Ledger
from emulator.model_request import Asked, ModelRequest
from emulator.model_states import ModelState, ModelStates
from emulator.operations import Operation, is_provisioned, route
from emulator.schedule import Agenda
from emulator.service_options import DEFAULT_TIER, OPTIMIZED_LATENCY, check_latency, check_tier
from emulator.stats import UNKNOWN
from emulator.streaming import Script, StreamedAnswer, WholeAnswer
from emulator.text import ResponseLibrary
from emulator.timing import DrawStreams, Factors, Profile, plan_answer

_ERROR_TYPE_SUFFIX = ":http://internal.amazon.com/coral/com.amazon.bedrock/"


@dataclass(frozen=True, slots=True)
class Job:
    """A request on its way through the runtime."""

    exchange: Exchange
    call: Call
    operation: Operation
    dialect: Dialect
    served: ServedAs
    request: ModelRequest
    state: ModelState
    #: The fault that has hit it, if one has.
    hit: Hit | None


class Runtime:
    """Answers the operations of the Bedrock runtime."""

    def __init__(
        self, config: EmulatorConfig, library: ResponseLibrary, agenda: Agenda, ledger: Ledger, seed: int
    ) -> None:
        self._config = config
        self._library = library
        self._agenda = agenda
        self._outbox = Outbox(agenda)
        self._ledger = ledger
        self._seed = seed
        self._authenticator = make_authenticator(config.auth)
        self._draws = DrawStreams(seed)
        self._dialects = Dialects(random.Random(f"{seed}/padding"))
        self._states = ModelStates(config)
        self._places = Places(agenda)
        self.faults = FaultBook(config.faults, seed, now())

    def handle(self, exchange: Exchange) -> None:
        """Answer one request, now or when it is due."""
        call = self._ledger.open(exchange)
        self._guarded(exchange, call, lambda: self._start(exchange, call))

    def abandoned(self, exchange: Exchange, outcome: str) -> None:
        """Write down a request whose turn never came, because its connection has ended."""
        call = self._ledger.open(exchange)
        with contextlib.suppress(ServiceError):
            operation, model_id = route(exchange.request)
            call.concerns(operation, model_id, None)
        call.end(outcome)

    def reset(self) -> None:
        """Fill all quotas and begin the random numbers and the fault rules again; answers under way go on."""
        self._draws.restart()
        self.faults.reset(now())
        self._states.reset()

    def _guarded(self, exchange: Exchange, call: Call, step: Callable[[], None]) -> None:
        """Take a step with a call; if it fails, the call is answered with the error."""
        try:
            step()
        except ServiceError as error:
            refuse(exchange, call, error)
        except Exception:  # noqa: BLE001 - a bug here must not leave a client waiting and the log without a line
            traceback.print_exc(file=sys.stderr)
            refuse(exchange, call, errors.internal())

    def _start(self, exchange: Exchange, call: Call) -> None:
        operation, model_id = route(exchange.request)
        call.concerns(operation, model_id, None)
        self._authenticator.check(exchange.request)
        if operation is Operation.COUNT_TOKENS:
            self._count(exchange, call, model_id)
            return
        job = self._read(exchange, call, operation, model_id)
        if job.hit is not None and answered_by(job.hit, exchange, call, self._agenda, refuse):
            return
        try:
            served = take_tokens(job.request, job.served, job.state, call)
        except ServiceError as error:
            _turn_away(job, error)
            return

        def start(load: Factors, started_at: float) -> None:
            self._guarded(exchange, call, lambda: self._answer(job, served, load, started_at))

        applicant = Applicant(call, exchange, start, partial(_turn_away, job))
        self._places.enter(job.state.capacity, served.tier, applicant)

    def _count(self, exchange: Exchange, call: Call, model_id: str) -> None:
        """Answer CountTokens: at once, without a quota, and nothing is billed."""
        known_id = self._config.aliases.get(model_id, model_id)
        model = self._config.catalog.find(known_id)
        call.count_under(_key(known_id) if model else UNKNOWN, None)
        if model is None:
            raise errors.unknown_model()
        asked = Asked(model, known_id, exchange.request.headers, decode_body(exchange.request.body))
        tokens = count_tokens(asked, self._dialects)
        call.entry.input_tokens = tokens
        hit = self._hit(exchange, call, Operation.COUNT_TOKENS, known_id, None)
        if hit is not None and answered_by(hit, exchange, call, self._agenda, refuse):
            return
        delivery = delivery_under(hit, self._agenda)(exchange, call, lambda: 0, self._outbox, is_streamed=False)

        def answer() -> None:
            delivery.whole((), {"inputTokens": tokens}, None)

        if hit is None:
            answer()
        else:
            self._agenda.at(exchange.started_at + hit.delay_s, answer)

    def _read(self, exchange: Exchange, call: Call, operation: Operation, model_id: str) -> Job:
        known_id = self._config.aliases.get(model_id, model_id)
        model = self._config.catalog.find(known_id)
        key = _key(known_id) if model else UNKNOWN
        tier: str | None = None
        try:
            if model is None:
                raise errors.unknown_model()
            dialect = self._dialects.of(operation, model)
            asked = Asked(model, known_id, exchange.request.headers, decode_body(exchange.request.body))
            tier = dialect.requested_tier(asked)
            call.concerns(operation, model_id, tier)
            state = self._states.of(key, is_provisioned=is_provisioned(model_id))
            served = _served(dialect, asked, call.request_id, has_reservation=state.reserved is not None)
            request = dialect.read(asked)
            check_cache_points(request.cache_prefixes, model, is_converse=operation.is_converse)
        finally:
            call.count_under(key, tier)
        hit = self._hit(exchange, call, operation, known_id, tier)
        return Job(exchange, call, operation, dialect, served, request, state, hit)

    def _hit(self, exchange: Exchange, call: Call, operation: Operation, model_id: str, tier: str | None) -> Hit | None:
        """What a fault rule has in store for the call; the truth log is told."""
        if not self.faults.rules:
            return None
        parts = split_model_id(model_id)
        traits = Traits(
            base_id=parts.base,
            profile_id=profile_id(parts.base, parts.prefix),
            operation=operation,
            tier=tier or DEFAULT_TIER,
            regions=frozenset(filter(None, (caller_region(exchange.request.headers), parts.prefix))),
        )
        hit = self.faults.hit(traits, exchange.request.received_at)
        call.entry.fault = None if hit is None else hit.label
        return hit

    def _answer(self, job: Job, served: ServedAs, load: Factors, started_at: float) -> None:
        profile, request, cache = job.state.profile, job.request, job.state.cache
        cached = CacheUse() if cache is None else cache.use(request.cache_prefixes, started_at)
        draw = self._draws.next(served.model.id, served.tier)
        fixture = self._library.fixtures.find(served.model_id, request)
        if fixture is not None:
            job.call.count_fixture_answer()
        said = compose(request, profile, draw, self._library, self._seed, fixture=fixture)
        prefill_tokens = request.input_tokens - cached.read_tokens * (1.0 - profile.cache_read_share)
        plan = plan_answer(profile, _factors(profile, served).times(load), prefill_tokens, said.sizes, draw)
        delay_s = 0.0 if job.hit is None else job.hit.delay_s
        script = Script(
            request=request,
            served=served,
            dialect=job.dialect,
            said=said,
            plan=plan,
            usage=usage(request, served.model, cached, plan.output_tokens),
            read_at=job.exchange.started_at + delay_s,
            started_at=started_at + delay_s,
        )
        if cache is not None:
            cache.write(cached, script.due_at(plan.ttft_s))
        _note_start(job.call, served, script.usage)
        is_streamed = job.operation.is_streamed
        deliver = delivery_under(job.hit, self._agenda)
        delivery = deliver(job.exchange, job.call, script.tokens_generated, self._outbox, is_streamed=is_streamed)
        answer = StreamedAnswer if is_streamed else WholeAnswer
        answer(script, self._agenda, delivery)


def _key(model_id: str) -> str:
    """What the id of a model is kept under: its base id behind its profile prefix."""
    parts = split_model_id(model_id)
    return profile_id(parts.base, parts.prefix)


def _turn_away(job: Job, error: ServiceError) -> None:
    """Refuse a call that has no fault: the answer that a fault was to strike does not come."""
    if job.hit is not None:
        job.hit.rule.take_back()
        job.call.entry.fault = None
    refuse(job.exchange, job.call, error)


def _served(dialect: Dialect, asked: Asked, request_id: str, *, has_reservation: bool) -> ServedAs:
    tier = dialect.requested_tier(asked)
    latency = dialect.requested_latency(asked)
    region = None if latency is None else caller_region(asked.headers)
    return ServedAs(
        model=asked.model,
        model_id=asked.model_id,
        request_id=request_id,
        requested_tier=tier,
        tier=check_tier(tier, asked.model, has_reservation=has_reservation),
        requested_latency=latency,
        latency=check_latency(latency, asked.model, asked.model_id, region),
    )


def _factors(profile: Profile, served: ServedAs) -> Factors:
    """What tier and latency setting do together."""
    factors = profile.tier(served.tier)
    return factors.times(profile.optimized) if served.latency == OPTIMIZED_LATENCY else factors


def _note_start(call: Call, served: ServedAs, usage: Usage) -> None:
    """The answer begins: from now on the call is served and read, and its quota settled by what it uses."""
    call.entry.served_tier = served.tier
    call.entry.input_tokens = usage.input_tokens
    call.entry.cache_read_tokens = usage.cache_read_tokens
    call.entry.cache_write_tokens = usage.cache_write_tokens


def refuse(exchange: Exchange, call: Call, error: ServiceError) -> None:
    """Answer with an error in the service's form and end the call."""
    fields = [
        ("x-amzn-RequestId", call.request_id),
        ("x-amzn-ErrorType", error.code + _ERROR_TYPE_SUFFIX),
        *error.fields,
    ]
    call.entry.status = error.status
    call.entry.error_code = error.code
    # Nothing was read, nothing will be billed.
    call.entry.served_tier = call.entry.input_tokens = None
    call.entry.cache_read_tokens = call.entry.cache_write_tokens = None
    exchange.respond_json(error.status, {"message": error.message, **error.members}, fields)
    call.end(classify_http_error(error.status, error.code, error.message))
