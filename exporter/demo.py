"""Simulator and exporter in one process, on free loopback ports."""

from __future__ import annotations

import argparse
import asyncio
import socket

from exporter.app import App
from exporter.settings.load import Loaded, load
from exporter.simulator import command
from exporter.simulator.app import Simulator
from exporter.web.listener import show_address
from exporter.web.server import Quiet

GUIDE = """\
together-exporter demo: scenario {scenario}, {speed:g} story seconds a second; Ctrl-C ends it

  metrics    http://{exporter}/metrics
  page       http://{exporter}/
  simulator  http://{simulator}/v1/deployments   (any bearer key)

  watch -n1 "curl -s http://{exporter}/metrics | grep -E 'replicas_(ready|desired)'"
"""


async def run(simulator: Simulator, api: socket.socket, web: socket.socket, options: argparse.Namespace) -> int:
    """`api` and `web`: where the simulator and the exporter listen."""

    def configuration() -> Loaded:
        project = {"name": "demo", "base_url": f"http://{show_address(api)}", "api_key": "demo", "queue": True}
        return load({"projects": [project], "poll_interval": options.poll_interval})

    app = App(configuration)
    server = Quiet(command.server(simulator).config)
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
