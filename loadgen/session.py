"""What one process holds during one test: client, record file, pacer, phases; and how a call is made."""

import gevent
from gevent.event import Event

import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from bedrock.catalog import Catalog, default_catalog, profile_id
from bedrock.client import BedrockClient, make_transport
from bedrock.clock import now
from bedrock.course import Course
from bedrock.endpoint import Endpoint
from bedrock.failover import Regions
from bedrock.history import Dialogue, room_for_history
from bedrock.invocation import Exchange, Invocation, InvocationRecord
from bedrock.outcome import Outcome, mask_accounts
from bedrock.pricing import call_cost_usd
from bedrock.retry import make_policy
from bedrock.tokens import estimate_tokens
from bedrock.transcript import Transcript
from loadgen.arrivals import ClosedLoop, InFlight, OpenLoop, Pacer, Turn
from loadgen.cell_output import REQUESTS, RESPONSES, CellOutput
from loadgen.dealing import Deal
from loadgen.meters import CallMeter
from loadgen.new_records import NewRecords, describe
from loadgen.options import LoadOptions
from loadgen.phases import PhaseClock
from loadgen.recorder import Recorder
from loadgen.response_recording import ResponseRecorder
from loadgen.stop_line import StopLine, share_of_requests
from scenarios.nonce import nonce
from scenarios.replayed import ReplaySampler
from scenarios.run_directory import CellDirectory
from scenarios.traffic import Message
from scenarios.usage_book import SharedBook

logger = logging.getLogger(__name__)


class Sampler(Protocol):
    """Chooses the message of each turn."""

    def message(self, index: int) -> Message:
        """The message of turn `index`: the same in every process and every repetition."""


def message_of(sampler: Sampler, turn: Turn | None) -> Message:
    """The message of a turn: as a trace wants it where there is one."""
    if turn is not None and turn.wanted is not None and isinstance(sampler, ReplaySampler):
        return sampler.message_as(turn.index, turn.wanted)
    return sampler.message(0 if turn is None else turn.index)


def with_nonce(invocation: Invocation) -> Invocation:
    """The invocation with a nonce before all its text, which begins with the system prompt where there is one."""
    if invocation.system is not None:
        return replace(invocation, system=nonce() + invocation.system)
    return replace(invocation, prompt=nonce() + invocation.prompt)


