"""What befalls the process itself: too many clients, no file descriptors, a standstill, signals at a bad moment."""

from __future__ import annotations

import contextlib
import resource
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests import fetch
from tests.canaries import API_KEY
from tests.conftest import SimulatorServer, until
from tests.e2e.conftest import Process, Start
from tests.e2e.faults import silence
from tests.e2e.faulty_api import FaultyApi
from tests.e2e.test_daemon import listing

REQUEST = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n"
UP = 'together_deployment_poll_success{deployment="chat-prod",project="p"} 1.0'


@pytest.fixture
def daemon(steady: SimulatorServer, start: Start) -> Process:
    daemon = start(listing(steady), TOGETHER_API_KEY=API_KEY)
    until(lambda: daemon.shows(UP), "it is polled")
    return daemon


def address(daemon: Process) -> tuple[str, int]:
    return "127.0.0.1", int(daemon.url().rpartition(":")[2])


def scrapes(daemon: Process) -> bool:
    """Whether a scrape is answered in time, with a page that can be read."""
    try:
        page = fetch.get(f"{daemon.url()}/metrics", timeout=2)
    except httpx.TransportError:
        return False
    return page.status_code == 200 and bool(list(text_string_to_metric_families(page.text)))


@contextlib.contextmanager
def crowd(daemon: Process, size: int, sent: bytes = b"") -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(size):
            client = stack.enter_context(socket.create_connection(address(daemon)))
            with contextlib.suppress(ConnectionError):
                client.sendall(sent)
            clients.append(client)
        yield clients


@pytest.mark.parametrize("sent", [b"", b"GET /metrics HT", REQUEST[:-2]], ids=["nothing", "half a line", "no end"])
def test_600_clients_that_never_ask_do_not_keep_a_scrape_out(sent: bytes, daemon: Process) -> None:
    with crowd(daemon, 600, sent):
        until(lambda: scrapes(daemon), "a scrape is answered")
    until(lambda: daemon.logs('msg="client refused" reason=connection_limit'), "it is logged")


def test_500_scrapes_at_once_are_all_answered(daemon: Process) -> None:
    with crowd(daemon, 500, REQUEST.replace(b"host: x", b"host: x\r\nconnection: close")) as clients:
        statuses = [answer(client) for client in clients]
    assert set(statuses) <= {b"200", b"503"}
    assert statuses.count(b"200") > 250
    assert scrapes(daemon)


def answer(client: socket.socket) -> bytes:
    """The status, once the whole answer has come."""
    received = b""
    while chunk := client.recv(1 << 20):
        received += chunk
    return received[9:12]


def test_500_clients_that_hang_up_half_way_leave_nothing_behind(daemon: Process) -> None:
    before = open_files(daemon)
    with crowd(daemon, 500, REQUEST):
        pass
    until(lambda: scrapes(daemon), "a scrape is answered")
    until(lambda: open_files(daemon) <= before + 3, "their connections are closed")
    assert "Traceback" not in daemon.log


def open_files(daemon: Process) -> int:
    return len(list(Path(f"/proc/{daemon.popen.pid}/fd").iterdir()))


def test_without_file_descriptors_it_goes_on_and_recovers(daemon: Process) -> None:
    with crowd(daemon, 20):
        until(lambda: open_files(daemon) > 30, "they are accepted")
        before = resource.prlimit(daemon.popen.pid, resource.RLIMIT_NOFILE, (30, 20_000))
        with crowd(daemon, 5):  # of which one may take a number that an earlier scrape has left
            until(lambda: scrapes(daemon), "an idle client makes room for a scrape")
        until(lambda: daemon.logs('msg="cannot accept connections"'), "it is logged")
    resource.prlimit(daemon.popen.pid, resource.RLIMIT_NOFILE, (8, 20_000))
    with contextlib.suppress(httpx.TransportError):
        fetch.get(f"{daemon.url()}/metrics", timeout=0.5)
    resource.prlimit(daemon.popen.pid, resource.RLIMIT_NOFILE, before)
    until(lambda: scrapes(daemon) and daemon.shows(UP), "it is well again")
    assert daemon.popen.poll() is None


