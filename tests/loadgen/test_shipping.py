"""Records on their way from a worker to the results directory, over a line that loses, repeats and reorders."""

import gevent

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.cell_output import is_shared, open_file
from loadgen.shippers import Receiver, Shipper
from loadgen.shipping import BATCH_BYTES, RESEND_AFTER_S, Batch, Inbox, Outbox
from scenarios.run_directory import CellDirectory


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 200), st.floats(0.0, 0.8))
def test_every_line_arrives_once_and_in_order_however_bad_the_line_is(seed: int, count: int, loss: float) -> None:
    random = Random(seed)
    outbox, inbox = Outbox(), Inbox()
    written, clock_s = b"", 0.0
    lines = [b"%d\n" % number for number in range(count)]
    pending = list(lines)
    while pending or not outbox.is_empty:
        for _ in range(random.randrange(10)):
            if pending:
                outbox.add("requests", pending.pop(0))
        outbox.seal()
        clock_s += 0.5
        arrived = [
            batch for batch in outbox.due(clock_s) for _ in range(random.choice([1, 2])) if random.random() > loss
        ]
        random.shuffle(arrived)
        for batch in arrived:
            if inbox.expects(batch):
                written += batch.lines["requests"]
                inbox.advance()
            if random.random() > loss:
                outbox.acknowledge(inbox.written, clock_s)

    assert written == b"".join(lines)


def test_nothing_is_sent_twice_without_need() -> None:
    outbox = Outbox()
    outbox.add("requests", b"a\n")
    outbox.seal()

    assert len(outbox.due(10.0)) == 1
    assert outbox.due(10.0 + RESEND_AFTER_S - 0.1) == []
    assert len(outbox.due(10.0 + RESEND_AFTER_S)) == 1
    outbox.acknowledge(0, 14.0)
    assert outbox.due(100.0) == []
    assert outbox.is_empty


def test_many_lines_go_in_batches_that_hold_up_nothing_else() -> None:
    outbox = Outbox()
    for _ in range(3000):
        outbox.add("requests", b"x" * 1000 + b"\n")

    assert max(len(batch.lines["requests"]) for batch in outbox.due(0.0)) <= BATCH_BYTES + 1001


def test_what_nobody_took_is_known_at_the_end() -> None:
    outbox = Outbox()
    for number in range(5):
        outbox.add("requests", b"%d\n" % number)
        outbox.add("health", b"h\n")
        outbox.seal()
    outbox.due(0.0)
    outbox.acknowledge(1, 0.0)

    assert outbox.left() == {"requests": b"2\n3\n4\n", "health": b"h\nh\nh\n"}


def test_a_batch_survives_the_message_that_carries_it() -> None:
    batch = Batch(7, {"requests": "{}\n遅い\n".encode()})

    assert Batch.from_message(batch.as_message()) == batch


@pytest.mark.parametrize(
    "data", [{}, {"number": 0}, {"number": "0", "lines": {}}, {"number": 0, "lines": {"requests": 50_000_000}}]
)
def test_a_message_that_is_no_batch_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a batch"):
        Batch.from_message(data)


class Line:
    """Both ends in one process."""

    def __init__(self, cell: CellDirectory, *, is_dead: bool = False) -> None:
        self.shipper = Shipper(self._send, "load", "worker-0")
        self.receiver = Receiver(cell, "load", lambda data, _client: self.shipper.on_written(data))
        self._is_dead = is_dead

    def _send(self, data: dict[str, Any]) -> None:
        if not self._is_dead:
            self.receiver.on_message("host_1", data)


def test_lines_of_a_worker_are_in_the_directory_once_it_has_flushed(tmp_path: Path) -> None:
    cell = CellDirectory(tmp_path / "cells" / "a")
    line = Line(cell)
    requests, health = line.shipper.open("requests"), line.shipper.open("health")
    for number in range(100):
        requests.write(b'{"seq": %d}\n' % number)
    health.write(b"{}\n")

    assert line.shipper.flush(10.0)
    line.shipper.close(10.0)
    line.receiver.close()
    assert [json.loads(each)["seq"] for each in cell.requests("worker-0").read_text().splitlines()] == list(range(100))
    assert cell.health("worker-0").read_text() == "{}\n"


def test_lines_that_cannot_be_delivered_are_kept_where_they_are_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    line = Line(CellDirectory(tmp_path / "cells" / "a"), is_dead=True)
    line.shipper.open("requests").write(b"{}\n")
    line.shipper.close(0.1)
    line.receiver.close()

    (kept,) = tmp_path.glob("undelivered-requests-*.jsonl")
    assert kept.read_bytes() == b"{}\n"
    assert str(kept) in caplog.text


def test_a_directory_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    in_the_way = tmp_path / "cells"
    in_the_way.write_text("not a directory")
    cell = CellDirectory(in_the_way / "a")
    line = Line(cell)
    line.shipper.open("requests").write(b"{}\n")
    gevent.sleep(0)
    assert not line.shipper.flush(0.3)
    in_the_way.unlink()

    assert line.shipper.flush(2.0 * RESEND_AFTER_S)
    line.shipper.close(1.0)
    line.receiver.close()
    assert cell.requests("worker-0").read_bytes() == b"{}\n"


@pytest.mark.parametrize(("kind", "process"), [("../../x", "worker-0"), ("requests", "../x"), ("requests", "")])
def test_a_message_names_no_file_but_those_of_its_cell(tmp_path: Path, kind: str, process: str) -> None:
    with pytest.raises(ValueError, match="no file of a cell"):
        open_file(CellDirectory(tmp_path), kind, process)


def test_a_directory_is_shared_if_it_bears_the_loads_own_mark(tmp_path: Path) -> None:
    cell = CellDirectory(tmp_path)
    assert not is_shared(cell, "abc")
    cell.load_json.write_text('{"load_id": "abc"}')
    assert is_shared(cell, "abc")
    assert not is_shared(cell, "def")
    cell.load_json.write_text("[]")
    assert not is_shared(cell, "abc")
