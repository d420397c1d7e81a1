"""Runs simulator, exporter, Prometheus, Alertmanager and, if installed, Grafana with rules and dashboards."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import yaml

from exporter.rules.build import build

ROOT = Path(__file__).parents[1]
INTERVAL = "2s"  # of polls, scrapes and rules
PRICES = {"h100-80gb": 2.5, "h100-40gb-mig": 1.3, "h200-140gb": 3.8, "b200-192gb": 5.5}  # example values
START_TIMEOUT = 60.0  # s; for a program to start
STOP_TIMEOUT = 10  # s; for a program to stop
GRAFANA_HOMES = ("/usr/share/grafana", "/opt/homebrew/share/grafana", "/usr/local/share/grafana")
GUIDE = {
    "prometheus": "apt-get install prometheus",
    "prometheus-alertmanager": "apt-get install prometheus-alertmanager",
}


class ProgramError(Exception):
    """A program is not installed or does not start."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", default="fleet", help="the simulator's scenario (default: fleet)")
    parser.add_argument("--faster", type=float, default=20, help="how many times sooner alerts fire (default: 20)")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="together-demo-")))
        try:
            for name, address in started(stack, folder, options):
                print(f"  {name:13} http://{address}", flush=True)  # noqa: T201 - a command's output
        except ProgramError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        print("Press Ctrl-C to stop", flush=True)  # noqa: T201 - a command's output
        stop.wait()
    return 0


def started(stack: ExitStack, folder: Path, options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """(name, address) of each program once it is ready. Raises ProgramError."""
    simulator, exporter, prometheus, alertmanager, grafana = (free_address() for _ in range(5))
    demo = ["--scenario", options.scenario, "--simulator.listen-address", simulator, "--web.listen-address", exporter]
    command = [sys.executable, "-m", "exporter", "demo", *demo, "--poll-interval", INTERVAL]
    prices = {"TOGETHER_EXPORTER_GPU_HOURLY_COST": json.dumps(PRICES)}
    stack.enter_context(running(command, folder / "exporter.log", f"{exporter}/-/healthy", prices))
    yield "simulator", f"{simulator}/v1/deployments"
    yield "exporter", f"{exporter}/metrics"
    command = alertmanagers(folder, alertmanager)
    stack.enter_context(running(command, folder / "alertmanager.log", f"{alertmanager}/-/ready"))
    yield "alertmanager", alertmanager
    rules = build(faster=options.faster)
    command = prometheuses(folder, prometheus, exporter, alertmanager, rules)
    stack.enter_context(running(command, folder / "prometheus.log", f"{prometheus}/-/ready"))
    yield "prometheus", f"{prometheus}/alerts"
    program = shutil.which("grafana") or shutil.which("grafana-server")
    home = next((home for home in GRAFANA_HOMES if Path(home).exists()), None)
    if program and home:
        command, environment = grafanas(program, home, folder, prometheus)
        environment["GF_SERVER_HTTP_ADDR"], _, environment["GF_SERVER_HTTP_PORT"] = grafana.partition(":")
        stack.enter_context(running(command, folder / "grafana.log", f"{grafana}/api/health", environment))
        yield "grafana", f"{grafana}/d/together-fleet"


def prometheuses(folder: Path, address: str, exporter: str, alertmanager: str, rules: dict[str, Any]) -> list[str]:
    config = {
        "global": {"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL, "scrape_timeout": INTERVAL},
        "rule_files": [str(written(folder / "rules.yml", rules))],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [{"job_name": "together-exporter", "static_configs": [{"targets": [exporter]}]}],
    }
    return [
        find_program("prometheus"),
        f"--config.file={written(folder / 'prometheus.yml', config)}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={address}",
    ]


def alertmanagers(folder: Path, address: str) -> list[str]:
    """Alertmanager with the routes and inhibitions of the example; notifications are visible in its UI only."""
    config = yaml.safe_load((ROOT / "deploy" / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8"))
    for receiver in config["receivers"]:
        receiver.pop("webhook_configs")
    return [
        find_program("prometheus-alertmanager", "alertmanager"),
        f"--config.file={written(folder / 'alertmanager.yml', config)}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]


def grafanas(program: str, home: str, folder: Path, prometheus: str) -> tuple[list[str], dict[str, str]]:
    """Grafana with anonymous access and provisioned dashboards."""
    provisioning = folder / "provisioning"
    source = {"name": "Prometheus", "type": "prometheus", "url": f"http://{prometheus}", "isDefault": True}
    boards = {"name": "together", "type": "file", "options": {"path": str(ROOT / "dashboards")}}
    written(provisioning / "datasources" / "prometheus.yml", {"apiVersion": 1, "datasources": [source]})
    written(provisioning / "dashboards" / "together.yml", {"apiVersion": 1, "providers": [boards]})
    environment = {
        "GF_PATHS_DATA": str(folder / "grafana"),
        "GF_PATHS_PROVISIONING": str(provisioning),
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
    }
    server = [program, "server"] if Path(program).name == "grafana" else [program]
    return [*server, f"--homepath={home}"], environment


def find_program(*names: str) -> str:
    program = next((path for name in names if (path := shutil.which(name))), None)
    if program is None:
        raise ProgramError(f"{names[0]} is not installed; {GUIDE[names[0]]}")
    return program


def written(file: Path, content: dict[str, Any]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


@contextmanager
def running(command: list[str], log: Path, url: str, environment: Mapping[str, str] | None = None) -> Iterator[None]:
    """Starts a program and waits until it is ready; in its own session, so that this process handles Ctrl-C."""
    with log.open("w") as output:
        process = subprocess.Popen(  # noqa: S603 - the programs of this file
            command, stdout=output, stderr=output, env={**os.environ, **(environment or {})}, start_new_session=True
        )
    try:
        end = time.monotonic() + START_TIMEOUT
        while not answers(url):
            if process.poll() is not None or time.monotonic() > end:
                raise ProgramError(f"{command[0]} does not answer; its log ends with:\n{log.read_text()[-2000:]}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(url: str) -> bool:
    try:
        with urlopen(f"http://{url}", timeout=5):
            return True
    except (URLError, OSError):
        return False


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return f"127.0.0.1:{sock.getsockname()[1]}"


if __name__ == "__main__":
    sys.exit(main())
