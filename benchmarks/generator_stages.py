"""`python -m benchmarks.generator_stages`: where a call of the `wire` transport spends processor time.

Each stage is run alone in a loop, on the bytes that the emulator writes; whole calls over loopback beside them show
what the event loop and the kernel add. stdout has a table, `--json FILE` all numbers; exit codes as in
`benchmarks.command`.
"""

from locust import events
from locust.env import Environment

import gc
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import httptools
from botocore.credentials import ReadOnlyCredentials

from bedrock.answers import ConverseStreamReader
from bedrock.bodies import api_request
from bedrock.clock import now
from bedrock.invocation import Invocation, InvocationRecord, fill_gaps
from bedrock.outcome import Outcome
from bedrock.wire.frames import FrameScanner
from bedrock.wire.signing import SigV4Authorizer
from benchmarks.command import Parser, check_writable, run
from benchmarks.emulator_tables import table
from benchmarks.generator_stages_wire import (
    EVENTS,
    CallParts,
    content_chunks,
    content_frames,
    head_and_opening,
    measure_calls,
    new_record,
)
from benchmarks.machine import describe_machine
from loadgen.arrivals import InFlight
from loadgen.line_files import LineFile
from loadgen.meters import CallMeter
from loadgen.participant import Participant
from loadgen.recorder import Recorder

SCHEMA_VERSION = 1

#: How many calls have an event ready in the same turn of the loop: a quiet generator, a busy one.
TOGETHER = (1, 16)

_ROUNDS = 9
_ROUND_S = 0.02
_INVOCATION = Invocation(
    api="converse_stream",
    model_id="us.amazon.nova-pro-v1:0",
    prompt="I have just finished a long fantasy series and would like something calmer. " * 3,
    max_tokens=4096,
    service_tier="default",
)

