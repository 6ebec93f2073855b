"""A chat's end of a webhook: keeps what is posted to it."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: The part of the address that must stay between it and its owner.
SECRET = "T0SECRET0B0SECRET"  # noqa: S105 - of nobody


@contextmanager
def receiving(status: int = 200, headers: Mapping[str, str] | None = None) -> Iterator[tuple[str, list[bytes]]]:
    """The webhook's URL, and the bodies that were posted to it."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/services/{SECRET}", bodies
        server.shutdown()
