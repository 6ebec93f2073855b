"""The runtime's operations: which one a request means, whether it may go ahead, and the start of its answer."""

import random
import re
import urllib.parse
from dataclasses import dataclass

from bedrock.catalog import SERVICE_TIERS, profile_id, split_model_id
from bedrock.clock import now
from bedrock.outcome import classify_http_error
from emulator import errors
from emulator.config import EmulatorConfig
from emulator.converse import ConverseRequest, EventFrames, decode_body, read_request, requested_tier
from emulator.errors import ServiceError
from emulator.http import Exchange, Request
from emulator.ledger import Call, Ledger
from emulator.quotas import QuotaPool, Refusal
from emulator.schedule import Agenda
from emulator.stats import UNKNOWN
from emulator.streaming import Script, StreamedAnswer, WholeAnswer
from emulator.text import ResponseLibrary
from emulator.timing import DrawStreams, Profile, plan_answer

#: The last path segment of an operation, and the operation. The model id before it may hold slashes (ARNs, sent raw).
_MODEL_PATH = re.compile(r"^/model/(?P<id>.+)/(?P<operation>[^/]+)$")
CONVERSE, CONVERSE_STREAM = "Converse", "ConverseStream"
_OPERATIONS = {"converse": CONVERSE, "converse-stream": CONVERSE_STREAM}
#: Operations of the service that this emulator does not serve.
_NOT_SERVED = {
    "invoke": "InvokeModel",
    "invoke-with-response-stream": "InvokeModelWithResponseStream",
    "invoke-with-bidirectional-stream": "InvokeModelWithBidirectionalStream",
    "count-tokens": "CountTokens",
}

_ERROR_TYPE_SUFFIX = ":http://internal.amazon.com/coral/com.amazon.bedrock/"

_REFUSALS = {Refusal.RPM: errors.RPM_MESSAGE, Refusal.TPM: errors.TPM_MESSAGE, Refusal.TPD: errors.TPD_MESSAGE}


@dataclass(frozen=True, slots=True)
class ModelState:
    """What is set up once per model id: how it answers, and its quota."""

    profile: Profile
    pool: QuotaPool | None


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
        self._frames = EventFrames(random.Random(f"{seed}/padding"))
        self._states: dict[str, ModelState] = {}

    def handle(self, exchange: Exchange) -> None:
        """Answer one request, now or when it is due."""
        call = self._ledger.open(exchange)
        try:
            operation, model_id = route(exchange.request)
            call.concerns(operation, model_id, None)
            self._start(exchange, call, operation, model_id)
        except ServiceError as error:
            refuse(exchange, call, error)

    def reset(self) -> None:
        """Fill all quotas and begin the random numbers again; answers under way go on."""
        self._draws.restart()
        self._states.clear()

    def _start(self, exchange: Exchange, call: Call, operation: str, model_id: str) -> None:
        parts = split_model_id(model_id)
        key = profile_id(parts.base, parts.prefix) if self._config.catalog.find(model_id) else UNKNOWN
        tier: str | None = None
        try:
            body = decode_body(exchange.request.body)
            tier = requested_tier(body)
            call.concerns(operation, model_id, tier)
            request = read_request(model_id, body, self._config.catalog)
        finally:
            call.count_under(key, tier or "default" if tier in (None, *SERVICE_TIERS) else UNKNOWN)
        call.entry.input_tokens = request.input_tokens
        state = self._state(key)
        self._admit(call, request, state.pool)
        call.entry.served_tier = request.tier
        draw = self._draws.next(request.model.id, request.tier)
        plan = plan_answer(state.profile, request.tier, request.input_tokens, request.max_tokens, draw)
        tokens = self._library.answer_tokens(
            request.prompt, self._seed, plan.output_tokens, complete=not plan.hit_max_tokens
        )
        script = Script(exchange, call, request, plan, tokens)
        if operation == CONVERSE_STREAM:
            StreamedAnswer(script, self._agenda, self._frames)
        else:
            WholeAnswer(script, self._agenda)

    def _state(self, key: str) -> ModelState:
        state = self._states.get(key)
        if state is None:
            limits = self._config.quota(key)
            pool = None if limits is None else QuotaPool(limits)
            state = self._states[key] = ModelState(self._config.profile(key), pool)
        return state

    @staticmethod
    def _admit(call: Call, request: ConverseRequest, pool: QuotaPool | None) -> None:
        if pool is None:
            return
        admission = pool.admit(request.input_tokens, request.max_tokens, now())
        if isinstance(admission, Refusal):
            raise errors.throttled(_REFUSALS[admission])
        call.hold(pool, admission)


def route(request: Request) -> tuple[str, str]:
    """Operation and model id of a request; ServiceError if it is none.

    The path is matched as sent and the id unquoted once: SDKs send it as one percent-encoded segment, others raw.
    """
    match = _MODEL_PATH.match(request.path)
    if match is None or request.method != "POST":
        raise errors.unknown_operation(f"There is no operation {request.method} {request.path[:200]}.")
    operation = _OPERATIONS.get(match["operation"])
    if operation is None:
        name = _NOT_SERVED.get(match["operation"], match["operation"][:100])
        raise errors.unknown_operation(f"This emulator does not serve the operation {name}.")
    return operation, urllib.parse.unquote(match["id"])


def refuse(exchange: Exchange, call: Call, error: ServiceError) -> None:
    """Answer with an error in the service's form and end the call."""
    fields = [("x-amzn-RequestId", call.request_id), ("x-amzn-ErrorType", error.code + _ERROR_TYPE_SUFFIX)]
    call.entry.status = error.status
    call.entry.error_code = error.code
    call.entry.input_tokens = None  # nothing was read, nothing will be billed
    exchange.respond_json(error.status, {"message": error.message}, fields)
    call.end(classify_http_error(error.status, error.code, error.message))
