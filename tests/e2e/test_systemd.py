"""systemd, as far as it can be asked without being the first process."""

from __future__ import annotations

import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import SimulatorServer, until
from tests.e2e.conftest import Start

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "systemd" / "together-exporter.service"
EXPOSURE = 15  # tenths; what systemd-analyze may find at most


class Listener:
    """systemd's end of the notification socket."""

    def __init__(self, address: str) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind("\0" + address[1:] if address.startswith("@") else address)
        self._sock.settimeout(60)

    def next(self) -> str:
        return self._sock.recv(4096).decode()

    def close(self) -> None:
        self._sock.close()


@pytest.fixture(params=["file", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "file" else f"@together-{tmp_path.name}-{id(request)}"


def test_systemd_is_told_how_far_the_daemon_is(steady: SimulatorServer, start: Start, address: str) -> None:
    listener = Listener(address)
    try:
        config = f"projects: [{{base_url: '{steady.url}'}}]"
        daemon = start(config, TOGETHER_API_KEY="k", NOTIFY_SOCKET=address)
        assert listener.next() == "READY=1"
        assert daemon.get("/-/healthy").status_code == 200
        daemon.popen.send_signal(signal.SIGHUP)
        assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", listener.next())
        assert listener.next() == "READY=1"
        daemon.stop()
        assert listener.next() == "STOPPING=1"
    finally:
        listener.close()


def test_the_units_reload_needs_no_program_but_a_shell(steady: SimulatorServer, start: Start, tmp_path: Path) -> None:
    listener = Listener(str(tmp_path / "notify"))
    try:
        config = f"projects: [{{base_url: '{steady.url}'}}]"
        daemon = start(config, TOGETHER_API_KEY="k", NOTIFY_SOCKET=str(tmp_path / "notify"))
        assert listener.next() == "READY=1"
        (command,) = re.findall("^ExecReload=(.*)$", UNIT.read_text(), re.MULTILINE)
        program, *arguments = shlex.split(command.replace("$MAINPID", str(daemon.popen.pid)))
        assert program == "/bin/sh"
        subprocess.run([program, *arguments], env={"PATH": str(tmp_path)}, check=True, timeout=60)
        assert listener.next().startswith("RELOADING=1")
    finally:
        listener.close()


def test_without_a_listener_nothing_is_missed(steady: SimulatorServer, start: Start, tmp_path: Path) -> None:
    config = f"projects: [{{base_url: '{steady.url}'}}]"
    daemon = start(config, TOGETHER_API_KEY="k", NOTIFY_SOCKET=str(tmp_path / "nobody"))
    until(lambda: daemon.get("/-/ready").status_code == 200, "it serves")


@pytest.mark.needs("systemd-analyze")
def test_the_unit_is_one_and_keeps_to_itself(tmp_path: Path) -> None:
    unit = UNIT.read_text()
    verifiable = tmp_path / UNIT.name
    verifiable.write_text(re.sub(r"ExecStart=\S+", f"ExecStart={sys.executable}", unit))
    for command in (
        f"systemd-analyze verify {verifiable}",
        f"systemd-analyze security --offline=true --threshold={EXPOSURE} {verifiable}",
    ):
        done = subprocess.run(shlex.split(command), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Unknown" not in done.stderr, done.stderr


def test_the_units_command_and_paths_are_the_products() -> None:
    unit = UNIT.read_text()
    credential = re.search(r"^LoadCredential=([\w-]+):", unit, re.MULTILINE)
    assert credential
    assert f"/run/credentials/{UNIT.name}/{credential[1]}" in unit
    (documentation,) = re.findall("^Documentation=(.*)$", unit, re.MULTILINE)
    assert (ROOT / documentation.partition("/blob/main/")[2]).is_file()
    installed = (ROOT / "docs" / "systemd.md").read_text()
    for path in re.findall(r"/(?:opt|etc)/together-exporter[^\s:]*", unit):
        assert path.removesuffix("bin/together-exporter").rstrip("/") in installed, path
    assert "RestartPreventExitStatus=2" in unit  # the exit code of a configuration that cannot be used
