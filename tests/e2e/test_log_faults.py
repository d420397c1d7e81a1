"""A stderr that takes no lines: the daemon polls, is scraped and stops as ever, and counts the lines that are lost."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests import fetch
from tests.canaries import API_KEY
from tests.conftest import SimulatorServer, free_port, until
from tests.e2e.test_daemon import GRACE, listing

DROPPED = "together_exporter_log_lines_dropped_total"
POLLS = 'together_exporter_polls_total{fetch="list",project="p"}'
REQUESTS = 1300  # each is a line at debug level; more than a small pipe and the queue take


class Daemon:
    """With a stderr of its own."""

    def __init__(self, folder: Path, api: SimulatorServer, stderr: int | None) -> None:
        """`stderr` None: closed."""
        config = folder / "together-exporter.yml"
        config.write_text(listing(api))
        self._port = free_port()
        options = [f"--config.file={config}", f"--web.listen-address=127.0.0.1:{self._port}", "--log.level=debug"]
        command = [sys.executable, "-m", "exporter", "serve", *options]
        if stderr is None:
            command = ["sh", "-c", 'exec "$@" 2>&-', "sh", *command]
        env = {"PATH": os.environ["PATH"], "TOGETHER_API_KEY": API_KEY}
        self.popen = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=stderr)
        self.client = fetch.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=2)

    def value(self, series: str) -> float:
        """NaN while there is none."""
        with contextlib.suppress(httpx.TransportError):
            for line in self.client.get("/metrics").text.splitlines():
                if line.startswith(f"{series} "):
                    return float(line.rpartition(" ")[2])
        return float("nan")

    def write_many_lines(self) -> None:
        for _ in range(REQUESTS):
            assert self.client.get("/-/healthy").status_code == 200

    def is_well(self) -> None:
        """Polls and scrapes go on, and it stops in time, with nothing on stdout."""
        polls = self.value(POLLS)
        until(lambda: self.value(POLLS) > polls + 2, "it goes on polling")
        assert self.value('together_project_poll_success{project="p"}') == 1
        self.client.close()
        began = time.monotonic()
        self.popen.terminate()
        stdout, _ = self.popen.communicate(timeout=30)
        assert (self.popen.returncode, stdout) == (0, b"")
        assert time.monotonic() - began < GRACE


@contextlib.contextmanager
def running(folder: Path, api: SimulatorServer, stderr: int | None) -> Iterator[Daemon]:
    daemon = Daemon(folder, api, stderr)
    try:
        until(lambda: daemon.value(POLLS) > 0, "it polls")
        yield daemon
    finally:
        daemon.client.close()
        daemon.popen.kill()
        daemon.popen.communicate()


def test_a_pipe_that_nobody_reads(steady: SimulatorServer, tmp_path: Path) -> None:
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    try:
        with running(tmp_path, steady, write) as daemon:
            daemon.write_many_lines()
            assert daemon.value(DROPPED) > 0
            daemon.is_well()
    finally:
        os.close(read)
        os.close(write)


def test_a_full_disk(steady: SimulatorServer, tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with running(tmp_path, steady, full) as daemon:
            until(lambda: daemon.value(DROPPED) > 0, "lines are counted")
            daemon.is_well()
    finally:
        os.close(full)


def test_a_stderr_that_is_closed(steady: SimulatorServer, tmp_path: Path) -> None:
    with running(tmp_path, steady, None) as daemon:
        assert daemon.value(DROPPED) > 0
        daemon.is_well()


def test_a_reader_that_leaves_while_it_runs(steady: SimulatorServer, tmp_path: Path) -> None:
    read, write = os.pipe()
    with running(tmp_path, steady, write) as daemon:
        os.close(write)
        assert b"msg=listening" in os.read(read, 1 << 16)
        before = daemon.value(DROPPED)
        os.close(read)
        until(lambda: daemon.value(DROPPED) > before, "lines are counted")
        daemon.is_well()


def test_where_lines_can_be_written_none_is_dropped(steady: SimulatorServer, tmp_path: Path) -> None:
    file = tmp_path / "log"
    with file.open("wb") as stderr, running(tmp_path, steady, stderr.fileno()) as daemon:
        daemon.write_many_lines()
        assert daemon.value(DROPPED) == 0
        daemon.is_well()
    lines = file.read_text().splitlines()
    assert len(lines) > REQUESTS
    assert "msg=stopped" in lines[-1]
