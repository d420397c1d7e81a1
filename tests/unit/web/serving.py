"""The web server alone, on a real socket, over an application with a page of some megabytes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

import httpx
import uvloop
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from exporter.self_metrics import SelfMetrics
from exporter.web.access import Access, AccessMiddleware
from exporter.web.connection import Timeouts
from exporter.web.limit import RequestLimit
from exporter.web.listener import listen
from exporter.web.refusals import Refusals
from exporter.web.server import Server
from tests import fetch

SHORT = b"GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n"
LONG = SHORT.replace(b"-/healthy", b"metrics")
PIECE = b"x" * 256 * 2**10
PIECES = 20  # more than the kernel keeps for a client that does not read


async def _long_page(_: Scope, __: Receive, send: Send) -> None:
    length = str(PIECES * len(PIECE)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    for left in reversed(range(PIECES)):
        await send({"type": "http.response.body", "body": PIECE, "more_body": left > 0})


@dataclass
class Web:
    """`access` may be replaced while it runs."""

    max_connections: int = 5
    max_requests: int = 2
    timeouts: Timeouts = field(default_factory=Timeouts)
    access: Access = field(default_factory=Access)
    metrics: SelfMetrics = field(default_factory=lambda: SelfMetrics(runtime=False))
    answered: int = 0  # requests that reached the application

    def __post_init__(self) -> None:
        refusals = Refusals(self.metrics)
        self._long = RequestLimit(_long_page, self.max_requests, refusals, "scrape_limit")
        self._server = Server(
            AccessMiddleware(self._app, lambda: self.access, refusals),
            lambda: self.access,
            refusals,
            max_connections=self.max_connections,
            timeouts=self.timeouts,
        )
        self.sockets = [listen("127.0.0.1:0"), listen("127.0.0.1:0")]
        self.address = self.sockets[0].getsockname()
        self._thread = threading.Thread(target=self._run)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.answered += 1
        app = self._long if scope["path"] == "/metrics" else PlainTextResponse(f"{scope['path']} is here.\n")
        await app(scope, receive, send)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            self._loop = runner.get_loop()
            runner.run(self._server.serve(self.sockets))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self.get().status_code == 200
        self.answered = 0
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        with contextlib.suppress(RuntimeError):  # it has ended already
            self._loop.call_soon_threadsafe(self._server.stop)
        self._thread.join()

    def connect(self, *sent: bytes) -> socket.socket:
        client = socket.create_connection(self.address, timeout=20)
        with contextlib.suppress(ConnectionError):
            for part in sent:
                client.sendall(part)
        return client

    def get(self, path: str = "/-/healthy", **more: object) -> httpx.Response:
        return fetch.get(f"http://127.0.0.1:{self.address[1]}{path}", **more)  # type: ignore[arg-type]  # httpx's own

    def refused(self, reason: str) -> float:
        metric = "together_exporter_http_clients_refused_total"
        return self.metrics.live.get_sample_value(metric, {"reason": reason}) or 0.0


@contextlib.contextmanager
def reading(web: Web, count: int) -> Iterator[list[socket.socket]]:
    """Clients that have begun to take the long page."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(web.connect(LONG)) for _ in range(count)]
        assert all(client.recv(1) == b"H" for client in clients)
        yield clients


def received(client: socket.socket) -> bytes:
    """What comes until the server ends the connection."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while chunk := client.recv(1 << 20):
            data += chunk
    return data


def received_length(client: socket.socket, length: int) -> bytes:
    """At least so many bytes."""
    data = b""
    while len(data) < length:
        chunk = client.recv(1 << 20)
        assert chunk
        data += chunk
    return data
