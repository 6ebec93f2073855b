"""The emulator as a server: its parts put together, its own endpoints, its life from start to stop."""

import asyncio
import os
import ssl
import urllib.parse
from collections.abc import Callable
from typing import Any

from bedrock.clock import now
from bedrock.loopback import is_loopback
from bedrock.outcome import Outcome
from emulator.config import EmulatorConfig
from emulator.fault_endpoints import FaultEndpoints
from emulator.http import Connection, Exchange
from emulator.ledger import Ledger
from emulator.runtime import Runtime
from emulator.schedule import Agenda
from emulator.text import ResponseLibrary
from emulator.tls_connection import TlsConnection
from emulator.truth import CLIENT_GONE, FORGOTTEN_HEADER, TRUTH_SCHEMA_VERSION, TruthLog

ADMIN_PREFIX = "/_emulator/"
_BACKLOG = 4096


class Emulator:
    """Runtime operations on one side, `/_emulator/` endpoints on the other."""

    def __init__(self, config: EmulatorConfig, library: ResponseLibrary, truth: TruthLog, seed: int) -> None:
        self._ledger = Ledger(truth)
        self._runtime = Runtime(config, library, Agenda(asyncio.get_running_loop()), self._ledger, seed)
        self._seed = seed
        self._started_at = now()
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._is_local = True
        faults = FaultEndpoints(self._runtime.faults, config.catalog)
        self._endpoints: dict[tuple[str, str], Callable[[Exchange], None]] = {
            ("GET", "health"): self._health,
            ("GET", "stats"): self._stats,
            ("GET", "truth"): self._truth,
            ("POST", "reset"): self._reset,
            ("GET", "faults"): faults.show,
            ("POST", "faults"): faults.add,
            ("DELETE", "faults"): faults.remove_all,
            ("DELETE", "faults/ID"): faults.remove,
        }

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> tuple[str, int]:
        """Listen, for HTTPS if `tls` is given; returns the address in use. OSError where that is not possible."""

        def connection() -> Connection:
            if tls is None:
                return Connection(self, self._connections)
            return TlsConnection(self, self._connections, tls)

        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(connection, host, port, backlog=_BACKLOG)
        address: tuple[str, int] = self._server.sockets[0].getsockname()[:2]
        self._is_local = is_loopback(address[0])
        return address

    def stop(self) -> None:
        """Accept nothing more, log what is in flight as aborted, close every connection."""
        if self._server is not None:
            self._server.close()
        self._ledger.abort_open(Outcome.ABORTED)
        for connection in list(self._connections):
            connection.close()

    def handle(self, exchange: Exchange) -> None:
        """Answer one request."""
        path = exchange.request.path
        if path.startswith(ADMIN_PREFIX):
            self._handle_admin(exchange, path.removeprefix(ADMIN_PREFIX))
        else:
            self._runtime.handle(exchange)

    def abandoned(self, exchange: Exchange, *, by_client: bool) -> None:
        """Write down a request that was read and will not be answered, because its connection has ended."""
        if not exchange.request.path.startswith(ADMIN_PREFIX):
            self._runtime.abandoned(exchange, CLIENT_GONE if by_client else Outcome.CONNECTION_ERROR)

    def _handle_admin(self, exchange: Exchange, name: str) -> None:
        method, headers = exchange.request.method, exchange.request.headers
        if "origin" in headers or (self._is_local and not _names_this_machine(headers.get("host", ""))):
            # Tools send no origin. A browser does, for pages of anybody's; and it believes any name for this address.
            exchange.respond_json(403, {"message": "This endpoint is not for web pages."})
            return
        name = "faults/ID" if name.startswith("faults/") else name
        endpoint = self._endpoints.get((method, name))
        if endpoint is not None:
            endpoint(exchange)
            return
        allowed = [known for known, endpoint_name in self._endpoints if endpoint_name == name]
        if allowed:
            exchange.respond_json(405, {"message": f"Use {allowed[0]}."}, [("Allow", ", ".join(allowed))])
        else:
            known_names = ", ".join(f"{method} {ADMIN_PREFIX}{name}" for method, name in self._endpoints)
            exchange.respond_json(404, {"message": f"There are only {known_names}."})

    def _health(self, exchange: Exchange) -> None:
        exchange.respond_json(
            200,
            {"status": "ok", "pid": os.getpid(), "seed": self._seed, "uptime_s": round(now() - self._started_at, 3)},
        )

    def _stats(self, exchange: Exchange) -> None:
        document: dict[str, Any] = self._ledger.stats.to_dict()
        document["connections"] = len(self._connections)
        document["started_at"] = self._started_at
        document["truth_lines_unwritten"] = self._ledger.truth.unwritten
        exchange.respond_json(200, document)

    def _truth(self, exchange: Exchange) -> None:
        query = urllib.parse.parse_qs(exchange.request.query)
        try:
            since = int(query.get("since", ["0"])[-1])
            limit = max(int(query["limit"][-1]), 1) if "limit" in query else None
        except ValueError:
            since = -1
            limit = None
        if since < 0:
            exchange.respond_json(400, {"message": "`since` and `limit` are whole numbers."})
            return
        page = self._ledger.truth.page(since, limit)
        fields = [
            ("Content-Type", "application/x-ndjson"),
            (FORGOTTEN_HEADER, str(page.forgotten)),
            ("X-Emulator-Schema-Version", str(TRUTH_SCHEMA_VERSION)),
        ]
        exchange.respond(200, fields, page.to_jsonl())

    def _reset(self, exchange: Exchange) -> None:
        self._runtime.reset()
        self._ledger.reset()
        exchange.respond_json(200, {"status": "reset"})


def _names_this_machine(host: str) -> bool:
    """Whether a `Host` header is a loopback address, or a name that nobody can register: one without a dot, or none."""
    name = urllib.parse.urlsplit(f"//{host}").hostname or ""
    return is_loopback(name) or ("." not in name and ":" not in name)
