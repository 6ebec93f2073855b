"""Reads traces while Locust reads its command line: before it forks its processes, and before a worker connects.

Reading a long trace takes seconds of CPU. A worker that did it at the start of the test would send no heartbeat
meanwhile, and the master counts it as missing after 3 s. Read here, the trace is there when it is asked for
(`read_trace` keeps it), in forked processes too.
"""

import contextlib
from argparse import ArgumentError, ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path

from scenarios.loading import ScenarioError
from scenarios.patterns import REPLAY
from scenarios.stages import read_stages
from scenarios.trace import TraceError, read_trace


def read_early(arguments: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """Read the traces of a command line; the files. What is wrong is told later, by the check of all options."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for name in ("pattern", "trace_file", "stages_file"):
        parser.add_argument(f"--{name.replace('_', '-')}", default=environ.get(name.upper(), ""))
    with contextlib.suppress(ArgumentError, ScenarioError, TraceError):
        given, _ = parser.parse_known_args(list(arguments))
        stages = read_stages(Path(given.stages_file).absolute()).stages if given.stages_file else ()
        files = [stage.trace for stage in stages if stage.trace]
        files += [given.trace_file] if given.pattern == REPLAY and given.trace_file else []
        for file in files:
            read_trace(file)
        return files
    return []
