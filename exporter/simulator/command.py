"""The simulator as a server of its own, until it is told to stop."""

from __future__ import annotations

import argparse
import socket
import time

import uvicorn

from exporter.simulator import scenario
from exporter.simulator.app import Simulator
from exporter.simulator.fleet import Fleet


def make(options: argparse.Namespace) -> Simulator:
    """From the command line's --scenario, --deployments, --seed, --speed, --api-key. Raises ValueError."""
    story = scenario.load(options.scenario)
    if options.deployments is not None:
        if story.fleet is None:
            raise ValueError(f"--deployments is for the fleet scenario; {options.scenario} has its own")
        story = story.model_copy(update={"fleet": story.fleet.model_copy(update={"deployments": options.deployments})})
    if options.speed <= 0:
        raise ValueError("--speed must be above 0")
    started = time.monotonic()
    fleet = Fleet(story, options.seed, options.speed, time.time())
    return Simulator(fleet, lambda: (time.monotonic() - started) * options.speed, story.faults, options.api_key)


async def simulate(simulator: Simulator, scenario: str, sock: socket.socket) -> int:
    host, port = sock.getsockname()[:2]
    print(f"Together API simulator ({scenario}) on http://{host}:{port}/v1", flush=True)  # noqa: T201
    await server(simulator).serve(sockets=[sock])
    return 0


def server(simulator: Simulator) -> uvicorn.Server:
    """Ready to serve; it ends within a second of being asked to."""
    config = uvicorn.Config(
        simulator.app, loop="none", lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1
    )
    return uvicorn.Server(config)
