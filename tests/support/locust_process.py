"""Real Locust processes for tests."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bedrock.invocation import InvocationRecord

ROOT = Path(__file__).parents[2]

#: An emulator whose answers take 160 ms, and the model that they are of.
FAST = {
    "default": {
        "latency": {
            "ttft_ms": {"distribution": "fixed", "median": 60},
            "tokens_per_second": {"distribution": "fixed", "median": 400},
        },
        "output_tokens": {"distribution": "fixed", "median": 40},
    }
}
NOVA = ("--model-id", "amazon.nova-pro-v1:0")


def start_workers(name: str, port: str, count: int, folder: Path) -> list["subprocess.Popen[str]"]:
    """Workers as on other machines: in a folder of their own, with nothing but the address of the master."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "locustfiles" / f"{name}.py"), "--worker"]
    command += ["--master-host", "127.0.0.1", "--master-port", port]
    return [
        subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(count)
    ]


class LocustProcess:
    """`locust -f locustfiles/<name>.py --headless ...`, its results below `results`; `name` may be a path instead."""

    def __init__(self, name: str, url: str, results: Path, *arguments: str, headless: bool = True) -> None:
        self.results = results
        locustfile = name if name.endswith(".py") else f"locustfiles/{name}.py"
        command = [sys.executable, "-m", "locust", "-f", locustfile, "--endpoint-url", url]
        command += ["--headless", "--only-summary", "--exit-code-on-error", "0"] if headless else []
        if "--processes" in arguments:  # else all tests of this machine would meet at one port
            port = free_port()
            command += ["--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port]
        command += ["--results-dir", str(results), "--csv", str(results / "locust"), *arguments]
        results.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # A shell starts background jobs with SIGINT ignored, and children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no locks are held
        )

    def finish(self, timeout_s: float = 60.0) -> str:
        """Wait for the end; what it printed."""
        try:
            output, _ = self.process.communicate(timeout=timeout_s)
        finally:
            self.kill()
        return output

    def kill(self) -> None:
        """End the whole process group, whatever is left of it."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def wait_for_records(self, count: int, timeout_s: float = 30.0) -> None:
        """Return once `count` records are on disk."""
        self.wait_until(lambda: len(self.records()) >= count, timeout_s)

    def wait_for_session(self, timeout_s: float = 30.0) -> None:
        """Return once a record file exists: users are about to call."""
        self.wait_until(lambda: any(self.results.glob("cells/*/requests-*.jsonl")), timeout_s)

    def wait_until(self, reached: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Return once `reached` says so; fails where the process ends before."""
        give_up_at = time.monotonic() + timeout_s
        while not reached():
            assert self.process.poll() is None, self.finish()
            assert time.monotonic() < give_up_at, "nothing happened in time"
            time.sleep(0.05)

    def records(self) -> list[InvocationRecord]:
        """All whole records so far."""
        lines: list[str] = []
        for path in sorted(self.results.glob("cells/*/requests-*.jsonl")):
            lines += [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line[-1] == "\n"]
        return [InvocationRecord.from_json(line) for line in lines]

    def health(self) -> list[dict[str, Any]]:
        """All whole health lines so far."""
        paths = sorted(self.results.glob("cells/*/health-*.jsonl"))
        lines = [line for path in paths for line in path.read_text(encoding="utf-8").splitlines(keepends=True)]
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def load(self) -> dict[str, Any]:
        """The cell's `load.json`."""
        (path,) = self.results.glob("cells/*/load.json")
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return content


def free_port() -> str:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


def truth_by_id(truth: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The emulator's truth log by request id."""
    return {row["request_id"]: row for row in truth}
