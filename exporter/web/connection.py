"""A client's connection. The only module that depends on uvicorn's protocol class, which is not public: pyproject.toml
pins its version range, and test_connection.py tests the parts in use."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from exporter.web.access import Access
from exporter.web.limit import ConnectionLimiter
from exporter.web.refusals import Reason, Refusals

MAX_HEADERS = 32 * 2**10  # bytes; request line and headers
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds."""

    request: float = 10.0  # until a connection's first byte, then for TLS, then from a request's first byte to its end
    response: float = 60.0  # from there until the client has taken the response; scrape_timeout is 10 s by default
    keep_alive: int = 90  # longer than most scrape intervals, so that a scrape needs no new TLS handshake
    shutdown: float = 3.0  # for responses in flight at SIGTERM


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings shared by all connections. `access`: returns the current access rules."""

    access: Callable[[], Access]
    limiter: ConnectionLimiter
    refusals: Refusals
    timeouts: Timeouts


class Connection(HttpToolsProtocol):
    """Parses one request at a time and limits the duration of each phase. `start`: a task that ends when
    `connection_made` has been called or will not be called."""

    start: asyncio.Task[None] | None = None
    is_made = False

    def __init__(self, policy: Policy, client: str, **uvicorn_arguments: Any) -> None:
        super().__init__(**uvicorn_arguments)
        self._policy = policy
        self._client = client
        self._unparsed = bytearray()
        self._header_size = 0  # bytes of the request that is being parsed
        self._is_answering = False
        self._watchdog: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self.is_made = True
        self._watch(self._policy.timeouts.request)
        allowed = self._policy.access().allowed_sans
        if allowed and not allowed & _subject_alternative_names(transport.get_extra_info("peercert")):
            self.refuse("tls", error="the client's certificate has none of client_allowed_sans")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._policy.limiter.release(self)
        self._unwatch()
        self._unparsed.clear()
        if self.is_made:
            super().connection_lost(None)  # with an error, uvicorn would not stop its keep-alive timer

    def data_received(self, data: bytes) -> None:
        self._unparsed += data
        self._parse()

    def _parse(self) -> None:
        """Parses line by line, so that the next request is parsed after the response to the current one."""
        while self._unparsed and not self._is_answering and not self.transport.is_closing():
            if self._header_size == 0:
                self._watch(self._policy.timeouts.request)
            end = self._unparsed.find(b"\n") + 1 or len(self._unparsed)
            self._header_size += end
            if self._header_size > MAX_HEADERS:
                self._refuse_headers()
                return
            line = bytes(self._unparsed[:end])
            del self._unparsed[:end]
            super().data_received(line)
        if self._is_answering and self.cycle.more_body:  # request bodies are ignored
            self.cycle.keep_alive = False
            self._unparsed.clear()
        elif self._unparsed:
            self.flow.pause_reading()

    def on_headers_complete(self) -> None:
        self.server_state.default_headers = _date_header(int(time.time()))
        super().on_headers_complete()
        if self.parser.should_upgrade():  # the parser ignores everything after it
            self.cycle.keep_alive = False
        self._header_size = 0
        self._is_answering = True
        self._policy.limiter.mark_busy(self)
        self._watch(self._policy.timeouts.response)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._is_answering = False
        self._policy.limiter.mark_idle(self)
        if not self.transport.is_closing():
            timeouts = self._policy.timeouts
            self._watch(timeouts.keep_alive + timeouts.request)  # uvicorn's own timer waits for unsent data
            self._parse()

    def refuse(self, reason: Reason, **details: str) -> None:
        """Closes the connection immediately."""
        self._policy.limiter.release(self)
        self._policy.refusals.count(reason, self._client, **details)
        if self.is_made:
            self.transport.abort()
        elif self.start is not None:
            self.start.cancel()

    def _refuse_headers(self) -> None:
        """The watchdog disconnects a client that does not read the response."""
        self._policy.refusals.count("header_limit", self._client)
        self._unparsed.clear()
        self.transport.write(TOO_LARGE)
        self.transport.close()

    def _watch(self, seconds: float) -> None:
        self._unwatch()
        self._watchdog = self.loop.call_later(seconds, self.refuse, "slow_client")

    def _unwatch(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None


class Connections:
    """Creates and closes connections to `app`."""

    def __init__(self, app: ASGIApp, policy: Policy) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # below: each malformed request
        self._policy = policy
        self._state = ServerState()
        self._config = uvicorn.Config(
            _until_cancelled(app),
            interface="asgi3",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # use the peer's address
            workers=1,  # not from the environment
            timeout_keep_alive=policy.timeouts.keep_alive,
        )

    def new(self, client: str) -> Connection:
        """`client`: its address, for the log."""
        return Connection(self._policy, client, config=self._config, server_state=self._state, app_state={})

    async def close(self) -> None:
        """Waits briefly for responses in flight, then closes connections and cancels tasks."""
        for connection in list(self._state.connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._policy.timeouts.shutdown):
                while self._state.connections:  # noqa: ASYNC110 - a set of uvicorn's
                    await asyncio.sleep(0.05)
        for connection in list(self._state.connections):
            connection.transport.abort()
        tasks = list(self._state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _until_cancelled(app: ASGIApp) -> ASGIApp:
    """uvicorn would log a traceback for each cancelled request."""

    async def quiet(scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await app(scope, receive, send)

    return quiet


@functools.lru_cache(maxsize=1)
def _date_header(second: int) -> list[tuple[bytes, bytes]]:
    return [(b"date", formatdate(second, usegmt=True).encode())]


def _subject_alternative_names(certificate: dict[str, Any] | None) -> frozenset[str]:
    """Returns the subject alternative names of all types."""
    return frozenset(value for _, value in (certificate or {}).get("subjectAltName", ()))
