"""The `simulate` command: runs the simulator until stopped."""

from __future__ import annotations

import argparse
import socket
import time

import uvicorn

from exporter.simulator import scenario
from exporter.simulator.app import Simulator
from exporter.simulator.fleet import Fleet

MAX_DEPLOYMENTS = 100_000
MAX_SPEED = 1_000_000  # simulated seconds per second


def make(options: argparse.Namespace) -> Simulator:
    """Creates the simulator from --scenario, --deployments, --seed, --speed and --api-key. Raises ValueError."""
    chosen = _scenario(options.scenario)
    if options.deployments is not None:
        if not 1 <= options.deployments <= MAX_DEPLOYMENTS:
            raise ValueError(f"--deployments must be between 1 and {MAX_DEPLOYMENTS}")
        if chosen.fleet is None:
            raise ValueError(f"--deployments is for the fleet scenario; {options.scenario} has its own")
        chosen = chosen.model_copy(
            update={"fleet": chosen.fleet.model_copy(update={"deployments": options.deployments})}
        )
    if not 0 < options.speed <= MAX_SPEED:
        raise ValueError(f"--speed must be above 0 and at most {MAX_SPEED}")
    started = time.monotonic()
    fleet = Fleet(chosen, options.seed, options.speed, time.time())
    return Simulator(fleet, lambda: (time.monotonic() - started) * options.speed, chosen.faults, options.api_key)


def _scenario(name: str) -> scenario.Scenario:
    try:
        return scenario.load(name)
    except ValueError:
        raise
    except Exception as error:  # PyYAML's constructors raise whatever they run into
        raise ValueError(f"scenario {name}: {type(error).__name__}: {error}") from None


async def simulate(simulator: Simulator, scenario: str, sock: socket.socket) -> int:
    host, port = sock.getsockname()[:2]
    print(f"Together API simulator ({scenario}) on http://{host}:{port}/v1", flush=True)  # noqa: T201
    await server(simulator).serve(sockets=[sock])
    return 0


def server(simulator: Simulator) -> uvicorn.Server:
    """Returns a server that stops within a second when requested."""
    config = uvicorn.Config(
        simulator.app, loop="none", lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1
    )
    return uvicorn.Server(config)
