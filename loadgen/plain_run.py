"""A results directory for tests that no orchestrator started: plain `locust -f`, headless or in the web UI."""

import json
import math
import os
import shlex
import sys
import time
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bedrock.catalog import is_arn, split_model_id
from bedrock.clock import now
from bedrock.outcome import mask_accounts
from loadgen.options import OPTIONS, LoadOptions
from scenarios.promise import DAILY_MESSAGES, MONTHLY_COST_LIMIT_USD, SLA_S
from scenarios.provenance import git_commit, shell_command, versions
from scenarios.request_values import request_entry
from scenarios.run_directory import RUN_SCHEMA_VERSION, CellDirectory, RunDirectory, RunDirectoryError, create_unused
from scenarios.schedule import Outline, outline
from scenarios.sessions import SessionSampler

DEFAULT_PARENT = Path("test_results")


@dataclass(frozen=True, slots=True)
class Sent:
    """What the users of a test send: a model of their own, the mix over a routing, or (both None) something else.

    `sessions` are the conversations that they hold, None where each message stands alone.
    """

    model_id: str | None
    routing: str | None
    sessions: str | None = None

    @classmethod
    def by(cls, samplers: Iterable[object], options: LoadOptions) -> "Sent":
        """Asked of what chooses the messages, whatever the locustfile is called."""
        samplers = list(samplers)
        models = {model_id for sampler in samplers if (model_id := getattr(sampler, "model_id", None))}
        has_routing = any(getattr(sampler, "routing", None) for sampler in samplers)
        # Of several models none is *the* model of the cell; its records name them all.
        model_id = mask_accounts(models.pop()) if len(models) == 1 else None
        has_sessions = any(isinstance(sampler, SessionSampler) for sampler in samplers)
        return cls(model_id, options.routing if has_routing else None, options.sessions if has_sessions else None)


class PlainRun:
    """One run of a Locust process, in a directory that is its own; each test in it becomes a cell."""

    def __init__(self, parsed_options: Any) -> None:
        """Take the directory; RunDirectoryError where that cannot be, OSError where it cannot be written."""
        self._scenario = _locustfile_stem(parsed_options)
        self.given = str(parsed_options.results_dir).strip()
        self._directory = RunDirectory(_claimed(self.given, self._scenario))
        self._run: dict[str, Any] = {}

    def new_cell(self, options: LoadOptions, sent: Sent, users: int, processes: int) -> CellDirectory:
        """A cell for the next test, entered in `run.json` as running."""
        self._run = self._run or self._begin(options, sent)
        self._run["processes"] = max(self._run["processes"], processes)
        name = _unused_name(_cell_name(options, sent, users), self._directory)
        self._run["cells"].append(_cell_entry(name, options, sent, users))
        self._run["ended_at"] = None
        self._directory.write_run(self._run)
        return self._directory.cell(name)

    def finish_cell(self, cell: CellDirectory) -> None:
        """Mark the cell as finished and say where the results are."""
        for entry in self._run["cells"]:
            if entry["cell"] == cell.path.name:
                entry["status"] = "finished"
        self._run["ended_at"] = now()
        self._directory.write_run(self._run)
        sys.stderr.write(
            f"Records: {cell.path}\nReport:  python run_tests.py report {shlex.quote(str(self._directory.path))}\n"
        )

    def _begin(self, options: LoadOptions, sent: Sent) -> dict[str, Any]:
        return {
            "schema_version": RUN_SCHEMA_VERSION,
            "run_id": self._directory.path.name,
            "scenario": self._scenario,
            "description": None,
            "command": shell_command([Path(sys.argv[0]).name, *sys.argv[1:]], _environment(sys.argv[1:], os.environ)),
            "versions": versions(),
            "git_commit": git_commit(),
            "target": options.target,
            "endpoint_url": options.endpoint_url or None,
            "region": options.region,
            "transport": options.transport,
            "api": options.api,
            "routing": sent.routing,
            "request": request_entry(
                options.system,
                cache_system=options.cache_system,
                latency=options.latency,
                stop_sequences=options.stop_sequences,
                metadata=options.request_metadata,
            ),
            "load_model": "open" if options.is_open_loop else "closed",
            "seed": options.seed,
            "processes": 1,
            "sla_s": SLA_S,
            "include_failures": options.include_failures,
            "fail_on": "never",
            "daily_messages": DAILY_MESSAGES,
            "monthly_cost_limit_usd": MONTHLY_COST_LIMIT_USD,
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


def check_results_dir(given: str) -> None:
    """RunDirectoryError where `--results-dir` is one that some run has written already; nothing is changed."""
    run_json = RunDirectory(Path(given)).run_json
    if given and run_json.exists():
        raise RunDirectoryError(_taken(run_json))


def _taken(run_json: Path) -> str:
    try:
        is_finished = json.loads(run_json.read_text(encoding="utf-8"))["ended_at"] is not None
    except (OSError, ValueError, KeyError, TypeError):
        is_finished = False
    whose = "a finished run" if is_finished else "another run, which may still be going on"
    return f"--results-dir: {run_json.parent} holds the results of {whose}: choose another directory"


def _claimed(given: str, scenario: str) -> Path:
    """The directory of this run, which no other has or will have: as given, or a new one of the default name."""
    if not given:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now()))
        return create_unused(DEFAULT_PARENT / f"{stamp}-{scenario}")
    run_json = RunDirectory(Path(given)).run_json
    run_json.parent.mkdir(parents=True, exist_ok=True)
    try:
        run_json.open("x").close()
    except FileExistsError:
        raise RunDirectoryError(_taken(run_json)) from None
    return run_json.parent


def _environment(arguments: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Variables that set an option of this framework which the command line leaves to them."""
    given = {argument.partition("=")[0] for argument in arguments}
    names = [option.env_var for option in OPTIONS if option.flag not in given]
    return {name: environ[name] for name in names if environ.get(name)}


def _region_prefix(options: LoadOptions, sent: Sent) -> str | None:
    """An ARN names its own inference profile."""
    if sent.model_id is not None and is_arn(sent.model_id):
        return split_model_id(sent.model_id).prefix
    return options.region_prefix


def _cell_name(options: LoadOptions, sent: Sent, users: int) -> str:
    load = outline(options.stages).name if options.is_open_loop else f"u{users}"
    return f"{_region_prefix(options, sent) or 'base'}-{options.service_tier}-{options.prompt_size}-{load}"


def _unused_name(name: str, directory: RunDirectory) -> str:
    number, candidate = 1, name
    while directory.cell(candidate).path.exists():
        number += 1
        candidate = f"{name}-{number}"
    return candidate


def _cell_entry(name: str, options: LoadOptions, sent: Sent, users: int) -> dict[str, Any]:
    closed_s = None if math.isinf(options.test_duration_s) else options.test_duration_s
    load = outline(options.stages) if options.is_open_loop else Outline(None, options.user_pattern.name, None, closed_s)
    return {
        "cell": name,
        "status": "running",
        "reason": None,
        "model_id": sent.model_id,
        "routing": sent.routing,
        "sessions": sent.sessions,
        "region_prefix": _region_prefix(options, sent),
        "service_tier": options.service_tier,
        "prompt_size": options.prompt_size,
        "api": options.api,
        "load_model": "open" if options.is_open_loop else "closed",
        "users": None if options.is_open_loop else users,
        **asdict(load),
        "user_pattern": None if options.is_open_loop else asdict(options.user_pattern),
        "stages": [asdict(stage) for stage in options.stages],
        "warmup_s": options.warmup_s,
        "max_tokens": options.max_tokens,
    }
