"""The course of one message through its attempts: which region takes each, and whether another follows.

Failover comes first: after a failure that speaks against its region the message goes on at once with the next one. Only
when every region has been tried in vain does the retry policy say whether all is tried again, and after how long.
"""

from bedrock.failover import Regions, speaks_against_region
from bedrock.invocation import InvocationRecord
from bedrock.outcome import Outcome
from bedrock.retry import FailedAttempt, RetryPolicy

#: Ends that are nobody's failure: the test is over, or the request was wrong in itself.
_FINAL = frozenset({Outcome.OK, Outcome.ABORTED, Outcome.DROPPED})


class Course:
    """One message. `region` and `attempt` are those of the attempt that is due; None is the endpoint's own region."""

    def __init__(self, policy: RetryPolicy | None, regions: Regions | None) -> None:
        self._policy = policy
        self._regions = regions
        self._round = 1
        self._retried_after: FailedAttempt | None = None
        self.attempt = 1
        self.region = None if regions is None else regions.choose()
        self._tried = {self.region}

    def after(self, record: InvocationRecord) -> float | None:
        """Seconds to wait before the next attempt, given how this one ended; None where the message has ended."""
        if record.outcome is Outcome.OK:
            self._note_success(record)
        if record.outcome is None or record.outcome in _FINAL:
            return None
        wait_s = 0.0 if self._moves_on(record) else self._waits(record)
        if wait_s is not None:
            self.attempt += 1
        return wait_s

    def _note_success(self, record: InvocationRecord) -> None:
        if self._regions is not None and self.region is not None:
            self._regions.succeeded(self.region, record.started_at)
        if self._policy is not None:
            self._policy.succeeded(self._retried_after)

    def _moves_on(self, record: InvocationRecord) -> bool:
        """Whether another region takes the message over."""
        regions = self._regions
        if regions is None or self.region is None or not _speaks_against_region(record):
            return False
        regions.failed(self.region, record.started_at)
        following = regions.choose({name for name in self._tried if name is not None})
        if following is None:
            return False
        self.region = following
        self._tried.add(following)
        return True

    def _waits(self, record: InvocationRecord) -> float | None:
        if self._policy is None:
            return None
        failed = FailedAttempt(
            number=self._round,
            http_status=record.http_status,
            error_code=record.error_code,
            in_stream=_in_stream(record),
            api=record.api,
        )
        wait_s = self._policy.wait_s(failed)
        if wait_s is not None:
            self._round += 1
            self._retried_after = failed
            if self._regions is not None:
                self.region = self._regions.choose()
                self._tried = {self.region}
        return wait_s


def _speaks_against_region(record: InvocationRecord) -> bool:
    return record.outcome is not None and speaks_against_region(
        record.outcome, record.http_status, in_stream=_in_stream(record)
    )


def _in_stream(record: InvocationRecord) -> bool:
    """Whether a stream's head had arrived: from then on neither the SDK nor anything here sends the call again.

    A body in one piece that is lost behind its head is sent again, as by the SDK, which reads it before it looks.
    """
    return record.http_status == 200 and (record.api or "").endswith("_stream")
