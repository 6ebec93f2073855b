"""`run.json`: what a run is, kept up to date while it happens."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestrator.exit_codes import ExitCode
from orchestrator.identity import command_line
from orchestrator.limits import StopReason
from orchestrator.settings import Settings
from scenarios.cells import Cell
from scenarios.model import Scenario, to_document
from scenarios.objectives import parse_objective
from scenarios.promise import DAILY_MESSAGES, MONTHLY_COST_LIMIT_USD, SLA_S
from scenarios.prompts import DEFAULT_FILE
from scenarios.provenance import git_commit, versions
from scenarios.request_values import SystemPrompt, request_entry
from scenarios.run_directory import RUN_SCHEMA_VERSION, RunDirectory
from scenarios.units import parse_share


@dataclass(frozen=True, slots=True)
class RunStart:
    """What is known when a run starts."""

    run_id: str
    arguments: tuple[str, ...]
    started_at: float


class RunDocument:
    """The content of `run.json`; every change is written at once and atomically."""

    def __init__(
        self,
        directory: RunDirectory,
        settings: Settings,
        cells: Sequence[Cell],
        start: RunStart,
        system: SystemPrompt | None = None,
    ) -> None:
        self._directory = directory
        self._content = first_content(settings, cells, start) | {"request": _request(settings.scenario, system)}
        self.write()

    def write(self) -> None:
        """Replace the file."""
        self._directory.write_run(self._content)

    def set_endpoint(self, url: str | None) -> None:
        """The endpoint in use, once it is known."""
        self._content["endpoint_url"] = url
        self.write()

    def set_status(self, cell: str, status: str, reason: str | None = None) -> None:
        """A cell has changed its status."""
        entry = next(entry for entry in self._content["cells"] if entry["cell"] == cell)
        entry.update(status=status, reason=reason)
        self.write()

    def end(self, ended_at: float, stopped_by: StopReason | None) -> None:
        """The load is over; `exit_code` follows when everything is written."""
        self._content.update(ended_at=ended_at, stopped_by=None if stopped_by is None else str(stopped_by))
        self.write()

    def fail(self, ended_at: float) -> None:
        """A bug ended the run: whatever was running has failed."""
        for entry in self._content["cells"]:
            if entry["status"] == "running":
                entry.update(status="failed", reason="ended by an internal error")
        self._content.update(ended_at=self._content["ended_at"] or ended_at, exit_code=int(ExitCode.INTERNAL_ERROR))
        self.write()

    def finish(self, exit_code: ExitCode) -> None:
        """Everything is written: the run is finished."""
        self._content["exit_code"] = int(exit_code)
        self.write()


def _request(scenario: Scenario, system: SystemPrompt | None) -> dict[str, Any]:
    request = scenario.request
    return request_entry(
        system,
        cache_system=request.cache_system,
        latency=request.latency,
        stop_sequences=request.stop_sequences,
        metadata=request.metadata,
    )


def first_content(settings: Settings, cells: Sequence[Cell], start: RunStart) -> dict[str, Any]:
    """What `run.json` says before anything is sent."""
    scenario, options = settings.scenario, settings.options
    models = {cell.load_model for cell in cells}
    return {
        "schema_version": RUN_SCHEMA_VERSION,
        "run_id": start.run_id,
        "scenario": scenario.name,
        "description": scenario.description,
        "command": command_line(start.arguments, settings.environment),
        "versions": versions(),
        "git_commit": git_commit(),
        "target": scenario.target,
        "endpoint_url": options.endpoint_url,
        "region": ", ".join(settings.regions),
        "transport": scenario.transport,
        "api": ", ".join(dict.fromkeys(cell.api for cell in cells)),
        "routing": scenario.routing,
        "prompts_sha256": hashlib.sha256(Path(scenario.prompts_file or DEFAULT_FILE).read_bytes()).hexdigest(),
        "load_model": models.pop() if len(models) == 1 else "mixed",
        "seed": scenario.seed,
        "processes": scenario.processes,
        "sla_s": SLA_S,
        "include_failures": options.include_failures,
        "baseline": None if options.baseline is None else str(options.baseline),
        "fail_on": options.fail_on,
        "regression_threshold": parse_share(options.regression_threshold),
        "daily_messages": DAILY_MESSAGES,
        "monthly_cost_limit_usd": MONTHLY_COST_LIMIT_USD,
        "objectives": [parse_objective(objective).text for objective in scenario.objectives],
        "sdk_retries": "off",
        "retry": to_document(scenario.retry),
        "failover": to_document(scenario.failover),
        "sources": [asdict(row) for row in settings.listing()],
        "started_at": start.started_at,
        "ended_at": None,
        "exit_code": None,
        "stopped_by": None,
        "cells": [cell.to_dict() for cell in cells],
    }
