"""How late the machine itself wakes up who sleeps on the generators' cores: the part of a lag that is not theirs."""

import os
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager

_INTERVAL_S = 0.01


@contextmanager
def bystander(cores: Collection[int] | None) -> Iterator[list[float]]:
    """A thread that does nothing but sleep on these cores while the `with` lasts; its latenesses, in milliseconds.

    The least that a process there has to expect: one that has work to do waits longer on a busy core.
    """
    late_ms: list[float] = []
    has_ended = threading.Event()
    thread = threading.Thread(target=_watch, args=(cores, has_ended, late_ms), daemon=True)
    thread.start()
    try:
        yield late_ms
    finally:
        has_ended.set()
        thread.join()


def _watch(cores: Collection[int] | None, has_ended: threading.Event, late_ms: list[float]) -> None:
    if cores is not None:
        os.sched_setaffinity(0, cores)  # on Linux this thread's alone
    due = time.perf_counter() + _INTERVAL_S
    while not has_ended.is_set():
        time.sleep(max(0.0, due - time.perf_counter()))
        woken = time.perf_counter()
        late_ms.append((woken - due) * 1000.0)
        due = max(due + _INTERVAL_S, woken)
