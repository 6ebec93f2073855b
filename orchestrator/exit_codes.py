"""Exit codes of `run_tests.py`, the ones pytest's users know and one more."""

from enum import IntEnum


class ExitCode(IntEnum):
    """How the command ended."""

    OK = 0
    """All objectives met."""
    FAILED = 1
    """An objective failed."""
    INTERRUPTED = 2
    """Stopped by SIGINT or SIGTERM; partial results and report are written."""
    INTERNAL_ERROR = 3
    """A bug of this program."""
    USAGE_ERROR = 4
    """Configuration or command line; nothing was sent."""
    INCONCLUSIVE = 5
    """No data, too few samples, or a load generator that spoiled its own measurement."""
    LIMIT_REACHED = 6
    """Stopped by a safety limit: cost, requests, error rate, credentials about to expire."""


#: Worst first: the exit code of several suites is the first of these that one of them ended with.
SEVERITY = (
    ExitCode.INTERNAL_ERROR,
    ExitCode.USAGE_ERROR,
    ExitCode.INTERRUPTED,
    ExitCode.LIMIT_REACHED,
    ExitCode.FAILED,
    ExitCode.INCONCLUSIVE,
    ExitCode.OK,
)


def worst(codes: list[ExitCode]) -> ExitCode:
    """The exit code for several suites; OK for none."""
    return min(codes, key=SEVERITY.index, default=ExitCode.OK)
