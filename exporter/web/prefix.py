"""Serves all paths below a prefix, for reverse proxies that do not strip it."""

from __future__ import annotations

from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class RoutePrefix:
    """`prefix`: with a leading and without a trailing slash. Other paths are 404, or redirected to the prefix."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path.startswith(f"{self._prefix}/"):
            await self._app({**scope, "path": path.removeprefix(self._prefix)}, receive, send)
        elif path in {"/", self._prefix}:
            target = f"{self._prefix.rpartition('/')[2]}/" if path == self._prefix else f"{self._prefix[1:]}/"
            await RedirectResponse(target, status_code=302)(scope, receive, send)
        else:
            await PlainTextResponse("Not Found", status_code=404)(scope, receive, send)
