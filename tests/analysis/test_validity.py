"""The generator incriminates itself: each check on a run that has the fault, and on one that has not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.observations import typical_worst
from analysis.summary import analyse
from tests.support.analysed import load_of
from tests.support.run_builder import STARTED_AT, CellSpec, build_run, make_record, write_json, write_run

OPEN_LOOP_ONLY = {"send_lag_p99_ms", "dropped_arrivals", "achieved_rate", "target_rate", "unaccounted_arrivals"}


HEALTHY = {"process": "0", "hub_lag_ms": 1.0, "cpu_pct": 20.0}


def write_health(directory: Path, cell: str, process: str, lines: list[dict[str, Any]]) -> None:
    """Health lines of one process, the first one a second after the run's start."""
    text = "".join(
        json.dumps({"at": STARTED_AT + second, **HEALTHY, "process": process, **line}) + "\n"
        for second, line in enumerate(lines, start=1)
    )
    (directory / "cells" / cell / f"health-{process}.jsonl").write_text(text)


def several(count: int, first: int = 0, **fields: Any) -> list[dict[str, Any]]:
    return [make_record(first + index, **fields) for index in range(count)]


def checks_of(directory: Path) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in analyse(directory).summary["validity"]["checks"]}


def one_cell(directory: Path, records: list[dict[str, Any]], **load: Any) -> dict[str, dict[str, Any]]:
    """The checks of an open-loop cell at 5 arrivals/s, as long as its records say."""
    arrivals = sum(record["attempt"] == 1 for record in records)
    seconds = max(len(records), 1) / 5.0
    content = load_of(seconds, **{"arrivals_offered": arrivals, **load})
    write_run(directory, {"a": records}, [CellSpec("a").entry() | {"duration_s": seconds}], {"a": content})
    write_health(directory, "a", "0", [{}] * int(seconds))
    return checks_of(directory)


def test_a_sound_run_is_valid_with_every_check_made(tmp_path: Path) -> None:
    build_run(tmp_path, [CellSpec("a", n=100)])

    validity = analyse(tmp_path).summary["validity"]

    assert validity["status"] == "VALID"
    assert {check["status"] for check in validity["checks"]} == {"OK"}
    assert {check["name"] for check in validity["checks"]} > OPEN_LOOP_ONLY
    assert all({"name", "observed", "limit", "status", "advice"} <= check.keys() for check in validity["checks"])


def test_checks_of_rates_do_not_apply_in_closed_loop(tmp_path: Path) -> None:
    build_run(tmp_path, [CellSpec("a", n=100, users=10, rate_rps=None)])

    assert not OPEN_LOOP_ONLY & checks_of(tmp_path).keys()


def test_without_figures_a_check_is_not_measured_and_not_ok(tmp_path: Path) -> None:
    write_run(tmp_path, {"a": []}, [CellSpec("a").entry()])

    checks = checks_of(tmp_path)

    not_measured = {name for name, check in checks.items() if check["status"] == "NOT_MEASURED"}
    assert not_measured >= {"dropped_arrivals", "served_tier", "aborted_calls", "unreadable_lines"}
    assert all(checks[name]["observed"] is None for name in not_measured)


def test_calls_that_this_machine_had_no_connection_for_are_its_own_fault(tmp_path: Path) -> None:
    starved = {"outcome": "connection_error", "error_code": "GeneratorOutOfResources"}

    check = one_cell(tmp_path, [*several(95), *several(5, 95, **starved)])["local_resources"]

    assert (check["status"], check["observed"]) == ("FAIL", pytest.approx(0.05))
    assert check["reason"] == "This machine had no connection for 5.00 % of the calls in a"


