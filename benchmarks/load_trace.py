"""A trace to replay: uneven times, several query types. A pure function of its seed."""

import csv
from collections.abc import Sequence
from pathlib import Path
from random import Random

from scenarios.traffic import load_mix

#: Gaps are gamma with this shape: arrivals cluster, with pauses between the clusters.
_BURSTINESS = 0.3
#: Every so many messages two come at the same instant.
_TWINS = 50

TraceRow = tuple[float, str]


def make_trace(count: int, rate_rps: float, seed: int) -> list[TraceRow]:
    """Seconds from the first message, to the microsecond, and the query type of each, by the shares of the mix."""
    random = Random(seed)
    shares = load_mix("mangaassist").shares()
    types = random.choices(list(shares), list(shares.values()), k=count)
    rows, at_s = [], 0.0
    for number, query_type in enumerate(types):
        rows.append((round(at_s, 6), query_type))
        if number % _TWINS:
            at_s += random.gammavariate(_BURSTINESS, 1.0 / (_BURSTINESS * rate_rps))
    return rows


def write_trace(path: Path, rows: Sequence[TraceRow]) -> None:
    """The file that `--trace-file` reads."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["time", "query_type"])
        writer.writerows((f"{at_s:.6f}", query_type) for at_s, query_type in rows)
