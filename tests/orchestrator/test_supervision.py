"""Ending a cell: by itself, on request, by force. On a virtual clock."""

import os
import signal
from dataclasses import dataclass, field

import pytest

from orchestrator.cell_run import judge, last_words
from orchestrator.limits import StopReason
from orchestrator.supervision import POLL_INTERVAL_S, End, Patience, Signals, Supervisor
from scenarios.run_directory import CellDirectory

PATIENCE = Patience(until_end_s=100.0, for_stop_s=20.0)


@dataclass
class VirtualTime:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@dataclass
class FakeChild:
    """Ends by itself at `ends_at`, or `drain_s` after it was interrupted (None: never)."""

    time: VirtualTime
    ends_at: float | None = 10.0
    drain_s: float | None = 2.0
    interrupted_at: float | None = None
    killed_at: float | None = None
    interrupts: int = 0
    history: list[str] = field(default_factory=list)

    def poll(self) -> int | None:
        if self.killed_at is not None:
            return -9
        drained_at = None
        if self.interrupted_at is not None and self.drain_s is not None:
            drained_at = self.interrupted_at + self.drain_s
        ends = [at for at in (self.ends_at, drained_at) if at is not None]
        return 0 if ends and self.time.now_s >= min(ends) else None

    def interrupt(self) -> None:
        self.interrupts += 1
        self.interrupted_at = self.time.now_s

    def kill(self) -> None:
        self.killed_at = self.time.now_s


def watch(child: FakeChild, signals: Signals | None = None, look=lambda: None) -> End:
    supervisor = Supervisor(child, signals or Signals(), look, PATIENCE, child.time)
    while (end := supervisor.step()) is None:
        child.time.sleep(POLL_INTERVAL_S)
    return end


def test_a_cell_that_ends_by_itself_is_left_alone():
    child = FakeChild(VirtualTime())

    assert watch(child) == End(0, None, None)
    assert (child.interrupts, child.killed_at) == (0, None)


def test_a_reached_limit_interrupts_once_and_lets_it_drain():
    child = FakeChild(VirtualTime(), ends_at=None)
    end = watch(child, look=lambda: StopReason.MAX_COST_USD if child.time.now_s >= 4.0 else None)

    assert end == End(0, StopReason.MAX_COST_USD, None)
    assert child.interrupts == 1
    assert child.interrupted_at == pytest.approx(4.0, abs=2 * POLL_INTERVAL_S)


def test_the_first_signal_asks_and_the_second_kills():
    signals = Signals()
    child = FakeChild(VirtualTime(), ends_at=None, drain_s=None)

    def look() -> None:
        signals.count = (child.time.now_s >= 3.0) + (child.time.now_s >= 5.0)

    end = watch(child, signals, look)

    assert end.stopped_by is StopReason.INTERRUPT
    assert end.killed == "aborted by a second signal"
    assert child.interrupted_at == pytest.approx(3.0, abs=2 * POLL_INTERVAL_S)
    assert child.killed_at == pytest.approx(5.0, abs=2 * POLL_INTERVAL_S)


def test_a_cell_that_does_not_stop_when_asked_is_killed():
    child = FakeChild(VirtualTime(), ends_at=None, drain_s=None)
    end = watch(child, look=lambda: StopReason.MAX_REQUESTS)

    assert end == End(-9, StopReason.MAX_REQUESTS, "did not end after it was stopped")
    assert child.killed_at == pytest.approx(20.0, abs=2 * POLL_INTERVAL_S)


def test_a_cell_that_hangs_is_killed():
    child = FakeChild(VirtualTime(), ends_at=None)
    end = watch(child)

    assert end == End(-9, None, "did not end on time")
    assert child.killed_at == pytest.approx(100.0, abs=2 * POLL_INTERVAL_S)


def test_files_are_read_once_more_after_the_end():
    looks = []
    child = FakeChild(VirtualTime(), ends_at=0.0)
    watch(child, look=lambda: looks.append(child.time.now_s))

    assert looks == [0.0]


def test_a_cell_without_its_record_files_has_failed():
    judged = judge(End(0, None, None), "", lasted_s=61.0, planned_s=60.0, has_records=False)

    assert (judged.status, judged.reason) == ("failed", "its record files are gone")


@pytest.mark.parametrize(
    ("console", "said"),
    [
        (
            "Traceback (most recent call last):\n  ...\nOSError: [Errno 28] No space left",
            "OSError: [Errno 28] No space left",
        ),
        ("Response time percentiles (approximated)", "log: all users spawned"),
    ],
)
def test_the_last_words_of_a_crash_are_the_traceback_on_the_console(tmp_path, console, said):
    directory = CellDirectory(tmp_path)
    directory.log.write_text("log: all users spawned\n", encoding="utf-8")
    (tmp_path / "console.log").write_text(f"$ locust\n{console}\n", encoding="utf-8")

    assert last_words(directory, 1).splitlines()[-1] == said


def test_signals_are_counted_and_handlers_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with Signals() as signals:
        assert not signals.asked_to_stop
        os.kill(os.getpid(), signal.SIGTERM)
        assert (signals.asked_to_stop, signals.asked_to_abort) == (True, False)
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.asked_to_abort

    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("end", "status", "said"),
    [
        (End(0, None, None), "finished", None),
        (End(0, StopReason.INTERRUPT, None), "interrupted", "stopped by interrupt"),
        (End(-9, StopReason.INTERRUPT, "aborted"), "interrupted", "stopped by interrupt; aborted"),
        (End(-9, None, "did not end on time"), "failed", "did not end on time"),
        (End(4, None, None), "failed", "Locust refused its configuration: last words"),
        (End(1, None, None), "failed", "Locust ended with exit code 1: last words"),
        (End(-11, None, None), "failed", "Locust was ended by SIGSEGV: last words"),
    ],
)
def test_what_an_end_means_for_the_cell(end, status, said):
    judged = judge(end, "first words\nlast words", lasted_s=61.0, planned_s=60.0)

    assert (judged.status, judged.reason) == (status, said)


def test_a_crash_without_a_log_says_so():
    judged = judge(End(1, None, None), "", lasted_s=1.0, planned_s=60.0)

    assert judged.reason == "Locust ended with exit code 1: its log is empty"


def test_a_cell_that_locust_ended_early_has_failed_though_locust_is_content():
    judged = judge(End(0, None, None), "last words", lasted_s=16.4, planned_s=40.0)

    assert (judged.status, judged.reason) == ("failed", "Locust ended after 16 of 40 s, unasked")


def test_a_lost_terminal_asks_for_an_orderly_end_however_often_it_is_told():
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may run under nohup themselves
    try:
        with Signals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGHUP)
            assert (signals.asked_to_stop, signals.asked_to_abort) == (True, False)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


def test_under_nohup_a_lost_terminal_changes_nothing():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not signals.asked_to_stop
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_cell_that_lost_one_of_its_processes_has_failed_and_is_run_again_when_resumed():
    judged = judge(End(0, None, None), "last words", lasted_s=61.0, planned_s=60.0, processes_lost=1)

    assert (judged.status, judged.reason) == ("failed", "1 of its Locust processes died")
