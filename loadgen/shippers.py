"""The two ends of a line between worker and master on which records travel: greenlets around `loadgen.shipping`."""

import gevent
from gevent.event import Event
from gevent.queue import Queue

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bedrock.clock import now
from loadgen.cell_output import open_file
from loadgen.line_files import LineFile, LineSink
from loadgen.shipping import Batch, Inbox, Outbox
from scenarios.run_directory import CellDirectory

logger = logging.getLogger(__name__)

#: How long a line waits at most before it is sent.
FLUSH_INTERVAL_S = 0.5

Send = Callable[[dict[str, Any]], None]


class Shipper:
    """A worker's end: a CellOutput whose lines are sent to the master."""

    def __init__(self, send: Send, load_id: str, process: str) -> None:
        self._send = send
        self._about = {"load_id": load_id, "process": process}
        self._outbox = Outbox()
        self._written = Event()
        self._greenlet = gevent.spawn(self._run)

    def open(self, kind: str) -> LineSink:
        """The sink for one kind of lines."""
        return _Channel(self._outbox, kind)

    def _run(self) -> None:
        while True:
            gevent.sleep(FLUSH_INTERVAL_S)
            self._ship()

    def _ship(self) -> None:
        self._outbox.seal()
        for batch in self._outbox.due(now()):
            self._send(self._about | batch.as_message())

    def on_written(self, data: Mapping[str, Any]) -> None:
        """The master's word that it has written batches."""
        if data["load_id"] == self._about["load_id"]:
            self._outbox.acknowledge(data["number"], now())
            self._written.set()

    def flush(self, timeout_s: float) -> bool:
        """Send everything and wait until it is written; False where the time was not enough."""
        give_up_at = now() + timeout_s
        while not self._outbox.is_empty:
            self._ship()
            self._written.clear()
            if now() >= give_up_at:
                return False
            self._written.wait(min(FLUSH_INTERVAL_S, give_up_at - now()))
        return True

    def close(self, timeout_s: float) -> None:
        """Send the rest. What cannot be delivered is kept in files here, and said to be."""
        is_delivered = self.flush(timeout_s)
        self._greenlet.kill()
        if not is_delivered:
            self._keep()

    def _keep(self) -> None:
        for kind, lines in self._outbox.left().items():
            path = Path(f"undelivered-{kind}-{self._about['load_id']}-{self._about['process']}.jsonl")
            file = LineFile(path, is_private=True)
            file.write(lines)
            file.close()
            logger.error("The master did not take %d lines; they are in %s", lines.count(b"\n"), path.absolute())


class _Channel:
    """One kind of lines of a shipper."""

    def __init__(self, outbox: Outbox, kind: str) -> None:
        self._outbox = outbox
        self._kind = kind

    def write(self, line: bytes) -> None:
        """Take a line; it is sent within FLUSH_INTERVAL_S."""
        self._outbox.add(self._kind, line)

    def close(self) -> None:
        """The shipper closes the line for all kinds."""


class Receiver:
    """The master's end for one load: writes what workers send, and tells them.

    `on_message` only notes what came, for it runs in the master's one loop of messages, which must never wait
    (locust.md fact 15). The writing itself is done by a thread.
    """

    def __init__(self, cell: CellDirectory, load_id: str, answer: Callable[[dict[str, Any], str], None]) -> None:
        self._cell = cell
        self._load_id = load_id
        self._answer = answer
        self._inboxes: dict[tuple[str, str], Inbox] = {}
        self._queue: Queue = Queue()
        self._greenlet = gevent.spawn(self._run)

    def on_message(self, client_id: str, data: Mapping[str, Any]) -> None:
        """Note a batch; one of another load is passed over."""
        if data["load_id"] == self._load_id:
            self._queue.put((client_id, str(data["process"]), Batch.from_message(data)))

    def _run(self) -> None:
        for client_id, process, batch in self._queue:
            inbox = self._inboxes.setdefault((client_id, process), Inbox())
            if inbox.expects(batch) and self._write(process, batch):
                inbox.advance()
            try:
                self._answer({"load_id": self._load_id, "number": inbox.written}, client_id)
            except Exception:  # noqa: BLE001 - whatever is wrong with the line: it sends again, and others go on
                logger.warning("%s could not be told that its records are written", process)

    def _write(self, process: str, batch: Batch) -> bool:
        """Whether it could be written; what could not is sent again."""
        try:
            gevent.get_hub().threadpool.apply(_append, (self._cell, process, batch))
        except (OSError, ValueError):
            logger.exception("Records of %s could not be written", process)
            return False
        return True

    def close(self) -> None:
        """Stop taking batches."""
        self._greenlet.kill()


def _append(cell: CellDirectory, process: str, batch: Batch) -> None:
    for kind, lines in batch.lines.items():
        file = open_file(cell, kind, process)
        try:
            file.write(lines)
        finally:
            file.close()
