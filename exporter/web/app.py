"""The paths that answer; everything else is 404."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from html import escape

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter import __version__

Reload = Callable[[], Awaitable[str | None]]  # the message of what is wrong with the new file, None when it is in place

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>together-exporter</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body><h1>together-exporter {version}</h1>
<p>Prometheus exporter for Together AI container deployments.</p>
<ul><li><a href="{metrics}">Metrics</a></li><li><a href="/-/healthy">Health</a></li>
<li><a href="/-/ready">Readiness</a></li></ul></body></html>
"""


def build(metrics: ASGIApp, telemetry_path: str, is_ready: Callable[[], bool], reload: Reload | None) -> ASGIApp:
    """`reload` None: POST /-/reload is refused."""

    async def page(_: Request) -> Response:
        return HTMLResponse(PAGE.format(version=__version__, metrics=escape(telemetry_path)))

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
            Route("/", page),
            Route("/-/healthy", healthy),
            Route("/-/ready", ready),
            Route("/-/reload", reloaded, methods=["POST", "PUT"]),
        ]
    )
    return _first(metrics, telemetry_path, others)


def _first(app: ASGIApp, path: str, others: ASGIApp) -> ASGIApp:
    """One path goes to its application on the shortest way."""

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        await (app if scope["path"] == path else others)(scope, receive, send)

    return either