Stages = dict[str, float]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and tell; returns the exit code."""
    return run(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> None:
    parser = Parser(prog="python -m benchmarks.generator_stages", description="Stages of a call, each alone.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    options = parser.parse_args(arguments)
    if options.json is not None:
        check_writable(options.json)
    gc.disable()  # a collection belongs to whatever is running when it is due
    per_call, per_event = call_stages(), event_stages()
    authorizer = _authorizer()
    whole = {together: measure_calls(_INVOCATION, authorizer, together) for together in TOGETHER}
    print(_render(per_call, per_event, whole))
    if options.json is not None:
        content = {
            "schema_version": SCHEMA_VERSION,
            "machine": describe_machine(),
            "events_per_call": EVENTS,
            "per_call_us": per_call,
            "per_event_us": per_event,
            "whole_calls_us": [{"together": together, **asdict(parts)} for together, parts in whole.items()],
        }
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def call_stages() -> Stages:
    """Microseconds of what is done once per call."""
    request = api_request(_INVOCATION)
    body, authorizer = request.body, _authorizer()
    path, fields = "/model/us.amazon.nova-pro-v1%3A0/converse-stream", {"Host": "127.0.0.1", **request.headers}
    record, times = _finished_record(), [index * 0.02 for index in range(EVENTS)]
    return {
        "open a record": microseconds(new_record),
        "build the body": microseconds(lambda: api_request(_INVOCATION).body),
        "sign": microseconds(lambda: authorizer.headers(path, fields, body)),
        "gaps between events": microseconds(lambda: fill_gaps(record, times)),
        "note its waits": _note_us(record),
        "count it in and out": _count_us(),
        "write the record": _write_us(record),
        "tell Locust": _tell_locust_us(record),
    }


def event_stages() -> Stages:
    """Microseconds of what is done once per event."""
    return {
        "read the clock": microseconds(now),
        "parse the HTTP chunk": _parse_us(),
        "scan the frame": _scan_us(),
        "read the event": _read_us(),
    }


def microseconds(action: Callable[[], object]) -> float:
    """Processor time of one run: the median of several rounds, each long enough for the clock."""
    times = 1
    while (taken_s := _seconds(action, times)) < _ROUND_S:
        times = max(times * 2, int(times * _ROUND_S / max(taken_s, 1e-9)))
    return statistics.median(_seconds(action, times) for _ in range(_ROUNDS)) / times * 1e6


def _seconds(action: Callable[[], object], times: int) -> float:
    began_at = time.process_time()
    for _ in itertools.repeat(None, times):
        action()
    return time.process_time() - began_at


class _Body:
    """What the parser calls back, as a connection does."""

    def on_body(self, data: bytes) -> None:
        """Called by the parser."""


def _parse_us() -> float:
    chunks = content_chunks()
    parser = httptools.HttpResponseParser(_Body())
    parser.feed_data(head_and_opening())

    def parse() -> None:
        for chunk in chunks:
            parser.feed_data(chunk)

    return microseconds(parse) / EVENTS


def _scan_us() -> float:
    frames, scanner = content_frames(), FrameScanner()
    return microseconds(lambda: [scanner.feed(frame) for frame in frames]) / EVENTS


def _read_us() -> float:
    scanned = FrameScanner().feed(b"".join(content_frames()))
    events_read = [(kind.name, payload) for kind, payload in scanned]

    def read() -> None:
        reader = ConverseStreamReader(new_record())
        for name, payload in events_read:
            reader.raw_event(name, payload, 0.0)

    return microseconds(read) / EVENTS


def _note_us(record: InvocationRecord) -> float:
    meter = CallMeter()
    return microseconds(lambda: meter.note(record))


def _count_us() -> float:
    in_flight = InFlight()

    def count() -> None:
        in_flight.enter()
        in_flight.leave()

    return microseconds(count)


def _write_us(record: InvocationRecord) -> float:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
        recorder = Recorder(LineFile(Path(directory) / "requests.jsonl"), "local")
        try:
            return microseconds(lambda: recorder.write(record))
        finally:
            recorder.close()


def _tell_locust_us(record: InvocationRecord) -> float:
    environment = Environment(events=events)
    runner = environment.create_local_runner()
    participant = Participant(environment)
    try:
        return microseconds(lambda: participant._report(record))  # noqa: SLF001 - it is what sessions are given
    finally:
        runner.quit()


def _authorizer() -> SigV4Authorizer:
    credentials = ReadOnlyCredentials("emulator", "emulator", None)
    return SigV4Authorizer(lambda: credentials, "us-east-1")


def _finished_record() -> InvocationRecord:
    record, at = new_record(), now()
    record.api, record.transport, record.model_id = "converse_stream", "wire", _INVOCATION.model_id
    record.prompt_size, record.phase, record.region = "medium", "steady", "us-east-1"
    record.request_id = "26220e12-4150-401b-94b3-57c94a858cb6"
    record.intended_at, record.started_at = at, at + 0.001
    record.first_event_at, record.first_token_at, record.first_answer_at = at + 0.38, at + 0.4, at + 0.4
    record.last_token_at, record.ended_at = at + 2.38, at + 2.38
    record.outcome, record.http_status, record.stop_reason = Outcome.OK, 200, "end_turn"
    record.input_tokens, record.output_tokens, record.events = 40, EVENTS, EVENTS + 4
    return record


def _render(per_call: Stages, per_event: Stages, whole: dict[int, CallParts]) -> str:
    blocks = [
        _stages("Once per call, alone (us)", per_call),
        _stages("Once per event, alone (us)", per_event),
        table("Whole calls over loopback, with the event loop and the kernel (us)", [
            {
                "ready at once": str(together),
                "send": f"{parts.send_us:.1f}",
                "head and opening": f"{parts.head_us:.1f}",
                "each event": f"{parts.event_us:.1f}",
                "end": f"{parts.end_us:.1f}",
                f"a call of {EVENTS} events, per event": f"{_per_event_us(parts):.1f}",
            }
            for together, parts in whole.items()
        ]),
    ]  # fmt: skip
    return "\n\n".join(blocks)


def _stages(title: str, stages: Stages) -> str:
    total = sum(stages.values())
    rows = [{"stage": name, "us": f"{value:.2f}"} for name, value in (*stages.items(), ("together", total))]
    return table(title, rows)


def _per_event_us(parts: CallParts) -> float:
    return parts.event_us + (parts.send_us + parts.head_us + parts.end_us) / EVENTS


if __name__ == "__main__":
    sys.exit(main())
