"""A clean environment for each test, real servers on free ports, and skips that CI does not accept."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
import stamina
import uvicorn

from exporter.simulator.app import Simulator
from exporter.simulator.fleet import Fleet
from exporter.simulator.scenario import Scenario, load
from tests import canaries, fetch
from tests.canaries import leaks
from tests.examples import IS_THOROUGH

ROOT = Path(__file__).parents[1]
TICK = 0.005  # s
ONE_WORKER = tuple(
    f"e2e/test_{name}.py"
    for name in (
        "fault_table_configuration",
        "fault_table_values",
        "faults",
        "image",
        "page",
        "page_refresh",
        "release",
    )
)
PATIENCE = 60.0  # s; how long a condition may take before it counts as never


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="a test that would be skipped fails")
    parser.addoption("--may-skip", default="", help="programs, with commas between, that may be missing all the same")


def pytest_configure() -> None:
    """A shell's background jobs ignore SIGINT, and so would all that the tests start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Two for each core in a quick run, because the tests of the daemon wait as often as they compute."""
    if IS_THOROUGH or "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    from xdist.plugin import pytest_xdist_auto_num_workers as number_of_cores  # noqa: PLC0415 - not there without xdist

    return 2 * int(number_of_cores(config))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Sends each test to the next free worker, but all tests of a module whose fixture takes long to the same one.

    xdist 3.8 would do that with its marks, but does not see them under pytest 9.2."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - not there without xdist

    class Scheduler(LoadScopeScheduling):  # type: ignore[misc]  # has no types
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.partition("::")[0]
            return module if module.endswith(ONE_WORKER) else nodeid

    assert all((ROOT / "tests" / module).exists() for module in ONE_WORKER)
    return Scheduler(config, log) if config.getoption("dist") == "load" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    may_skip = config.getoption("--may-skip").split(",")
    for item in items:
        for mark in item.iter_markers("needs"):
            program = mark.args[0]
            if not is_there(program) and (not config.getoption("--no-skips") or program in may_skip):
                item.add_marker(pytest.mark.skip(reason=f"{program} is not installed; .ci/run installs it"))


def is_there(program: str) -> bool:
    """`program`: on the path, or a file below this folder's."""
    return shutil.which(program) is not None or (ROOT / program).exists()


def pytest_collection_finish() -> None:
    """Collects garbage rarely where a run must be quick: a full collection visits every collected test."""
    if not IS_THOROUGH:
        gc.set_threshold(100_000, 50, 100)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("TOGETHER_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_backoff() -> Iterator[None]:
    """Retries happen, without their waits."""
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A secret in anything that the test or what it ran put out fails the test."""
    report = yield
    found = leaks([*(text for _, text in report.sections), *canaries.outputs])
    canaries.outputs.clear()
    if found and report.passed:
        report.outcome = "failed"
        report.longrepr = "a secret was put out:\n" + "\n".join(found[:10])
    return report


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def until(condition: Callable[[], bool], what: str, every: float = 0.05) -> None:
    """Waits for a condition, at most PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        threading.Event().wait(every)


class _Uvicorn(uvicorn.Server):
    """Starts and ends without uvicorn's ticks of a tenth of a second."""

    async def main_loop(self) -> None:
        await self.on_tick(0)
        while not self.should_exit:  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(TICK)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.sleep(TICK)  # connections that clients have closed end
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)
        for server in self.servers:
            server.close()
        for sock in sockets or ():
            sock.close()


class SimulatorServer:
    """The simulator behind a real socket; `now` is its time in simulated seconds."""

    def __init__(self, scenario: Scenario, api_key: str | None = None) -> None:
        self.now = 0.0
        self.simulator = Simulator(Fleet(scenario, seed=1), lambda: self.now, scenario.faults, api_key)
        self._sock = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._sock.getsockname()[1]}"
        config = uvicorn.Config(self.simulator.app, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
        self._server = _Uvicorn(config)
        self.client = fetch.Client(trust_env=False)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._sock]})

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self._server.started, "the simulator starts", every=TICK)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._server.should_exit = True
        self._thread.join()

    def get(self, path: str, key: str = "k") -> httpx.Response:
        return self.client.get(f"{self.url}/v1/{path}", headers={"Authorization": f"Bearer {key}"} if key else {})


@pytest.fixture
def steady() -> Iterator[SimulatorServer]:
    with SimulatorServer(load("steady")) as server:
        yield server
