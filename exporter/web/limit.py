"""How many requests are answered at a time, where an answer may be long."""

from __future__ import annotations

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.web.refusals import Reason, Refusals


class RequestLimit:
    """At most so many requests at a time; the next one gets 503, as from node_exporter."""

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
