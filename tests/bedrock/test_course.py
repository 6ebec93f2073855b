"""The attempts of a message: regions first, then retries, each with its number."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.course import Course
from bedrock.failover import Regions
from bedrock.invocation import InvocationRecord
from bedrock.outcome import Outcome
from bedrock.retry import Fixed, RetryPolicy, Standard

OUTAGE = (Outcome.CONNECTION_ERROR, None, "ConnectionFailed")
THROTTLE = (Outcome.THROTTLED, 429, "ThrottlingException")
WRONG = (Outcome.CLIENT_ERROR, 400, "ValidationException")
OK = (Outcome.OK, 200, None)
ABORTED = (Outcome.ABORTED, None, None)
End = tuple[Outcome, int | None, str | None]


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def ended(end: End) -> InvocationRecord:
    outcome, status, code = end
    return InvocationRecord("r", "c", "p", 0, "m", outcome=outcome, http_status=status, error_code=code)


def run(course: Course, ends: Sequence[End]) -> list[tuple[int, str | None, float | None]]:
    """Number and region of each attempt, and what is waited after it; None ends the message."""
    made = []
    for end in ends:
        number, region = course.attempt, course.region
        wait_s = course.after(ended(end))
        made.append((number, region, wait_s))
        if wait_s is None:
            break
    return made


def test_without_policy_and_regions_every_end_is_final() -> None:
    for end in (OK, OUTAGE, THROTTLE, WRONG, ABORTED):
        assert run(Course(None, None), [end]) == [(1, None, None)]


def begun(outcome: Outcome, api: str) -> InvocationRecord:
    """An attempt that failed behind the head of its answer and before anything of it."""
    return InvocationRecord("r", "c", "p", 0, "m", api=api, outcome=outcome, http_status=200, error_code="ReadTimeout")


@pytest.mark.parametrize("api", ["converse_stream", "invoke_model_stream"])
def test_a_stream_that_has_begun_is_sent_again_by_nobody(api: str) -> None:
    for policy, regions in ((Fixed(3, 2.0), None), (None, Regions(["a", "b"], Clock()))):
        assert Course(policy, regions).after(begun(Outcome.TIMEOUT, api)) is None


@pytest.mark.parametrize("api", ["converse", "invoke_model"])
def test_a_body_that_is_lost_behind_its_head_is_sent_again(api: str) -> None:
    assert Course(Fixed(3, 2.0), None).after(begun(Outcome.TIMEOUT, api)) == 2.0
    assert Course(None, Regions(["a", "b"], Clock())).after(begun(Outcome.TIMEOUT, api)) == 0.0


def test_a_throttle_is_tried_again_until_it_passes_or_the_attempts_are_used_up() -> None:
    assert run(Course(Fixed(3, 2.0), None), [THROTTLE, OK]) == [(1, None, 2.0), (2, None, None)]
    assert run(Course(Fixed(3, 2.0), None), [THROTTLE] * 9) == [(1, None, 2.0), (2, None, 2.0), (3, None, None)]


def test_what_was_wrong_with_the_request_is_not_tried_again() -> None:
    assert run(Course(Fixed(3, 2.0), Regions(["a", "b"], Clock())), [WRONG]) == [(1, "a", None)]


def test_an_outage_moves_the_message_on_at_once_and_the_next_one_begins_there() -> None:
    regions = Regions(["a", "b", "c"], Clock())

    assert run(Course(None, regions), [OUTAGE, OUTAGE, OK]) == [(1, "a", 0.0), (2, "b", 0.0), (3, "c", None)]
    assert run(Course(None, regions), [OK]) == [(1, "c", None)]


def test_the_preferred_region_is_tried_again_after_its_cool_down() -> None:
    clock = Clock()
    regions = Regions(["a", "b"], clock, cool_down_s=60)
    run(Course(None, regions), [OUTAGE, OK])
    clock.now_s = 61

    assert run(Course(None, regions), [OK]) == [(1, "a", None)]


def test_retries_wait_only_when_every_region_was_tried() -> None:
    course = Course(Fixed(2, 5.0), Regions(["a", "b"], Clock()))

    assert run(course, [OUTAGE] * 9) == [(1, "a", 0.0), (2, "b", 5.0), (3, "a", 0.0), (4, "b", None)]


def test_a_throttle_stays_in_its_region() -> None:
    """It is the account's limit, not the region's health."""
    course = Course(Fixed(2, 5.0), Regions(["a", "b"], Clock()))

    assert run(course, [THROTTLE, OK]) == [(1, "a", 5.0), (2, "a", None)]


def test_a_stream_that_had_begun_is_not_tried_again() -> None:
    course = Course(Fixed(3, 2.0), None)
    record = ended((Outcome.TRUNCATED, 200, "TruncatedStream"))

    assert course.after(record) is None


def test_the_retry_quota_is_that_of_all_messages_and_success_fills_it() -> None:
    policy = Standard(lambda: 1.0, max_attempts=2)
    exhausted = [run(Course(policy, None), [THROTTLE, THROTTLE])[-1][0] for _ in range(120)]
    assert exhausted[0] == 2
    assert exhausted[-1] == 1
    for _ in range(5):
        run(Course(policy, None), [OK])

    assert run(Course(policy, None), [THROTTLE, OK]) == [(1, None, 1.0), (2, None, None)]


ends = st.lists(st.sampled_from([OUTAGE, THROTTLE, WRONG, OK, ABORTED]), min_size=60, max_size=60)
policies = st.sampled_from([None, Fixed(3, 1.0), Standard(lambda: 0.5, 3)])


@given(ends, policies, st.integers(0, 3))
def test_every_message_ends_and_its_attempts_are_numbered(
    ends: list[End], policy: RetryPolicy | None, count: int
) -> None:
    regions = Regions(["a", "b", "c"][:count], Clock()) if count else None
    made = run(Course(policy, regions), ends)

    assert [number for number, _, _ in made] == list(range(1, len(made) + 1))
    assert made[-1][2] is None
    assert len(made) <= 3 * max(count, 1)
    last = ends[len(made) - 1]
    if last[0] not in (Outcome.OK, Outcome.ABORTED, Outcome.CLIENT_ERROR):
        assert policy is None or isinstance(policy, Standard) or len(made) >= 3


@pytest.mark.parametrize("name", ["none", "standard", "fixed"])
def test_aborted_is_the_end_whatever_the_policy(name: str) -> None:
    policy: RetryPolicy | None = {"none": None, "standard": Standard(lambda: 1.0), "fixed": Fixed(3, 0.0)}[name]

    assert run(Course(policy, Regions(["a", "b"], Clock())), [ABORTED]) == [(1, "a", None)]
