"""Who gets a connection, and which TLS it accepts_tls, against the real server on a real socket."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator

import httpx
import pytest
import structlog
import trustme

from exporter.web.access import Access
from exporter.web.connection import Timeouts
from tests import fetch
from tests.conftest import until
from tests.unit.web.serving import LONG, PIECE, PIECES, SHORT, Web, reading, received, received_length


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as running:
        yield running


def test_every_socket_is_served(web: Web) -> None:
    for sock in web.sockets:
        assert fetch.get(f"http://127.0.0.1:{sock.getsockname()[1]}/").status_code == 200


def test_the_scrape_above_the_limit_is_answered_503(web: Web) -> None:
    with reading(web, 2) as clients:
        third = web.get("/metrics")
        assert (third.status_code, third.headers["retry-after"]) == (503, "1")
        assert (web.refused("scrape_limit"), web.get().status_code) == (1, 200)
        for client in clients:
            received_length(client, PIECES * len(PIECE))
        until(lambda: web.get("/metrics").status_code == 200, "there is a place again")


def test_the_longest_idle_connection_makes_room(web: Web) -> None:
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(web.connect()) for _ in range(5)]
        assert web.get().status_code == 200
        assert received(idle[0]) == b""
        idle[1].sendall(SHORT)
        assert idle[1].recv(15) == b"HTTP/1.1 200 OK"
        assert web.refused("connection_limit") == 1


def test_where_every_connection_is_busy_a_new_one_is_refused() -> None:
    with Web(max_connections=2) as full:
        with reading(full, 2), full.connect(LONG) as third:
            assert received(third) == b""
            assert full.refused("connection_limit") == 1
        until(lambda: works(full.get), "it serves again")


def works(get: Callable[[], httpx.Response]) -> bool:
    try:
        return get().status_code == 200
    except httpx.TransportError:
        return False


class Authority:
    """A certificate authority, the server's context, and clients' contexts."""

    def __init__(self) -> None:
        self._ca = trustme.CA()

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


def accepts_tls(web: Web, context: ssl.SSLContext) -> bool:
    try:
        return fetch.get(f"https://127.0.0.1:{web.address[1]}/-/healthy", verify=context).status_code == 200
    except httpx.TransportError:
        return False


def test_tls_is_what_is_configured_at_the_moment(web: Web) -> None:
    old, new = Authority(), Authority()
    web.access = Access(tls=old.server())
    assert (accepts_tls(web, old.client()), accepts_tls(web, new.client())) == (True, False)
    web.access = Access(tls=new.server())
    assert (accepts_tls(web, old.client()), accepts_tls(web, new.client())) == (False, True)
    with web.connect(SHORT) as client:
        received(client)
    until(lambda: web.refused("tls") == 3, "each failure is counted")
    web.access = Access()
    assert web.get().status_code == 200


def test_mutual_tls_and_the_names_it_accepts(web: Web) -> None:
    authority, stranger = Authority(), Authority()
    web.access = Access(tls=authority.server(ssl.CERT_REQUIRED))
    assert not accepts_tls(web, authority.client())
    assert not accepts_tls(web, stranger.client("a.example"))
    assert accepts_tls(web, authority.client("a.example"))
    web.access = Access(tls=authority.server(ssl.CERT_REQUIRED), allowed_sans=frozenset({"a.example"}))
    assert accepts_tls(web, authority.client("a.example"))
    assert not accepts_tls(web, authority.client("b.example"))
    until(lambda: web.refused("tls") == 3, "each failure is counted")


def test_a_handshake_that_does_not_end_is_refused() -> None:
    authority = Authority()
    with Web(timeouts=Timeouts(request=0.2)) as web, contextlib.ExitStack() as stack:
        web.access = Access(tls=authority.server())
        with web.connect(b"\x16\x03\x01") as client:
            received(client)
        until(lambda: web.refused("tls") == 1, "it is counted")
        for _ in range(20):
            stack.enter_context(web.connect())
        assert accepts_tls(web, authority.client())


def test_a_tls_connection_that_sends_nothing_is_closed_without_a_word() -> None:
    with Web(timeouts=Timeouts(request=0.2)) as web:
        web.access = Access(tls=Authority().server())
        with structlog.testing.capture_logs() as lines, web.connect() as client:
            assert received(client) == b""
        assert (lines, web.refused("tls")) == ([], 0)


def test_requests_sent_ahead_wait_over_tls_too(web: Web) -> None:
    authority = Authority()
    web.access = Access(tls=authority.server())
    with authority.client().wrap_socket(web.connect(), server_hostname="127.0.0.1") as client:
        client.sendall(LONG + SHORT)
        page = received_length(client, PIECES * len(PIECE))
        while b"is here." not in page:
            page += client.recv(1 << 16)
    with contextlib.suppress(OSError), socket.create_connection(web.address) as plain:
        plain.sendall(SHORT)
        received(plain)  # until the server closes it
    assert web.answered == 2
