"""`run.json`: what a run is, kept up to date while it happens."""

import hashlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
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

NO_HASHES: Mapping[str, str] = MappingProxyType({})


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
        *,
        hashes: Mapping[str, str] = NO_HASHES,
        earlier: Mapping[str, Any] | None = None,
        kept: Container[str] = (),
    ) -> None:
        """`hashes` are those of the cells' configurations; `earlier` is the content of a run that is resumed.

        Of the earlier run the cells in `kept` stay finished, and its identity stays.
        """
        self._directory = directory
        self._content = first_content(settings, cells, start) | {"request": _request(settings.scenario, system)}
        for entry in self._content["cells"]:
            entry["config_hash"] = hashes.get(entry["cell"])
            if entry["cell"] in kept:
                entry.update(status="finished", reason=None)
        if earlier is not None:
            self._content |= _resumed(earlier, self._content, start.started_at)
        self.write()

    def write(self) -> None:
        """Replace the file."""
        self._directory.write_run(self._content)

    @property
    def run_id(self) -> str:
        """The run's id, that of the earlier one where a run is resumed."""
        return str(self._content["run_id"])

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


def _resumed(earlier: Mapping[str, Any], now: Mapping[str, Any], at: float) -> dict[str, Any]:
    """What stays of the earlier run's content: who it is. What was different this time is listed in `resumed`."""
    kept = [entry["cell"] for entry in now["cells"] if entry["status"] == "finished"]
    entry = {name: now[name] for name in ("command", "git_commit", "versions")}
    identity = {name: earlier[name] for name in (*entry, "run_id", "started_at", "endpoint_url") if name in earlier}
    return identity | {"resumed": [*earlier.get("resumed", []), {"at": at, **entry, "kept": kept}]}


def _request(scenario: Scenario, system: SystemPrompt | None) -> dict[str, Any]:
    request = scenario.request
    return request_entry(
        system,
        cache_system=request.cache_system,
        latency=request.latency,
        stop_sequences=request.stop_sequences,
        metadata=request.metadata,
        nonce=request.nonce,
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
        "starts_emulator": settings.starts_emulator,
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
        "order": to_document(scenario.order),
        "objectives": [parse_objective(objective).text for objective in scenario.objectives],
        "sdk_retries": "off",
        "retry": to_document(scenario.retry),
        "failover": to_document(scenario.failover),
        "sources": [asdict(row) for row in settings.listing()],
        "started_at": start.started_at,
        "ended_at": None,
        "exit_code": None,
        "stopped_by": None,
        "resumed": [],
        "cells": [cell.to_dict() for cell in cells],
    }