@pytest.mark.parametrize(
    ("lag_ms", "status", "validity"), [(5.0, "OK", "VALID"), (60.0, "WARN", "SUSPECT"), (400.0, "FAIL", "INVALID")]
)
def test_late_calls(tmp_path: Path, lag_ms: float, status: str, validity: str) -> None:
    records = [*several(95), *several(5, 95, lag_ms=lag_ms, ttft_ms=700.0)]

    check = one_cell(tmp_path, records)["send_lag_p99_ms"]

    assert check["status"] == status
    assert check["observed"] == pytest.approx(lag_ms, abs=1e-3)
    assert (check["advice"] is None) == (status == "OK")
    assert analyse(tmp_path).summary["validity"]["status"] == validity


def test_one_late_call_in_a_short_run_is_an_accident(tmp_path: Path) -> None:
    assert one_cell(tmp_path, [*several(79), make_record(79, lag_ms=400.0, e2e_ms=2000.0, ttft_ms=1500.0)])[
        "send_lag_p99_ms"
    ]["status"] == "OK"  # fmt: skip


@pytest.mark.parametrize(("lag_ms", "status"), [(1.5, "OK"), (60.0, "WARN"), (400.0, "FAIL")])
def test_tokens_that_lay_in_the_kernel_are_the_generators_delay(tmp_path: Path, lag_ms: float, status: str) -> None:
    records = [*several(95, receive_lag_ms=0.1), *several(5, 95, receive_lag_ms=lag_ms)]

    check = one_cell(tmp_path, records)["receive_lag_p99_ms"]

    assert (check["status"], check["observed"]) == (status, pytest.approx(lag_ms))


def test_where_the_kernel_says_nothing_there_is_no_such_check(tmp_path: Path) -> None:
    assert "receive_lag_p99_ms" not in one_cell(tmp_path, several(100))


@pytest.mark.parametrize(("dropped", "status"), [(0, "OK"), (1, "WARN"), (5, "WARN"), (6, "FAIL")])
def test_dropped_arrivals_show_as_dropped_and_as_a_rate_not_reached(tmp_path: Path, dropped: int, status: str) -> None:
    checks = one_cell(tmp_path, [*several(100 - dropped), *several(dropped, 100 - dropped, outcome="dropped")])

    assert checks["dropped_arrivals"]["status"] == status
    assert checks["dropped_arrivals"]["observed"] == dropped / 100
    assert checks["achieved_rate"]["observed"] == pytest.approx(1.0 - dropped / 100)


@pytest.mark.parametrize(("arrivals", "status"), [(100, "OK"), (99, "OK"), (97, "WARN"), (80, "FAIL")])
def test_a_schedule_that_fell_behind_the_configured_rate(tmp_path: Path, arrivals: int, status: str) -> None:
    write_run(tmp_path, {"a": several(arrivals)}, [CellSpec("a").entry()], {"a": load_of(20.0)})

    assert checks_of(tmp_path)["target_rate"]["status"] == status


def test_a_random_schedule_may_deviate_as_chance_has_it(tmp_path: Path) -> None:
    entry = CellSpec("a").entry() | {"process": "poisson"}
    write_run(tmp_path, {"a": several(80)}, [entry], {"a": load_of(20.0)})

    assert checks_of(tmp_path)["target_rate"]["status"] == "OK"


@pytest.mark.parametrize("users", [None, 10])
@pytest.mark.parametrize(("measured_s", "status"), [(24.0, "OK"), (23.9, "WARN"), (12.0, "FAIL")])
def test_a_load_that_ended_early_is_no_measurement_of_the_planned_time(
    tmp_path: Path, users: int | None, measured_s: float, status: str
) -> None:
    entry = CellSpec("a", users=users, rate_rps=None if users else 5.0, n=120).entry() | {"duration_s": 24.0}
    write_run(tmp_path, {"a": several(100)}, [entry], {"a": load_of(measured_s)})

    assert checks_of(tmp_path)["measured_time"]["status"] == status


def test_a_cell_that_is_known_to_be_cut_short_is_not_blamed_for_it_again(tmp_path: Path) -> None:
    entry = CellSpec("a", status="interrupted").entry()
    write_run(tmp_path, {"a": several(50)}, [entry], {"a": load_of(10.0)}, stopped_by="interrupt")

    assert checks_of(tmp_path)["measured_time"]["status"] == "NOT_MEASURED"


