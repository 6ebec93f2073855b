"""One clock a process: Unix time for labels, monotonic for differences.

Wall clocks step (NTP, suspend); differences of two wall-clock readings can therefore be wrong or negative.
The monotonic clock is anchored once to Unix time and used alone from then on.
"""

import time


class AnchoredClock:
    """Unix seconds that never step: the monotonic clock plus one offset taken when the clock is created."""

    def __init__(self) -> None:
        self._offset_s = time.time() - time.perf_counter()

    def shift(self, by_s: float) -> None:
        """Set the clock by another one; no call may be open, for its time would step."""
        self._offset_s += by_s

    def now(self) -> float:
        """Unix seconds, monotonic within this process."""
        return self._offset_s + time.perf_counter()


_process_clock = AnchoredClock()


def follow(ahead_s: float) -> None:
    """Follow a clock that is `ahead_s` ahead of this process's: that of the process which leads the test.

    Processes on other machines would otherwise start their schedules, and stamp their records, by clocks of their own.
    """
    _process_clock.shift(ahead_s)


def now() -> float:
    """Unix seconds on this process's anchored clock; every time stamp of records and truth logs is one of these."""
    return _process_clock.now()
