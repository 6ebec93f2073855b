"""`python -m benchmarks.generator_raw`: reference readers, a process of their own with the load generator's schedule.

They send canned requests without a valid signature and parse nothing: they look for the first content and for the end
of the answer among the bytes. So they are the ceiling for a transport built in the same way, not something to test
with. Records go to a results directory like Locust's, written when all is over.
"""

import argparse
import gc
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from bedrock.clock import now
from bedrock.invocation import InvocationRecord
from bedrock.outcome import Outcome
from benchmarks.emulator_rig import sdk_requests
from benchmarks.generator_raw_answer import RawCall, RawPlan
from scenarios.arrivals import arrivals, poisson_process
from scenarios.patterns import sustained
from scenarios.run_directory import CellDirectory, write_json

#: Time to build the schedule after its beginning has been announced.
_LEAD_S = 0.2


#: Opens connections, and gives what sends at each of the moments given (Unix seconds, ascending) and reads to the end.
Reader = Callable[[RawPlan], Callable[[Sequence[float]], list[RawCall]]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Connect, announce the schedule, run it, write the records."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this ends it
    _raise_open_file_limit()
    parts = urlsplit(options.url)
    plan = RawPlan(
        address=(str(parts.hostname), int(parts.port or 80)),
        ca=options.ca,
        connections=options.connections,
        request=sdk_requests("converse-stream")[0],
    )
    run = _reader(options.reader)(plan)
    cell = CellDirectory(options.results_dir / "cells" / options.reader)
    start_at = now() + _LEAD_S
    phase = {"name": "steady", "started_at": start_at, "ended_at": start_at + options.seconds}
    write_json(cell.load_json, {"phases": [phase]})
    profile = sustained(options.rate, options.seconds)
    due_at = [start_at + arrival.at_s for arrival in arrivals(profile, poisson_process, options.seed)]
    gc.disable()  # nothing here makes cycles
    calls = run(due_at)
    _write(cell.requests("local"), options.reader, calls)
    return 0


def _reader(name: str) -> Reader:
    # Imported here so that one reader's libraries are not loaded for the other.
    if name == "raw_gevent":
        from benchmarks.generator_raw_gevent import connect as connect_gevent  # noqa: PLC0415

        return connect_gevent
    from benchmarks.generator_raw_epoll import connect as connect_epoll  # noqa: PLC0415

    return connect_epoll


def _write(path: Path, reader: str, calls: Iterable[RawCall]) -> None:
    lines = (_record(reader, number, call).to_json() for number, call in enumerate(calls))
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _record(reader: str, number: int, call: RawCall) -> InvocationRecord:
    answer = call.answer
    return InvocationRecord(
        run_id="reference",
        cell=reader,
        process="local",
        seq=number,
        message_id=f"local-m{number}",
        transport=reader,
        intended_at=call.due_at,
        started_at=call.started_at,
        first_token_at=answer.first_content_at,
        ended_at=answer.ended_at,
        outcome=Outcome.OK if answer.is_ok else Outcome.CONNECTION_ERROR,
        request_id=answer.request_id,
    )


def _raise_open_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generator_raw", description=__doc__)
    parser.add_argument("reader", choices=("raw_gevent", "raw_epoll"))
    parser.add_argument("--url", required=True)
    parser.add_argument("--ca", type=Path, help="certificate authority of an https URL")
    parser.add_argument("--rate", type=float, required=True, help="arrivals per second")
    parser.add_argument("--seconds", type=float, required=True, help="how long arrivals go on")
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--results-dir", type=Path, required=True)
    return parser


if __name__ == "__main__":
    sys.exit(main())
