"""What shapes the measurement of a cell, as one digest: cells of the same digest can stand for each other."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bedrock.outcome import mask_accounts
from emulator.config import parse_config
from orchestrator.preflight import Preparation
from orchestrator.settings import Settings
from scenarios.cells import Cell
from scenarios.model import to_document
from scenarios.order import seed_of
from scenarios.traffic import load_routing

#: Raised when the same configuration comes to mean another measurement.
_VERSION = 1

#: What a cell is called and how it went says nothing of what it measures.
_NOT_CONFIGURED = ("cell", "status", "reason", "round_number")


def config_hashes(preparation: Preparation) -> Mapping[str, str]:
    """SHA-256 of the configuration of each cell, by name."""
    common = _common(preparation)
    return {cell.cell: _digest([_VERSION, common, _own(cell, preparation)]) for cell in preparation.cells}


def _common(preparation: Preparation) -> dict[str, Any]:
    """What all cells of a run have in common, with the content of the files that it names."""
    settings = preparation.settings
    scenario, options = settings.scenario, settings.options
    return {
        "target": scenario.target,
        "transport": scenario.transport,
        "endpoint_url": options.endpoint_url,
        "region": options.region,
        "processes": scenario.processes,
        "prompts": _content(preparation.prompts_file),
        "system_prompt": None if preparation.system is None else preparation.system.sha256,
        "request": to_document(scenario.request) | {"system_file": None},
        "retry": to_document(scenario.retry),
        "failover": to_document(scenario.failover),
        "emulator": _emulator(settings),
    }


def _own(cell: Cell, preparation: Preparation) -> dict[str, Any]:
    entry = cell.to_dict()
    return {name: value for name, value in entry.items() if name not in _NOT_CONFIGURED} | {
        "seed": seed_of(cell, preparation.settings.scenario.seed),
        "slots": None if cell.status == "skipped" else preparation.slots(cell),
        "routing": _routes(cell.routing),
        "traces": [_content(Path(trace.file)) for trace in cell.traces()],
    }


def _routes(name: str | None) -> list[str]:
    """The models behind a routing, wherever its file is."""
    if name is None:
        return []
    routing = load_routing(name)
    return [routing.simple, routing.complex]


def _emulator(settings: Settings) -> dict[str, Any] | None:
    """The configuration of the emulator that the run starts, with the answers that it is given."""
    if not settings.starts_emulator:
        return None
    section = settings.scenario.emulator or {}
    return {
        "section": section,
        "seed": settings.scenario.seed,
        "responses": [_content(Path(file)) for file in parse_config(section).responses],
    }


def _content(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _digest(value: Any) -> str:
    """Account ids are masked first: nobody shall be able to try them all until one fits."""
    return hashlib.sha256(mask_accounts(json.dumps(value, sort_keys=True, default=str)).encode()).hexdigest()
