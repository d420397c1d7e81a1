"""The listening socket, and who is let in through it."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

import structlog

from exporter.web.connection import REQUEST_TIMEOUT, Connection, Gate
from exporter.web.refusals import QUIET

BACKLOG = 2048  # connections the kernel holds until they are accepted
STARVED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
BREATH = 1.0  # s; until the next try where the kernel has no file descriptor for another connection

log = structlog.get_logger()


class Acceptor:
    """Accepts connections until it is closed, each with the TLS that is configured at that moment."""

    def __init__(self, sock: socket.socket, gate: Gate, connection: Callable[[str], Connection]) -> None:
        self._gate = gate
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._starting: set[asyncio.Task[None]] = set()
        self._starved = float("-inf")  # when that was last told
        sock.setblocking(False)
        self._accepting = self._loop.create_task(self._accept(sock))

    def close(self) -> None:
        self._accepting.cancel()
        for task in self._starting:
            task.cancel()

    async def wait_closed(self) -> None:
        await asyncio.gather(self._accepting, *self._starting, return_exceptions=True)

    async def _accept(self, sock: socket.socket) -> None:
        while True:
            try:
                self._welcome(*await self._loop.sock_accept(sock))
            except OSError as error:
                await self._recover(error)
            except Exception:
                log.exception("accepting a connection broke: please report this")

    async def _recover(self, error: OSError) -> None:
        """Out of file descriptors idle connections make room; a client that has left already is no matter."""
        if error.errno not in STARVED:
            return
        now = self._loop.time()
        if now - self._starved > QUIET:
            self._starved = now
            log.error("cannot accept connections", error=error.strerror, hint="raise the limit of open files")
        await asyncio.sleep(0.0 if self._gate.make_room() else BREATH)

    def _welcome(self, accepted: socket.socket, peer: tuple[object, ...]) -> None:
        connection = self._connection(str(peer[0]))
        if not self._gate.admit(connection):
            accepted.close()
            return
        connection.start = self._loop.create_task(self._start(accepted, connection))
        self._starting.add(connection.start)
        connection.start.add_done_callback(self._starting.discard)

    async def _start(self, accepted: socket.socket, connection: Connection) -> None:
        """Ends when the connection is ready for requests, or refused."""
        tls = self._gate.access().tls
        patience = None if tls is None else REQUEST_TIMEOUT
        try:
            await self._loop.connect_accepted_socket(
                lambda: connection, accepted, ssl=tls, ssl_handshake_timeout=patience
            )
        except OSError as error:  # as ssl.SSLError is
            connection.refuse("tls", error=getattr(error, "reason", None) or type(error).__name__)
        finally:
            if not connection.is_made:
                accepted.close()


def listen(address: str) -> socket.socket:
    """A listening socket for `host:port`; no host means every address, IPv4 and IPv6. Raises OSError, ValueError."""
    host, _, port = address.rpartition(":")
    host = "" if host == "[::]" else host.strip("[]")  # as Go's: IPv4 too
    if not port.isdecimal():
        raise ValueError(f'"{address}" has no port; write one such as :10170 or 127.0.0.1:10170')
    if host or not socket.has_dualstack_ipv6():
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, int(port)), family=family, backlog=BACKLOG)
    return socket.create_server(("", int(port)), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True)


def show_address(sock: socket.socket) -> str:
    """host:port as a URL has it; the unspecified address as none."""
    host, port = sock.getsockname()[:2]
    if host in {"::", "0.0.0.0"}:  # noqa: S104 - compared, not bound
        return f":{port}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