@pytest.mark.parametrize("users", [None, 10])
def test_records_that_are_gone_leave_gaps_in_the_numbers(tmp_path: Path, users: int | None) -> None:
    build_run(tmp_path, [CellSpec("a", n=300, users=users, rate_rps=None if users else 5.0)])
    path = tmp_path / "cells" / "a" / "requests-0.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for number, line in enumerate(lines) if number % 10 or number == 0))

    check = checks_of(tmp_path)["missing_records"]

    assert check["status"] == "FAIL"
    assert check["observed"] == pytest.approx(29 / 300)


def test_each_process_counts_its_records_for_itself(tmp_path: Path) -> None:
    records = [make_record(seq, process=process, message_id=f"{process}-{seq}") for process in "01" for seq in range(9)]
    del records[4]

    assert one_cell(tmp_path, records)["missing_records"]["observed"] == pytest.approx(1 / 18)


def test_records_behind_the_last_one_of_a_process_are_missed_by_what_it_said_at_its_end(tmp_path: Path) -> None:
    members = [{"process": "0", "records": 100}, {"process": "1", "records": 20}, {"process": "2", "records": None}]

    check = one_cell(tmp_path, several(90), members=members)["missing_records"]

    assert check["observed"] == pytest.approx(30 / 120)


def test_a_cell_without_health_figures_is_named_and_not_valid(tmp_path: Path) -> None:
    build_run(tmp_path, [CellSpec("sound", n=100), CellSpec("silent", n=100, users=5, rate_rps=None)])
    (tmp_path / "cells" / "silent" / "health-0.jsonl").unlink()

    checks = checks_of(tmp_path)

    assert {checks[name]["status"] for name in ("hub_lag_p99_ms", "generator_cpu_p90_pct")} == {"WARN"}
    assert checks["hub_lag_p99_ms"]["cell"] == "silent"
    assert "No figures of hub_lag_p99_ms in silent" in checks["hub_lag_p99_ms"]["reason"]
    assert analyse(tmp_path).summary["validity"]["status"] == "SUSPECT"


def test_a_process_without_health_figures_makes_its_cell_suspect(tmp_path: Path) -> None:
    records = [
        make_record(seq, process=process, message_id=f"{process}-{seq}") for process in "01" for seq in range(50)
    ]

    assert one_cell(tmp_path, records)["generator_cpu_p90_pct"]["status"] == "WARN"


def test_one_saturated_process_of_many_is_not_hidden_by_the_others(tmp_path: Path) -> None:
    build_run(tmp_path, [CellSpec("a", n=100, users=10, rate_rps=None)])
    for process in range(1, 12):
        write_health(tmp_path, "a", str(process), [{"cpu_pct": 100.0 if process == 7 else 20.0}] * 20)

    check = checks_of(tmp_path)["generator_cpu_p90_pct"]

    assert (check["status"], check["observed"]) == ("FAIL", 100.0)


@pytest.mark.parametrize(
    ("lags_ms", "frozen", "hub_lag"),
    [
        ([1.0] * 30, "OK", "OK"),
        ([300.0, 400.0] + [1.0] * 28, "OK", "OK"),  # two accidents
        ([900.0] + [1.0] * 29, "WARN", "OK"),
        ([5000.0] + [1.0] * 25, "FAIL", "OK"),
        ([300.0] * 3 + [1.0] * 27, "OK", "FAIL"),
    ],
)
def test_a_frozen_generator_is_judged_by_the_time_it_stood_still(
    tmp_path: Path, lags_ms: list[float], frozen: str, hub_lag: str
) -> None:
    build_run(tmp_path, [CellSpec("a", n=150, users=10, rate_rps=None)])
    write_health(tmp_path, "a", "0", [{"hub_lag_ms": lag} for lag in lags_ms])

    checks = checks_of(tmp_path)

    assert (checks["frozen_time"]["status"], checks["hub_lag_p99_ms"]["status"]) == (frozen, hub_lag)


