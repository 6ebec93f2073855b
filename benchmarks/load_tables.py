"""The load benchmark's results as plain text, from the content of its JSON file."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.emulator_tables import table

_UNKNOWN = "-"

Content = Mapping[str, Any]


def render(results: Content) -> str:
    """A table and its verdicts for each part that was measured."""
    parts: dict[str, Callable[[Any], str]] = {"frozen": _frozen, "rate": _rate, "replay": _replay, "slots": _slots}
    return "\n\n".join([_set_up(results), *(parts[name](content) for name, content in results["parts"].items())])


def _set_up(results: Content) -> str:
    machine, cores = results["machine"], results["cores"]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items() if version)
    place = (
        "emulator and generators where the system puts them"
        if cores["emulator"] is None
        else f"emulator on core {_list(cores['emulator'])}, generators on {_list(cores['generators'])}"
    )
    busy = ", ".join(f"{average:.2f} before {name}" for name, average in results["load_average"].items())
    return "\n".join(
        [
            f"{machine['cores']} cores of {machine['cpu']}; {place}",
            f"Python {machine['python']}, {versions}",
            f"Load average of the machine: {busy}",
        ]
    )


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _frozen(part: Content) -> str:
    title = f"A service that freezes for {part['stall_s']:.2f} s in the middle of {part['seconds']:g} s (ms)"
    return "\n".join([table(title, [_frozen_row(row) for row in part["rows"]]), _ledger(part["ledger"])])


def _frozen_row(row: Content) -> dict[str, str]:
    return {
        "loop": row["load"],
        "users": _number(row["users"]),
        "calls": _number(row["calls"]),
        "calls/s": _number(row["rate_rps"], 1),
        "sent while frozen": _number(row["sent_while_frozen"]),
        "from intended p50": _number(row["from_intended_ms"]["p50"], 1),
        "p99": _number(row["from_intended_ms"]["p99"], 1),
        "max": _number(row["from_intended_ms"]["max"], 1),
        "service time p50": _number(row["service_ms"]["p50"], 1),
        "p99 ": _number(row["service_ms"]["p99"], 1),
        "max ": _number(row["service_ms"]["max"], 1),
        "outcomes": _counts(row["outcomes"]),
    }


def _rate(rows: Sequence[Content]) -> str:
    lines = [table("A rate held by two processes (lag in ms)", [_rate_row(row) for row in rows])]
    for row in rows:
        lines += [f"{row['processes']}: {_counts(row['by_process'])} records; {_ledger(row['ledger'])}"]
        lines += _verdicts(row["targets"])
    return "\n".join(lines)


def _rate_row(row: Content) -> dict[str, str]:
    return {
        "processes": row["processes"],
        "seconds": _number(row["seconds"]),
        "arrivals": _number(row["offered"]),
        "offered/s": _number(row["offered_rps"], 2),
        "achieved/s": _number(row["achieved_rps"], 2),
        "difference %": f"{row['deviation_pct']:+.3f}",
        **_lag(row),
        "dropped": _number(row["dropped"]),
        "outcomes": _counts(row["outcomes"]),
    }


def _replay(row: Content) -> str:
    columns = {
        "arrivals": _number(row["arrivals"]),
        "seconds": _number(row["seconds"], 1),
        "types": _number(len(row["types"])),
        "wrong type": _number(row["wrong_types"]),
        "due off by max": _number(row["due_error_ms"], 4),
        "gap off by p50": _number(row["gap_error_ms"]["p50"], 2),
        "p99 ": _number(row["gap_error_ms"]["p99"], 2),
        **_lag(row),
        "outcomes": _counts(row["outcomes"]),
    }
    return "\n".join([table("A replayed trace (ms)", [columns]), _ledger(row["ledger"]), *_verdicts(row["targets"])])


def _slots(row: Content) -> str:
    columns = {
        "idle slots": _number(row["slots"]),
        "with 1": _number(row["one_slot_mb"], 1),
        "with all": _number(row["all_slots_mb"], 1),
        "added": _number(row["added_mb"], 1),
        "KB a slot": _number(row["kb_per_slot"], 1),
    }
    return "\n".join([table("Memory of a Locust process (MB)", [columns]), *_verdicts(row["targets"])])


def _lag(row: Content) -> dict[str, str]:
    lag, machine = row["send_lag_ms"], row["bystander_late_ms"]
    return {
        "send lag p50": _number(lag["p50"], 2),
        "p99": _number(lag["p99"], 2),
        "max": _number(lag["max"], 2),
        "machine late p50": _number(machine["p50"], 2),
        "p99  ": _number(machine["p99"], 2),
    }


def _ledger(ledger: Content) -> str:
    return (
        f"{ledger['records']:,} calls recorded, {ledger['truth_lines']:,} requests in the truth log; "
        f"{ledger['records_without_truth']} and {ledger['truth_without_record']} without a counterpart"
    )


def _verdicts(targets: Mapping[str, bool]) -> list[str]:
    return [f"  {'met   ' if is_met else 'MISSED'}  {target}" for target, is_met in targets.items()]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _number(value: float | None, digits: int = 0) -> str:
    return _UNKNOWN if value is None else f"{value:,.{digits}f}"
