"""Deliveries when something goes wrong on the way that is nobody's doing but the emulator's."""

from typing import Any, cast

from bedrock.outcome import Outcome
from emulator.delivery import Delivery, Outbox
from emulator.ledger import Ledger
from emulator.schedule import Agenda
from emulator.truth import TruthLog


class Line:
    """An exchange that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.is_aborted = False
        self.on_gone: Any = None
        self.last_chunk = b"end"
        self.request = self
        self.headers: dict[str, str] = {}
        self.received_at = 1.0

    def chunk(self, data: bytes) -> bytes:
        return data

    def send(self, data: bytes) -> bool:
        if data == b"poison":
            raise RuntimeError("a bug")
        self.sent.append(data)
        return True

    def finish(self) -> None:
        self.sent.append(b"finished")

    def abort(self) -> None:
        self.is_aborted = True


class StillLoop:
    """An event loop that never gets to anything."""

    def call_later(self, *_arguments: Any) -> Any:
        return self

    call_soon = call_later

    def cancel(self) -> None:
        """Nothing was planned."""


def deliveries(count: int) -> tuple[Outbox, TruthLog, list[tuple[Line, Delivery]]]:
    log = TruthLog()
    ledger, outbox = Ledger(log), Outbox(Agenda(cast("Any", StillLoop())))
    lines = [Line() for _ in range(count)]
    made = [
        (line, Delivery(cast("Any", line), ledger.open(cast("Any", line)), lambda: 3, outbox, is_streamed=True))
        for line in lines
    ]
    return outbox, log, made


def test_a_bug_in_an_answer_ends_its_call_and_its_connection(capsys: Any) -> None:
    _, log, [(line, delivery)] = deliveries(1)

    def step() -> None:
        raise RuntimeError("a bug")

    assert delivery.guarded(step)() is None
    assert line.is_aborted
    assert delivery.is_over
    assert '"outcome":"server_error"' in log.page(0).lines[0]
    assert "a bug" in capsys.readouterr().err


def test_content_leaves_in_its_order_and_before_the_end() -> None:
    outbox, _, [(first, one), (second, other)] = deliveries(2)
    for number in range(3):
        assert one.content([b"a%d" % number], number + 1)
        assert other.content([b"b%d" % number], number + 1)
    assert first.sent == second.sent == []
    assert one.close([b"last"], 3)

    assert first.sent == [b"a0", b"a1", b"a2", b"lastend", b"finished"]
    assert second.sent == [b"b0", b"b1", b"b2"]
    outbox.send_all()
    assert len(second.sent) == 3


def test_what_waits_behind_a_bug_is_sent_all_the_same() -> None:
    outbox, _, [(_, one), (second, other)] = deliveries(2)
    one.content([b"poison"], 1)
    other.content([b"sound"], 1)
    try:
        outbox.send_all()
    except RuntimeError:
        outbox.send_all()

    assert second.sent == [b"sound"]


def test_many_events_do_not_wait_for_the_end_of_a_long_turn() -> None:
    _, _, [(line, delivery)] = deliveries(1)
    for number in range(64):
        delivery.content([b"x"], number + 1)

    assert len(line.sent) == 64


def test_content_of_an_answer_that_is_over_goes_nowhere() -> None:
    outbox, log, [(line, delivery)] = deliveries(1)
    delivery.content([b"late"], 1)
    delivery.end(Outcome.ABORTED)
    outbox.send_all()

    assert line.sent == []
    assert '"output_tokens":0' in log.page(0).lines[0]
    assert not delivery.content([b"later"], 2)
