"""Limits on connections and concurrent requests."""

from __future__ import annotations

from typing import Protocol

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.web.refusals import Reason, Refusals


class Refusable(Protocol):
    def refuse(self, reason: Reason) -> None:
        """Closes the connection immediately and releases its slot."""


class ConnectionLimiter:
    """At the limit, closes the longest idle connection to accept a new one."""

    def __init__(self, max_connections: int) -> None:
        self._max = max_connections
        self._open: set[Refusable] = set()
        self._idle: dict[Refusable, None] = {}  # idle connections, longest idle first

    def admit(self, connection: Refusable) -> None:
        """Refuses the connection if all others are busy."""
        if len(self._open) >= self._max and not self.make_room():
            connection.refuse("connection_limit")
            return
        self._open.add(connection)
        self.mark_idle(connection)

    def make_room(self) -> bool:
        """Returns whether there was an idle connection to close."""
        longest_idle = next(iter(self._idle), None)
        if longest_idle is None:
            return False
        longest_idle.refuse("connection_limit")
        return True

    def mark_idle(self, connection: Refusable) -> None:
        self._idle.pop(connection, None)
        self._idle[connection] = None

    def mark_busy(self, connection: Refusable) -> None:
        self._idle.pop(connection, None)

    def release(self, connection: Refusable) -> None:
        self._open.discard(connection)
        self._idle.pop(connection, None)


class RequestLimit:
    """Answers requests above the limit with 503, like node_exporter."""

    def __init__(self, app: ASGIApp, limit: int, refusals: Refusals, reason: Reason) -> None:
        self._app = app
        self._limit = limit
        self._refusals = refusals
        self._reason = reason
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._running >= self._limit:
            self._refusals.count(self._reason, (scope.get("client") or "?")[0])
            text = f"Limit of concurrent requests reached ({self._limit}), try again later.\n"
            await PlainTextResponse(text, 503, {"Retry-After": "1"})(scope, receive, send)
            return
        self._running += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._running -= 1
