"""The paths that answer; everything else is 404."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.web.discovery import PATH as DISCOVERY_PATH

Endpoint = Callable[[Request], Awaitable[Response]]
Reload = Callable[[], Awaitable[str | None]]  # the message of what is wrong with the new file, None when it is in place


def build(
    limited: Mapping[str, ASGIApp], is_ready: Callable[[], bool], reload: Reload | None, discovery: Endpoint
) -> ASGIApp:
    """`limited`: the applications that have a path of their own. `reload` None: POST /-/reload is refused."""

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
            Route("/-/ready", ready),
            Route("/-/reload", reloaded, methods=["POST", "PUT"]),
            Route(DISCOVERY_PATH, discovery),
        ]
    )
    return _by_path(limited, others)


def _by_path(apps: Mapping[str, ASGIApp], others: ASGIApp) -> ASGIApp:
    """These paths go to their applications on the shortest way."""

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        await apps.get(scope["path"], others)(scope, receive, send)

    return either
