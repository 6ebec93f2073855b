"""`python -m benchmarks.analysis`: how long the analysis takes, in how much memory, and how both grow with the records.

Results directories of three sizes are invented, the same ones every time, and analysed in a fresh process each: from
the record files, and again from the columns that were kept. Each is compared with another of its size, which was
analysed before. stdout has a table, `--json FILE` all numbers, stderr the progress; exit codes as in
`benchmarks.command`.
"""

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.inputs import read_run_info
from analysis.records import load_records
from benchmarks.analysis_records import write_directory
from benchmarks.analysis_stages import REPORT
from benchmarks.command import Parser, UsageError, check_writable, count, run, tell, work_directory
from benchmarks.emulator_tables import table
from benchmarks.load_processes import BenchmarkError
from benchmarks.machine import describe_machine, version_of

SCHEMA_VERSION = 2

#: Sizes beside the largest one, as parts of it: from their times follows the growth.
PARTS = (16, 4, 1)

_FEWEST = 1_000
_ROOM = 3.0  # bytes on the disk for each byte of records: the baseline's, the columns, and the reports
_BYTES_A_RECORD = 1_200


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, measure, print; the exit code."""
    return run(lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> None:
    options = _parser().parse_args(arguments)
    if options.records < _FEWEST:
        raise UsageError(f"--records {options.records} is less than {_FEWEST:,}, of which no time can be told")
    if options.json is not None:
        check_writable(options.json)
    with work_directory(options.directory) as directory:
        counts = [max(options.records // part, _FEWEST // 2) for part in PARTS]
        sizes = [_measure(directory, records, report=not options.no_report) for records in counts]
    machine = {**describe_machine(), **{name: version_of(name) for name in ("pandas", "pyarrow", "numpy")}}
    results = {"schema_version": SCHEMA_VERSION, "machine": machine, "sizes": sizes, "growth": growth(sizes)}
    print(render(results))
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def _measure(directory: Path, records: int, *, report: bool) -> dict[str, Any]:
    """One size: the analysis of its record files, and the next one of its columns. Removes what it wrote.

    Every run is analysed when it ends: the columns of the one that it is compared with are there.
    """
    if shutil.disk_usage(directory).free < records * _BYTES_A_RECORD * _ROOM:
        raise UsageError(f"{directory} has no room for {records:,} records; give --directory another place")
    place, baseline = directory / str(records), directory / f"{records}-baseline"
    try:
        tell(f"inventing {records:,} records, twice")
        written = write_directory(place, records)
        write_directory(baseline, records, seed=1)
        load_records(baseline, read_run_info(baseline).run_id, keep_parquet=True)
        tell(f"analysing {records:,} records ({written / 1e6:,.0f} MB)")
        options = [str(place), "--baseline", str(baseline), *(["--report"] if report else [])]
        first, again = _analyse(*options), _analyse(*options)
    finally:
        for each in (place, baseline):
            shutil.rmtree(each, ignore_errors=True)
    if {first["records"], again["records"]} != {records}:
        raise BenchmarkError(f"of {records:,} records it found {first['records']:,} and {again['records']:,}")
    if not first["compared_cells"] or first["compared_cells"] != again["compared_cells"]:
        raise BenchmarkError("nothing was compared with the baseline")
    return {"records": records, "bytes": written, "first": _summed(first), "again": _summed(again)}


def _analyse(*options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.analysis_stages", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - this Python, paths of ours
    if done.returncode:
        raise BenchmarkError(f"the analysis ended with code {done.returncode}: {done.stderr.strip()[-500:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _summed(found: Mapping[str, Any]) -> dict[str, Any]:
    stages = found["stages"]
    analysis = [stage for stage in stages if stage["name"] != REPORT]
    return {"groups": found["groups"], "stages": stages, "analysis": _total(analysis), **_total(stages)}


def _total(stages: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {
        "seconds": sum(stage["seconds"] for stage in stages),
        "cpu_s": sum(stage["cpu_s"] for stage in stages),
        "peak_rss_mb": max(stage["peak_rss_mb"] for stage in stages),
    }


def growth(sizes: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Exponents of growth between the two largest sizes: 1 is linear, 2 quadratic. None where the sizes are one.

    Of wall and processor time of the analysis without imports, and of the memory above that of the imports.
    """
    smaller, larger = sizes[-2], sizes[-1]
    if larger["records"] <= smaller["records"]:
        return dict.fromkeys(("seconds", "cpu_s", "memory"))
    ratio = math.log(larger["records"] / smaller["records"])
    return {
        name: math.log(_grown(larger, name) / _grown(smaller, name)) / ratio for name in ("seconds", "cpu_s", "memory")
    }


def _grown(size: Mapping[str, Any], name: str) -> float:
    imports, *others = (stage for stage in size["first"]["stages"] if stage["name"] != REPORT)
    if name == "memory":
        return float(max(max(stage["peak_rss_mb"] for stage in others) - imports["peak_rss_mb"], 1.0))
    return float(sum(stage[name] for stage in others))


def render(results: Mapping[str, Any]) -> str:
    """The results as plain text, from the content of the JSON file."""
    machine = results["machine"]
    versions = ", ".join(f"{name} {machine[name]}" for name in ("python", "pandas", "pyarrow", "numpy"))
    blocks = [f"{machine['cores']} cores of {machine['cpu']}; {versions}"]
    for size in results["sizes"]:
        title = (
            f"{size['records']:,} records, {size['bytes'] / 1e6:,.0f} MB, {size['first']['groups']} cells and groups"
        )
        blocks.append(table(title, _rows(size)))
    exponents = ", ".join(f"{name} {value:.2f}" for name, value in results["growth"].items() if value is not None)
    return "\n\n".join([*blocks, f"Growth as a power of the records: {exponents or 'not measured'}"])


def _rows(size: Mapping[str, Any]) -> list[dict[str, str]]:
    first, again = size["first"], size["again"]
    pairs = [
        *zip(first["stages"], again["stages"], strict=True),
        ({**first["analysis"], "name": "all of the analysis"}, again["analysis"]),
    ]
    if first["stages"][-1]["name"] == REPORT:
        pairs.append(({**first, "name": "and the report"}, again))
    return [
        {
            "stage": one["name"],
            "seconds": f"{one['seconds']:.2f}",
            "CPU s": f"{one['cpu_s']:.2f}",
            "peak MB": f"{one['peak_rss_mb']:,.0f}",
            "next report, s": f"{other['seconds']:.2f}",
            "CPU s ": f"{other['cpu_s']:.2f}",
            "peak MB ": f"{other['peak_rss_mb']:,.0f}",
        }
        for one, other in pairs
    ]


def _parser() -> Parser:
    parser = Parser(prog="python -m benchmarks.analysis", description="How the analysis scales with the records.")
    parser.add_argument(
        "--records", type=count, default=1_000_000, metavar="N", help="the largest size; also a 4th and a 16th of it"
    )
    parser.add_argument("--no-report", action="store_true", help="measure the analysis alone, without charts and page")
    parser.add_argument("--directory", type=Path, metavar="DIR", help="where the records are invented (temporary)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
