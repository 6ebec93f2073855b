"""The benchmark's results as plain text, from the content of its JSON file."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.emulator_tables import table

_UNKNOWN = "-"

Content = Mapping[str, Any]


def render(results: Content) -> str:
    """Both tables, what to know about them, and the capacities."""
    rows = results["rows"]
    blocks = [
        _set_up(results),
        table("Errors of the generator's times (ms)", [_error_row(row) for row in rows]),
        table("Where the TTFT error comes from, and the load (ms)", [_load_row(row) for row in rows]),
    ]
    if results["tls_costs"]:
        blocks.append(table("HTTPS more than HTTP", [_cost_row(cost) for cost in results["tls_costs"]]))
    notes = _notes(rows)
    return "\n\n".join([*blocks, *(["\n".join(notes)] if notes else []), "\n".join(_capacities(results))])


def _set_up(results: Content) -> str:
    machine, method = results["machine"], results["method"]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items() if version)
    return "\n".join(
        [
            f"Emulator alone on core {method['emulator_core']}, one generator process on core "
            f"{method['generator_core']}; {machine['cores']} cores of {machine['cpu']}",
            f"Python {machine['python']}, {versions}",
            f"Open loop, Poisson arrivals; TTFT {method['ttft_ms']:g} ms, "
            f"then {method['tokens_per_second']:g} events/s, "
            f"{method['tokens'][0]} to {method['tokens'][1]} tokens an answer; measured {method['seconds']:g} s a row",
            f"Left out: calls due in the first {method['ramp_s']:g} s and in the last {method['tail_s']:g} s",
        ]
    )


def _error_row(row: Content) -> dict[str, str]:
    ttft, e2e, lag = row["ttft_error_ms"], row["e2e_error_ms"], row["send_lag_ms"]
    return {
        **_name(row),
        "calls": _number(row["n"]),
        "TTFT p50": _number(ttft["p50"], 2),
        "p99": _number(ttft["p99"], 2),
        "max": _number(ttft["max"], 2),
        "end p50": _number(e2e["p50"], 2),
        "p99 ": _number(e2e["p99"], 2),
        "max ": _number(e2e["max"], 2),
        "send lag p50": _number(lag["p50"], 2),
        "p99  ": _number(lag["p99"], 2),
        "max  ": _number(lag["max"], 2),
    }


def _load_row(row: Content) -> dict[str, str]:
    send, receive, kernel = row["send_error_ms"], row["receive_error_ms"], row["kernel_lag_ms"]
    return {
        **_name(row),
        "sending p50": _number(send["p50"], 2),
        "p99": _number(send["p99"], 2),
        "receiving p50": _number(receive["p50"], 2),
        "p99 ": _number(receive["p99"], 2),
        "kernel had it p50": _number(kernel["p50"], 2),
        "p99  ": _number(kernel["p99"], 2),
        "in flight": _number(row["in_flight"]),
        "events/s": _number(row["events_per_s"]),
        "CPU %": _number(row["cpu_pct"]),
        "us/event": _number(row["cpu_us_per_event"], 1),
        "others %": _number(row["others_pct"]),
        "emulator %": _number(row["emulator_cpu_pct"]),
        "limited by": " and ".join(row["limited_by"]) or "nothing",
    }


def _name(row: Content) -> dict[str, str]:
    scheme = "https" if row["tls"] else "http"
    mark = " (reference)" if row["is_reference"] else ""
    return {"transport": f"{row['transport']} {scheme}{mark}", "streams": _number(row["streams"])}


def _cost_row(cost: Content) -> dict[str, str]:
    return {
        "transport": cost["transport"],
        "streams": _number(cost["streams"]),
        "TTFT error p99 (ms)": _signed(cost["ttft_error_p99_ms"], 2),
        "us/event": _signed(cost["cpu_us_per_event"], 1),
        "CPU %": _signed(cost["cpu_pct"]),
    }


def _notes(rows: Sequence[Content]) -> list[str]:
    """What a reader of the tables must not overlook, a line each."""
    return [f"{name['transport']}, {name['streams']} streams: {what}" for row in rows for name, what in _oddities(row)]


def _oddities(row: Content) -> list[tuple[dict[str, str], str]]:
    bad = {outcome: count for outcome, count in row["outcomes"].items() if outcome != "ok"}
    found = []
    if bad:
        calls = ", ".join(f"{count} {outcome}" for outcome, count in bad.items())
        found.append(f"not counted, because they did not end well: {calls}")
    if row["records_without_truth"]:
        found.append(f"{row['records_without_truth']} answers of the records are not in the truth log")
    if row["truth_without_record"]:
        found.append(f"{row['truth_without_record']} requests of the truth log are not in the records")
    if row["clock_correction_ms"]:
        found.append(f"the two clocks were {abs(row['clock_correction_ms']):.2f} ms apart at least; corrected")
    return [(_name(row), what) for what in found]


def _capacities(results: Content) -> list[str]:
    limit_ms = results["ttft_error_limit_ms"]
    return [
        f"{entry['transport']} over {'https' if entry['tls'] else 'http'}, most streams with p99 of the TTFT error "
        f"within {limit_ms:g} ms: {_number(entry['streams_within_5ms'])}"
        for entry in results["capacity"]
    ]


def _number(value: float | None, digits: int = 0) -> str:
    return _UNKNOWN if value is None else f"{value:,.{digits}f}"


def _signed(value: float | None, digits: int = 0) -> str:
    return _UNKNOWN if value is None else f"{value:+,.{digits}f}"
