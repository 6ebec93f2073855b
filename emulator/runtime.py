"""What happens to a request: read, admitted or refused, composed, planned, answered."""

import random
import sys
import traceback
from dataclasses import dataclass

from bedrock.catalog import profile_id, split_model_id
from bedrock.clock import now
from bedrock.outcome import classify_http_error
from emulator import errors
from emulator.answer import ServedAs, Usage
from emulator.body_checks import decode_body
from emulator.composition import compose
from emulator.config import EmulatorConfig
from emulator.delivery import Delivery
from emulator.dialect import Dialect
from emulator.dialects import Dialects
from emulator.errors import ServiceError
from emulator.http import Exchange
from emulator.ledger import Call, Ledger
from emulator.model_request import Asked, ModelRequest
from emulator.operations import Operation, route
from emulator.quotas import QuotaPool, Refusal
from emulator.schedule import Agenda
from emulator.service_options import check_latency, check_tier
from emulator.stats import UNKNOWN
from emulator.streaming import Script, StreamedAnswer, WholeAnswer
from emulator.text import ResponseLibrary
from emulator.timing import DrawStreams, Profile, plan_answer

_ERROR_TYPE_SUFFIX = ":http://internal.amazon.com/coral/com.amazon.bedrock/"

_REFUSALS = {Refusal.RPM: errors.RPM_MESSAGE, Refusal.TPM: errors.TPM_MESSAGE, Refusal.TPD: errors.TPD_MESSAGE}


@dataclass(frozen=True, slots=True)
class ModelState:
    """What is set up once per model id: how it answers, and its quota."""

    profile: Profile
    pool: QuotaPool | None


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


class Runtime:
    """Answers the operations of the Bedrock runtime."""

    def __init__(
        self, config: EmulatorConfig, library: ResponseLibrary, agenda: Agenda, ledger: Ledger, seed: int
    ) -> None:
        self._config = config
        self._library = library
        self._agenda = agenda
        self._ledger = ledger
        self._seed = seed
        self._draws = DrawStreams(seed)
        self._dialects = Dialects(random.Random(f"{seed}/padding"))
        self._states: dict[str, ModelState] = {}

    def handle(self, exchange: Exchange) -> None:
        """Answer one request, now or when it is due."""
        call = self._ledger.open(exchange)
        try:
            self._start(exchange, call)
        except ServiceError as error:
            refuse(exchange, call, error)
        except Exception:  # noqa: BLE001 - a bug here must not leave a client waiting and the log without a line
            traceback.print_exc(file=sys.stderr)
            refuse(exchange, call, errors.internal())

    def reset(self) -> None:
        """Fill all quotas and begin the random numbers again; answers under way go on."""
        self._draws.restart()
        self._states.clear()

    def _start(self, exchange: Exchange, call: Call) -> None:
        operation, model_id = route(exchange.request)
        call.concerns(operation, model_id, None)
        job = self._read(exchange, call, operation, model_id)
        self._admit(job)
        self._answer(job)

    def _read(self, exchange: Exchange, call: Call, operation: Operation, model_id: str) -> Job:
        model = self._config.catalog.find(model_id)
        key = self._key(model_id) if model else UNKNOWN
        tier: str | None = None
        try:
            if model is None:
                raise errors.unknown_model()
            dialect = self._dialects.of(operation, model)
            asked = Asked(model, model_id, exchange.request.headers, decode_body(exchange.request.body))
            tier = dialect.requested_tier(asked)
            call.concerns(operation, model_id, tier)
            served = _served(dialect, asked, call.request_id)
            request = dialect.read(asked)
        finally:
            call.count_under(key, tier)
        call.entry.input_tokens = request.input_tokens
        return Job(exchange, call, operation, dialect, served, request, self._state(key))

    def _admit(self, job: Job) -> None:
        """Take the call's share of the quota, or refuse it."""
        pool = job.state.pool
        if pool is not None:
            admission = pool.admit(job.request.input_tokens, job.request.max_tokens, now())
            if isinstance(admission, Refusal):
                raise errors.throttled(_REFUSALS[admission])
            job.call.hold(pool, admission)
        job.call.entry.served_tier = job.served.tier

    def _answer(self, job: Job) -> None:
        profile, request, served = job.state.profile, job.request, job.served
        draw = self._draws.next(served.model.id, served.tier)
        said = compose(request, profile, draw, self._library, self._seed)
        plan = plan_answer(profile, profile.tier(served.tier), request.input_tokens, said.sizes, draw)
        script = Script(
            request=request,
            served=served,
            dialect=job.dialect,
            said=said,
            plan=plan,
            usage=Usage(request.input_tokens, plan.output_tokens),
            started_at=job.exchange.started_at,
        )
        is_streamed = job.operation.is_streamed
        delivery = Delivery(job.exchange, job.call, script.tokens_generated, is_streamed=is_streamed)
        answer = StreamedAnswer if is_streamed else WholeAnswer
        answer(script, self._agenda, delivery)

    def _key(self, model_id: str) -> str:
        parts = split_model_id(model_id)
        return profile_id(parts.base, parts.prefix)

    def _state(self, key: str) -> ModelState:
        state = self._states.get(key)
        if state is None:
            limits = self._config.quota(key)
            pool = None if limits is None else QuotaPool(limits)
            state = self._states[key] = ModelState(self._config.profile(key), pool)
        return state


def _served(dialect: Dialect, asked: Asked, request_id: str) -> ServedAs:
    tier = dialect.requested_tier(asked)
    latency = dialect.requested_latency(asked)
    return ServedAs(
        model=asked.model,
        model_id=asked.model_id,
        request_id=request_id,
        requested_tier=tier,
        tier=check_tier(tier, asked.model),
        requested_latency=latency,
        latency=check_latency(latency, asked.model_id),
    )


def refuse(exchange: Exchange, call: Call, error: ServiceError) -> None:
    """Answer with an error in the service's form and end the call."""
    fields = [("x-amzn-RequestId", call.request_id), ("x-amzn-ErrorType", error.code + _ERROR_TYPE_SUFFIX)]
    call.entry.status = error.status
    call.entry.error_code = error.code
    call.entry.input_tokens = None  # nothing was read, nothing will be billed
    exchange.respond_json(error.status, {"message": error.message}, fields)
    call.end(classify_http_error(error.status, error.code, error.message))