def test_retries_do_not_make_up_for_arrivals_that_were_never_sent(tmp_path: Path) -> None:
    sent = several(90)
    retries = [make_record(90 + n, message_id=f"m-{n:06d}", attempt=2, at=n * 0.2, lag_ms=250.0) for n in range(10)]
    dropped = several(10, 100, outcome="dropped")

    checks = one_cell(tmp_path, [*sent, *retries, *dropped])

    assert checks["achieved_rate"]["observed"] == pytest.approx(0.9)
    assert checks["dropped_arrivals"]["observed"] == pytest.approx(0.1)
    assert checks["send_lag_p99_ms"]["status"] == "OK"


def test_arrivals_that_left_no_record(tmp_path: Path) -> None:
    assert one_cell(tmp_path / "lost", several(90), arrivals_offered=100)["unaccounted_arrivals"]["status"] == "FAIL"
    assert one_cell(tmp_path / "kept", several(90), arrivals_offered=90)["unaccounted_arrivals"]["status"] == "OK"


def test_a_process_that_died_spoils_the_run(tmp_path: Path) -> None:
    check = one_cell(tmp_path, several(90), processes_lost=1)["lost_processes"]

    assert check["status"] == "FAIL"
    assert check["reason"] == "1 of the load generator's processes died in a"


@pytest.mark.parametrize(
    ("spec", "name", "status"),
    [
        ({"hub_lag_ms": 50.0}, "hub_lag_p99_ms", "WARN"),
        ({"hub_lag_ms": 500.0}, "hub_lag_p99_ms", "FAIL"),
        ({"cpu_pct": 80.0}, "generator_cpu_p90_pct", "WARN"),
        ({"cpu_pct": 99.0}, "generator_cpu_p90_pct", "FAIL"),
        ({"n": 60}, "samples", "WARN"),
        ({"outcomes": {"aborted": 0.03}}, "aborted_calls", "WARN"),
        ({"outcomes": {"aborted": 0.20}}, "aborted_calls", "FAIL"),
        ({"service_tier": "priority", "served_tier": "default"}, "served_tier", "FAIL"),
        ({"status": "interrupted"}, "unfinished_cells", "WARN"),
    ],
)
def test_each_fault_is_found(tmp_path: Path, spec: dict[str, Any], name: str, status: str) -> None:
    build_run(tmp_path, [CellSpec("sound", n=100), CellSpec("a", **{"n": 100, **spec})])

    check = checks_of(tmp_path)[name]

    assert check["status"] == status
    assert check["cell"] == "a"
    assert check["reason"]
    assert check["advice"]


def test_answers_that_do_not_name_their_tier_prove_nothing(tmp_path: Path) -> None:
    build_run(tmp_path, [CellSpec("a", service_tier="priority", served_tier=None)])

    assert checks_of(tmp_path)["served_tier"]["status"] == "NOT_MEASURED"


def test_too_few_samples_alone_leave_the_run_suspect(tmp_path: Path) -> None:
    build_run(tmp_path, [CellSpec("a", n=5)])

    assert analyse(tmp_path).summary["validity"]["status"] == "SUSPECT"


def test_health_is_judged_in_the_measured_window_alone(tmp_path: Path) -> None:
    build_run(tmp_path, [CellSpec("a", n=100, warmup_n=20, warmup_s=10.0)])
    path = tmp_path / "cells" / "a" / "health-0.jsonl"
    lines = path.read_text().splitlines()
    busy = [line.replace('"hub_lag_ms": 1.0', '"hub_lag_ms": 800.0') for line in lines[:9]]
    path.write_text("\n".join([*busy, *lines[9:], '{"at": tor']))

    assert checks_of(tmp_path)["hub_lag_p99_ms"]["status"] == "OK"


