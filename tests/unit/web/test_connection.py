"""Clients that mean no good, against the real server on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import structlog
import trustme
import uvloop

from exporter.metrics.render import Renderer
from exporter.self_metrics import REFUSALS, SelfMetrics
from exporter.state.instant import Instant
from exporter.state.store import Store
from exporter.web import connection as connection_module
from exporter.web.access import Access, Doorkeeper
from exporter.web.app import build
from exporter.web.connection import MAX_HEADERS, Gate
from exporter.web.limit import RequestLimit
from exporter.web.listener import listen
from exporter.web.metrics import MetricsEndpoint
from exporter.web.publisher import Publisher
from exporter.web.refusals import Refusals
from exporter.web.server import server
from tests.conftest import until

REQUEST = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n"


@dataclass
class Web:
    """The exporter's web side alone, over a page of some megabytes; `access` may be exchanged."""

    max_connections: int = 5
    max_requests: int = 2
    access: Access = field(default_factory=Access)
    own: SelfMetrics = field(default_factory=lambda: SelfMetrics(runtime=False))

    def __post_init__(self) -> None:
        prices = {"x" * 200 + str(number): 1.0 for number in range(20_000)}
        refusals = Refusals(self.own)
        self.publisher = Publisher(Renderer(prices), Store(), self.own, lambda: Instant(0, 0))
        metrics = MetricsEndpoint(self.publisher, self.own)
        app = build(
            {"/metrics": RequestLimit(metrics, self.max_requests, refusals, "scrape_limit")}, lambda: True, None
        )
        gate = Gate(self.max_connections, lambda: self.access, refusals)
        self.server = server(Doorkeeper(app, lambda: self.access, refusals), gate)
        self.sock = listen("127.0.0.1:0")
        self.address = self.sock.getsockname()
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self.publisher.render())
            runner.run(self.server.serve(sockets=[self.sock]))

    def connect(self, *sent: bytes) -> socket.socket:
        client = socket.create_connection(self.address, timeout=20)
        for part in sent:
            client.sendall(part)
        return client

    def get(self, path: str = "/-/healthy", **more: object) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.address[1]}{path}", **more)  # type: ignore[arg-type]  # httpx's own

    def refused(self, reason: str) -> float:
        return refusals_of(self.own, reason) or 0.0


def refusals_of(own: SelfMetrics, reason: str) -> float | None:
    return own.live.get_sample_value("together_exporter_http_clients_refused_total", {"reason": reason})


@contextlib.contextmanager
def serving(web: Web) -> Iterator[Web]:
    web.thread.start()
    until(lambda: web.server.started, "it serves")
    try:
        yield web
    finally:
        web.server.should_exit = True
        web.thread.join()


@pytest.fixture
def web() -> Iterator[Web]:
    with serving(Web()) as running:
        yield running


