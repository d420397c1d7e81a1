"""Accepts connections on several sockets with the current TLS configuration. `loop.create_server` is not used: its TLS
configuration cannot change, and uvloop's does not report a lack of file descriptors, so that idle connections could not
be closed."""

from __future__ import annotations

import asyncio
import errno
import functools
import socket
from collections.abc import Callable, Sequence

import structlog
from starlette.types import ASGIApp

from exporter.web.access import Access
from exporter.web.connection import Connection, Connections, Policy, Timeouts
from exporter.web.limit import ConnectionLimiter
from exporter.web.refusals import LOG_INTERVAL, Refusals

OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
ACCEPT_RETRY_DELAY = 1.0  # s to wait if out of file descriptors with no idle connection to close
RECEIVE_BUFFER = 32 * 2**10  # bytes; limits the pipelined data held per connection

log = structlog.get_logger()


class Server:
    """`access`: returns the current access rules."""

    def __init__(
        self,
        app: ASGIApp,
        access: Callable[[], Access],
        refusals: Refusals,
        *,
        max_connections: int,
        timeouts: Timeouts | None = None,
    ) -> None:
        self._access = access
        self._timeouts = timeouts or Timeouts()
        self._limiter = ConnectionLimiter(max_connections)
        self._connections = Connections(app, Policy(access, self._limiter, refusals, self._timeouts))
        self._starting: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._last_logged = float("-inf")  # when a failed accept was last logged

    def stop(self) -> None:
        self._stopping.set()

    async def serve(self, sockets: Sequence[socket.socket]) -> None:
        """Serves until `stop`, then completes responses in flight and closes the sockets."""
        async with asyncio.TaskGroup() as group:
            accepting = [group.create_task(self._accept(sock)) for sock in sockets]
            await self._stopping.wait()
            for task in (*accepting, *self._starting):
                task.cancel()
        for sock in sockets:
            sock.close()
        await self._connections.close()

    async def _accept(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)  # inherited by accepted sockets
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(sock)
            except OSError as error:  # the client may have disconnected
                if error.errno in OUT_OF_RESOURCES:
                    await self._make_room(error)
            else:
                self._admit(accepted, self._connections.new(str(peer[0])))

    async def _make_room(self, error: OSError) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._last_logged > LOG_INTERVAL:
            self._last_logged = now
            log.error(
                "cannot accept connections", error=error.strerror, hint="raise the limit on open files (ulimit -n)"
            )
        await asyncio.sleep(0.0 if self._limiter.make_room() else ACCEPT_RETRY_DELAY)

    def _admit(self, accepted: socket.socket, connection: Connection) -> None:
        connection.start = asyncio.create_task(self._start(accepted, connection))
        self._starting.add(connection.start)
        connection.start.add_done_callback(functools.partial(self._started, accepted, connection))
        self._limiter.admit(connection)

    def _started(self, accepted: socket.socket, connection: Connection, task: asyncio.Task[None]) -> None:
        self._starting.discard(task)
        if not connection.is_made:
            self._limiter.release(connection)
            accepted.close()
        if not task.cancelled() and (error := task.exception()):
            log.error("unexpected exception while accepting a connection (please report)", exc_info=error)

    async def _start(self, accepted: socket.socket, connection: Connection) -> None:
        if not await self._sends_anything(accepted):
            return
        tls = self._access().tls
        patience = self._timeouts.request if tls else None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection, accepted, ssl=tls, ssl_handshake_timeout=patience
            )
        except OSError as error:  # as ssl.SSLError is
            connection.refuse("tls", error=getattr(error, "reason", None) or type(error).__name__)

    async def _sends_anything(self, accepted: socket.socket) -> bool:
        """Connections without a request end silently: browsers preconnect, load balancers probe ports."""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(accepted, readable.set)
        try:
            async with asyncio.timeout(self._timeouts.request):
                await readable.wait()
            return accepted.recv(1, socket.MSG_PEEK) != b""
        except OSError:  # as TimeoutError is
            return False
        finally:
            loop.remove_reader(accepted)
