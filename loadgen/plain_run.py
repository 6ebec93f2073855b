"""A results directory for tests that no orchestrator started: plain `locust -f`, headless or in the web UI."""

import shlex
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from bedrock.clock import now
from loadgen.options import LoadOptions
from scenarios.provenance import git_commit, versions
from scenarios.run_directory import RUN_SCHEMA_VERSION, CellDirectory, RunDirectory


class PlainRun:
    """One run of a Locust process; each test in it becomes a cell."""

    def __init__(self, parsed_options: Any) -> None:
        stem = _locustfile_stem(parsed_options)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now()))
        self._directory = RunDirectory(Path(parsed_options.results_dir or f"test_results/{stamp}-{stem}"))
        self._run_id = self._directory.path.name
        self._scenario = stem

    def new_cell(self, options: LoadOptions, users: int) -> CellDirectory:
        """A cell for the next test, entered in `run.json` as running."""
        run = self._read_or_begin(options)
        name = _unused_name(_cell_name(options, users), self._directory)
        run["cells"].append(_cell_entry(name, options, users, self._scenario))
        run["ended_at"] = None
        self._directory.write_run(run)
        return self._directory.cell(name)

    def finish_cell(self, cell: CellDirectory) -> None:
        """Mark the cell as finished and say where the results are."""
        run = self._directory.read_run()
        for entry in run["cells"]:
            if entry["cell"] == cell.path.name:
                entry["status"] = "finished"
        run["ended_at"] = now()
        self._directory.write_run(run)
        sys.stderr.write(
            f"Records: {cell.path}\nReport:  python run_tests.py report {shlex.quote(str(self._directory.path))}\n"
        )

    def _read_or_begin(self, options: LoadOptions) -> dict[str, Any]:
        if self._directory.run_json.exists():
            return self._directory.read_run()
        return {
            "schema_version": RUN_SCHEMA_VERSION,
            "run_id": self._run_id,
            "scenario": self._scenario,
            "description": None,
            "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "versions": versions(),
            "git_commit": git_commit(),
            "target": options.target,
            "endpoint_url": options.endpoint_url or None,
            "region": options.region,
            "transport": options.transport,
            "api": options.api,
            "routing": options.routing if self._scenario == "mangaassist" else None,
            "load_model": "open" if options.is_open_loop else "closed",
            "seed": options.seed,
            "processes": 1,
            "sla_s": 3.0,
            "include_failures": options.include_failures,
            "fail_on": "never",
            "daily_messages": 1_000_000,
            "monthly_cost_limit_usd": 50_000,
            "objectives": [],
            "sdk_retries": "off",
            "started_at": now(),
            "ended_at": None,
            "exit_code": None,
            "stopped_by": None,
            "cells": [],
        }


def _locustfile_stem(parsed_options: Namespace) -> str:
    locustfile = str(getattr(parsed_options, "locustfile", "") or "locust")
    return Path(locustfile.split(",", maxsplit=1)[0]).stem


def _cell_name(options: LoadOptions, users: int) -> str:
    load = f"r{options.rate_rps:g}" if options.rate_rps is not None else f"u{users}"
    return f"{options.region_prefix or 'base'}-{options.service_tier}-{options.prompt_size}-{load}"


def _unused_name(name: str, directory: RunDirectory) -> str:
    number, candidate = 1, name
    while directory.cell(candidate).path.exists():
        number += 1
        candidate = f"{name}-{number}"
    return candidate


def _cell_entry(name: str, options: LoadOptions, users: int, scenario: str) -> dict[str, Any]:
    is_mix = scenario == "mangaassist"
    duration_s = options.test_duration_s
    return {
        "cell": name,
        "status": "running",
        "reason": None,
        "model_id": None if is_mix else options.model_id,
        "routing": options.routing if is_mix else None,
        "region_prefix": options.region_prefix,
        "service_tier": options.service_tier,
        "prompt_size": options.prompt_size,
        "api": options.api,
        "load_model": "open" if options.is_open_loop else "closed",
        "users": None if options.is_open_loop else users,
        "rate_rps": options.rate_rps,
        "pattern": options.pattern,
        "process": options.arrival_process if options.is_open_loop else None,
        "duration_s": None if duration_s == float("inf") else duration_s,
        "warmup_s": options.warmup_s,
        "max_tokens": options.max_tokens,
    }
