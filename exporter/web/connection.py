"""One client's connection: TLS as it is configured now, and limits that no client can sit out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from exporter.web.access import Access
from exporter.web.refusals import Reason, Refusals

REQUEST_TIMEOUT = 10.0  # s; from the connection, or a request's first byte, to the end of its headers; and for TLS
ANSWER_TIMEOUT = 60.0  # s; within which an answer must have been taken; Prometheus' scrape_timeout is 10 s by default
KEEP_ALIVE = 90  # s; longer than most scrape intervals, so that a scrape needs no new TLS handshake
MAX_HEADERS = 32 * 2**10  # bytes of a request up to its body
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Gate:
    """How many connections there may be; beyond it the one that has waited longest without a request makes room."""

    def __init__(self, max_connections: int, access: Callable[[], Access], refusals: Refusals) -> None:
        self.access = access
        self.refusals = refusals
        self._max = max_connections
        self._open: set[Connection] = set()
        self._waiting: dict[Connection, None] = {}  # in the order in which they began to wait

    def admit(self, connection: Connection) -> bool:
        """Whether there is room."""
        if len(self._open) >= self._max and not self.make_room():
            connection.refuse("connection_limit")
            return False
        self._open.add(connection)
        self.waits(connection)
        return True

    def make_room(self) -> bool:
        """Ends the connection that has been idle for longest; False where there is none."""
        idle = next(iter(self._waiting), None)
        if idle is None:
            return False
        self.leave(idle)
        idle.refuse("connection_limit")
        return True

    def waits(self, connection: Connection) -> None:
        self._waiting.pop(connection, None)
        self._waiting[connection] = None

    def works(self, connection: Connection) -> None:
        self._waiting.pop(connection, None)

    def leave(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._waiting.pop(connection, None)


class Connection(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 with a watchdog over each phase. `client`: for the log; `start`: the task that runs the TLS
    handshake and then calls connection_made."""

    def __init__(self, gate: Gate, client: str, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._gate = gate
        self._client = client
        self._watchdog: asyncio.TimerHandle | None = None
        self._unfinished = 0  # bytes of a request whose headers have not ended
        self._size = 0  # bytes of a request's line and headers
        self._in_headers = False
        self._answering = False
        self._refused = False
        self.start: asyncio.Task[None] | None = None
        self.is_made = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self.is_made = True
        self._watch(REQUEST_TIMEOUT)
        sans = self._gate.access().allowed_sans
        if sans and not sans & _names(transport.get_extra_info("peercert")):
            self.refuse("tls", error="the client's certificate has none of client_allowed_sans")

    def connection_lost(self, exc: Exception | None) -> None:
        self._gate.leave(self)
        self._unwatch()
        if self.is_made:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._unfinished == 0 and not self._answering:
            self._watch(REQUEST_TIMEOUT)
        self._unfinished += len(data)
        super().data_received(data)
        if self._unfinished > MAX_HEADERS and not self._answering and not self.transport.is_closing():
            self.send_400_response("")

    def on_message_begin(self) -> None:
        self._size = 0
        self._in_headers = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._measure(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._measure(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._unfinished = 0
        self._in_headers = False
        self._answering = True
        self._gate.works(self)
        self._watch(ANSWER_TIMEOUT)
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._answering = bool(self.cycle and not self.cycle.response_complete)
        if not self._answering:
            has_more = self._in_headers or self._unfinished > 0  # of the next request, or a body nobody asked for
            self._gate.waits(self)
            self._watch(REQUEST_TIMEOUT if has_more else KEEP_ALIVE + REQUEST_TIMEOUT)

    def refuse(self, reason: Reason, **details: str) -> None:
        """Ends the connection at once, whatever is under way."""
        if self._refused:
            return
        self._refused = True
        self._gate.leave(self)
        self._gate.refusals.count(reason, self._client, **details)
        if self.is_made:
            self.transport.abort()
        elif self.start is not None:
            self.start.cancel()

    def _measure(self, size: int) -> None:
        self._size += size
        if self._size > MAX_HEADERS:
            raise ValueError("the headers are too large")  # ends the parsing as a bad request

    def send_400_response(self, msg: str) -> None:
        """431 where the headers are what is wrong; the watchdog ends a client that does not take it."""
        if max(self._size, self._unfinished) <= MAX_HEADERS:
            super().send_400_response(msg)
            return
        self._gate.refusals.count("header_limit", self._client)
        self.transport.write(TOO_LARGE)
        self.transport.close()

    def _watch(self, seconds: float) -> None:
        self._unwatch()
        self._watchdog = self.loop.call_later(seconds, self.refuse, "slow_client")

    def _unwatch(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None


def _names(certificate: dict[str, Any] | None) -> frozenset[str]:
    """The subject alternative names of a verified certificate, of every kind."""
    return frozenset(value for _, value in (certificate or {}).get("subjectAltName", ()))
