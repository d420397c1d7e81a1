"""Routes of the application; all other paths are 404."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

READY = "/-/ready"
Reload = Callable[[], Awaitable[str | None]]  # returns the problem of the new configuration, None on success


def build(limited: Mapping[str, ASGIApp], is_ready: Callable[[], bool], reload: Reload | None) -> ASGIApp:
    """`limited`: applications with limits of their own, by path. `reload`: None refuses POST /-/reload."""

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("together-exporter is healthy.\n")

    async def ready(_: Request) -> Response:
        if is_ready():
            return PlainTextResponse("together-exporter is ready.\n")
        return PlainTextResponse("Not every project has been polled yet.\n", status_code=503)

    async def reloaded(_: Request) -> Response:
        if reload is None:
            return PlainTextResponse(
                "Reloading over HTTP is off; start with --web.enable-lifecycle.\n", status_code=403
            )
        problem = await reload()
        if problem is not None:
            return PlainTextResponse(f"{problem}\n", status_code=500)
        return PlainTextResponse("Reloaded.\n")

    others = Starlette(
        routes=[
            Route("/-/healthy", healthy),
            Route(READY, ready),
            Route("/-/reload", reloaded, methods=["POST", "PUT"]),
        ]
    )
    others.router.redirect_slashes = False
    return _by_path(limited, others)


def _by_path(apps: Mapping[str, ASGIApp], others: ASGIApp) -> ASGIApp:
    """Dispatches these paths before the framework's routing."""

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        await apps.get(scope["path"], others)(scope, receive, send)

    return either
