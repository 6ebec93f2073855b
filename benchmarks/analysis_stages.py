"""The stages of the analysis, each timed and weighed: what `benchmarks.analysis` runs in a process of its own.

`python -m benchmarks.analysis_stages DIR` prints one JSON document. The process is fresh, so that nothing is warm and
memory is only what this analysis took.
"""

import argparse
import gc
import json
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

#: The stage behind all of the analysis.
REPORT = "report"

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
_MB_A_KIB = 1024 / 1e6


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: wall and processor time, and the most memory the process held meanwhile (all of it, in MB)."""

    name: str
    seconds: float
    cpu_s: float
    peak_rss_mb: float


class Stopwatch:
    """Measures one stage after the other."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Everything inside is one stage."""
        gc.collect()
        _reset_peak()
        began, cpu = time.perf_counter(), time.process_time()
        yield
        seconds, used = time.perf_counter() - began, time.process_time() - cpu
        self.stages.append(Stage(name, seconds, used, _peak_rss_mb()))


def _reset_peak() -> None:
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:
        return  # then a stage's peak is the highest so far: never too low


def _peak_rss_mb() -> float:
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        lines = []
    peaks = (float(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    return next(peaks, float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)) * _MB_A_KIB


def measure_stages(directory: Path, baseline: Path | None = None, *, report: bool = False) -> dict[str, Any]:
    """All stages on a results directory, compared with another where one is given.

    The stages of the analysis are those that it names itself. `requests.parquet` is read where it is there, and left
    there; with `report` all else that a run's end writes is written, too.
    """
    watch = Stopwatch()
    with watch.stage("import"):
        from analysis.summary import analyse, write_summary  # noqa: PLC0415 - importing is what is measured
    overrides = None if baseline is None else {"baseline": str(baseline)}
    analysis = analyse(directory, overrides=overrides, watch=watch.stage)
    summary, records = analysis.summary, analysis.records
    for name, work in LATER_STAGES.items():
        with watch.stage(name):
            work(records)
    if report:
        with watch.stage(REPORT):
            from reports.render import write_reports  # noqa: PLC0415 - drawing is imported by those who draw

            write_summary(directory, analysis)
            write_reports(directory, analysis)
    return {
        "records": len(records),
        "skipped": summary["validity"]["skipped_lines"],
        "stages": [asdict(stage) for stage in watch.stages],
        "groups": sum(map(len, summary["groups"].values())) + len(summary["cells"]) + 1,
        "compared_cells": len((summary["comparison"] or {"cells": ()})["cells"]),
    }


def _time_series(records: pd.DataFrame) -> None:
    """Every second of the run, and every minute of each cell."""
    from analysis.parts import rows_of  # noqa: PLC0415
    from analysis.timeseries import per_window  # noqa: PLC0415

    per_window(records, 1.0)
    for cell in records["cell"].unique():
        per_window(records.iloc[rows_of(records, cell)], 60.0)


def _curves(records: pd.DataFrame) -> None:
    from analysis.curves import ecdf, spectrum  # noqa: PLC0415

    for metric in ("ttft_ms", "e2e_ms"):
        values = records.loc[records["ok"], metric].to_numpy()
        ecdf(values)
        spectrum(values)


#: What is measured behind the analysis, on its records: more of them than a report draws.
LATER_STAGES: dict[str, Callable[[pd.DataFrame], None]] = {
    "time series": _time_series,
    "curves": _curves,
}


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.analysis_stages")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--baseline", type=Path)
    parser.add_argument("--report", action="store_true")
    given = parser.parse_args()
    print(json.dumps(measure_stages(given.directory, given.baseline, report=given.report)))


if __name__ == "__main__":
    _main()
