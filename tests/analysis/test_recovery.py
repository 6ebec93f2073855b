"""Time to recover after a spike, of courses whose answer is known."""

from pathlib import Path
from typing import Any

import pytest

from analysis.summary import analyse
from tests.support.analysed import load_of
from tests.support.run_builder import STARTED_AT, CellSpec, make_record, write_run

PHASES = (("baseline", 0.0, 20.0), ("spike", 20.0, 30.0), ("recovery", 30.0, 60.0))


def recovery_of(directory: Path, ttft_ms: Any, rate: float = 10.0, **options: Any) -> dict[str, Any]:
    """What is said of the TTFT of a cell of 60 s, with `ttft_ms(second)` and so many calls a second."""
    phases = options.get("phases", PHASES)
    entries = [
        {"name": name, "started_at": STARTED_AT + start, "ended_at": STARTED_AT + end} for name, start, end in phases
    ]
    records = [
        make_record(
            seq, at=seq / rate, ttft_ms=ttft_ms(seq / rate), outcome=options.get("outcome", lambda _: "ok")(seq / rate)
        )
        for seq in range(int(60 * rate))
    ]
    entry = CellSpec("a", rate_rps=rate).entry() | {"duration_s": 60.0}
    write_run(directory, {"a": records}, [entry], {"a": load_of(60.0, phases=entries)})
    found = analyse(directory).summary["cells"][0]["recovery"]
    return next((row for row in found or [] if row["metric"] == "ttft_ms"), {})


def test_recovered_is_the_first_window_within_ten_percent(tmp_path: Path) -> None:
    found = recovery_of(tmp_path, lambda at: 300.0 if at < 20 else 900.0 if at < 40 else 329.0)

    assert found["baseline_p95_ms"] == pytest.approx(300.0, abs=1e-3)
    assert found["spike_p95_ms"] == found["worst_after_p95_ms"] == pytest.approx(900.0, abs=1e-3)
    assert found["window_s"] == 10.0  # 72 answers at 10/s
    assert (found["recovery_s"], found["reason"]) == (10.0, None)


def test_more_calls_a_second_show_it_more_finely(tmp_path: Path) -> None:
    found = recovery_of(tmp_path, lambda at: 900.0 if 20 <= at < 37.5 else 300.0, rate=40.0)

    assert (found["window_s"], found["recovery_s"]) == (2.0, 8.0)


def test_a_service_that_was_never_disturbed_recovers_at_once(tmp_path: Path) -> None:
    assert recovery_of(tmp_path, lambda _: 300.0)["recovery_s"] == 0.0


def test_one_that_never_comes_back_has_no_time_but_a_reason(tmp_path: Path) -> None:
    found = recovery_of(tmp_path, lambda at: 300.0 if at < 20 else 331.0)

    assert (found["recovery_s"], found["reason"]) == (None, "not within 30 s, the end of the test")


def test_refusals_are_no_recovery(tmp_path: Path) -> None:
    found = recovery_of(tmp_path, lambda _: 300.0, outcome=lambda at: "throttled" if at >= 20 else "ok")

    assert found["recovery_s"] is found["spike_p95_ms"] is None
    assert found["reason"] == "too few answers after it for a p95 in any window"


@pytest.mark.parametrize(
    ("phases", "reason"),
    [
        ((("spike", 0.0, 20.0), ("recovery", 20.0, 60.0)), "no baseline came before it"),
        ((("baseline", 0.0, 20.0), ("spike", 20.0, 60.0)), "nothing was measured after it"),
        (
            (("baseline", 0.0, 5.0), ("spike", 5.0, 20.0), ("recovery", 20.0, 60.0)),
            "fewer than 72 answers in the baseline",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_known_says_why(tmp_path: Path, phases: Any, reason: str) -> None:
    found = recovery_of(tmp_path, lambda _: 300.0, phases=phases)

    assert (found["recovery_s"], found["reason"]) == (None, reason)


def test_without_a_spike_there_is_nothing_to_recover_from(tmp_path: Path) -> None:
    assert recovery_of(tmp_path, lambda _: 300.0, phases=(("steady", 0.0, 60.0),)) == {}


@pytest.mark.parametrize(("stage", "last"), [("rush-", "recovery"), ("stage2-", "recovery"), ("rush-", "after")])
def test_phases_that_carry_the_name_of_their_stage_are_known_by_their_own(
    tmp_path: Path, stage: str, last: str
) -> None:
    phases = ((f"{stage}baseline", 0.0, 20.0), (f"{stage}spike", 20.0, 30.0), (f"{stage}{last}", 30.0, 60.0))

    found = recovery_of(tmp_path, lambda at: 300.0 if at < 20 else 900.0 if at < 40 else 329.0, phases=phases)

    assert found["recovery_s"] == (10.0 if last == "recovery" else None)


def test_a_stage_that_is_called_after_a_spike_is_none(tmp_path: Path) -> None:
    assert recovery_of(tmp_path, lambda _: 300.0, phases=(("before-spike", 0.0, 30.0), ("calm", 30.0, 60.0))) == {}
