"""The set-up of every measurement: an emulator alone on one core with an exact schedule, load on the other cores."""

import json
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.emulator_load import LoadPlan, LoadResult, clock
from benchmarks.emulator_truth import Window
from benchmarks.load_processes import BenchmarkError, LoadProcesses
from benchmarks.machine import cpu_use, pinned_to, read_cpu
from emulator.process import EmulatorProcess

#: Above this share of a core, in percent, the core is what stops.
SATURATED_PCT = 90.0

_MODEL_ID = "amazon.nova-pro-v1%3A0"
_PROMPTS = 64
_BEGIN_IN_S = 0.2
#: Load goes on a little beyond the measured window.
_MARGIN_S = 0.1


@dataclass(frozen=True, slots=True)
class Rig:
    """Where to measure, and for how long. `core` is the emulator's, `load_cores` have one load process each."""

    core: int
    load_cores: Sequence[int]
    directory: Path
    seconds: float
    seed: int

    def truth_log(self, name: str) -> Path:
        """The file of one measurement."""
        return self.directory / f"{name}.jsonl"


@dataclass(frozen=True, slots=True)
class Measured:
    """What a load did; CPU shares, in percent of a core, are those of the window (of the clients' clock)."""

    window: Window
    result: LoadResult
    cpu_pct: float
    core_others_pct: float | None
    client_cpu_pct: float

    @property
    def limited_by(self) -> list[str]:
        """What was used up: `emulator` by its own work, its `core` with the help of others, a `client`; or nothing."""
        found = []
        if self.cpu_pct >= SATURATED_PCT:
            found.append("emulator")
        elif self.cpu_pct + (self.core_others_pct or 0.0) >= SATURATED_PCT:
            found.append("core")
        if self.client_cpu_pct >= SATURATED_PCT:
            found.append("client")
        return found


def exact_config(ttft_s: float, tokens_per_second: float, tokens: int) -> dict[str, Any]:
    """A configuration without any chance in it: every answer has this schedule and length, one token an event."""
    return {
        "auth": "accept",
        "default": {
            "latency": {
                "ttft_ms": {"distribution": "fixed", "median": ttft_s * 1000.0},
                "prefill_ms_per_token": 0.0,
                "tokens_per_second": {"distribution": "fixed", "median": tokens_per_second},
                "tokens_per_event": 1,
            },
            "output_tokens": {"distribution": "fixed", "median": float(tokens)},
            "tail": {"share": 0.0},
        },
    }


def sdk_requests(operation: str) -> list[bytes]:
    """Requests as SDKs send them, each with a prompt of its own. English: there each token shows something."""
    return [_request(operation, f"Where is my order number {number}?") for number in range(_PROMPTS)]


def _request(operation: str, prompt: str) -> bytes:
    body = json.dumps({"messages": [{"role": "user", "content": [{"text": prompt}]}]}).encode()
    fields = {
        "Host": "127.0.0.1",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "User-Agent": "Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux lang/python#3.11 cfg/retry-mode#standard",
        "X-Amz-Date": "20261121T080000Z",
        "Authorization": "AWS4-HMAC-SHA256 Credential=emulator/20261121/us-east-1/bedrock/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, Signature=" + "0" * 64,
        "amz-sdk-invocation-id": "00000000-0000-4000-8000-000000000000",
        "amz-sdk-request": "attempt=1",
        "Content-Length": str(len(body)),
    }
    head = f"POST /model/{_MODEL_ID}/{operation} HTTP/1.1\r\n"
    return (head + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n").encode() + body


@contextmanager
def loaded(
    rig: Rig, name: str, config: Mapping[str, Any], plan: LoadPlan
) -> Iterator[tuple[EmulatorProcess, LoadProcesses]]:
    """An emulator on its core, and load processes that are connected to it and wait for their beginning.

    `plan` is that of all processes together; its `address` is filled in here.
    """
    emulator = EmulatorProcess(config, seed=rig.seed, truth_log=rig.truth_log(name))
    with pinned_to({rig.core}):
        emulator.start()
    try:
        plan = replace(plan, address=_address(emulator.url))
        with LoadProcesses(shares(plan, len(rig.load_cores)), rig.load_cores) as load:
            yield emulator, load
        if not emulator.is_running:
            raise BenchmarkError("the emulator ended during the measurement")
    finally:
        emulator.stop()


def measure(rig: Rig, emulator: EmulatorProcess, load: LoadProcesses, ramp_s: float) -> Measured:
    """Let the load begin, look at the processors during the measured window, and wait for the end."""
    begin_at = clock() + _BEGIN_IN_S
    load.begin(begin_at)
    pid = pid_of(emulator)
    pids = [pid, *load.pids]
    _sleep_until(begin_at + ramp_s)
    begin = read_cpu(pids, rig.core)
    _sleep_until(begin_at + ramp_s + rig.seconds)
    end = read_cpu(pids, rig.core)
    use = cpu_use(begin, end)
    return Measured(
        window=Window(begin.at, end.at),
        result=load.result(),
        cpu_pct=use.of(pid),
        core_others_pct=use.beside(pid),
        client_cpu_pct=max(map(use.of, load.pids)),
    )


def load_seconds(rig: Rig, ramp_s: float) -> float:
    """How long requests must be sent so that the measured window is full of them."""
    return ramp_s + rig.seconds + _MARGIN_S


def pid_of(emulator: EmulatorProcess) -> int:
    """Process id of a running emulator."""
    pid = emulator.pid
    if pid is None:
        raise BenchmarkError("the emulator is not running")
    return pid


def shares(plan: LoadPlan, processes: int) -> list[LoadPlan]:
    """The plan divided among processes as evenly as whole connections and requests allow; none is left idle."""
    used = min(processes, plan.connections)
    return [
        replace(
            plan,
            connections=_share(plan.connections, used, number),
            total=None if plan.total is None else _share(plan.total, used, number),
            seed=plan.seed + number,
        )
        for number in range(used)
    ]


def _share(total: int, parts: int, number: int) -> int:
    return total // parts + (number < total % parts)


def _address(url: str) -> tuple[str, int]:
    parts = urllib.parse.urlsplit(url)
    return str(parts.hostname), int(parts.port or 80)


def _sleep_until(at: float) -> None:
    time.sleep(max(0.0, at - clock()))