def test_unreadable_lines_are_counted_by_kind_with_all_their_number(tmp_path: Path) -> None:
    build_run(tmp_path, [CellSpec("a", n=100)])
    path = tmp_path / "cells" / "a" / "requests-0.jsonl"
    path.write_bytes(path.read_bytes() + b'{"seq":\n\xff\xfe\n{"seq":')

    summary = analyse(tmp_path).summary
    check = checks_of(tmp_path)["unreadable_lines"]

    assert check["observed"] == pytest.approx(3 / 103)
    assert check["status"] == "FAIL"
    assert (
        check["reason"]
        == "3 record lines were skipped in cells/a/requests-0.jsonl: 1 invalid UTF-8, 1 not JSON, 1 torn last line"
    )
    assert summary["validity"]["skipped_lines"] == {"invalid UTF-8": 1, "not JSON": 1, "torn last line": 1}


def test_a_load_generator_that_was_killed_leaves_an_unfinished_cell(tmp_path: Path) -> None:
    build_run(tmp_path, [CellSpec("a", n=100)])
    load = tmp_path / "cells" / "a" / "load.json"
    write_json(load, load_of(20.0, ended_at=None))

    assert checks_of(tmp_path)["unfinished_cells"]["status"] == "WARN"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([5.0, 7.0], None),
        ([1.0, 2.0, 400.0], 1.0),
        ([1.0, 2.0, 900.0], 882.0),
        ([1.0] * 50 + [900.0] * 3, 900.0),
        ([1.0, np.nan, 2.0, np.nan, 3.0], 1.0),
    ],
)
def test_the_typical_worst_needs_three_occurrences(values: list[float], expected: float | None) -> None:
    assert typical_worst(np.array(values)) == (None if expected is None else pytest.approx(expected, abs=20.0))


def test_the_typical_worst_is_the_p99_of_many_values() -> None:
    values = np.arange(1000.0)

    assert typical_worst(values) == np.quantile(values, 0.99)


@pytest.mark.parametrize(("wait_ms", "status"), [(0.0, "OK"), (60.0, "WARN"), (400.0, "FAIL")])
def test_waiting_for_a_connection_is_the_generators_delay(tmp_path: Path, wait_ms: float, status: str) -> None:
    records = [*several(95), *several(5, 95, pool_wait_ms=wait_ms, ttft_ms=700.0)]

    check = one_cell(tmp_path, records)["pool_wait_p99_ms"]

    assert (check["status"], check["observed"]) == (status, pytest.approx(wait_ms))


def in_flight(directory: Path, counted: float, **fields: Any) -> dict[str, Any]:
    """The check of Little's law on 600 calls of 930 ms at 5/s, which is 4.65 in flight."""
    one_cell(directory, several(600, **fields))
    write_health(directory, "a", "0", [{"in_flight": counted}] * 120)
    return checks_of(directory)["littles_law"]


@pytest.mark.parametrize(
    ("counted", "status"), [(4.65, "OK"), (4.3, "OK"), (5.2, "OK"), (6.5, "WARN"), (3.2, "WARN"), (14.0, "FAIL")]
)
def test_calls_in_flight_are_rate_times_time(tmp_path: Path, counted: float, status: str) -> None:
    assert in_flight(tmp_path, counted)["status"] == status


def test_calls_in_flight_beyond_chance_are_the_gap_to_rate_times_time(tmp_path: Path) -> None:
    # 120 s of windows of 1.86 s (two call times): a mean of 4.65 is known to within 3 x sqrt(4.65 / (120 / 1.86)).
    gap = 9.3 / 4.65 - 1.0 - 3.0 * np.sqrt(4.65 / (120.0 / 1.86)) / 4.65

    assert in_flight(tmp_path, 9.3)["observed"] == pytest.approx(gap, rel=1e-6)


