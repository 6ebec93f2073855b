"""One record per attempt, a line each, handed on as soon as it is whole."""

import itertools
from dataclasses import replace

from bedrock.invocation import INSTANTS, InvocationRecord
from loadgen.line_files import LineSink


class Recorder:
    """The records of one process."""

    def __init__(self, sink: LineSink, process: str) -> None:
        self.process = process
        self._sink = sink
        self._sequence = itertools.count()
        self.written = 0
        #: How far the clock of the process that leads the test is ahead of this one: all files tell its time.
        self.ahead_s = 0.0

    def next_seq(self) -> int:
        """The next sequence number of this process, from 0; readers detect a lost line by the gap."""
        return next(self._sequence)

    def write(self, record: InvocationRecord) -> None:
        """Append one record."""
        if self.ahead_s:
            record = _shifted(record, self.ahead_s)
        self._sink.write(record.to_json().encode("utf-8") + b"\n")
        self.written += 1

    def close(self) -> None:
        """Close the file; harmless when done twice."""
        self._sink.close()


def _shifted(record: InvocationRecord, by_s: float) -> InvocationRecord:
    known = {name: at + by_s for name in INSTANTS if (at := getattr(record, name)) is not None}
    return replace(record, **known)
