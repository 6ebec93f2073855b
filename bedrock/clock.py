"""One clock a process: Unix time for labels, monotonic for differences.

Wall clocks step (NTP, suspend); differences of two wall-clock readings can therefore be wrong or negative.
The monotonic clock is anchored once to Unix time and used alone from then on.
"""

import time


class AnchoredClock:
    """Unix seconds that never step: the monotonic clock plus one offset taken when the clock is created."""

    def __init__(self) -> None:
        self._offset_s = time.time() - time.perf_counter()

    def now(self) -> float:
        """Unix seconds, monotonic within this process."""
        return self._offset_s + time.perf_counter()


_process_clock = AnchoredClock()


def now() -> float:
    """Unix seconds on this process's anchored clock; every time stamp of records and truth logs is one of these."""
    return _process_clock.now()