def test_a_standstill_is_counted_as_missed_polls_and_ends(daemon: Process) -> None:
    missed = "together_exporter_polls_missed_total"
    before = next(line for line in daemon.metrics().splitlines() if line.startswith(missed + " "))
    daemon.popen.send_signal(signal.SIGSTOP)
    try:
        assert not scrapes(daemon)  # takes its 2 s, in which ten polls were due
    finally:
        daemon.popen.send_signal(signal.SIGCONT)
    until(lambda: scrapes(daemon) and not daemon.shows(before), "what was missed is counted")
    assert daemon.shows(UP)


def test_a_reload_in_the_middle_of_a_poll_keeps_state_and_schedule(start: Start, tmp_path: Path) -> None:
    with FaultyApi() as api:
        one = f"- {{name: p, base_url: '{api.url('p')}', deployments: [x]}}\n"
        two = f"- {{name: q, base_url: '{api.url('q')}', deployments: [x]}}\n"
        pace = "poll_interval: 300ms\npoll_timeout: 20s\nprojects:\n"
        daemon = start(pace + one, TOGETHER_API_KEY=API_KEY)
        ready = 'together_deployment_replicas_ready{{deployment="x",project="{}"}} 3.0'
        until(lambda: daemon.shows(ready.format("p")), "it is polled")
        api.answers["p"] = silence
        asked = len(api.requests["p"])
        until(lambda: len(api.requests["p"]) > asked, "a poll is in flight")
        (tmp_path / "together-exporter.yml").write_text(pace + one + two)
        asked = len(api.requests["p"])
        daemon.popen.send_signal(signal.SIGHUP)
        until(lambda: daemon.shows(ready.format("q")), "the new project is polled")
        assert daemon.shows(ready.format("p"))
        assert daemon.shows('together_deployment_poll_success{deployment="x",project="p"} 1.0')
        assert len(api.requests["p"]) == asked, "the poll in flight was neither ended nor doubled"


def test_killed_in_the_middle_of_a_poll_it_starts_again_on_the_same_port(start: Start, tmp_path: Path) -> None:
    with FaultyApi() as api:
        api.answers["p"] = silence
        config = f"projects: [{{name: p, base_url: '{api.url('p')}', deployments: [x]}}]"
        first = start(config, TOGETHER_API_KEY=API_KEY)
        until(lambda: bool(api.requests["p"]), "a poll is in flight")
        port = address(first)[1]
        first.popen.kill()
        first.popen.wait(30)
        api.answers.clear()
        options = [f"--config.file={tmp_path / 'together-exporter.yml'}", f"--web.listen-address=127.0.0.1:{port}"]
        second = Process(["serve", *options], {"TOGETHER_API_KEY": API_KEY})
        try:
            until(
                lambda: second.shows('together_deployment_poll_success{deployment="x",project="p"} 1.0'), "it is polled"
            )
        finally:
            assert second.stop() == 0


def test_many_reloads_at_once_end_in_the_last_configuration(daemon: Process, tmp_path: Path) -> None:
    file = tmp_path / "together-exporter.yml"
    good, stop = file.read_text(), threading.Event()

    def replace(text: str) -> None:
        (tmp_path / "new.yml").write_text(text)
        (tmp_path / "new.yml").rename(file)  # a file half written may be a configuration too

    def reload() -> None:
        while not stop.is_set():
            daemon.popen.send_signal(signal.SIGHUP)
            stop.wait(0.01)

    sender = threading.Thread(target=reload)
    sender.start()
    try:
        for _ in range(5):
            replace("projects: {")
            until(lambda: daemon.shows("together_exporter_config_last_reload_successful 0.0"), "it is refused")
            assert daemon.shows(UP)
            replace(good)
            until(lambda: daemon.shows("together_exporter_config_last_reload_successful 1.0"), "it is taken")
    finally:
        stop.set()
        sender.join()
    assert daemon.shows(UP)
    assert "Traceback" not in daemon.log
