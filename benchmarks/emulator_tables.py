"""The benchmark's results as plain text, from the content of its JSON file."""

from collections.abc import Mapping, Sequence
from typing import Any

_UNKNOWN = "-"
_MIB = 1 << 20

Row = Mapping[str, Any]


def render(results: Row, core: int) -> str:
    """All parts that were measured, one table each, and the ceilings."""
    blocks = [_set_up(results["machine"], core)]
    if results["streams"]:
        blocks.append(table("Streams of 50 events/s (times in ms)", [_stream_row(step) for step in results["streams"]]))
    if results["whole"]:
        blocks.append(table("Whole answers, closed loop (times in ms)", [_whole_row(results["whole"])]))
    if results["memory"]:
        blocks.append(table("Memory over whole answers (MiB)", [_memory_row(results["memory"])]))
    return "\n\n".join([*blocks, "\n".join(_sentences(results["limits"]))])


def _set_up(machine: Row, core: int) -> str:
    versions = f"Python {machine['python']}, uvloop {machine['uvloop'] or 'none'}"
    return f"Emulator alone on core {core}; {machine['cores']} cores of {machine['cpu']}, {versions}"


def table(title: str, rows: Sequence[Mapping[str, str]]) -> str:
    """A title, the keys of the rows as heads, and the rows, aligned to the right."""
    cells = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join([title, *(f"  {line}" for line in lines)])


def _stream_row(step: Row) -> dict[str, str]:
    send, arrival, delay = step["send_lateness_ms"], step["arrival_lateness_ms"], step["receive_delay_ms"]
    return {
        "streams": _number(step["streams"]),
        "events/s": _number(step["events_per_s"]),
        **_processors(step),
        "sent late p50": _number(send["p50"], 2),
        "p99": _number(send["p99"], 2),
        "max": _number(send["max"], 2),
        "seen late p50": _number(arrival["p50"], 2),
        "p99 ": _number(arrival["p99"], 2),
        "max ": _number(arrival["max"], 2),
        "read after p99": _number(delay["p99"], 2),
        **_ending(step),
    }


def _whole_row(step: Row) -> dict[str, str]:
    return {
        "connections": _number(step["connections"]),
        "requests/s": _number(step["requests_per_s"]),
        **_processors(step),
        "latency p50": _number(step["latency_ms"]["p50"], 2),
        "p99": _number(step["latency_ms"]["p99"], 2),
        **_ending(step),
    }


def _memory_row(step: Row) -> dict[str, str]:
    return {
        "requests": _number(step["requests"]),
        "requests/s": _number(step["requests_per_s"]),
        "start": _mib(step["rss_start_bytes"]),
        "after 10 %": _mib(step["rss_warm_bytes"]),
        "end": _mib(step["rss_end_bytes"]),
        "bytes/request": _number(step["bytes_per_request"], 1),
        "truth log": _mib(step["truth_log_bytes"]),
        "failed": _number(step["failed"]),
    }


def _processors(step: Row) -> dict[str, str]:
    return {
        "CPU %": _number(step["cpu_pct"]),
        "others %": _number(step["core_others_pct"]),
        "client %": _number(step["client_cpu_pct"]),
    }


def _ending(step: Row) -> dict[str, str]:
    return {"failed": _number(step["failed"]), "limited by": " and ".join(step["limited_by"]) or "nothing"}


def _sentences(limits: Row) -> list[str]:
    """The ceilings that were measured, a line each."""
    found = {
        f"streams with p99 of send lateness within {limits['send_lateness_limit_ms']:g} ms": limits[
            "streams_on_schedule"
        ],
        "events/s with them": limits["events_per_s_on_schedule"],
        "events/s at most": limits["events_per_s"],
        "whole answers/s": limits["requests_per_s"],
        "bytes/request after a fifth of the requests": limits["bytes_per_request"],
    }
    return [f"{name}: {_number(value)}" for name, value in found.items()]


def _number(value: float | None, digits: int = 0) -> str:
    return _UNKNOWN if value is None else f"{value:,.{digits}f}"


def _mib(size: int | None) -> str:
    return _UNKNOWN if size is None else f"{size / _MIB:,.1f}"
