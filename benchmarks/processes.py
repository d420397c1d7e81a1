"""The programs that are measured against each other, each on a free loopback port, ended by its ID."""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.soak import free_address

GZIP, PLAIN = {"Accept-Encoding": "gzip"}, {"Accept-Encoding": "identity"}
NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log; worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen {address}; root {folder}; default_type text/plain;
    location /packed {{ add_header Content-Encoding gzip; }} }}
}}
"""
JSON_EXPORTER = "github.com/prometheus-community/json_exporter@latest"
JSON_EXPORTER_CONFIG = """
modules:
  default:
    headers: {Authorization: Bearer k}
    metrics:
      - {name: together_deployment_replicas_ready, path: "{.ready_replicas}"}
      - {name: together_deployment_replicas_desired, path: "{.desired_replicas}"}
"""


@contextmanager
def running(command: Sequence[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, **environment}
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)
            if process.stdout is not None:
                process.stdout.close()


@contextmanager
def api(folder: Path, size: int) -> Iterator[str]:
    """The address of an API with so many deployments."""
    with running([sys.executable, "-m", "benchmarks.api", str(size)], folder / "api.log") as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()


@contextmanager
def exporter(folder: Path, api_address: str, interval: str, **environment: str) -> Iterator[tuple[str, int]]:
    """The address and process ID of an exporter that has polled that API once."""
    address = free_address()
    settings = {
        "TOGETHER_API_KEY": "k",
        "TOGETHER_BASE_URL": f"http://{api_address}",
        "TOGETHER_EXPORTER_POLL_INTERVAL": interval,
        "TOGETHER_EXPORTER_POLL_TIMEOUT": "60s",
        "TOGETHER_EXPORTER_STALE_AFTER": "10h",
    }
    command = [sys.executable, "-m", "exporter", f"--web.listen-address={address}"]
    with running(command, folder / "exporter.log", **settings, **environment) as process:
        answers(address, "/-/ready")
        yield address, process.pid


@contextmanager
def nginx(folder: Path, page: bytes, packed: bytes) -> Iterator[str]:
    """The address of an nginx that serves these bytes as /page and /packed."""
    address = free_address()
    (folder / "page").write_bytes(page)
    (folder / "packed").write_bytes(packed)
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, address=address))
    folder.chmod(0o755)
    with running([str(program("nginx")), "-c", str(folder / "nginx.conf"), "-p", str(folder)], folder / "nginx.out"):
        answers(address, "/page")
        yield address


@contextmanager
def plain_exporter(folder: Path, page: Path) -> Iterator[str]:
    """The address of an exporter made of prometheus_client alone, with the series of that page."""
    with running([sys.executable, "-m", "benchmarks.asgi", str(page)], folder / "asgi.log") as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        answers(address, "/metrics")
        yield address


@contextmanager
def json_exporter(folder: Path, binary: Path) -> Iterator[tuple[str, int]]:
    """Address and process ID."""
    address = free_address()
    (folder / "json.yml").write_text(JSON_EXPORTER_CONFIG)
    command = [str(binary), f"--config.file={folder / 'json.yml'}", f"--web.listen-address={address}"]
    with running(command, folder / "json_exporter.log") as process:
        answers(address, "/metrics")
        yield address, process.pid


def built_json_exporter(folder: Path) -> Path | None:
    """The file that JSON_EXPORTER names, else built with Go from its module; None where neither is to be had."""
    if "JSON_EXPORTER" in os.environ:
        return Path(os.environ["JSON_EXPORTER"])
    if shutil.which("go") is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    binary = folder / "json_exporter"
    if not binary.exists():
        subprocess.run(["go", "install", JSON_EXPORTER], env={**os.environ, "GOBIN": str(folder)}, check=False)
    return binary if binary.exists() else None


def program(name: str) -> str | None:
    """Where it is; Debian puts servers where users do not look."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")


def answers(address: str, path: str, patience: float = 120.0) -> None:
    """Waits until it does."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection(address, timeout=30)
            status = fetch(connection, path, PLAIN)[0]
            connection.close()
            if status == http.client.OK:
                return
        time.sleep(0.02)
    raise TimeoutError(f"{address}{path} does not answer")


def fetch(connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    return response.status, response.read()


def processor_time(pid: int) -> float:
    """Seconds, of the program and of the kernel for it."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