class LoadSession:
    """One process's part of one test. Create it at the start of the test, after any fork.

    `report` is told of every record that stands for a call, once the record is written.
    """

    def __init__(
        self,
        options: LoadOptions,
        endpoint: Endpoint,
        cell: CellDirectory,
        output: CellOutput,
        report: Callable[[InvocationRecord], None],
        *,
        process: str,
        pool_size: int,
        share: int,
        shares: int,
        processes: int,
    ) -> None:
        self.options = options
        self.process = process
        self.in_flight = InFlight()
        self.call_meter = CallMeter()
        self.phases = PhaseClock(())
        #: Conversations that have `begun`, and of these those `completed` and `abandoned`.
        self.conversations: Counter[str] = Counter()
        self._region = endpoint.region
        self._new_records = NewRecords(options, cell, process, endpoint.region)
        self._report = report
        self._recorder = Recorder(output.open(REQUESTS), process)
        self._responses = ResponseRecorder(output.open(RESPONSES)) if options.record_responses else None
        if self._responses is not None:
            path = cell.responses(process)
            logger.warning("Prompts and answers are written to %s: they may be confidential", path)
        # Made now, not when a region first fails: that would hold up the loop in the worst moment.
        self._clients = {region: self._make_client(endpoint, region, pool_size) for region in self._all_regions()}
        self._regions = self._make_regions()
        jitter = random.Random(f"retry:{options.seed}:{process}").random
        self._retry = make_policy(options.retry, options.retry_attempts, options.retry_delay_s, jitter)
        self._is_draining = Event()
        self.pacer = self._make_pacer(share, shares)
        self.stop_line = self._make_stop_line(share, processes)
        self._drained_open_calls: int | None = None

    def _all_regions(self) -> tuple[str, ...]:
        return self.options.failover_regions or (self._region,)

    def _make_client(self, endpoint: Endpoint, region: str, pool_size: int) -> BedrockClient:
        options = self.options
        return BedrockClient(
            make_transport(
                options.transport,
                Endpoint(region, endpoint.url),
                pool_size=pool_size,
                read_timeout_s=options.call_timeout_s,
            )
        )

    def _make_regions(self) -> Regions | None:
        options = self.options
        if not options.failover_regions:
            return None
        return Regions(options.failover_regions, now, options.failover_cool_down_s, options.failover_max_cool_down_s)

    def _make_pacer(self, share: int, shares: int) -> Pacer:
        options = self.options
        if options.is_open_loop:
            return OpenLoop(lambda: options.schedule().arrivals(options.seed), options.max_lag_s, self.record_dropped)
        return ClosedLoop(options.think_time_s, options.seed, share, shares, self.in_flight.mean_call_s)

    def _make_stop_line(self, share: int, processes: int) -> StopLine:
        """The limits of the whole suite where its processes share a book, else this process's part of them.

        Numbers of messages leave room for workers to come, a budget cannot.
        """
        options = self.options
        if options.usage_file is not None:
            book = SharedBook(options.usage_file)
            return StopLine(options.max_requests, options.max_cost_usd, self.pacer.stop, book)
        cost_usd = None if options.max_cost_usd is None else options.max_cost_usd / processes
        return StopLine(share_of_requests(options.max_requests, share, processes), cost_usd, self.pacer.stop)

    def begin(self, phases: PhaseClock, start_at: float, deals: Sequence[Deal], ahead_s: float = 0.0) -> None:
        """All users are there: the phases are known and the schedule starts at `start_at` (Unix seconds).

        Both are by the clock of the process that leads the test, which is `ahead_s` ahead of this one.
        """
        self._recorder.ahead_s = ahead_s
        self.phases = phases.shifted(-ahead_s)
        self.pacer.start(start_at - ahead_s, deals)

    def hurry(self) -> None:
        """Wait no longer for open calls."""
        self.in_flight.give_up()

    @property
    def records_written(self) -> int:
        """Records so far."""
        return self._recorder.written

    @property
    def lets_users_finish(self) -> bool:
        """Whether users that are taken away may finish their call: the pattern goes down and the test goes on."""
        options = self.options
        return not (options.is_open_loop or options.user_pattern.is_flat or self._is_draining.is_set())

    def invoke(self, message: Message, turn: Turn | None, dialogue: Dialogue | None = None) -> InvocationRecord:
        """Make the call of a message, and again where retries or failover say so; the record of the last attempt.

        Every attempt has a record, written and reported before this returns or raises. `turn` None is a call that a
        user makes on its own account, without a turn. The message counts as open until its last attempt has ended.
        It is sent behind what the `dialogue` has so far, which then has the answer too, if one came.
        Behind the stop line nothing is sent, and the message counts as if it had never been due: what is returned then
        is no record of any file.
        """
        if not self.stop_line.take():
            return self._withdrawn()
        self.in_flight.enter()
        try:
            return self._attempts(message, turn, dialogue)
        finally:
            self.in_flight.leave()

    def _withdrawn(self) -> InvocationRecord:
        self.pacer.withdraw()
        record = InvocationRecord(self.options.run_id, self.options.cell, self.process, -1, "")
        record.outcome = Outcome.DROPPED
        return record

    def _attempts(self, message: Message, turn: Turn | None, dialogue: Dialogue | None) -> InvocationRecord:
        invocation = self._invocation(message, dialogue)
        course = Course(self._retry, self._regions)
        first = record = self._attempt(invocation, message, self._new_record(turn), course, dialogue)
        while (wait_s := course.after(record)) is not None:
            if not self.pause(wait_s) or not self.stop_line.take():
                break
            record = self._attempt(invocation, message, self._next_record(first), course, dialogue)
        return record

    def pause(self, seconds: float) -> bool:
        """Wait; False as soon as nothing new may be sent any more."""
        return not self._is_draining.wait(max(seconds, 0.0))

    def _next_record(self, first: InvocationRecord) -> InvocationRecord:
        """A record for a further attempt of a message: due when the message was, so that its latency covers all."""
        return replace(
            self._new_record(None),
            message_id=first.message_id,
            phase=first.phase,
            intended_at=first.intended_at,
            session_id=first.session_id,
            turn=first.turn,
        )

    def _attempt(
        self,
        invocation: Invocation,
        message: Message,
        record: InvocationRecord,
        course: Course,
        dialogue: Dialogue | None,
    ) -> InvocationRecord:
        describe(record, message)
        record.attempt = course.attempt
        record.region = course.region or self._region
        try:
            self._call(invocation, record, dialogue)
        finally:
            self._finish(record)
        return record

    def _call(self, invocation: Invocation, record: InvocationRecord, dialogue: Dialogue | None) -> None:
        """Make the call; keep its answer where answers are kept, and in its conversation."""
        responses = self._responses
        to_keep = None if responses is None else responses.transcript_for(invocation)
        # Without a transcript the text of an answer is never decoded, which is cheaper: only where it is needed.
        transcript = Transcript() if to_keep is None and dialogue is not None else to_keep
        # What is kept is kept under the prompt as it is: a nonce would never be asked for again.
        sent = with_nonce(invocation) if self.options.nonce else invocation
        self._clients[record.region or self._region].invoke(sent, record, transcript)
        if responses is not None and to_keep is not None:
            responses.keep(invocation, record, to_keep)
        if dialogue is not None and transcript is not None and record.outcome is Outcome.OK:
            dialogue.add(invocation.prompt, transcript.text, record.output_tokens)

    def _new_record(self, turn: Turn | None) -> InvocationRecord:
        return self._new_records.make(self._recorder.next_seq(), turn)

    def _invocation(self, message: Message, dialogue: Dialogue | None) -> Invocation:
        options = self.options
        model = default_catalog().find(message.model_id)
        only_default = options.service_tier == "default" and model is not None and model.tiers == ("default",)
        return Invocation(
            api=options.api,
            model_id=profile_id(message.model_id, options.region_prefix),
            prompt=message.text,
            max_tokens=message.max_tokens or options.max_tokens,
            # A model with no tiers to choose from is asked as its users ask it: without naming one.
            service_tier=None if only_default else options.service_tier,
            system=None if options.system is None else options.system.text,
            latency=options.latency,
            stop_sequences=options.stop_sequences,
            cache_system=options.cache_system,
            request_metadata=options.request_metadata or None,
            history=() if dialogue is None else self._history(message, dialogue),
        )

    def _history(self, message: Message, dialogue: Dialogue) -> tuple[Exchange, ...]:
        """As much of the conversation as the model can hold; all of it where nobody knows the model."""
        model = default_catalog().find(message.model_id)
        if model is None:
            return dialogue.history(None)
        system_tokens = 0 if self.options.system is None else self.options.system.tokens
        max_tokens = message.max_tokens or self.options.max_tokens
        return dialogue.history(room_for_history(model, max_tokens, system_tokens, estimate_tokens(message.text)))

    def _finish(self, record: InvocationRecord) -> None:
        """Count, write and report."""
        self.stop_line.ended(_cost_usd(record, self.options.catalog))
        self.call_meter.note(record)  # before the closed loop's calls get their own start as the intended one
        if record.intended_at is None:
            record.intended_at = record.started_at
        if record.phase is None and record.intended_at is not None:
            record.phase = self.phases.name_at(record.intended_at)
        # Records are files that travel: no account ids in them.
        record.model_id = None if record.model_id is None else mask_accounts(record.model_id)
        self._recorder.write(record)
        self._report(record)

    def record_dropped(self, turn: Turn) -> None:
        """Record an arrival that was never sent: no slot took it in time, or the test ended first."""
        self._drop(turn)

    def _drop(self, turn: Turn | None) -> InvocationRecord:
        record = self._new_record(turn)
        if turn is not None and turn.wanted is not None:  # what a trace counts is counted although it was not sent
            record.query_type = turn.wanted.query_type
        if record.intended_at is None:
            record.intended_at = now()
        record.phase = record.phase or self.phases.name_at(record.intended_at)
        record.outcome = Outcome.DROPPED
        self._recorder.write(record)
        self._report(record)
        return record

    def drain(self, timeout_s: float) -> int:
        """Send nothing new, let open calls finish; the number still open when the time was up.

        A second call waits no more and answers the same.
        """
        if self._drained_open_calls is None:
            self._is_draining.set()
            self.pacer.stop()
            self._drained_open_calls = self._wait_until_idle(now() + timeout_s)
            self.pacer.drop_waiting()
        return self._drained_open_calls

    def _wait_until_idle(self, deadline_at: float) -> int:
        """Wait for open calls, and before them for arrivals that are due and may still be taken in time."""
        give_up_waiting_at = now() + self.options.max_lag_s
        while self.pacer.waiting and now() < min(give_up_waiting_at, deadline_at):
            gevent.sleep(0.01)
        gevent.sleep(0.01)  # a user that has just been given a turn begins its call one round of the loop later
        self.in_flight.wait_idle(max(deadline_at - now(), 0.0))
        return self.in_flight.count

    def close(self) -> None:
        """The test is over and all users have ended."""
        for client in self._clients.values():
            client.close()
        self.stop_line.close()
        self._recorder.close()
        if self._responses is not None:
            self._responses.close()


def _cost_usd(record: InvocationRecord, catalog: Catalog) -> float:
    return call_cost_usd(
        catalog,
        record.model_id or "",
        record.served_tier or record.requested_tier,
        input_tokens=record.input_tokens,
        output_tokens=record.output_tokens,
        cache_read_tokens=record.cache_read_tokens,
        cache_write_tokens=record.cache_write_tokens,
    )
