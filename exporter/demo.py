"""The `demo` command: simulator and exporter in one process."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn

from exporter.app import App
from exporter.settings.load import Loaded, load
from exporter.simulator import command
from exporter.simulator.app import Simulator
from exporter.web.listener import show_address

GUIDE = """\
Open http://{exporter}/ in a browser; Ctrl-C ends the demo.

  metrics    http://{exporter}/metrics
  simulator  http://{simulator}/v1/deployments   (accepts any bearer key)
  scenario   {scenario}, {speed:g} simulated seconds per second

  watch -n1 "curl -s http://{exporter}/metrics | grep -E 'replicas_(ready|desired)'"
"""


class _Server(uvicorn.Server):
    """Leaves signals to the exporter."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run(simulator: Simulator, api: socket.socket, web: socket.socket, options: argparse.Namespace) -> int:
    """`api`, `web`: listen addresses of the simulator and the exporter."""

    def configuration() -> Loaded:
        url = f"http://{show_address(api)}"
        project = {"name": "demo", "base_url": url, "api_key": "demo", "queue": True, "revisions": True}
        return load({"projects": [project], "poll_interval": options.poll_interval})

    app = App(configuration)
    server = _Server(command.server(simulator).config)
    serving = asyncio.create_task(server.serve(sockets=[api]))
    guide = GUIDE.format(
        scenario=options.scenario, speed=options.speed, exporter=show_address(web), simulator=show_address(api)
    )
    print(guide, flush=True)  # noqa: T201 - a command's output
    try:
        await app.serve([web])
    finally:
        server.should_exit = True
        await serving
    return 0
