"""uvicorn as a part of this process: it takes no signals and logs no requests."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from exporter.web.connection import KEEP_ALIVE, Connection, Gate
from exporter.web.listener import Acceptor

SHUTDOWN_GRACE = 3  # s; what SIGTERM leaves a scrape in flight


class Quiet(uvicorn.Server):
    """Whoever runs it handles the signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Server(Quiet):
    """Lets a gate accept the connections."""

    def __init__(self, config: uvicorn.Config, gate: Gate) -> None:
        super().__init__(config)
        self._gate = gate

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        def connection(client: str) -> Connection:
            return Connection(self._gate, client, config=self.config, server_state=self.server_state, app_state={})

        accepting = [Acceptor(sock, self._gate, connection) for sock in sockets or ()]
        self.servers = accepting  # type: ignore[assignment]  # of asyncio's servers uvicorn closes them only
        self.started = True


def server(app: ASGIApp, gate: Gate) -> Server:
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # below it: every malformed request
    config = uvicorn.Config(
        app,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=SHUTDOWN_GRACE,
    )
    return Server(config, gate)
