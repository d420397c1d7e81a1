"""What strangers on the network may try, while the real daemon polls and is scraped."""

from __future__ import annotations

import contextlib
import itertools
import re
import socket
import struct
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import httpx
import pytest

from exporter.simulator.scenario import Fleet, Scenario
from tests import fetch
from tests.canaries import API_KEY
from tests.conftest import SimulatorServer, until
from tests.e2e.conftest import Process, Start
from tests.e2e.test_daemon import GRACE, listing
from tests.e2e.test_hostile_clients import REQUEST, address, crowd, scrapes

SENT_AHEAD = 256 * 2**10  # bytes per connection
MAX_GROWTH = 100  # MiB
UP = 'together_deployment_poll_success{deployment="chat-prod",project="p"} 1.0'


@pytest.fixture
def daemon(steady: SimulatorServer, start: Start) -> Process:
    daemon = start(listing(steady), TOGETHER_API_KEY=API_KEY)
    until(lambda: daemon.shows(UP), "it is polled")
    return daemon


def peak_memory(daemon: Process) -> int:
    """MiB, of the whole life of the process."""
    status = Path(f"/proc/{daemon.popen.pid}/status").read_text()
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert match
    return int(match[1]) // 1024


def send_ahead(client: socket.socket, request: bytes) -> int:
    """As much as the daemon and the kernel take, and that is how many bytes."""
    data = request * (SENT_AHEAD // len(request))
    client.settimeout(0.1)
    sent = 0
    with contextlib.suppress(OSError):
        while sent < len(data):
            sent += client.send(data[sent:])
    return sent


@pytest.mark.parametrize("path", [b"/metrics", b"/", b"/-/healthy", b"/nowhere"])
def test_60_clients_that_send_256_kib_of_requests_ahead(path: bytes, daemon: Process) -> None:
    before = peak_memory(daemon)
    with crowd(daemon, 60) as clients:
        for client in clients:
            send_ahead(client, b"GET " + path + b" HTTP/1.1\r\n\r\n")
        until(lambda: scrapes(daemon), "a scrape is answered")
    until(lambda: scrapes(daemon) and daemon.shows(UP), "it goes on")
    assert peak_memory(daemon) - before < MAX_GROWTH
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log
    assert "level=error" not in daemon.log


def test_clients_that_reset_their_connections_in_every_phase_leave_no_traceback(daemon: Process) -> None:
    phases = [b"", b"GET /met", REQUEST, REQUEST * 3, REQUEST * 2000]
    for sent, _ in itertools.product(phases, range(20)):
        with socket.create_connection(address(daemon)) as client, contextlib.suppress(OSError):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() sends a reset
            client.sendall(sent)
            if sent.endswith(b"\n"):
                client.recv(1)
    until(lambda: scrapes(daemon), "a scrape is answered")
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log
    assert "level=error" not in daemon.log


@contextlib.contextmanager
def guessing(url: str, clients: int) -> Iterator[list[int]]:
    """Statuses that clients of one address are answered, who try one password after the other."""
    statuses: list[int] = []
    stop = threading.Event()

    def guess(number: int) -> None:
        with fetch.Client() as client:
            for attempt in itertools.count():
                if stop.is_set():
                    return
                auth = ("alice", f"guess-{number}-{attempt}")
                statuses.append(client.get(f"{url}/metrics", auth=auth, timeout=30).status_code)
                stop.wait(0.02)  # 50 clients without a pause are a test of this machine's processor

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_50_clients_that_guess_passwords_keep_no_scraper_out(
    steady: SimulatorServer, start: Start, tmp_path: Path
) -> None:
    web = tmp_path / "web.yml"
    web.write_text(f"basic_auth_users: {{alice: '{bcrypt.hashpw(b'pw', bcrypt.gensalt(10)).decode()}'}}\n")
    daemon = start(listing(steady), f"--web.config.file={web}", TOGETHER_API_KEY=API_KEY)
    with guessing(daemon.url(), 50) as statuses:
        until(lambda: 401 in statuses and 503 in statuses, "more guess than may")
        with fetch.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2")) as scraper:
            page = scraper.get(f"{daemon.url()}/metrics", auth=("alice", "pw"), timeout=10)
        assert page.status_code == 200
    assert set(statuses) == {401, 503}
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log


def test_waiting_passwords_do_not_hold_up_the_exit(steady: SimulatorServer, start: Start, tmp_path: Path) -> None:
    web = tmp_path / "web.yml"
    web.write_text(f"basic_auth_users: {{alice: '{bcrypt.hashpw(b'pw', bcrypt.gensalt(12)).decode()}'}}\n")
    daemon = start(listing(steady), f"--web.config.file={web}", TOGETHER_API_KEY=API_KEY)
    with contextlib.ExitStack() as stack:
        for n in range(1, 100):
            source = (f"127.0.1.{n}", 0)
            client = stack.enter_context(socket.create_connection(address(daemon), source_address=source))
            client.sendall(REQUEST[:-2] + b"authorization: Basic " + b64encode(b"alice:%d" % n) + b"\r\n\r\n")
        until(lambda: daemon.logs("reason=unauthorized"), "the first has been checked")
        assert ends_in_time(daemon)


def ends_in_time(daemon: Process) -> bool:
    began = time.monotonic()
    daemon.popen.terminate()
    code = daemon.popen.wait(30)
    took = time.monotonic() - began
    assert daemon.stop() == code == 0
    assert "Traceback" not in daemon.log
    return took < GRACE


def test_slow_readers_do_not_hold_up_the_exit(start: Start) -> None:
    with SimulatorServer(Scenario(fleet=Fleet(deployments=3000))) as server:
        daemon = start(listing(server), TOGETHER_API_KEY=API_KEY)
        until(lambda: daemon.shows('together_project_poll_success{project="p"} 1.0'), "it is polled")
        with crowd(daemon, 30, REQUEST) as clients:
            assert all(client.recv(1) == b"H" for client in clients)
            assert ends_in_time(daemon)
    assert "level=error" not in daemon.log
