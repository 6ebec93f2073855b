"""The command line and the environment of one cell's Locust run."""

import json
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bedrock.endpoint import Endpoint
from orchestrator.limits import Limits
from scenarios.cells import Cell
from scenarios.field_types import MANGAASSIST, NO_PREFIX, format_range_s, format_rps, format_seconds, format_window
from scenarios.model import Failover, Request, Retry
from scenarios.order import seed_of
from scenarios.patterns import DEFAULT_STEPS
from scenarios.request_values import NO_LATENCY
from scenarios.run_directory import RunDirectory
from scenarios.schedule import Stage

PROJECT = Path(__file__).parent.parent
LOCUSTFILES = PROJECT / "locustfiles"

#: Credentials that sign requests to a loopback endpoint, where no real ones belong.
PLACEHOLDER_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "emulator", "AWS_SECRET_ACCESS_KEY": "emulator"}

#: What would lead the SDK to real credentials, or requests away from loopback.
_AWS_ENVIRONMENT = (
    "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK", "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy",
)  # fmt: skip

#: Options without a value. The command line cannot turn them off, so no variable may turn them on.
_SWITCHES = ("include_failures", "record_responses", "cache_system", "nonce")

#: Longest silence of a connection; scenarios have no setting for it.
CALL_TIMEOUT = "5m"


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """What all cells of a run have in common."""

    run_id: str
    directory: RunDirectory
    endpoint: Endpoint
    target: str
    transport: str
    prompts_file: Path
    seed: int
    processes: int
    include_failures: bool
    record_responses: bool
    retry: Retry
    failover: Failover
    request: Request
    #: Where master and workers of several processes meet. Locust's own default is one port for all of a machine's runs,
    #: whose workers would then serve each other's masters.
    master_port: int | None = None
    #: Prices of the user's own, by which the limit of the cost is kept.
    prices_file: Path | None = None

    @property
    def nonce(self) -> bool:
        """Whether every request begins with random digits."""
        return self.request.nonce

    @property
    def cache_system(self) -> bool:
        """Whether there is a cache point behind the system prompt."""
        return self.request.cache_system


def locust_command(cell: Cell, slots: int, identity: RunIdentity, limits: Limits) -> list[str]:
    """Arguments of `python -m locust` for one cell; `slots` are the users of a closed loop.

    `limits` are those of the whole suite; all its processes count what they use up in one file.

    Every option is given, also where it is the default: an environment variable must not change a cell.
    """
    results = identity.directory.path.absolute()
    spawn_rate = float(slots) if cell.is_open else cell.spawn_rate_rps
    command = [sys.executable, "-m", "locust", "-f", str(_locustfile(cell)), "--headless", "--only-summary"]
    command += ["-u", str(slots), "-r", f"{spawn_rate:g}", "--exit-code-on-error", "0"]
    command += ["--csv", str(results / f"test_{cell.cell}"), "--html", str(results / f"test_{cell.cell}_report.html")]
    command += ["--logfile", str(identity.directory.cell(cell.cell).log.absolute())]
    if identity.processes != 1:
        command += ["--processes", str(identity.processes), "--master-bind-host", "127.0.0.1"]
        if identity.master_port is not None:
            port = str(identity.master_port)
            command += ["--master-bind-port", port, "--master-port", port]
    options = _call_options(cell, identity) | _request_options(identity.request) | _stage_options(cell, identity)
    options |= _load_options(cell) | _limit_options(limits, identity) | _run_options(cell, identity)
    command += [f"{option}={value}" for option, value in options.items() if value is not None]
    return command + [f"--{name.replace('_', '-')}" for name in _SWITCHES if getattr(identity, name)]


def _locustfile(cell: Cell) -> Path:
    if cell.sessions is not None:
        return LOCUSTFILES / "mangaassist_sessions.py"
    return LOCUSTFILES / ("mangaassist.py" if cell.traffic == MANGAASSIST else "single_prompt.py")


def _call_options(cell: Cell, identity: RunIdentity) -> dict[str, str | None]:
    return {
        "--model-id": cell.model_id,
        "--routing": cell.routing,
        "--sessions": cell.sessions or MANGAASSIST,
        "--region-prefix": cell.region_prefix or NO_PREFIX,
        "--service-tier": cell.service_tier,
        "--prompt-size": cell.prompt_size,
        "--prompts-file": str(identity.prompts_file.absolute()),
        "--max-tokens": str(cell.max_tokens),
        "--api": cell.api,
        "--transport": identity.transport,
        "--target": identity.target,
        "--endpoint-url": identity.endpoint.url or "",
        "--region": cell.region or identity.endpoint.region,
        "--retry": identity.retry.policy,
        "--retry-attempts": str(identity.retry.max_attempts),
        "--retry-delay": format_seconds(identity.retry.delay_s),
        "--failover-regions": ",".join(identity.failover.regions),
        "--failover-cool-down": format_seconds(identity.failover.cool_down_s),
        "--failover-max-cool-down": format_seconds(identity.failover.max_cool_down_s),
    }


