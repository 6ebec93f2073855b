"""Time stamps: Unix seconds that never go back."""

import itertools
import time

from bedrock.clock import AnchoredClock, now


def test_stamps_are_unix_time_and_never_go_back() -> None:
    stamps = [now() for _ in range(1000)]

    assert all(earlier <= later for earlier, later in itertools.pairwise(stamps))
    assert abs(stamps[0] - time.time()) < 60.0


def test_two_clocks_of_one_machine_agree() -> None:
    one, other = AnchoredClock(), AnchoredClock()

    assert abs(one.now() - other.now()) < 0.5
