"""What an operator reads: one line for each change of state, in logfmt or JSON; no traceback for what was expected."""

from __future__ import annotations

import json
import re
import socket

import httpx
import pytest

from exporter import __version__
from exporter.simulator.scenario import DeploymentScenario, Fault, Scenario, Step
from tests import fetch
from tests.canaries import API_KEY
from tests.conftest import SimulatorServer, free_port, until
from tests.e2e.conftest import Process, Start, run
from tests.e2e.test_daemon import listing

LOGFMT = re.compile(r'ts=\S+Z level=(debug|info|warn|error) msg=(\w+|"[^"]+")( \w+=([^\s"=]+|"([^"\\]|\\.)*"))*')
SCENARIO = Scenario(
    deployments=(
        DeploymentScenario(
            name="chat", timeline=(Step(at=10, fail=True), Step(at=20, fail=False), Step(at=30, delete=True))
        ),
    )
)


def lived_through(start: Start, *options: str) -> Process:
    """A daemon that has seen a change of status, an outage, and a deployment go."""
    with SimulatorServer(SCENARIO) as server:
        daemon = start(listing(server), *options, TOGETHER_API_KEY=API_KEY)
        until(
            lambda: daemon.shows('together_deployment_poll_success{deployment="chat",project="p"} 1.0'), "it is polled"
        )
        server.now = 15
        failed = 'together_deployment_status{deployment="chat",project="p",status="Failed"} 1.0'
        until(lambda: daemon.shows(failed), "it has failed")
        server.simulator.faults.append(Fault(at=0, lasts=1e9, status=401))
        until(lambda: daemon.shows('together_project_poll_success{project="p"} 0.0'), "the key is refused")
        server.simulator.faults.clear()
        until(lambda: daemon.shows('together_project_poll_success{project="p"} 1.0'), "it is accepted again")
        server.now = 35
        until(lambda: daemon.shows('together_project_deployments{project="p"} 0.0'), "it is gone")
        assert daemon.stop() == 0
    return daemon


def test_json_has_one_object_a_line_and_one_line_a_change(start: Start) -> None:
    daemon = lived_through(start, "--log.format=json", "--log.level=info")
    lines = [json.loads(line) for line in daemon.log.splitlines()]
    assert all(line["ts"].endswith("Z") for line in lines)
    events = [(line["level"], line["msg"], line.get("deployment")) for line in lines]
    assert events == [
        ("info", "listening", None),
        ("info", "first poll succeeded", None),
        ("info", "status changed", "chat"),
        ("warn", "poll failed", None),
        ("info", "poll recovered", None),
        ("info", "deployment disappeared", "chat"),
        ("info", "stopping", None),
        ("info", "stopped", None),
    ]
    listening, polled, changed, failed, _, gone, *_ = lines
    assert listening["address"].startswith("127.0.0.1:")
    assert (listening["version"], listening["projects"], listening["polls"]) == (__version__, "p", 1)
    assert listening["requests_per_minute"] == 300
    assert (polled["fetch"], polled["deployments"]) == ("list", 1)
    assert (changed["before"], changed["after"]) == ("Ready", "Failed")
    assert (failed["project"], failed["reason"], failed["error"]) == ("p", "unauthorized", "HTTP 401 Unauthorized")
    assert failed["next_in"] == "0.2s"
    assert gone["reason"] == "no longer listed by the API"


def test_logfmt_by_default_every_line(start: Start) -> None:
    daemon = lived_through(start)
    lines = daemon.log.splitlines()
    assert [line for line in lines if not LOGFMT.fullmatch(line)] == []
    assert "level=debug msg=request method=GET path=/metrics" in daemon.log, "the start fixture asks for debug"


@pytest.mark.parametrize(
    ("level", "messages"),
    [
        ("error", []),
        ("warn", ["poll failed"]),
        ("info", ["listening", "poll failed", "stopping", "stopped"]),
        ("debug", ["listening", "request", "api request", "poll failed", "stopping", "stopped"]),
    ],
)
def test_levels_leave_out_what_is_below_them(
    level: str, messages: list[str], start: Start, steady: SimulatorServer
) -> None:
    steady.simulator.faults.append(Fault(at=0, lasts=1e9, status=401))
    port = free_port()
    options = (f"--web.listen-address=127.0.0.1:{port}", f"--log.level={level}", "--log.format=json")
    daemon = start(listing(steady), *options, TOGETHER_API_KEY=API_KEY)
    until(lambda: is_ready(port), "it is polled")
    assert daemon.stop() == 0
    events = [json.loads(line)["msg"] for line in daemon.log.splitlines()]
    assert set(events) == set(messages)


def is_ready(port: int) -> bool:
    try:
        return fetch.get(f"http://127.0.0.1:{port}/-/ready").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("serve", "--web.listen-address"),
        ("demo", "--web.listen-address"),
        ("demo", "--simulator.listen-address"),
        ("simulate", "--listen-address"),
    ],
)
def test_an_address_in_use_is_one_line(command: str, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run(command, f"{option}={address}", TOGETHER_API_KEY=API_KEY)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"together-exporter: cannot listen on {address}: Address already in use; "
        f"stop the other process, or choose another address with {option}\n"
    )


@pytest.mark.parametrize("format_", ["logfmt", "json"])
def test_names_cannot_play_with_the_terminal_that_shows_the_log(format_: str, start: Start) -> None:
    """They are cleaned, as labels are; the configuration's may have no control characters."""
    scenario = DeploymentScenario(name="a\x1b[2Jb\rc", timeline=(Step(at=10, fail=True),))
    with SimulatorServer(Scenario(deployments=(scenario,))) as server:
        daemon = start(listing(server), f"--log.format={format_}", TOGETHER_API_KEY=API_KEY)
        until(lambda: daemon.get("/-/ready").status_code == 200, "it is polled")
        server.now = 15
        until(lambda: daemon.logs("status changed"), "it is logged")
        assert daemon.stop() == 0
    assert "\x1b" not in daemon.log
    assert "\r" not in daemon.log
    assert "a\ufffd[2Jb\ufffdc" in daemon.log.replace(r"\ufffd", "\ufffd")