def _stage_options(cell: Cell, identity: RunIdentity) -> dict[str, str | None]:
    """The open loop's load: one stage as options, several as a file, which the cell's directory has."""
    several = len(cell.stages) > 1
    stages_file = str(identity.directory.cell(cell.cell).stages_yaml.absolute()) if several else ""
    stage = cell.stages[0] if len(cell.stages) == 1 else _neutral_stage(cell)
    return {
        "--rate": "" if stage.rate_rps is None else format_rps(stage.rate_rps),
        "--pattern": stage.pattern,
        "--arrival-process": stage.process,
        "--burstiness": f"{stage.burstiness:.12g}",
        "--start-rate": format_rps(stage.start_rps),
        "--step-rates": ",".join(map(format_rps, stage.levels_rps)),
        "--spike-factor": f"{stage.spike_factor:.12g}",
        "--spike-window": format_window(stage.spike_window),
        "--trace-file": stage.trace or "",
        "--trace-speed": f"{stage.trace_speed:.12g}",
        "--test-duration": "" if stage.duration_s is None else format_seconds(stage.duration_s),
        "--steps": str(DEFAULT_STEPS if cell.user_pattern is None else cell.user_pattern.steps),
        "--stages-file": stages_file,
    }


def _request_options(request: Request) -> dict[str, str | None]:
    """The system prompt goes by its file: everybody on this machine can read a command line."""
    return {
        "--system-prompt-file": request.system_file or "",
        "--latency": request.latency or NO_LATENCY,
        "--stop-sequences": json.dumps(request.stop_sequences),
        "--request-metadata": json.dumps(request.metadata),
    }


def _neutral_stage(cell: Cell) -> Stage:
    """A closed loop's pattern and duration; of several stages only the file counts."""
    users = cell.user_pattern
    if users is None:
        return Stage("sustained", None, None, "poisson")
    window, factor = users.spike_window, users.spike_factor
    return Stage(users.name, None, cell.duration_s, "poisson", spike_factor=factor, spike_window=window)


def _load_options(cell: Cell) -> dict[str, str | None]:
    return {
        "--warmup": format_seconds(cell.warmup_s),
        "--think-time": format_range_s(cell.think_time_s),
        "--max-lag": format_seconds(cell.max_lag_s),
        "--max-slots": str(cell.max_slots or 0),
        "--drain-timeout": format_seconds(cell.drain_timeout_s),
        "--call-timeout": CALL_TIMEOUT,
        # The cell ends by itself long before: what a locust.conf of the user's says must not end it earlier.
        "--run-time": f"{math.ceil(cell.ramp_s + cell.warmup_s + cell.duration_s) + 86_400}s",
    }


def _limit_options(limits: Limits, identity: RunIdentity) -> dict[str, str | None]:
    counted = str(identity.directory.usage.absolute()) if limits.is_counted else ""
    return {
        "--max-requests": "" if limits.max_requests is None else str(limits.max_requests),
        "--max-cost-usd": "" if limits.max_cost_usd is None else f"{limits.max_cost_usd:.12g}",
        "--usage-file": counted,
        "--prices-file": "" if identity.prices_file is None else str(identity.prices_file.absolute()),
    }


def _run_options(cell: Cell, identity: RunIdentity) -> dict[str, str | None]:
    return {
        "--seed": str(seed_of(cell, identity.seed)),
        "--results-dir": str(identity.directory.path.absolute()),
        "--cell": cell.cell,
        "--run-id": identity.run_id,
    }


def child_environment(environ: Mapping[str, str], endpoint: Endpoint) -> dict[str, str]:
    """The environment of a Locust process: no LOCUST_ settings of the user's; on loopback no real credentials."""
    switches = {name.upper() for name in (*_SWITCHES, "ship_records", "stop_with_stdin")}
    kept = {name: value for name, value in environ.items() if not name.startswith("LOCUST_") and name not in switches}
    kept["PYTHONUNBUFFERED"] = "1"
    if not endpoint.is_loopback:
        return kept
    kept = {name: value for name, value in kept.items() if name not in _AWS_ENVIRONMENT}
    return (
        kept
        | PLACEHOLDER_CREDENTIALS
        | {
            "AWS_EC2_METADATA_DISABLED": "true",
            # The user's files have nothing to say about loopback, and a broken one would end the run.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
    )