def ended(client: socket.socket) -> bytes:
    """What the server still sends before it ends the connection."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while chunk := client.recv(65536):
            received += chunk
    return received


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param([], id="never sends"),
        pytest.param([b"GET / HT"], id="sends half a line"),
        pytest.param([b"GET / HTTP/1.1\r\nhost: x\r\n", b"a: b\r\n"], id="never ends its headers"),
        pytest.param([REQUEST.replace(b"metrics", b"-/healthy"), b"GET / "], id="stops in its second request"),
    ],
)
def test_a_client_that_takes_its_time_is_left(sent: list[bytes], web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "REQUEST_TIMEOUT", 0.2)
    with web.connect(*sent) as client:
        ended(client)
    assert web.refused("slow_client") == 1
    assert web.get().status_code == 200


def test_a_reader_of_one_byte_a_second_holds_neither_memory_nor_a_place(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "ANSWER_TIMEOUT", 0.5)
    clients = [web.connect(REQUEST) for _ in range(2)]
    assert all(client.recv(1) == b"H" for client in clients)
    until(lambda: web.refused("slow_client") == 2, "both are left")
    assert web.get("/metrics").status_code == 200
    for client in clients:
        client.close()


def test_one_scrape_too_many_is_told_to_come_back(web: Web) -> None:
    clients = [web.connect(REQUEST) for _ in range(2)]
    assert all(client.recv(1) == b"H" for client in clients)
    third = web.get("/metrics")
    assert (third.status_code, third.headers["retry-after"]) == (503, "1")
    assert (web.refused("scrape_limit"), web.get().status_code) == (1, 200)
    assert [len(ended_page(client)) > 4_000_000 for client in clients] == [True, True]
    until(lambda: web.get("/metrics").status_code == 200, "there is a place again")
    for client in clients:
        client.close()


def ended_page(client: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"0.0\n"):
        chunk = client.recv(1 << 20)
        assert chunk
        received += chunk
    return received


def test_a_client_that_hangs_up_half_way_frees_its_place(web: Web) -> None:
    for _ in range(5):
        with web.connect(REQUEST) as client:
            assert client.recv(1) == b"H"
    until(lambda: web.get("/metrics").status_code == 200, "there is a place")


def test_the_longest_idle_connection_makes_room(web: Web) -> None:
    idle = [web.connect() for _ in range(5)]
    assert web.get().status_code == 200
    assert ended(idle[0]) == b""
    idle[1].sendall(REQUEST.replace(b"metrics", b"-/healthy"))
    assert idle[1].recv(15) == b"HTTP/1.1 200 OK"
    assert web.refused("connection_limit") == 1
    for client in idle:
        client.close()


def test_where_every_connection_is_at_work_a_new_one_is_refused(web: Web) -> None:
    with serving(Web(max_connections=2)) as full:
        clients = [full.connect(REQUEST) for _ in range(2)]
        assert all(client.recv(1) == b"H" for client in clients)
        with full.connect(REQUEST) as third:
            assert ended(third) == b""
        assert full.refused("connection_limit") == 1
        for client in clients:
            client.close()
        until(lambda: works(full.get), "it serves again")


def works(ask: Callable[[], httpx.Response]) -> bool:
    try:
        return ask().status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (MAX_HEADERS // 4), id="many"),
        pytest.param(b"GET / HTTP/1.1\r\na: " + b"b" * MAX_HEADERS + b"\r\n\r\n", id="one long"),
        pytest.param(b"GET /" + b"b" * 2 * MAX_HEADERS, id="an endless path"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"a" * 2 * MAX_HEADERS, id="an endless name"),
    ],
)
def test_headers_have_a_limit(sent: bytes, web: Web) -> None:
    with web.connect(sent) as client:
        assert ended(client).startswith(b"HTTP/1.1 431 ")
    assert web.refused("header_limit") == 1


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01nonsense\r\n\r\n", b"GET /\xff\xfe HTTP/1.1\r\n\r\n", b"CONNECT x:1 HTTP/1.1\r\n\r\n"]
)
def test_nonsense_is_refused_without_a_word_in_the_log(sent: bytes, web: Web, caplog: pytest.LogCaptureFixture) -> None:
    with web.connect(sent) as client, structlog.testing.capture_logs() as lines:
        assert client.recv(12) in {b"HTTP/1.1 400", b"HTTP/1.1 404", b"HTTP/1.1 405"}
    assert (lines, caplog.records) == ([], [])
    assert web.get().status_code == 200


def test_a_body_that_nobody_asked_for_does_no_harm(web: Web) -> None:
    head = b"GET /-/healthy HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\n"
    with web.connect(head, b"x" * 1_000_000) as client:
        assert client.recv(15) == b"HTTP/1.1 200 OK"
    assert web.get().status_code == 200


def test_every_answer_carries_the_security_headers_and_the_configured_ones(web: Web) -> None:
    web.access = Access(headers={"X-Frame-Options": "sameorigin", "Strict-Transport-Security": "max-age=1"})
    for path in ("/", "/-/healthy", "/nowhere"):
        headers = web.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "sameorigin")
        assert headers["strict-transport-security"] == "max-age=1"


def test_the_rate_limit(web: Web) -> None:
    web.access = Access(rate=(3600.0, 2))
    assert [web.get().status_code for _ in range(3)] == [200, 200, 429]
    assert web.refused("rate_limit") == 1


def test_a_refusal_is_logged_once_a_minute_with_what_was_left_out() -> None:
    times = iter((0.0, 1.0, 2.0, 61.0))
    refusals = Refusals(SelfMetrics(runtime=False), lambda: next(times))
    with structlog.testing.capture_logs() as lines:
        for _ in range(4):
            refusals.count("unauthorized", "127.0.0.1")
    assert [(line["reason"], line["unlogged"]) for line in lines] == [("unauthorized", 0), ("unauthorized", 2)]


@pytest.mark.parametrize("reason", REFUSALS)
def test_each_refusal_starts_at_zero(reason: str) -> None:
    assert refusals_of(SelfMetrics(runtime=False), reason) == 0


class Authority:
    """A certificate authority, the server's context, and clients' contexts."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._folder = folder

    def server(self, verify: ssl.VerifyMode = ssl.CERT_NONE) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert("127.0.0.1").configure_cert(context)
        self._ca.configure_trust(context)
        context.verify_mode = verify
        return context

    def client(self, name: str | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._ca.configure_trust(context)
        if name:
            self._ca.issue_cert(name).configure_cert(context)
        return context


def speaks(web: Web, context: ssl.SSLContext) -> bool:
    try:
        return httpx.get(f"https://127.0.0.1:{web.address[1]}/-/healthy", verify=context).status_code == 200
    except httpx.TransportError:
        return False


def test_tls_is_what_is_configured_at_the_moment(web: Web, tmp_path: Path) -> None:
    old, new = Authority(tmp_path), Authority(tmp_path)
    web.access = Access(tls=old.server())
    assert (speaks(web, old.client()), speaks(web, new.client())) == (True, False)
    web.access = Access(tls=new.server())
    assert (speaks(web, old.client()), speaks(web, new.client())) == (False, True)
    with web.connect(REQUEST) as client:
        ended(client)
    until(lambda: web.refused("tls") == 3, "each failure is counted")
    web.access = Access()
    assert web.get().status_code == 200


def test_mutual_tls_and_the_names_it_takes(web: Web, tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path)
    web.access = Access(tls=authority.server(ssl.CERT_REQUIRED))
    assert not speaks(web, authority.client())
    assert not speaks(web, stranger.client("a.example"))
    assert speaks(web, authority.client("a.example"))
    web.access = Access(tls=authority.server(ssl.CERT_REQUIRED), allowed_sans=frozenset({"a.example"}))
    assert speaks(web, authority.client("a.example"))
    assert not speaks(web, authority.client("b.example"))
    until(lambda: web.refused("tls") == 3, "each failure is counted")


def test_a_handshake_that_never_ends_is_left(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.web.listener.REQUEST_TIMEOUT", 0.2)
    authority = Authority(tmp_path)
    web.access = Access(tls=authority.server())
    with web.connect(b"\x16\x03\x01") as client:
        ended(client)
    until(lambda: web.refused("tls") == 1, "each failure is counted")
    idle = [web.connect() for _ in range(20)]
    assert speaks(web, authority.client())
    for each in idle:
        each.close()