def test_retries_and_missing_figures_leave_littles_law_open(tmp_path: Path) -> None:
    again = make_record(600, message_id="m-000000", attempt=2)
    one_cell(tmp_path / "retries", [*several(600), again])
    write_health(tmp_path / "retries", "a", "0", [{"in_flight": 9.0}] * 120)

    assert checks_of(tmp_path / "retries")["littles_law"]["status"] == "NOT_MEASURED"
    assert one_cell(tmp_path / "none", several(600))["littles_law"]["status"] == "NOT_MEASURED"


@pytest.mark.parametrize(("slow", "status"), [(0, "OK"), (5, "OK"), (6, "WARN"), (10, "WARN")])
def test_slow_first_requests_ask_for_a_warm_up(tmp_path: Path, slow: int, status: str) -> None:
    check = one_cell(tmp_path, [*several(slow, ttft_ms=800.0), *several(90, slow)])["first_requests"]

    assert (check["status"], check["observed"]) == (status, slow / 10)
    assert (check["advice"] is not None) == (status == "WARN")


def test_first_requests_of_a_short_cell_are_not_told_from_the_others(tmp_path: Path) -> None:
    assert one_cell(tmp_path, several(49))["first_requests"]["status"] == "NOT_MEASURED"


@pytest.mark.parametrize(("cached", "observed", "status"), [(0, 0.0, "OK"), (5, 0.05, "OK"), (6, 0.06, "WARN"),
                                                           (94, 0.06, "WARN"), (100, 0.0, "OK")])  # fmt: skip
def test_answers_with_and_without_the_cache_are_two_populations(
    tmp_path: Path, cached: int, observed: float, status: str
) -> None:
    records = [*several(cached, cache_read_tokens=30), *several(100 - cached, cached)]

    check = one_cell(tmp_path, records)["cache_contamination"]

    assert (check["status"], check["observed"]) == (status, pytest.approx(observed))


@pytest.mark.parametrize(("ramp_s", "status"), [(0.0, "OK"), (10.0, "OK"), (30.0, "WARN")])
def test_more_ramp_than_measurement_is_little_measurement(tmp_path: Path, ramp_s: float, status: str) -> None:
    phases = [
        {"name": "ramp", "started_at": STARTED_AT - ramp_s, "ended_at": STARTED_AT},
        {"name": "steady", "started_at": STARTED_AT, "ended_at": STARTED_AT + 20.0},
    ]

    check = one_cell(tmp_path, several(100), phases=phases)["ramp_share"]

    assert (check["status"], check["observed"]) == (status, pytest.approx(ramp_s / (ramp_s + 20.0)))


def test_skipped_lines_are_named_with_their_files(tmp_path: Path) -> None:
    one_cell(tmp_path, several(100))
    with (tmp_path / "cells" / "a" / "requests-0.jsonl").open("ab") as file:
        file.write(b'{"cell":"a"}\nnull\nnull\n')

    validity = analyse(tmp_path).summary["validity"]

    assert validity["skipped_files"] == [
        {"file": "cells/a/requests-0.jsonl", "reason": "missing field", "lines": 1},
        {"file": "cells/a/requests-0.jsonl", "reason": "not a JSON object", "lines": 2},
    ]


def test_of_conversations_the_first_turns_are_the_arrivals(tmp_path: Path) -> None:
    """Two turns each: the later ones neither make up for conversations that are missing, nor are they surplus."""
    turns = [
        make_record(2 * index + turn - 1, session_id=f"c{index}", turn=turn, message_id=f"m{index}-t{turn}")
        for index in range(50)
        for turn in (1, 2)
    ]

    assert one_cell(tmp_path / "kept", turns, arrivals_offered=50)["unaccounted_arrivals"]["status"] == "OK"
    assert one_cell(tmp_path / "lost", turns, arrivals_offered=60)["unaccounted_arrivals"]["status"] == "FAIL"
    assert one_cell(tmp_path / "thin", turns)["target_rate"]["observed"] < 0.9
