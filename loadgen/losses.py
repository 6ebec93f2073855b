"""What a lost process leaves behind: arrivals that nobody took, or that were in flight, and that have no record.

A run must never be silently thinner than its schedule: each of them gets a record.
"""

from pathlib import Path

from bedrock.invocation import InvocationRecord
from bedrock.outcome import Outcome
from loadgen.arrivals import Turn
from loadgen.crew import Member
from loadgen.line_files import LineFile
from loadgen.new_records import NewRecords, describe, index_of
from loadgen.preparation import Preparation
from loadgen.recorder import Recorder
from loadgen.session import message_of
from scenarios.arrivals import Arrival
from scenarios.run_directory import CellDirectory

#: The process that writes such records; it makes no calls itself.
PROCESS = "master"
ERROR_CODE = "ProcessLost"


def recorded_messages(path: Path) -> set[int]:
    """The numbers of the messages that a record file has; a torn line is none."""
    found: set[int] = set()
    if not path.exists():
        return found
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                index = index_of(InvocationRecord.from_json(line).message_id)
            except (ValueError, TypeError, AttributeError):
                continue
            if index is not None:
                found.add(index)
    return found


class Losses:
    """Writes the records of one cell's lost arrivals, into a file of the leading process's own."""

    def __init__(self, preparation: Preparation, cell: CellDirectory, start_at: float, until_s: float) -> None:
        """`until_s` is where the schedule ended, in seconds from `start_at`: what was due later was never due."""
        self._preparation = preparation
        self._cell = cell
        self._start_at = start_at
        self._until_s = until_s
        self._seq = 0
        self._new_records = NewRecords(preparation.options, cell, PROCESS, preparation.endpoint.region)

    def record(self, member: Member) -> int:
        """Write a record for each arrival that this member was dealt and left no record of; how many there were."""
        options = self._preparation.options
        recorded = recorded_messages(self._cell.requests(member.process))
        mine = member.hand.arrivals(options.schedule().arrivals(options.seed), self._until_s)
        lost = [arrival for arrival in mine if arrival.index not in recorded]
        if lost:
            self._write(member, lost)
        return len(lost)

    def _write(self, member: Member, lost: list[Arrival]) -> None:
        was_heard_of_at = last_sign_at(self._cell, member.process)
        recorder = Recorder(LineFile(self._cell.requests(PROCESS)), PROCESS)
        for arrival in lost:
            turn = Turn(arrival.index, self._start_at + arrival.at_s, arrival.phase, arrival.wanted)
            record = self._new_records.make(self._seq, turn, member.process)
            self._seq += 1
            self._describe(record, turn)
            close_lost(record, member.process, was_heard_of_at)
            recorder.write(record)
        recorder.close()

    def _describe(self, record: InvocationRecord, turn: Turn) -> None:
        """What the message would have been, where there is but one kind of user to send it."""
        samplers = list(self._preparation.samplers.values())
        if len(samplers) == 1:
            message = message_of(samplers[0], turn)
            describe(record, message)
            record.model_id = message.model_id


def last_sign_at(cell: CellDirectory, process: str) -> float:
    """When a process last wrote anything, in Unix seconds: it says something of its health every second."""
    files = (cell.requests(process), cell.health(process))
    return max((path.stat().st_mtime for path in files if path.exists()), default=0.0)


def close_lost(record: InvocationRecord, process: str, was_heard_of_at: float) -> None:
    """Close the record of an arrival that was lost with its process.

    What was due while the process was still heard of may have been sent: it was cut off. What came due later was not.
    """
    was_due_before = record.intended_at is not None and record.intended_at < was_heard_of_at
    record.outcome = Outcome.ABORTED if was_due_before else Outcome.DROPPED
    record.error_code = ERROR_CODE
    record.error_message = f"{process} was lost" + (": the call may have been sent" if was_due_before else "")
