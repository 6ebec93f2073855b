"""The command `run_tests.py doctor` as tests run it, and servers that it is pointed at."""

import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PROJECT = Path(__file__).parents[2]

FAST: dict[str, Any] = {"default": {"latency": {"ttft_ms": {"distribution": "fixed", "median": 5}}}}
NOVA_PRO = ("--model-id", "amazon.nova-pro-v1:0", "--service-tiers", "default")
NAME = "us.amazon.nova-pro-v1:0"


def doctor(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(PROJECT / "run_tests.py"), "doctor", *arguments],
        cwd=PROJECT,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def checkup(*arguments: str, **environment: str) -> tuple[int, dict[str, Any]]:
    """Exit code and document."""
    done = doctor(*arguments, "--format", "json", **environment)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


def findings(document: dict[str, Any], status: str) -> list[tuple[str, str, str]]:
    """Check, text and advice of the findings of a status."""
    return [
        (found["check"], found["text"], found["advice"]) for found in document["findings"] if found["status"] == status
    ]


def only(document: dict[str, Any], status: str) -> tuple[str, str, str]:
    (found,) = findings(document, status)
    return found


def paid(url: str) -> str:
    """The same endpoint by an address that is not taken for this machine's: as if it were AWS."""
    return f"http://127.1:{urlsplit(url).port}"


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """The URL of a server that gives this answer to every request, and bears connections without one."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            length, is_asked = 0, False
            while line := self.rfile.readline().strip():
                length = int(line.split(b":")[1]) if line.lower().startswith(b"content-length") else length
                is_asked = True
            self.rfile.read(length)
            if is_asked:
                self.wfile.write(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
