"""Signals and ends: early, while names cannot be resolved, while files hang."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.canaries import API_KEY
from tests.conftest import SimulatorServer, until
from tests.e2e.conftest import Process, Start

# Signals itself when the command line's imports begin, which take most of the first second.
AT_ONCE = """
import os, signal, sys
def send(event, arguments):
    if event == "import" and arguments[0] == "exporter.cli.commands":
        os.kill(os.getpid(), signal.{signal})
sys.addaudithook(send)
sys.argv[1:] = {arguments!r}
from exporter.cli import start
start.main()
"""


def signalled(name: str, *arguments: str, **environ: str) -> subprocess.Popen[str]:
    """A command that gets a signal before its first second is over, while it still imports."""
    code = AT_ONCE.format(signal=name, arguments=list(arguments))
    env = {"PATH": os.environ["PATH"], "TOGETHER_API_KEY": API_KEY, **environ}
    return subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.PIPE, text=True)


def test_a_sighup_during_the_start_reloads_later(steady: SimulatorServer) -> None:
    options = ["serve", "--web.listen-address=127.0.0.1:0"]
    with signalled("SIGHUP", *options, TOGETHER_BASE_URL=steady.url) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "reloaded" in line:
                process.terminate()
        assert process.wait(30) == 0
    assert any("reloaded" in line for line in lines)
    assert not any("Traceback" in line for line in lines)


def test_a_sighup_ends_a_command_that_does_not_reload() -> None:
    with signalled("SIGHUP", "metrics") as process:
        assert process.wait(30) == -signal.SIGHUP


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", -signal.SIGTERM), ("SIGINT", 1)])
def test_an_end_during_the_start_has_no_traceback(name: str, code: int) -> None:
    with signalled(name, "serve") as process:
        try:
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
        assert (errors, process.returncode) == ("", code)


def test_a_key_file_that_becomes_a_pipe_holds_nothing(start: Start, steady: SimulatorServer, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(API_KEY)
    healthy = f"{{name: healthy, api_key_env: TOGETHER_API_KEY, base_url: '{steady.url}'}}"
    daemon = start(
        f"poll_interval: 200ms\nprojects: [{{name: p, api_key_file: key, base_url: '{steady.url}'}}, {healthy}]",
        TOGETHER_API_KEY=API_KEY,
    )
    until(lambda: daemon.shows('together_project_poll_success{project="p"} 1.0'), "it is polled")
    key.unlink()
    os.mkfifo(key)
    until(lambda: daemon.shows('together_project_poll_success{project="p"} 0.0'), "it fails")
    assert "is a pipe; name a regular file" in daemon.log
    assert daemon.shows('together_project_poll_success{project="healthy"} 1.0')


@pytest.fixture
def silent_resolver(tmp_path: Path) -> Iterator[list[str]]:
    """A command prefix under which every name server never answers."""
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.53\noptions timeout:30 attempts:5\n")
    prefix = ["unshare", "-rm", "sh", "-c", f'mount --bind {tmp_path}/resolv.conf /etc/resolv.conf && exec "$@"', "sh"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(("127.0.0.53", 53))
            subprocess.run([*prefix, "true"], check=True, capture_output=True, timeout=30)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("needs root, and namespaces of its own")
        yield prefix


def value_of(series: str, page: str) -> float:
    return next((float(line.split()[1]) for line in page.splitlines() if line.startswith(series)), 0.0)


def test_names_that_never_resolve_hold_neither_other_projects_nor_the_end(
    silent_resolver: list[str], steady: SimulatorServer, tmp_path: Path
) -> None:
    hanging = "".join(f"- {{name: h{n}, base_url: 'http://h{n}.example'}}\n" for n in range(12))
    (tmp_path / "c.yml").write_text(
        f"poll_interval: 200ms\npoll_timeout: 5s\nprojects:\n- {{name: address, base_url: '{steady.url}'}}\n{hanging}"
    )
    command = [*silent_resolver, sys.executable, "-m", "exporter", "serve", f"--config.file={tmp_path / 'c.yml'}"]
    daemon = Process(["--web.listen-address=127.0.0.1:0"], {"TOGETHER_API_KEY": API_KEY}, command=command)
    polls = 'together_exporter_polls_total{fetch="list",project="address"}'
    try:
        until(lambda: value_of(polls, daemon.metrics()) > 20, "an address is polled on time")
        assert 'together_project_poll_success{project="address"} 1.0' in daemon.metrics()
    finally:
        began = time.monotonic()
        code = daemon.stop()
        took = time.monotonic() - began
    assert (code, took < 5, "Traceback" in daemon.log) == (0, True, False), daemon.log
