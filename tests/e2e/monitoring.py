"""The programs between the exporter and a person, on free loopback ports: Prometheus, Alertmanager, a pager."""

from __future__ import annotations

import functools
import json
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

from tests import fetch
from tests.conftest import free_port, until

ROOT = Path(__file__).parents[2]
ALERTMANAGER = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
PROMETHEUS_3 = ".tools/prometheus/prometheus"  # below the repository, where .ci/run has built it
VMAGENT = ".tools/prometheus/vmagent"
# Prometheus 3.12 and newer know their targets and their Alertmanager at once, and look for changes after 5 s.
DISCOVERY = "--scrape.discovery-reload-interval=250ms"


def newest() -> str:
    """The program that end-to-end tests run."""
    return str(ROOT / PROMETHEUS_3) if (ROOT / PROMETHEUS_3).exists() else "prometheus"


@functools.cache
def takes(program: str, option: str) -> bool:
    """Whether it knows the option; one that --help does not list either."""
    return subprocess.run([program, option, "--version"], capture_output=True, check=False).returncode == 0


class Program:
    """A process with a log, ended by its ID."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._log = log.open("w")
        self._popen = subprocess.Popen(command, stdout=self._log, stderr=self._log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._popen.terminate()
        self._popen.wait(30)
        self._log.close()


class Prometheus(Program):
    """Scrapes the target four times a second. `more`: of the scrape configuration; `rules`: what a rule file holds;
    `options`: of the command line."""

    def __init__(  # noqa: PLR0913 - a test names those that it needs
        self,
        target: str,
        home: Path,
        more: Mapping[str, Any] | None = None,
        *,
        rules: Mapping[str, Any] | None = None,
        alertmanager: str = "",
        options: Sequence[str] = (),
    ) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        scrape = {"job_name": "together-exporter", "static_configs": [{"targets": [target]}], **(more or {})}
        config: dict[str, Any] = {
            "global": {"scrape_interval": "250ms", "scrape_timeout": "250ms", "evaluation_interval": "250ms"},
            "scrape_configs": [scrape],
        }
        if rules is not None:
            (home / "rules.yml").write_text(yaml.safe_dump(rules))
            config["rule_files"] = [str(home / "rules.yml")]
        if alertmanager:
            config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
        (home / "prometheus.yml").write_text(yaml.safe_dump(config))
        address = self.url.removeprefix("http://")
        program = newest()
        command = [
            program,
            f"--config.file={home / 'prometheus.yml'}",
            f"--web.listen-address={address}",
            f"--storage.tsdb.path={home / 'tsdb'}",
            "--rules.alert.resend-delay=1s",
            *([DISCOVERY] if takes(program, DISCOVERY) else []),
            *options,
        ]
        super().__init__(command, home / "prometheus.log")

    def query(self, promql: str) -> list[Any]:
        try:
            answer = fetch.get(f"{self.url}/api/v1/query", params={"query": promql}, timeout=30)
        except httpx.TransportError:
            return []
        return list(answer.json()["data"]["result"]) if answer.status_code == 200 else []


class Alertmanager(Program):
    """With the example's routes and inhibitions, its receivers' addresses changed, and without its waits."""

    def __init__(self, home: Path, pager: str) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        config = yaml.safe_load(ALERTMANAGER.read_text(encoding="utf-8"))
        config["route"] |= {"group_wait": "100ms", "group_interval": "500ms"}
        for receiver in config["receivers"]:
            receiver["webhook_configs"] = [{"url": f"{pager}/{receiver['name']}"}]
        (home / "alertmanager.yml").write_text(yaml.safe_dump(config))
        super().__init__(
            [
                "prometheus-alertmanager",
                f"--config.file={home / 'alertmanager.yml'}",
                f"--web.listen-address={self.address}",
                f"--storage.path={home / 'alertmanager'}",
                "--cluster.listen-address=",
            ],
            home / "alertmanager.log",
        )
        until(self._answers, "Alertmanager answers")

    def _answers(self) -> bool:
        try:
            return fetch.get(f"http://{self.address}/-/ready").status_code == 200
        except httpx.TransportError:
            return False


@dataclass(frozen=True)
class Message:
    """One alert as a person gets it; `after`: seconds since the pager began to listen."""

    after: float
    receiver: str
    status: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def alert(self) -> tuple[str, str]:
        return self.labels.get("project", ""), self.labels["alertname"]


@dataclass
class Pager:
    """A webhook receiver; `messages` in the order in which they came, repetitions left out."""

    messages: list[Message] = field(default_factory=list)

    def __enter__(self) -> Self:
        began, messages = time.monotonic(), self.messages

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                for alert in body["alerts"]:
                    message = Message(
                        time.monotonic() - began,
                        self.path.strip("/"),
                        alert["status"],
                        alert["labels"],
                        alert["annotations"],
                    )
                    last = next((m for m in reversed(messages) if m.labels == message.labels), None)
                    if last is None or last.status != message.status:
                        messages.append(message)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def firing(self) -> set[tuple[str, str]]:
        """(project, alert) of what has fired and not been resolved."""
        last = {tuple(sorted(m.labels.items())): m for m in self.messages}
        return {m.alert for m in last.values() if m.status == "firing"}

    def fired(self, project: str, alert: str) -> Message | None:
        """The first message about it."""
        return next((m for m in self.messages if m.alert == (project, alert) and m.status == "firing"), None)
